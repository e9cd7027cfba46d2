"""Who may do what, where it is done: typed, pressed, answered or ordered from a direct channel, over the real bus."""

from __future__ import annotations

import asyncio
import io
import sqlite3

import msgspec
import pytest

from shellbot.commands.audit import Audit
from shellbot.commands.base import Command
from shellbot.commands.close import Close
from shellbot.commands.default import Default
from shellbot.commands.dialog import Dialog
from shellbot.engine import Engine
from shellbot.envelope import Seal
from shellbot.errors import ConfigError
from shellbot.events import Button, Card, Message, Person
from shellbot.instance import read_key
from shellbot.machines.menu import Menu
from shellbot.polls import Poll
from shellbot.spaces.console import ConsoleSpace
from shellbot.testing import Dialogue, stopped
from shellbot.trail import read
from shellbot.turns import current_topic
from shellbot.updaters import Updater

ADMIN = {"access.admins": ["person-a"]}
LUNCH = 'poll "Lunch?" Pizza, Sushi in 10m'


class Door(Command):
    """Does something, by a word and by a button."""

    keyword = "door"
    information_message = "Open the door"

    def __init__(self):
        self.opened = []

    async def execute(self, bot, arguments="", **kwargs):
        self.opened.append(kwargs["person"].name)
        bot.say("Typed open.", card=Card(id="door", title="Door", buttons=(Button("open", "Open"),)))

    async def on_action(self, bot, action):
        if action.card != "door":
            return False
        self.opened.append(action.person.name)
        bot.say("Pressed open.")
        return True

    async def on_text(self, bot, message):
        if message.text != "sesame":
            return False
        self.opened.append(message.person.name)
        bot.say("Said open.")
        return True


class Vault(Door):
    keyword = "vault"
    is_admin = True


async def log_of(people):
    desk = people.engine.desk
    found = await desk.store.read(lambda db: read(db, desk.switchboard.seal))
    assert found.problem == ""
    return [(entry["person"], entry["outcome"], entry["deed"], entry["way"]) for entry in found.entries]


async def press(people, name, card, value, where="group"):
    await (await people.space.press(where, people.people[name], card, value))


async def opened(people, by="Person A"):
    await people.say(by, LUNCH)
    for name in people.people:
        await people.ballot(name)
    await people.hears("have a ballot")
    await people.all_asked()


@pytest.mark.parametrize(
    ("command", "rules"),
    [(Vault, {}), (Door, {"access.commands.door": "staff", "access.roles.staff": ["person-c"]})],
)
async def test_typed_pressed_and_said_it_is_refused_alike(party, command, rules):
    door = command()
    word = door.keyword
    async with party("Person A", "Person B", commands=[door], settings={**ADMIN, **rules}) as people:
        await people.say("Person A", word)
        await people.hears("Typed open.")
        await people.say("Person B", f"{word} open it")
        await people.hears(f"`{word}` is for")
        await press(people, "Person B", "door", "open")
        await people.say("Person B", "sesame")
        await people.whisper("Person B", f"{word} in private")
        await people.hears(f"`{word}` is for", "Person B")
        await people.whisper("Person B", "sesame")
        assert sum(f"`{word}` is for" in text for text in people.told()) == 2
        assert door.opened == ["Person A"]
        await press(people, "Person A", "door", "open")
        await people.say("Person A", "sesame")
        assert door.opened == ["Person A"] * 3
        refused = [entry for entry in await log_of(people) if entry[1] == "refused"]
        assert refused == [
            ("person-b", "refused", word, "typed"),
            ("person-b", "refused", word, "button"),
            ("person-b", "refused", word, "typed"),
        ]


