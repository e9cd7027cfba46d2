"""A vote of those on a list of addresses, on Webex: in the space, outside of it, not to be reached, and nobody."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from shellbot.cli import cli
from shellbot.testing import FakeWebex
from tests.scenarios.stages import webex_server

MERGE = '"Merge?" Yes, No in 2h to roll board'


async def test_people_are_found_by_their_addresses_and_all_who_are_not_reached_are_named(tmp_path: Path) -> None:
    folder, file = tmp_path / "instance", tmp_path / "roll.csv"

    def shellbot(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["poll", *arguments, "--instance", str(folder)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.output

    with FakeWebex() as fake:
        bot = fake.bot("Shelly")
        here = [fake.person(f"Here {number}") for number in range(3)]
        away = [fake.person(f"Away {number}") for number in range(25)]
        gone = [fake.person(f"Gone {number}") for number in range(4)]
        for person in gone:
            fake.unreachable(person)
        room = fake.room("Team", here, bots=[bot])
        lines = [f"{person.name};{person.email.upper()}" for person in [*here, *away, *gone]]
        file.write_text("\ufeffName;E-Mail\r\n" + "\r\n".join([*lines, "Nobody;nobody@example.org"]))
        async with webex_server(fake, folder, "polling"):
            here[0].say(room, "echo we are here", mention=bot)
            await fake.aio.wait_for(room, lambda message: message.text == "we are here", timeout=15)
            assert "33 people, 3 can be asked, 30 lines to look at." in shellbot("check", str(file), "--room", "Team")
            assert "Roll board: 33 people." in shellbot("roll", "import", "board", str(file))
            here[0].say(bot, f"poll rehearse {MERGE}")
            told = await fake.aio.wait_for((bot, here[0]), lambda message: "rehearsal of vote" in message.text)
            assert "32 people of the roll board would get this ballot, in about 3 s." in told.text
            assert "Could not be reached (1): Nobody." in told.text
            assert all(fake.direct(bot, person) is None for person in away)
            here[0].say(room, f"poll {MERGE}", mention=bot)
            for person in away:
                await fake.aio.wait_for((bot, person), lambda message: "Merge?" in message.text, timeout=15)
            away[0].say(bot, "yes")
            await fake.aio.wait_for((bot, away[0]), lambda message: "Your vote is counted: Yes" in message.text)
            here[0].say(room, "poll close #1", mention=bot)
            result = await fake.aio.wait_for(room, lambda message: "Result" in message.text, timeout=15)
            assert "1 of 33 voted." in result.text
            assert "Could not be reached: Gone 0, Gone 1, Gone 2, Gone 3 and Nobody." in result.text
        shown = shellbot("show", "1")
        assert "28 of 33 have a ballot; 1 voted\nNot reached (5):" in shown
        assert "yes,yes,Yes," in shellbot("export", "1")
