"""Publish a few votes on two channels. Start bus_subscribe.py or bus_spy.py beside it.

python examples/bus_publish.py [ADDRESS]
"""

import sys

from shellbot import Bus, Context


def main(address: str = Bus.DEFAULT_ADDRESS) -> None:
    bus = Bus(Context({"bus": {"address": address}}))
    with bus.publish() as publisher:
        publisher.wait_ready(["room-1", "room-2"], timeout=30)  # returns when somebody listens to both
        for choice in ["pizza", "sushi", "salad"]:
            publisher.put(["room-1", "room-2"], {"choice": choice})


if __name__ == "__main__":
    main(*sys.argv[1:])