async def test_administration_is_nobodys_by_default_and_stands_in_the_log(party):
    async with party("Person A", commands=[Close()]) as people:
        await people.say("Person A", "close now")
        await people.hears("`close` is for admins, and there are none yet; who runs this server can put your id")
        await people.say("Person A", "echo it is open")
        await people.hears("it is open")
        assert await log_of(people) == [("person-a", "refused", "close", "typed")]
    async with party(commands=[Close()], settings=ADMIN) as people:
        await people.join("Person A")
        await people.say("Person A", "close now")
        await people.hears("Person A has closed this room.")
        assert (await log_of(people))[1:] == [("person-a", "allowed", "close", "typed")]


async def test_somebody_may_be_named_for_what_administers_or_everybody(party):
    async with party("Person A", commands=[Close()], settings={"access.commands.close": "everybody"}) as people:
        await people.say("Person A", "close now")
        await people.hears("Person A has closed this room.")


async def test_help_and_hints_tell_nobody_of_what_is_not_for_them(party):
    async with party("Person A", "Person B", commands=[Vault(), Door()], settings=ADMIN) as people:
        await people.whisper("Person B", "help")
        assert "vault" not in await people.hears("What you can say here", "Person B")
        assert "access" not in people.told("Person B")[-1]
        assert "`door`" in people.told("Person B")[-1]
        await people.whisper("Person B", "help vault")
        await people.hears("There is no command vault here.", "Person B")
        await people.whisper("Person B", "valt")
        await people.hears("I do not know that.", "Person B")
        await people.whisper("Person A", "help")
        assert "`vault`" in await people.hears("What you can say here", "Person A")
        await people.whisper("Person A", "valt")
        await people.hears("Did you mean `vault`?", "Person A")


async def test_where_a_command_works_is_told_to_those_who_may(party):
    async with party("Person A", "Person B", commands=[Close()], settings=ADMIN) as people:
        await people.whisper("Person A", "close")
        await people.hears("`close` works in a group channel.", "Person A")
        await people.whisper("Person B", "close")
        await people.hears("I do not know that.", "Person B")


async def test_an_admin_reads_the_rules_in_the_chat(party):
    rules = {**ADMIN, "access.commands.echo": "nobody", "access.domains": ["example.com"]}
    async with party("Person A", "Person B", settings=rules) as people:
        await people.whisper("Person A", "access")
        told = await people.hears("Admins, who may everything: person-a.", "Person A")
        assert "- 'echo': admins." in told
        await people.whisper("Person B", "access")
        await people.hears("I may not take commands from you; an admin may let you in.", "Person B")


async def test_who_may_not_use_the_bot_is_told_so_only_when_talking_to_it(party):
    class Talk(Default):
        async def execute(self, bot, arguments="", **kwargs):
            bot.say("talked")

    async with party("Person A", "Person B", commands=[Talk()], settings={"access.people": ["person-a"]}) as people:
        await people.say("Person B", "good morning")
        assert people.told() == []
        await people.say("Person B", "shelly, good morning")
        await people.hears("I may not take commands from you; an admin may let you in.")
        await people.say("Person A", "shelly, good morning")
        await people.hears("talked")
        assert len(people.told()) == 2


# --- dialogs and questions


class Form(Dialog):
    keyword = "form"

    def __init__(self):
        self.answers = []

    def get_machine(self, bot, **options):
        return Menu(question="Which?", options=["one", "two"], key="which", on_retry="Again, which?")

    def on_answers(self, bot, answers, person):
        self.answers.append((answers["which"], person.name))
        bot.say("Noted.")


class ForAll(Form):
    """One dialog with everybody in the group."""

    keyword = "all"

    async def execute(self, bot, arguments="", **kwargs):
        bot.open_dialog(self.keyword)


async def card_of(people, where="group"):
    reply = await people.space.wait_for(where, lambda reply: reply.card is not None, 10)
    return reply.card.id


