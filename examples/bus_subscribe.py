"""Hear two channels, and print six messages with the channel they came on.

python examples/bus_subscribe.py [ADDRESS]
"""

import sys

from shellbot import Bus, Context


def main(address: str = Bus.DEFAULT_ADDRESS) -> None:
    bus = Bus(Context({"bus": {"address": address}}))
    with bus.subscribe(["room-1", "room-2"]) as votes:
        for frame in votes.frames():
            print(f"{frame.channel}: {frame.message['choice']}", flush=True)
            if frame.number == 6:
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
