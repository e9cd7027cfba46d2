"""A vote rehearsed: who asks sees what everybody would get, and nobody else does; nothing counts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from shellbot.cli import cli
from shellbot.events import Capabilities
from shellbot.spaces.memory import MemorySpace
from tests.scenarios.later import hears_later

MERGE = '"Merge?" Yes, No in 2h'
both = pytest.mark.parametrize("where", ["group", "direct"])


def bare(reply):
    """A ballot without what names its poll."""
    return replace(reply, id="", card=replace(reply.card, id="") if reply.card else None)


def ballots(people, name):
    """Without the time of the close: seconds pass between two of them, and very many where the machine is busy."""
    found = [bare(reply) for reply in people.space.heard(people.direct(name)) if reply.id.endswith("/ballot")]
    return [replace(reply, text=re.sub(r"latest at [\d:]+", "latest", reply.text)) for reply in found]


@both
@pytest.mark.parametrize(
    "words",
    [MERGE, 'multiple 2 "Merge?" Yes, No, Later in 2h', 'yesno "Merge?" in 2h anonymous', 'rating "Merge?"'],
    ids=["single", "multiple", "anonymous", "rating"],
)
async def test_it_shows_exactly_what_a_voter_gets_and_to_nobody_else(party, clock, where, words):
    async with party("Person A", "Person B") as people:
        await (people.whisper if where == "direct" else people.say)("Person A", f"poll rehearse {words}")
        text = "That was a rehearsal of vote #1: only you see it, and nothing counts."
        told = await hears_later(people, clock, text, "Person A")
        assert "2 people would get this ballot, in a moment. It would close " in told
        assert people.told("Person B") == []
        (rehearsed,) = ballots(people, "Person A")
        people.space._heard.clear()
        await people.say("Person A", f"poll {words}")
        await people.ballot("Person B", "Merge?")
        await people.hears("**Vote #1: Merge?**")
        (real,) = ballots(people, "Person B")
        assert rehearsed == real
        if "in 2h" in words:
            close = f"{clock.utcnow() + timedelta(hours=2):%H:%M}"
            await people.hears(f"closes when all have voted, at the latest at {close} UTC", "Person B")


async def test_nothing_of_it_counts_pressed_or_typed(party, clock):
    async with party("Person A", "Person B") as people:
        await people.whisper("Person A", f"poll rehearse {MERGE}")
        await hears_later(people, clock, "That was a rehearsal", "Person A")
        await people.press("Person A", "No")
        await people.hears("You pressed **No**. That was a rehearsal: nothing is counted.", "Person A")
        await people.whisper("Person A", "yes")
        await people.hears("You said **Yes**. That was a rehearsal: nothing is counted.", "Person A")
        await people.say("Person A", "poll list")
        await people.hears("No vote is open.")
        await people.say("Person A", f"poll {MERGE}")
        await people.ballot("Person B", "Merge?")
        await people.hears("**Vote #1: Merge?**")
        for name in ("Person A", "Person B"):
            await people.whisper(name, "yes")
            await people.hears("Your vote is counted: **Yes**", name)
        result = await people.hears("Result of vote #1")
        assert "Yes 2" in result
        assert "No 0" in result
    async with party() as people:
        await people.join("Person A")
        card = next(reply.card for reply in people.space.heard(people.direct("Person A")) if reply.card)
        await (await people.space.press(people.direct("Person A"), people.people["Person A"], card.id, "No"))
        await people.engine.stop()
        assert people.told("Person A")[-1] == "That was a rehearsal: nothing is counted."


async def test_it_says_who_of_the_roll_cannot_be_reached_and_how_long_it_takes(party, tmp_path, monkeypatch):
    capabilities = Capabilities(cards=True, edit=True, ids=True, veils=True, at_once=20, a_second=0.05)
    monkeypatch.setattr(MemorySpace, "capabilities", capabilities)
    async with party("Person A", "Person B") as people:
        file = tmp_path / "roll.csv"
        file.write_text("id,name\n,Person A\nperson-d,Person D\n,Person X\n")
        done = CliRunner().invoke(
            cli, ["poll", "roll", "import", "board", str(file), "--instance", str(tmp_path / "instance")]
        )
        assert done.exit_code == 0
        await people.say("Person A", f"poll rehearse {MERGE} to roll board")
        told = await people.hears("2 people of the roll board would get this ballot, in about 40 s.", "Person A")
        assert "It would close when all have voted, at the latest at 14:00 UTC." in told
        assert "Could not be reached (1): Person X." in told
        await people.hears("The rehearsal is in your direct channel.")
        await people.say("Person A", f"poll rehearse {MERGE} to roll bored")
        await people.hears("There is no roll bored; there are: board.")


async def test_what_could_not_be_opened_is_told(party, clock):
    async with party("Person A") as people:
        await people.whisper("Person A", 'poll rehearse "Merge?" Yes')
        await hears_later(people, clock, "A poll needs two choices or more", "Person A")
        await people.whisper("Person A", "poll rehearse")
        await people.hears("I cannot tell the question from the choices.", "Person A")


async def test_a_question_with_that_word_is_a_question(party):
    async with party("Person A") as people:
        await people.say("Person A", 'poll "Rehearse tonight?" Yes, No')
        await people.ballot("Person A", "Rehearse tonight?")
        await people.say("Person A", "poll Rehearse? Yes, No")
        await people.ballot("Person A", "Rehearse?")


async def test_forgotten_with_the_vote(party, clock, tmp_path):
    async with party("Person A") as people:
        await people.whisper("Person A", f"poll rehearse {MERGE}")
        await hears_later(people, clock, "That was a rehearsal", "Person A")
        await people.hears("Nobody else is asked.", "Person A")
        await people.say("Person A", f"poll {MERGE}")
        await people.hears("**Vote #1: Merge?**")
        is_real = lambda reply: reply.card is not None and not reply.id.startswith("rehearsal-")  # noqa: E731
        await people.space.wait_for(people.direct("Person A"), is_real)
        clock.advance(7200)
        await people.hears("Result")
        await people.hears("Closed. No vote", "Person A")
    store = tmp_path / "instance" / "store.db"
    assert b"Merge?" in store.read_bytes()
    done = CliRunner().invoke(cli, ["poll", "forget", "1", "--yes", "--instance", str(tmp_path / "instance")])
    assert done.exit_code == 0, done.output
    assert b"Merge?" not in store.read_bytes()
