"""A Webex to be played, as a process of its own: ``python -m shellbot.testing.fakewebex``.

It prints one line of JSON, with the address of the API, that of the page, and the token of a bot that is in a room with
two people; and ends with its standard input, so with who started it, however that ends.
"""

from __future__ import annotations

import argparse
import json
import sys

from shellbot.testing.fakewebex.fake import FakeWebex

PORTS_TRIED = 20


def begin(port: int) -> FakeWebex:
    """One that listens on this port, or on the next that is free; 0 takes any."""
    for candidate in range(port, port + PORTS_TRIED) if port else (0,):
        fake = FakeWebex(port=candidate)
        try:
            fake.start()
        except OSError:
            fake.close()
            continue
        return fake
    sys.exit(f"shellbot: no port from {port} to {port + PORTS_TRIED - 1} is free; choose another with --port")


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m shellbot.testing.fakewebex", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="first port to try; 0 takes any")
    parser.add_argument("--bot", default="Shelly", help="name of the bot")
    parser.add_argument("--room", default="Team", help="title of the room")
    given = parser.parse_args()
    fake = begin(given.port)
    try:
        people = [fake.person(name) for name in ("Person A", "Person B")]
        fake.room(given.room, people, bots=[fake.bot(given.bot)])
        facts = {"url": fake.url, "page": fake.page, "token": fake.bot(given.bot).token}
        print(json.dumps(facts), flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        fake.close()


if __name__ == "__main__":
    main()
