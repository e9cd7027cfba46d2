"""The people of ``shellbot run --demo``: they come in by the door a browser uses, and do what the script says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from logging import getLogger

from shellbot.clocks import AsyncioClock, BaseClock
from shellbot.errors import SpaceError
from shellbot.testing.pages import Shown
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.script import CAST, Deed, Seen, react

logger = getLogger(__name__)

_RESULT = re.compile(r"Result of vote #\d+\b.*?\n(?:(?P<winner>.+) has the most votes)?", re.DOTALL)


async def play(url: str, *, clock: BaseClock | None = None, seed: int = 0) -> None:
    """Let the cast in at ``url`` and have it play until this is cancelled. Errors are logged; the chat goes on."""
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        demo = _Demo(clock or AsyncioClock(), seed, tasks)
        stack.push_async_callback(demo.leave)  # before the tasks are waited for
        await demo.come(url)
        demo.see(Seen("began"))
        await asyncio.get_running_loop().create_future()


class _Demo:
    def __init__(self, clock: BaseClock, seed: int, tasks: asyncio.TaskGroup) -> None:
        self._clock = clock
        self._seed = seed
        self._tasks = tasks
        self._people: dict[str, ScriptedPerson] = {}
        self._known: set[object] = set(CAST)  # people, ballots and results that were seen
        self._seen: list[Seen] = []

    async def come(self, url: str) -> None:
        for name in CAST:
            # one of them is enough to look after the group
            on_people = None if self._people else self._on_people
            person = ScriptedPerson(url, name, is_demo=True, on_shown=self._on_shown, on_people=on_people)
            try:
                await person.join()
            except (SpaceError, OSError) as error:  # somebody has the name already, for instance
                logger.warning("%s of the demo could not come in: %s", name, error)
            else:
                self._people[name] = person

    async def leave(self) -> None:
        for person in self._people.values():
            await person.close()

    def see(self, event: Seen) -> None:
        self._seen.append(event)
        for deed in react(self._seed, self._seen):
            self._tasks.create_task(self._do(deed))

    def _on_people(self, names: Sequence[str]) -> None:
        for name in names:
            if self._is_new(name):
                self.see(Seen("came", name))

    def _on_shown(self, person: ScriptedPerson, shown: Shown) -> None:
        if shown.ballot is not None and shown.ballot.is_open and self._is_new((person.name, shown.place)):
            self.see(Seen("ballot", person.name, choices=tuple(shown.ballot.choices)))
        elif shown.is_bot and (found := _RESULT.match(shown.text)) and self._is_new(shown.place):
            self.see(Seen("result", text=found["winner"] or ""))

    def _is_new(self, what: object) -> bool:
        if what in self._known:
            return False
        self._known.add(what)
        return True

    async def _do(self, deed: Deed) -> None:
        await self._clock.sleep(deed.delay)
        if deed.do == "wait":
            self.see(Seen("woke", text=deed.text))
            return
        person = self._people.get(deed.who)
        if person is None:
            return
        try:
            if deed.do == "say":
                await person.say(deed.text)
            elif (await person.ballot()).is_open:
                await person.press(deed.text)
                self.see(Seen("voted", deed.who))
        except (SpaceError, OSError) as error:
            logger.warning("%s of the demo could not %s: %s", deed.who, deed.do, error)
        except Exception:  # the others play on
            logger.exception("%s of the demo could not %s", deed.who, deed.do)
