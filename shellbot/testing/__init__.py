"""For tests of bots, ours and yours: scripted people over HTTP, a clock to move, servers to kill, faults, a demo.

With pytest there is the fixture ``dialogue``::

    async def test_lunch(dialogue):
        group = await dialogue.group("Person A", "Person B")
        await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
        await dialogue.direct("Person B").press("Sushi")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shellbot.testing.clock import Clock
from shellbot.testing.dialogue import Dialogue
from shellbot.testing.history import History, Verdict, make_message, read_message
from shellbot.testing.killing import Kill, kill, kill_every, stopped
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.proxy import FaultProxy
from shellbot.testing.servers import Server, ServerEnded

if TYPE_CHECKING:
    from shellbot.testing.fakewebex import FakeWebex

__all__ = [
    "Clock",
    "Dialogue",
    "FakeWebex",
    "FaultProxy",
    "History",
    "Kill",
    "ScriptedPerson",
    "Server",
    "ServerEnded",
    "Verdict",
    "kill",
    "kill_every",
    "make_message",
    "read_message",
    "stopped",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: servers under test import this package, too, and need no platform.
    if name == "FakeWebex":
        from shellbot.testing.fakewebex import FakeWebex

        return FakeWebex
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
