"""Any mix of turns, waits, cancels, limits and a stop keeps the promises; compared with a queue written down here.

The model is a list: what is posted or comes back from waiting goes to its end, and the first of it has the turn.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from homes import Told, told
from hypothesis import event, given, settings
from hypothesis import strategies as st

from shellbot.agents import Agent
from shellbot.errors import AgentError, CallTimeout

# what a handler does, one step after the other
STEPS = st.lists(st.sampled_from(["run", "wait", "wait in task", "gather", "first of two", "fail"]), max_size=5)
EXPECTED = (LookupError, CallTimeout, AgentError, BaseExceptionGroup)
# what happens around it
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), STEPS, st.booleans()),
        st.tuples(st.sampled_from(["answer", "drop", "cancel", "interrupt"]), st.integers(0, 20)),
        st.tuples(st.just("let run"), st.integers(1, 6)),
        st.tuples(st.just("time"), st.just(1)),
    ),
    max_size=25,
)


@dataclass
class Room:
    """The agent and what was seen of it."""

    home: Told
    agent: Agent
    line: list[int] = field(default_factory=list)  # the model: whose turn comes next
    inside: list[int] = field(default_factory=list)  # who runs now
    order: list[int] = field(default_factory=list)
    turns: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    gates: list[asyncio.Future[None]] = field(default_factory=list)
    waiting: list[asyncio.Task[Any]] = field(default_factory=list)
    interrupted: set[asyncio.Task[Any]] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def enter(self, number: int) -> None:
        if set(self.inside) - {number}:
            self.broken.append(f"{number} runs beside {self.inside}")
        self.inside.append(number)

    def leave(self, number: int) -> None:
        if set(self.inside) != {number}:
            self.broken.append(f"{number} leaves, inside are {self.inside}")
        if number in self.inside:
            self.inside.remove(number)

    async def wait(self, number: int) -> None:
        """Give the turn back until the gate opens, or the wait is interrupted as by ``asyncio.timeout``."""
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.current_task()
        assert task is not None
        self.gates.append(gate)
        self.waiting.append(task)
        self.leave(number)
        try:
            async with self.agent.waiting():
                await asyncio.wait((gate,))
        except asyncio.CancelledError:
            if task not in self.interrupted:
                raise
            while task.uncancel():
                pass
        finally:
            self.waiting.remove(task)
            self.interrupted.discard(task)
            self.enter(number)
        if gate.cancelled():
            raise asyncio.CancelledError

    async def strand(self, number: int) -> None:
        """A task of the handler that waits, works and ends."""
        self.enter(number)
        try:
            await self.wait(number)
            await asyncio.sleep(0)
        finally:
            self.leave(number)

    async def one_after_the_other(self, tasks: set[asyncio.Task[None]], number: int) -> None:
        """Look in each time one of the tasks has ended, while others may wait on."""
        try:
            while tasks:
                _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                self.enter(number)
                self.leave(number)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise

    def interrupt(self, which: int) -> None:
        if self.waiting:
            task = self.waiting[which % len(self.waiting)]
            self.interrupted.add(task)
            task.cancel()

    async def handle(self, number: int, steps: list[str]) -> int:
        self.order.append(number)
        self.enter(number)
        try:
            for step in steps:
                match step:
                    case "run":
                        await asyncio.sleep(0)
                    case "wait":
                        await self.wait(number)
                    case "wait in task":
                        await asyncio.create_task(self.wait(number))
                    case "gather":
                        self.leave(number)
                        try:
                            async with asyncio.TaskGroup() as group:  # waits for both in any case
                                group.create_task(self.strand(number))
                                group.create_task(self.strand(number))
                        finally:
                            self.enter(number)
                    case "first of two":
                        self.leave(number)
                        try:
                            await self.one_after_the_other(
                                {asyncio.create_task(self.strand(number)) for _ in "ab"}, number
                            )
                        finally:
                            self.enter(number)
                    case _:
                        raise LookupError(number)
            return number
        finally:
            self.leave(number)
            self.ended.add(number)


async def settle(room: Room) -> None:
    """Nothing new comes: when every wait is answered, every turn ends."""
    for _ in range(400):
        for gate in room.gates:
            if not gate.done():
                gate.set_result(None)
        await asyncio.sleep(0)


async def play(acts: list[Any]) -> None:
    async with told() as home:
        room = Room(home, await home.spawn(Agent, name="a"))
        dropped: set[int] = set()
        for act in acts:
            match act:
                case ("post", steps, limited):
                    number = len(room.turns)
                    room.turns[number] = room.agent.post(room.handle, number, steps, limit=3 if limited else None)
                case ("answer", which) if room.gates:
                    gate = room.gates[which % len(room.gates)]
                    if not gate.done():
                        gate.set_result(None)
                case ("drop", which) if room.turns:
                    number = which % len(room.turns)
                    if room.turns[number].cancel():
                        dropped.add(number)
                case ("cancel", which) if room.gates:
                    room.gates[which % len(room.gates)].cancel()  # the handler's own wait is cancelled
                case ("interrupt", which):
                    room.interrupt(which)
                case ("let run", turns):
                    for _ in range(turns):
                        await asyncio.sleep(0)
                case ("time", seconds):
                    home.seconds.advance(seconds)
        await settle(room)
        assert all(turn.done() for turn in room.turns.values())
        # one at a time; each begun once, in order of posting; none lost for a waiter that went away
        assert room.broken == []
        assert room.order == sorted(room.turns)
        assert room.ended == set(room.turns)
        for number, turn in room.turns.items():
            if number in dropped:
                continue
            error = turn.exception()
            event(type(error).__name__)
            assert (
                turn.result() == number
                if error is None
                else isinstance(error, LookupError | CallTimeout | AgentError | BaseExceptionGroup)
            )
        # and the mailbox is as new
        assert await room.agent.post(lambda: "free") == "free"


async def play_and_stop(acts: list[Any], patience: int) -> None:
    async with told() as home:
        room = Room(home, await home.spawn(Agent, name="a"))
        for act in acts:
            match act:
                case ("post", steps, limited):
                    number = len(room.turns)
                    room.turns[number] = room.agent.post(room.handle, number, steps, limit=3 if limited else None)
                case ("let run", turns):
                    for _ in range(turns):
                        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(room.agent.stop(patience))
        for _ in range(400):
            await asyncio.sleep(0)
        home.seconds.advance(patience + 1)
        await stopping  # nobody was answered, and still nobody hangs
        assert room.broken == []
        assert all(turn.done() for turn in room.turns.values())
        assert room.agent.state == "stopped"
        for turn in room.turns.values():
            turn.exception()


@settings(max_examples=200, deadline=None)
@given(ACTS)
def test_any_mix_keeps_one_at_a_time_and_order_and_loses_nobody(acts: list[Any]) -> None:
    asyncio.run(play(acts))


@settings(max_examples=100, deadline=None)
@given(ACTS, st.sampled_from([0, 5]))
def test_a_stop_in_the_midst_of_any_mix_answers_everybody(acts: list[Any], patience: int) -> None:
    asyncio.run(play_and_stop(acts, patience))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=8))
def test_who_comes_back_stands_in_line_with_who_is_posted(programs: list[list[bool]]) -> None:
    """Each program is a turn: True runs on, False gives the turn back and is at once answered."""
    expected: list[tuple[int, int]] = []
    line = [(number, 0) for number in range(len(programs))]
    while line:
        number, at = line.pop(0)
        while at < len(programs[number]):
            expected.append((number, at))
            at += 1
            if not programs[number][at - 1]:
                line.append((number, at))
                break

    async def run() -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        async with told() as home:
            agent = await home.spawn(Agent, name="a")

            async def handler(number: int) -> None:
                for at, runs_on in enumerate(programs[number]):
                    seen.append((number, at))
                    if not runs_on:
                        async with agent.waiting():
                            pass

            await asyncio.gather(*(agent.post(handler, number) for number in range(len(programs))))
        return seen

    assert asyncio.run(run()) == expected
