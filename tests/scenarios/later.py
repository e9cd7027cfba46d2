"""Waiting while time goes on, for what was lost in a restart and is said again after some seconds."""

from __future__ import annotations


async def hears_later(people, clock, text, name=""):
    """:meth:`Party.hears`, with the clock moved on as long as nothing comes."""
    for _ in range(30):
        try:
            return await people.hears(text, name, timeout=0.2)
        except TimeoutError:
            clock.advance(1)
    return await people.hears(text, name)
