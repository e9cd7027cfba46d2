"""Both patterns of the bus, without any chat: a group asks its direct channels, each answers under its own name.

*Broadcast*: one put goes to all direct channels. *Observe*: the group subscribes to all of them.

    python examples/group_and_direct.py [ADDRESS]
"""

import sys
import threading

from shellbot import Bus, Context, Publisher

CHOICES = {"direct-ann": "pizza", "direct-bob": "sushi", "direct-cid": "sushi"}


def direct_side(bus: Bus, publisher: Publisher, channel: str, ready: threading.Barrier) -> None:
    """One direct channel: waits for the instruction, answers under its own name."""
    with bus.subscribe(channel) as instructions:
        instructions.wait_ready(timeout=10)
        ready.wait()
        for message in instructions:
            if "question" in message:
                publisher.put(channel, {"choice": CHOICES[channel]})
                return


def main(address: str = Bus.DEFAULT_ADDRESS) -> None:
    bus = Bus(Context({"bus": {"address": address}}))
    ready = threading.Barrier(len(CHOICES) + 1)
    tally: dict[str, int] = {}
    with bus.publish() as publisher, bus.subscribe(list(CHOICES)) as answers:
        for channel in CHOICES:
            threading.Thread(target=direct_side, args=(bus, publisher, channel, ready)).start()
        answers.wait_ready(timeout=10)
        ready.wait()  # everybody listens: nothing can be missed
        publisher.put(list(CHOICES), {"question": "Lunch?"})
        for frame in answers.frames():
            if "choice" in frame.message:  # the group hears its own question, too
                choice = frame.message["choice"]
                tally[choice] = tally.get(choice, 0) + 1
                if sum(tally.values()) == len(CHOICES):
                    break
    for choice, votes in sorted(tally.items()):
        print(choice, votes)


if __name__ == "__main__":
    main(*sys.argv[1:])