async def test_a_dialog_with_everybody_is_answered_by_those_who_may(party):
    form = ForAll()
    rules = {"access.commands.all": ["person-a", "person-c"]}
    async with party("Person A", "Person B", "Person C", commands=[form], settings=rules) as people:
        await people.say("Person A", "all")
        card = await card_of(people)
        await people.say("Person B", "two")
        await press(people, "Person B", card, "two")
        await people.hears("`all` is for")
        assert form.answers == []
        await press(people, "Person C", card, "one")
        await people.hears("Noted.")
        assert form.answers == [("one", "Person C")]
        assert await log_of(people) == [("person-b", "refused", "all", "button")]


async def test_the_button_of_somebody_elses_dialog_is_refused_and_logged(party):
    form = Form()
    async with party("Person A", "Person B", commands=[form]) as people:
        await people.say("Person A", "form")
        await press(people, "Person B", await card_of(people), "two")
        await people.hears("This question is for somebody else.")
        assert await log_of(people) == [("person-b", "refused", "form", "button")]
        assert form.answers == []


async def test_a_dialog_goes_on_over_a_restart_only_with_who_still_may(party):
    form = Form()
    async with party("Person A", commands=[form]) as people:
        await people.whisper("Person A", "form")
        card = await card_of(people, people.direct("Person A"))
    async with party(commands=[form], settings={"access.commands.form": "nobody"}) as people:
        await people.join("Person A")
        await people.whisper("Person A", "one")
        await people.hears("`form` is for admins.", "Person A")
        await press(people, "Person A", card, "one", people.direct("Person A"))
        assert form.answers == []
        await people.whisper("Person A", "cancel")
        await people.whisper("Person A", "form")
        await people.whisper("Person A", "one")
        await people.hears("I do not know that.", "Person A")
        ways = [(outcome, deed, way) for _, outcome, deed, way in await log_of(people)]
        assert ways == [
            ("refused", "form", "answer"),
            ("refused", "form", "button"),
            ("refused", "form", "typed"),
        ]


async def test_who_was_asked_by_the_group_may_answer(party):
    class Survey(Form):
        keyword = "survey"

        async def execute(self, bot, arguments="", **kwargs):
            bot.broadcast({"do": "survey"})

    form = Survey()
    async with party(
        "Person A", "Person B", commands=[form], settings={"access.commands.survey": "person-a"}
    ) as people:
        await people.say("Person B", "survey")
        await people.hears("`survey` is for")
        await people.say("Person A", "survey")
        card = await card_of(people, people.direct("Person B"))
        await press(people, "Person B", card, "two", people.direct("Person B"))
        await people.hears("Noted.", "Person B")
        assert form.answers == [("two", "Person B")]


async def test_a_question_in_the_group_is_answered_by_who_may_use_the_command_that_asks(party):
    class Sure(Command):
        keyword = "sure"
        is_admin = True

        async def execute(self, bot, arguments="", **kwargs):
            bot.say(f"Heard: {await bot.ask('Are you sure?')}")

    async with party("Person A", "Person B", commands=[Sure()], settings=ADMIN) as people:
        waiting = asyncio.create_task(people.say("Person A", "sure"))
        await people.hears("Are you sure?")
        await people.say("Person B", "yes, do it")
        await people.say("Person A", "no")
        await people.hears("Heard: no")
        await waiting


async def test_anybody_can_pause_the_audit_and_only_admins_switch_it_on(party):
    class Heard(Updater):
        def put(self, message):
            pass

    rules = {**ADMIN, "access.commands.audit": "nobody"}
    async with party("Person A", "Person B", commands=[Audit(Heard())], settings=rules) as people:
        for words in ("audit on", "audit “on”", 'audit "on"', "audit ON"):
            await people.say("Person B", words)
        await people.say("Person B", "audit")
        await people.hears("What is said here is not audited.")
        await people.say("Person A", "audit on")
        await people.hears("From now on, what is said here is audited.")
        await people.say("Person B", "audit off 5m")
        await people.hears("not audited for 5 minutes")
        assert sum("`audit` is for admins" in text for text in people.told()) == 4
        assert ("person-b", "allowed", "audit off", "typed") in await log_of(people)


