"""Print everything on the bus until Ctrl-C, or as many messages as one says.

python examples/bus_spy.py [ADDRESS [COUNT]]
"""

import sys

from shellbot import Bus, Context


def main(address: str = Bus.DEFAULT_ADDRESS, count: str = "0") -> None:
    bus = Bus(Context({"bus": {"address": address}}))
    with bus.subscribe("") as everything:  # the empty name means all channels
        for frame in everything.frames():
            print(frame.channel, frame.message, flush=True)
            if frame.number == int(count):
                break


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
