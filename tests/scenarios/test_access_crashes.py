"""A crash after any commit: what was administered stands in the log before it is done, and once."""

from __future__ import annotations

import asyncio
import sqlite3

from shellbot.commands.base import Command
from shellbot.engine import Engine
from shellbot.events import Message, Person
from shellbot.spaces.memory import MemorySpace
from shellbot.stores.sqlite import SqliteStore
from shellbot.trail import read
from tests.scenarios.conftest import NOON

ADMIN, OTHER = Person("a1", "Person A"), Person("b1", "Person B")
RULES = {"access.admins": ["a1"]}


class Vault(Command):
    keyword = "vault"
    is_admin = True

    async def execute(self, bot, arguments="", **kwargs):
        bot.remember("vault", "open")
        bot.say("It is open.")


class Recorded(SqliteStore):
    """Keeps a copy of itself, and what the platform has shown, after each commit, before anybody is told of it."""

    def __init__(self, path, space, folder):
        super().__init__(path)
        self.space, self.folder = space, folder
        self.copies = []

    def _transaction(self, connection, group):
        before = connection.total_changes
        outcomes = super()._transaction(connection, group)
        if connection.total_changes != before:
            path = self.folder / f"after-{len(self.copies)}.db"
            copy = sqlite3.connect(path)
            connection.backup(copy)
            copy.close()
            self.copies.append((path, dict(self.space._heard.get("group", {}))))
        return outcomes


async def play(store, space, instance):
    """Both say it; what was said to an earlier run is a repeat. Gives the log, and what the group was told."""
    engine = Engine(space=space, store=store, instance=instance, commands=[Vault()], settings=RULES)
    await engine.start()
    try:
        for person in (ADMIN, OTHER):
            await (await space.join("group", person))
        group = (await engine.get_bot("group")).channel
        for number, person in enumerate((OTHER, ADMIN), 1):
            said = Message(id=f"m{number}", channel=group, person=person, time=NOON, text="vault")
            await (await engine.reception.deliver(said))
        await space.wait_for("group", lambda reply: reply.text == "It is open.", 10)
        found = await store.read(lambda db: read(db, engine.desk.switchboard.seal))
        return found, [reply.text for reply in space.heard("group")]
    finally:
        await asyncio.wait_for(engine.stop(), 10)


async def test_whatever_commit_is_the_last_the_log_has_it_first_and_once(tmp_path):
    instance = tmp_path / "instance"
    space = MemorySpace()
    recorded = Recorded(tmp_path / "store.db", space, tmp_path)
    whole, _ = await play(recorded, space, instance)
    assert [(entry["id"], entry["outcome"]) for entry in whole.entries] == [
        ("group/m1/refused", "refused"),
        ("group/m2", "allowed"),
    ]
    done = 0
    for path, _ in recorded.copies:
        copy = sqlite3.connect(path)
        tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_schema")}
        if {"notes", "outbox", "access_log"} <= tables:
            is_done = (
                copy.execute("SELECT 1 FROM notes WHERE key = 'vault'").fetchone()
                or copy.execute("SELECT 1 FROM outbox WHERE CAST(reply AS TEXT) LIKE '%It is open%'").fetchone()
            )
            is_logged = copy.execute("SELECT 1 FROM access_log WHERE cause = 'group/m2'").fetchone()
            assert is_logged or not is_done
            done += bool(is_done)
        copy.close()
    assert done
    for path, shown in recorded.copies[::-1][:12]:
        space = MemorySpace()
        space._heard["group"] = shown
        again, told = await play(SqliteStore(path), space, instance)
        assert again.problem == ""
        assert [entry["id"] for entry in again.entries] == ["group/m1/refused", "group/m2"]
        assert told.count("It is open.") == 1
