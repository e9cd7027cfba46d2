"""Votes where people work: who leaves, comes, is renamed or cannot be reached: rows D6, D7 and C10 on Webex."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from shellbot.engine import Engine
from tests.spaces.webex.rooms import QUICK, door, until

POLL = 'poll "Lunch?" Pizza, Sushi'


@asynccontextmanager
async def serving(fake, folder, *, bot=None, **settings):
    """An engine on the platform, with a door for its webhooks."""
    bot = bot or fake.bot("Shelly")
    async with door() as (url, behind):
        options = {
            "space.token": bot.token,
            "webex.api_url": fake.url,
            "webex.poll_every": QUICK,
            "server.public_url": url.removesuffix("/hook"),
        }
        engine = Engine(type="webex", instance=folder, settings=options | settings)
        await engine.start()
        behind["space"] = engine.space
        try:
            await fake.aio.wait_until(lambda: len([hook for hook in fake.webhooks() if hook.owner is bot]) == 4)
            yield engine
        finally:
            await asyncio.wait_for(engine.stop(), 15)


async def ballots(fake, bot, *people) -> None:
    for person in people:
        await fake.aio.wait_for((bot, person), lambda message: bool(message.cards))


async def members_known(engine, count: int) -> None:
    def known() -> bool:
        return any(len(engine.desk.roster.members(bot.id)) == count for bot in engine.reception.bots())

    await until(known)


async def test_a_vote_with_cards_and_typed_answers(fake, tmp_path):
    bot = fake.bot("Shelly")
    ann, bea, cid = people = [fake.person(f"Person {letter}") for letter in "ABC"]
    room = fake.room("Team", people, bots=[bot])
    async with serving(fake, tmp_path / "instance") as engine:
        await members_known(engine, 3)
        ann.say(room, POLL, mention=bot)
        await ballots(fake, bot, *people)
        ann.press(bot, label="Pizza")
        bea.press(bot, label="Sushi")
        cid.say(bot, "2")
        result = await fake.aio.wait_for(room, lambda message: "Result" in message.text or "Sushi  2" in message.text)
    assert "Sushi" in result.text
    for person in people:
        standing = [message for message in fake.messages((bot, person)) if not message.is_deleted]
        assert not any(message.cards for message in standing)
        assert any("Closed. Your vote" in message.text for message in standing)


async def test_d06_who_leaves_comes_or_is_renamed_while_a_vote_is_open(fake, tmp_path):
    bot = fake.bot("Shelly")
    ann, bea, cid = people = [fake.person(f"Person {letter}") for letter in "ABC"]
    late = fake.person("Person D")
    room = fake.room("Team", people, bots=[bot])
    async with serving(fake, tmp_path / "instance") as engine:
        await members_known(engine, 3)
        ann.say(room, POLL, mention=bot)
        await ballots(fake, bot, *people)
        bea.press(bot, label="Sushi")
        await fake.aio.wait_for((bot, bea), lambda message: "Your vote is counted" in (message.markdown or ""))
        bea.leave(room)
        ann.rename("Person A by another name")
        late.join(room)
        await members_known(engine, 3)
        late.say(bot, "2")
        cid.press(bot, label="Pizza")
        ann.press(bot, label="Sushi")
        result = await fake.aio.wait_for(room, lambda message: "3 of 3 voted" in message.text)
    assert "Sushi" in result.text
    assert "2" in result.text
    assert not any(message.cards for message in fake.messages((bot, late)))


async def test_d07_people_who_cannot_be_reached_are_named(fake, tmp_path):
    bot = fake.bot("Shelly")
    ann, bea, cid = people = [fake.person(f"Person {letter}") for letter in "ABC"]
    room = fake.room("Team", people, bots=[bot])
    fake.unreachable(cid)
    async with serving(fake, tmp_path / "instance") as engine:
        await members_known(engine, 3)
        ann.say(room, POLL, mention=bot)
        await ballots(fake, bot, ann, bea)
        ann.press(bot, label="Sushi")
        bea.press(bot, label="Sushi")
        await fake.aio.wait_for((bot, bea), lambda message: "Your vote is counted" in (message.markdown or ""))
        ann.say(room, "poll close", mention=bot)
        result = await fake.aio.wait_for(room, lambda message: "2 of 3 voted" in message.text)
    assert "Person C" in result.text
    assert not fake.messages((bot, cid))


async def test_c10_a_bot_answers_neither_itself_nor_another_bot(fake, tmp_path):
    bot, other, ann = fake.bot("Shelly"), fake.bot("Other"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot, other])
    async with serving(fake, tmp_path / "instance") as engine:
        await members_known(engine, 1)
        other.say(room, "echo from a bot", mention=bot)
        ann.say(room, "echo echo from a person", mention=bot)
        await fake.aio.wait_for(room, lambda message: message.text == "echo from a person")
        ann.say(room, "echo the end", mention=bot)
        await fake.aio.wait_for(room, lambda message: message.text == "the end")
    assert [message.text for message in fake.messages(room) if message.person is bot] == [
        "echo from a person",
        "the end",
    ]


async def test_what_is_said_to_the_bot_and_is_no_command_is_answered_in_a_group(fake, tmp_path):
    bot, ann = fake.bot("A Bot With a Long Name"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    async with serving(fake, tmp_path / "instance", bot=bot) as engine:
        await members_known(engine, 1)
        ann.say(room, "what is this?", mention=bot)
        await fake.aio.wait_for(room, lambda message: "Say help for what I can do" in message.text)
