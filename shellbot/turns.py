"""What the running turn is about, so that what a bot says in it gets the same ids when the turn is run again."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from shellbot.envelope import Envelope
from shellbot.events import Event


@dataclass(slots=True)
class Topic:
    """What caused a turn: an event of the space or an instruction of the group.

    A turn cut off by a crash is run again from its event or instruction. As the ids of what it says are made of the id
    of the cause and a count, the repeat says nothing twice.

    ``is_taken``: the instruction is kept as one that is being carried out; ``is_done``: as one that was.
    ``do``: keyword of the command that somebody's word has called, if that is what it is about.
    ``is_noted``: the store knows that the event was dealt with, from the transaction that holds its effect.
    ``hops``: how often bots have answered each other, on the way from what a person said to this turn.
    """

    id: str
    event: Event | None = None
    instruction: Envelope | None = None
    is_again: bool = False
    is_taken: bool = False
    is_done: bool = False
    last_report: dict[str, Any] | None = None
    do: str = ""
    is_noted: bool = False
    hops: int = 0
    broadcasts: set[str] = field(default_factory=set)
    keeping: list[asyncio.Future[Any]] = field(default_factory=list)  # what must be on disk before the turn is over
    _said: int = 0

    def next_id(self) -> str:
        """An id for the next thing said, put or asked in this turn."""
        self._said += 1
        return f"{self.id}/{self._said}"


current_topic: ContextVar[Topic | None] = ContextVar("shellbot_topic", default=None)


def new_id() -> str:
    """An id within the running turn, or one that nobody else has."""
    topic = current_topic.get()
    return topic.next_id() if topic is not None else uuid4().hex
