"""A vote of very many on Webex by the commands of the runbook: storms of 429, a kill -9, a sleep over the deadline."""

from __future__ import annotations

import asyncio
import csv
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from shellbot.testing import FakeWebex
from shellbot.testing.clock import Clock
from shellbot.testing.fakewebex.humans import Person
from shellbot.testing.fakewebex.state import Message
from shellbot.testing.servers import TESTED, Server
from tests.scenarios.stages import ROOT

POLL = '"Shall we merge?" Yes, No, Abstain in 2h, quorum 50% to roll board'


class Wall:
    """The platform's clock: that of the server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def utcnow(self) -> datetime:
        return self._clock.utc


class Vote:
    """The platform with its people, the server with its clock, and the shell of whoever runs the vote."""

    def __init__(self, fake: FakeWebex, clock: Clock, folder: Path, count: int, unreachable: int) -> None:
        self.fake = fake
        self.clock = clock
        self.folder = folder
        self.bot = fake.bot("Shelly")
        self.owner = fake.person("Owner")
        self.people = [fake.person(f"Person {number:03}") for number in range(count)]
        self.silent = self.people[-unreachable:]
        self.voters = self.people[:-unreachable]
        self.room = fake.room("Board", [self.owner, *self.people], bots=[self.bot])
        environment = {
            "WEBEX_TEAMS_ACCESS_TOKEN": self.bot.token,
            "SHELLBOT_SPACE_TYPE": "webex",
            "SHELLBOT_WEBEX_API_URL": fake.url,
            "SHELLBOT_WEBEX_WAY": "webhook",
            "PYTHONPATH": str(ROOT),
        }
        self.server = Server(folder, program=TESTED, clock=self.clock, environment=environment)

    async def shell(self, *arguments: str) -> str:
        """``shellbot ...`` on the instance; gives what it says."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "shellbot",
            *arguments,
            "--instance",
            str(self.folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    async def until(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Let time pass on the server, second by second, until this holds: what was asked to wait must go on."""
        async with asyncio.timeout(timeout):
            while not condition():
                await self.clock.advance(1)
                try:
                    await self.fake.aio.wait_until(condition, 0.2)
                except TimeoutError:
                    continue

    def is_counted(self, person: Person) -> bool:
        return any("is counted" in one.text for one in self.fake.messages((self.bot, person)))

    def ballots(self, person: Person) -> list[Message]:
        said = self.fake.messages((self.bot, person))
        return [one for one in said if "Shall we merge?" in one.text and one.cards and not one.is_deleted]


async def run(vote: Vote, tmp_path: Path) -> None:
    fake, owner, bot = vote.fake, vote.owner, vote.bot
    roll = tmp_path / "roll.csv"
    with roll.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["address", "name"])
        rows.writerows([person.email, person.name] for person in vote.people)
    async with vote.server as server:
        owner.say(vote.room, "echo ready", mention=bot)
        await vote.until(lambda: any(one.text == "ready" for one in fake.messages(vote.room)))
        await vote.shell("poll", "check", str(roll))
        await vote.shell("poll", "roll", "import", "board", str(roll))
        owner.say(bot, f"poll rehearse {POLL}")
        await vote.until(lambda: any(f"{len(vote.people)} people" in one.text for one in fake.messages((bot, owner))))
        await vote.shell("backup", str(tmp_path / "before.tar"))

        for person in vote.silent:
            fake.unreachable(person)
        storm = len(vote.people) // 3
        fake.faults.next(429, path="messages", method="POST", count=storm, headers={"Retry-After": "rand(2),add(1)"})
        owner.say(vote.room, f"poll {POLL}", mention=bot)
        await vote.until(lambda: all(vote.ballots(person) for person in vote.voters))
        half = len(vote.voters) // 2
        for person in vote.voters[:half]:
            person.press(bot, label="Yes")
        await vote.until(lambda: all(vote.is_counted(person) for person in vote.voters[:half]))
        fake.faults.next(429, path="messages", method="POST", count=storm, headers={"Retry-After": "1"})
        # Some say it just before the server is killed, some while nobody serves.
        *late, last = vote.voters[half:]
        for person in late[: len(late) // 2]:
            person.say(bot, "No")
        await server.kill()
        for person in late[len(late) // 2 :]:
            person.say(bot, "No")
        await server.start()
        await vote.until(lambda: all(vote.is_counted(person) for person in late))
        assert "Shall we merge?" in await vote.shell("poll", "show", "1")
        # One was not in time: the machine slept over the deadline for ten minutes.
        await vote.clock.advance(2 * 3600 - 600)
        await vote.clock.step(1200)
        await vote.until(lambda: any("Result" in one.text for one in fake.messages(vote.room)))
        last.say(bot, "No")
        await vote.until(lambda: any("closed" in one.text for one in fake.messages((bot, last)) if one.person is bot))
        (result,) = [one.text for one in fake.messages(vote.room) if "Result" in one.text]
        assert f"{len(vote.voters) - 1} of {len(vote.people)}" in result
        assert re.search(rf"Yes\W+{half}\b", result)
        assert re.search(rf"No\W+{len(late)}\b", result)
        named = "\n".join(one.text for one in [*fake.messages(vote.room), *fake.messages((bot, owner))])
        assert [person.name for person in vote.silent if person.name not in named] == []
        for person in vote.voters:
            assert len(vote.ballots(person)) <= 1

        await vote.shell("poll", "recount", "1")
        await vote.shell("poll", "export", "1", "--output", str(tmp_path / "vote.csv"))
        text = (tmp_path / "vote.csv").read_text()
        assert all(person.name in text for person in vote.people)
        assert text.count("Yes") >= half
        await vote.shell("backup", str(tmp_path / "after.tar"))
        await vote.shell("poll", "forget", "1", "--yes")
        await vote.shell("poll", "roll", "remove", "board")


@pytest.mark.timeout(60)
async def test_thirty_people(tmp_path: Path) -> None:
    clock = Clock()
    with FakeWebex(clock=Wall(clock)) as fake:
        await run(Vote(fake, clock, tmp_path / "instance", 30, 2), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_three_hundred_people(tmp_path: Path) -> None:
    clock = Clock()
    with FakeWebex(clock=Wall(clock)) as fake:
        await run(Vote(fake, clock, tmp_path / "instance", 300, 20), tmp_path)
