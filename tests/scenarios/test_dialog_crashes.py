"""A crash after any commit of a dialog: what is shown in the end is what is shown without one, each thing once."""

from __future__ import annotations

import os
import random
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

import pytest

from shellbot.bus.bus import Bus
from shellbot.clocks import ExternalClock
from shellbot.commands.dialog import Dialog
from shellbot.context import Context
from shellbot.engine import Engine
from shellbot.events import Message, Person, Reply
from shellbot.machines import Input, Menu, Sequence
from shellbot.spaces.base import direct_channel
from shellbot.spaces.memory import MemorySpace
from shellbot.stores.sqlite import SqliteStore
from shellbot.testing.stillness import Stillness
from tests.scenarios.conftest import NOON

PERSON = Person("person-a", "Person A")
DIRECT = direct_channel(PERSON)
SCRIPT: list[str | float] = ["order", "help", "sushi", "some", 20.0, "3", 5.0, "order", "pizza", 40.0, "late"]


class Order(Dialog):
    keyword = "order"

    def get_machine(self, bot, arguments="", **options):
        return Sequence(
            [
                Menu(question="Which dish?", options=["Pizza", "Sushi"], key="dish"),
                Input(question="How many?", mask="9", key="count"),
            ]
        )

    async def on_answers(self, bot, answers, person):
        bot.say(f"{person.name} gets {answers['count']} {answers['dish']}.")
        bot.say("Good appetite.")


@dataclass
class Crash:
    """What is there when everything else is gone: the store, what the platform has shown, and the time."""

    store: str
    shown: dict[str, Reply]
    now: float


class Recorded(SqliteStore):
    """Keeps a copy of itself after each commit, before anybody is told of it."""

    def __init__(self, path, space, clock, folder):
        super().__init__(path)
        self.space, self.clock, self.folder = space, clock, folder
        self.crashes: list[Crash] = []
        self.changes = -1

    def _transaction(self, connection, group):
        outcomes = super()._transaction(connection, group)
        if connection.total_changes != self.changes:
            self.changes = connection.total_changes
            copy = str(self.folder / f"after-{len(self.crashes)}.db")
            target = sqlite3.connect(copy)
            connection.backup(target)
            target.close()
            self.crashes.append(Crash(copy, dict(self.space._heard.get(DIRECT.id, {})), self.clock.time()))
        return outcomes


async def play(script, store, space, clock, folder, publisher, address) -> list[tuple]:
    """One run of all that is said; what was said to an earlier run is a repeat. Gives what is shown in the end."""
    await space.open_direct(PERSON)
    context = Context({"bus": {"address": address}})
    engine = Engine(
        context, space=space, store=store, instance=folder, publisher=publisher, clock=clock, commands=[Order()]
    )
    await engine.start()
    try:
        still = Stillness(engine, patience=15)
        await still.start()
        await still.wait()
        at = 0.0
        for number, what in enumerate(script):
            if isinstance(what, float):
                at += what
                clock.set_time(max(clock.time(), at))
            else:
                time = NOON + timedelta(seconds=at)
                said = Message(id=f"said-{number}", channel=DIRECT, person=PERSON, time=time, text=what)
                await (await engine.reception.deliver(said))
            await still.wait()
    finally:
        await engine.stop()  # which shows what waits to be shown
    return shown(space)


def shown(space):
    return [
        (reply.text, reply.card and (reply.card.title, reply.card.is_open, reply.card.chosen))
        for reply in space.heard(DIRECT.id)
    ]


async def crash_everywhere(script, tmp_path, runtime_folder) -> list[str]:
    """Play it once, and again from each commit on; gives what is shown."""
    address = f"ipc://{runtime_folder}/{os.urandom(4).hex()}"
    with Bus(Context({"bus": {"address": address}})).publish() as publisher:
        clock = ExternalClock(NOON)
        space = MemorySpace(clock=clock)
        store = Recorded(tmp_path / "whole.db", space, clock, tmp_path)
        expected = await play(script, store, space, clock, tmp_path / "whole", publisher, address)
        for number, crash in enumerate(store.crashes):
            clock = ExternalClock(NOON)
            clock.set_time(crash.now)
            space = MemorySpace(clock=clock)
            space._heard[DIRECT.id] = dict(crash.shown)
            store_again = SqliteStore(crash.store)
            again = await play(script, store_again, space, clock, tmp_path / f"{number}", publisher, address)
            assert again == expected, f"after commit {number} of {len(store.crashes)}: {script}"
        assert len(store.crashes) > len(script)
        return [text for text, _ in expected]


async def test_a_crash_after_any_commit_changes_nothing_that_is_shown(tmp_path, runtime_folder):
    texts = await crash_everywhere(SCRIPT, tmp_path, runtime_folder)
    assert texts.count("Person A gets 3 Sushi.") == texts.count("Good appetite.") == 1
    assert Input.CANCEL_MESSAGE in texts


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(10))
async def test_a_crash_after_any_commit_of_any_talk(seed, tmp_path, runtime_folder):
    chance = random.Random(seed)
    words = ["order", "order", "order", "pizza", "sushi", "1", "2", "cancel", "help", "nonsense", 5.0, 20.0, 40.0]
    await crash_everywhere([chance.choice(words) for _ in range(20)], tmp_path, runtime_folder)