# --- polls


@pytest.mark.parametrize("where", ["group", "direct"])
@pytest.mark.parametrize(
    ("order", "told"),
    [("close", "Result"), ("cancel", "is cancelled by Person A"), ("extend #1 10m", "is extended by Person A")],
)
async def test_an_admin_may_close_cancel_and_extend_any_poll(party, order, told, where):
    async with party("Person A", "Person B", settings=ADMIN) as people:
        await opened(people, by="Person B")
        await (people.whisper if where == "direct" else people.say)("Person A", f"poll {order}")
        await people.hears(told)
        way = "order" if where == "direct" else "typed"
        assert await log_of(people) == [
            ("person-b", "allowed", "poll open", "typed"),
            ("person-a", "allowed", f"poll {order.split()[0]} #1", way),
        ]


@pytest.mark.parametrize("where", ["group", "direct"])
async def test_who_opened_a_poll_keeps_it_also_without_the_right_to_open_another(party, where):
    async with party("Person A", "Person B") as people:
        await opened(people)
    async with party(settings={"access.commands.poll": ["person-c"]}) as people:
        await people.join("Person A", "Person B")
        await people.say("Person A", LUNCH)
        await people.hears("`poll` is for")
        await (people.whisper if where == "direct" else people.say)("Person A", "poll close #1")
        await people.hears("Result")


@pytest.mark.parametrize("order", ["close", "cancel #1", "extend #1 10m", "remind"])
async def test_an_order_from_a_direct_channel_is_refused_in_the_group_and_changes_nothing(party, order):
    async with party("Person A", "Person B") as people:
        await opened(people)
        desk = people.engine.desk
        before = await desk.store.read(lambda db: db.execute("SELECT * FROM polls").fetchall())
        await people.whisper("Person B", f"poll {order}")
        await people.hears("Only Person A, who opened it, can", "Person B")
        assert await desk.store.read(lambda db: db.execute("SELECT * FROM polls").fetchall()) == before
        assert (await log_of(people))[1:] == [("person-b", "refused", f"poll {order.split()[0]} #1", "order")]


async def test_the_group_asks_its_own_rules_of_an_order_and_believes_no_direct_channel(party, monkeypatch):
    """As where the direct side is another program, whose rules are open."""
    async with party("Person A", "Person B", settings={"access.commands.poll": ["person-a"]}) as people:
        await opened(people)
        guard = people.engine.desk.guard
        checked = guard.check

        def check(attempt, refusal=""):
            if not attempt.channel.is_direct:
                checked(attempt, refusal)

        monkeypatch.setattr(guard, "check", check)
        await people.whisper("Person B", "poll list")
        await people.hears("`poll` is for those who are named for it and admins.", "Person B")
        assert not any("0 of 2 voted" in text for text in people.told("Person B"))
        assert (await log_of(people))[1:] == [("person-b", "refused", "poll list", "order")]


async def test_in_a_room_that_is_not_named_nothing_is_done_also_from_a_direct_channel(party):
    async with party("Person A", "Person B") as people:
        await opened(people)
    async with party(settings={"access.rooms": ["other"], "access.admins": ["person-b"]}) as people:
        await people.join("Person A", "Person B")
        await people.say("Person A", "echo here")
        await people.hears("I take no commands in this room; an admin may let me.")
        await people.whisper("Person A", "echo there")
        await people.hears("there", "Person A")
        for order in ("poll list", "poll close #1"):
            await people.whisper("Person A", order)
        async with asyncio.timeout(10):
            while len(await log_of(people)) < 4:  # both are answered with the same words
                pass
        await people.hears("I take no commands in this room", "Person A")
        await people.say("Person B", "poll list")
        await people.hears("0 of 2 voted")
        assert [entry[:3] for entry in (await log_of(people))[1:]] == [
            ("person-a", "refused", "echo"),
            ("person-a", "refused", "poll list"),
            ("person-a", "refused", "poll close"),
        ]


