"""A whole vote by HTTP, with changes, a kill and a restart, and then all bytes of all files: who voted what?"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest

from shellbot.bus.bus import Bus
from shellbot.context import Context
from shellbot.polls.sealing import Urn
from shellbot.polls.spec import make
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.servers import PRODUCT, Server
from tests.scenarios.traces import files_in, links

NAMES = ["Xanthippe", "Yolanda", "Zebulon", "Wilhelmine", "Valentin"]


class Vote:
    """Five people, two choices that stand nowhere else in the world, and one who listens to the whole bus."""

    def __init__(self, server: Server, people: list[ScriptedPerson]) -> None:
        word = os.urandom(6).hex()
        self.choices = (f"Pizza{word}", f"Sushi{word}")
        # each types his choice as nobody else does
        self.typed = [f"pIZZA{word}", f"SusHI{word}", f"sUsHi{word}"]
        self.server = server
        self.people = people
        self.heard: list[str] = []

    async def hold(self, kind: str) -> None:
        first, second, third, fourth, _ = self.people
        pizza, sushi = self.choices
        await first.say(f'poll {kind} "Lunch?" {pizza}, {sushi}')
        for person in self.people:
            await person.ballot()
        await first.say_direct(self.typed[0])
        await first.heard_direct("Your vote is counted")
        await second.press(pizza)
        await second.say_direct(self.typed[1])
        await second.heard_direct("Your vote is counted")
        await third.say_direct(f"#1 {self.typed[2]}")
        await third.heard_direct("Your vote is counted")
        await third.press(pizza)
        await fourth.press(pizza)
        await self.server.restart(kill=True)
        await self.listen()
        await fourth.press(sushi)
        for person in (third, fourth):
            await self.counted(person)

    async def counted(self, person: ScriptedPerson) -> None:
        async with asyncio.timeout(15):
            while "is counted" not in (await person.ballot()).note:
                await person.catch_up()
                await asyncio.sleep(0.05)

    async def close(self) -> str:
        await self.people[0].say("poll close")
        return await self.people[0].heard("Result of vote #1")

    async def listen(self) -> None:
        self._spy = Bus(Context({"bus": {"address": self.server.facts["bus"]}})).subscribe("")
        await self._spy.aio.wait_ready(5)
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for frame in self._spy.aio.frames():
            self.heard.append(f"{frame.channel} {orjson.dumps(frame.message).decode()}")

    def end(self) -> None:
        self._listening.cancel()
        self._spy.close()

    @property
    def who(self) -> list[str]:
        db = sqlite3.connect(self.server.folder / "store.db")
        ids = [row[0] for row in db.execute("SELECT id FROM web_people")]
        db.close()
        return [*NAMES, *ids]

    def files(self) -> dict[Path, bytes]:
        output = self.server.folder.with_name(f"{self.server.folder.name}.output")
        return files_in(self.server.folder, output, Path(os.environ["SHELLBOT_RUNTIME"]))

    def told(self, files: dict[Path, bytes]) -> list[str]:
        """All that tells who voted what, in files and on the bus."""
        on_the_bus = dict.fromkeys([Path("bus")], "\n".join(self.heard).encode())
        words = [f"{path.name}: {word}" for path, data in files.items() for word in self.typed if word.encode() in data]
        return words + links(self.who, self.choices, files | on_the_bus)


@pytest.fixture(autouse=True)
def runtime(monkeypatch) -> Iterator[None]:
    """A runtime folder with nothing of other tests, as all of it is read."""
    with TemporaryDirectory(prefix="sb-") as folder:
        monkeypatch.setenv("SHELLBOT_RUNTIME", folder)
        yield


@asynccontextmanager
async def vote(tmp_path):
    async with Server(tmp_path / "instance", "-vv", program=PRODUCT) as server:
        people = [ScriptedPerson(server.url, name) for name in NAMES]
        try:
            for person in people:
                await person.join()
            voting = Vote(server, people)
            yield voting
            voting.end()
        finally:
            for person in people:
                await person.close()


async def test_d12_the_look_finds_who_voted_what_in_a_vote_with_names(tmp_path):
    async with vote(tmp_path) as voting:
        await voting.hold("")
        await voting.close()
        assert await voting.server.stop() == 0
        told = "\n".join(voting.told(voting.files()))
        for word in voting.typed:
            assert f"store.db: {word}" in told  # what was typed
        for place in ("web_posts", "booth", "ring", "bus at"):  # shown, kept, put
            assert place in told, told


async def test_d12_nothing_tells_who_voted_what_in_an_anonymous_vote(tmp_path):
    async with vote(tmp_path) as voting:
        await voting.hold("anonymous")
        (key,) = [path for path in (voting.server.folder / "keys").iterdir() if path.name.startswith("poll-")]
        secret = key.read_bytes()
        assert voting.told(voting.files()) == []  # not even while it is open, and after a kill

        result = await voting.close()
        assert f"A tie between {voting.choices[0]} and {voting.choices[1]}" in result
        assert "4 of 5 voted" in result
        for person in voting.people:
            await person.heard("Result of vote #1")
            await person.catch_up()
        async with asyncio.timeout(10):
            while key.exists():  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.01)

        sealed = set(re.findall(r'"choice":"([^"]{60,})"', "\n".join(voting.heard)))
        files = voting.files()  # while it runs, its ring included
        assert any("ring" in path.name for path in files)
        assert voting.told(files) == []
        assert not any(secret in data for data in files.values())
        store = files[voting.server.folder / "store.db"] + files.get(voting.server.folder / "store.db-wal", b"")
        assert sealed
        assert not any(form.encode() in store for form in sealed)

        db = sqlite3.connect(voting.server.folder / "store.db")
        assert db.execute("SELECT * FROM poll_ballots").fetchall() == []
        assert {row[0] for row in db.execute("SELECT choice FROM booth")} == {""}
        bare = [row[0] for row in db.execute("SELECT choice FROM poll_choices")]
        (poll,) = db.execute("SELECT id FROM polls").fetchone()
        ids = [row[0] for row in db.execute("SELECT id FROM web_people")]
        db.close()
        assert sorted(bare) == sorted(voting.choices * 2)

        # what was on the bus were the votes: the key that is gone would have told
        spec = make("Lunch?", voting.choices, anonymous=True)
        read = {Urn(secret).open(form, spec, poll, f"direct-{id_}") for form in sealed for id_ in ids}
        assert (voting.choices[1],) in read

        assert await voting.server.stop() == 0
        files = voting.files()
        assert voting.told(files) == []
        assert not any(secret in data for data in files.values())
        for name, person in zip(NAMES, voting.people, strict=True):
            said = [post.text for post in person.posts("direct") if post.who == name]
            assert set(said) <= {"(your vote)"}, said
