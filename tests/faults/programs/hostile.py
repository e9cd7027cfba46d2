"""Every refusal of put(), run with and without ``python -O``; prints how many of how many were right."""

from __future__ import annotations

import datetime
import sys
from typing import Any

from shellbot.bus import Bus, Publisher, Subscriber
from shellbot.context import Context
from shellbot.errors import InvalidChannel, InvalidMessage

CHANNELS: list[Any] = [None, "", [], (), [""], ["a", ""], ["a", None], 5, b"a", "a b", "a\n", "\0", "x" * 256, "\ud800"]
CHANNELS += [["a"] * 10_001, (name for name in "ab"), {"a": 1}, [["a"]]]
MESSAGES: list[Any] = [None, "", object(), b"x", {1}, datetime.datetime.now(), float("nan"), {1: 2}, "\ud800", 2**64]
TAKEN: list[Any] = [0, False, {}, [], 0.0, " ", {"a": None}]


def main() -> None:
    right = 0
    publisher = Publisher(Context())
    for channels in CHANNELS:
        try:
            publisher.put(channels, "message")
        except InvalidChannel as error:
            right += isinstance(error, ValueError) and isinstance(error, AssertionError)
    for message in MESSAGES:
        try:
            publisher.put(["a", "b"], message)
        except InvalidMessage as error:
            right += isinstance(error, ValueError) and isinstance(error, AssertionError)
    for channels in (None, [], (), 5, [None]):
        try:
            Subscriber(Context(), channels)  # type: ignore[arg-type]
        except InvalidChannel:
            right += 1
    right += publisher.fan.empty()
    for message in TAKEN:
        Bus(Context()).check()
        publisher.put("a", message)
        right += publisher.fan.get() is not None
    print(right, len(CHANNELS) + len(MESSAGES) + 5 + 1 + len(TAKEN), sys.flags.optimize)


if __name__ == "__main__":
    main()
