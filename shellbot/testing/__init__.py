"""For tests of bots, ours and yours: scripted people over HTTP, a clock to move, servers to kill, faults, a demo.

With pytest there is the fixture ``dialogue``::

    async def test_lunch(dialogue):
        group = await dialogue.group("Person A", "Person B")
        await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
        await dialogue.direct("Person B").press("Sushi")
"""

from shellbot.testing.clock import Clock
from shellbot.testing.dialogue import Dialogue
from shellbot.testing.fakewebex import FakeWebex
from shellbot.testing.history import History, Verdict, make_message, read_message
from shellbot.testing.killing import Kill, kill, kill_every, stopped
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.proxy import FaultProxy
from shellbot.testing.servers import Server, ServerEnded

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