async def test_a_refused_order_that_is_put_again_stands_in_the_log_once(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people)
        heard = []
        poll = people.engine.shell.commands["poll"]
        hear, poll.on_report = poll.on_report, lambda bot, report: (heard.append(report.id), hear(bot, report))[1]
        with stopped(people.engine.publisher.pid):
            await people.whisper("Person B", "poll close #1")
            for _ in range(3):
                clock.advance(30)
        await people.hears("Only Person A, who opened it, can", "Person B")
        await people.say("Person A", "poll close #1")
        await people.hears("Result")
        assert len(heard) > len(set(heard))
        assert [entry for entry in await log_of(people) if entry[1] == "refused"] == [
            ("person-b", "refused", "poll close #1", "order")
        ]


async def test_ballots_are_for_all_who_were_asked_and_no_vote_is_in_the_log(party):
    rules = {"access.people": ["person-a"], "access.commands.poll": ["person-a"]}
    async with party("Person A", "Person B", "Person C", settings=rules) as people:
        await people.say("Person B", LUNCH)
        await people.hears("I may not take commands from you")
        await people.say("Person A", 'poll anonymous "Lunch?" Pizza, Sushi')
        for name in people.people:
            await people.ballot(name)
        await people.press("Person B", "Sushi")
        await people.whisper("Person C", "Sushi")
        await people.hears("Your vote is counted", "Person B")
        await people.hears("Your vote is counted", "Person C")
        await people.say("Person A", "poll close")
        assert "Sushi 2" in await people.hears("Result")
        rows = await people.engine.desk.store.read(
            lambda db: b"".join(entry for (entry,) in db.execute("SELECT CAST(entry AS BLOB) FROM access_log"))
        )
        assert b"Sushi" not in rows
        assert b"Lunch" not in rows
        assert b"Person" not in rows


async def test_a_poll_that_is_asked_for_step_by_step_is_for_those_who_may(party):
    async with party("Person A", "Person B", settings={"access.commands.poll": ["person-a"]}) as people:
        await people.say("Person B", "poll new")
        await people.hears("`poll` is for")
        await people.say("Person A", "poll Lunch?")
        await people.hears("Which choices?")
        await people.say("Person A", "Pizza, Sushi")
        card = await card_of(people)
        await press(people, "Person B", card, "When all have voted, or I close it")
        await people.hears("This question is for somebody else.")
        await press(people, "Person A", card, "When all have voted, or I close it")
        await people.hears("have a ballot")
        assert [entry for entry in await log_of(people) if entry[1] == "allowed"] == [
            ("person-a", "allowed", "poll open", "typed")
        ]


async def test_a_poll_of_the_bot_belongs_to_nobody_but_admins_may_close_it(party):
    class Daily(Command):
        keyword = "daily"

        async def execute(self, bot, arguments="", **kwargs):
            bot.at(bot.clock.utcnow(), self.ask, bot)

        async def ask(self, bot):
            current_topic.set(None)  # nobody has asked for it
            await Poll("Lunch?", ["Pizza", "Sushi"]).open(bot)

    async with party("Person A", "Person B", commands=[Daily()], settings=ADMIN) as people:
        await people.say("Person B", "daily")
        await people.ballot("Person B")
        await people.hears("have a ballot")
        await people.say("Person B", "poll close")
        await people.hears("Only the bot, who opened it, can close vote #1.")
        await people.say("Person A", "poll close")
        await people.hears("Result")


# --- addresses


async def test_an_address_counts_also_for_orders_and_after_a_restart(party):
    person = Person("p1", "Person B", "Person.B@Example.com")
    rules = {"access.admins": ["person.b@example.com"]}
    async with party("Person A", settings=rules) as people:
        people.people["Person B"] = person
        await (await people.space.join("group", person))
        await opened(people)
    async with party(settings=rules) as people:
        people.people = {"Person A": Person("person-a", "Person A"), "Person B": person}
        await people.whisper("Person B", "poll close #1")
        await people.hears("Result")


def test_what_was_kept_before_there_were_addresses_is_still_read():
    old = b'{"id":"m1","channel":{"id":"group","title":"","is_direct":false},"person":{"id":"p1","name":"Person A"},'
    message = msgspec.json.decode(old + b'"time":"2026-11-20T12:00:00Z","text":"hello"}', type=Message)
    assert message.person.address == ""


async def test_a_store_of_before_there_were_addresses_goes_on(party, tmp_path):
    async with party("Person A"):
        pass
    db = sqlite3.connect(tmp_path / "instance" / "store.db")
    db.executescript("ALTER TABLE roster DROP COLUMN address; DROP TABLE access_log; DROP TABLE access_head;")
    db.close()
    async with party() as people:
        assert [member.person.name for member in people.engine.desk.roster.members("group")] == ["Person A"]
        assert await log_of(people) == []


# --- other spaces, and the engine


async def test_rules_that_cannot_be_meant_stop_the_start(tmp_path):
    engine = Engine(type="memory", instance=tmp_path / "i", commands=[Door()], settings={"access.commands.dor": "a1"})
    with pytest.raises(ConfigError, match=r"access\.commands\.dor: there is no command 'dor'; did you mean 'door'\?"):
        await engine.start()


async def test_in_the_console(tmp_path):
    typed = io.StringIO("Person A: close now\nPerson B: close now\nPerson B> help\n")
    shown = io.StringIO()
    space = ConsoleSpace(input=typed, output=shown)
    engine = Engine(
        space=space, instance=tmp_path / "i", commands=[Close()], settings={"access.admins": ["person%20b"]}
    )
    await asyncio.wait_for(engine.serve(), 15)
    lines = shown.getvalue().splitlines()
    assert "[group] close is for admins. Say help for what you can say here." in lines
    assert "[group] Person B has closed this room. Goodbye!" in lines
    assert "[Person B] What you can say here:" in lines


BOT = """
from shellbot import Command
from shellbot.events import Button, Card


class Vault(Command):
    keyword = "vault"
    is_admin = True

    async def execute(self, bot, arguments="", **kwargs):
        bot.say("Typed open.", card=Card(id="vault", title="Vault", buttons=(Button("open", "Open"),)))

    async def on_action(self, bot, action):
        if action.card == "vault":
            bot.say("Pressed open.")
        return action.card == "vault"
"""


async def test_in_the_web_chat_typed_and_pressed(tmp_path):
    (tmp_path / "vault_bot.py").write_text(BOT)
    rules = tmp_path / "rules.yaml"
    rules.write_text("access:\n  admins: []\n")
    folder = tmp_path / "instance"
    async with Dialogue(folder, [str(tmp_path / "vault_bot.py"), "--settings", str(rules)]) as dialogue:
        group = await dialogue.group("Person A", "Person B")
        told = await group.say("Person A", "vault")
        assert "is for admins, and there are none yet" in told
        id_ = told.rpartition("It is ")[2].strip()
        rules.write_text(f"access:\n  admins: [{id_}]\n")
        await dialogue.restart()
        assert "Typed open." in await group.say("Person A", "vault")
        assert "is for admins. Say" in await group.say("Person B", "vault")
        assert "is for admins. Say" in await group.press("Person B", "Open")
        assert "Pressed open." in await group.press("Person A", "Open")
        db = sqlite3.connect(folder / "store.db")
        found = read(db, Seal(read_key(folder / "keys" / "instance")))
        db.close()
    assert found.problem == ""
    deeds = [(entry["outcome"], entry["way"], entry["person"] == id_) for entry in found.entries]
    assert deeds == [
        ("refused", "typed", True),
        ("allowed", "typed", True),
        ("refused", "typed", False),
        ("refused", "button", False),
        ("allowed", "button", True),
    ]
