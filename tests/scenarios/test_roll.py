"""A vote of those on a list: exactly these are asked, in the room or not, and who cannot be reached is named."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from shellbot.cli import cli
from shellbot.engine import Engine
from shellbot.errors import RateLimited
from shellbot.events import Person
from shellbot.polls import Poll
from shellbot.polls.roll import read
from shellbot.polls.rolls import Rolls
from shellbot.spaces.memory import MemorySpace
from shellbot.turns import Topic
from tests.scenarios.conftest import Party

MERGE = 'poll "Merge?" Yes, No to roll board in 2h'


@pytest.fixture
def shellbot(tmp_path):
    """The commands of the shell, on the folder of the server that runs."""

    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, [*arguments, "--instance", str(tmp_path / "instance")])
        assert done.exit_code == code, done.output or done.exception
        return done.output

    return run


@pytest.fixture
def board(tmp_path, shellbot):
    """Put a roll of these lines there, by the name board."""

    def put(*lines):
        file = tmp_path / "roll.csv"
        file.write_text("\n".join(lines) + "\n")
        return shellbot("poll", "roll", "import", "board", str(file))

    return put


async def test_exactly_those_on_the_roll_are_asked(party, board):
    async with party("Person A", "Person B", "Person C") as people:
        told = board("name", "Person B", "Person C", "person c")
        assert "line 4: the same person as in line 3; kept once\nRoll board: 2 people.\n" in told
        await people.say("Person A", MERGE)
        await people.hears("2 people of the roll board have a ballot")
        for name in ("Person B", "Person C"):
            await people.ballot(name, "Merge?")
            await people.press(name, "Yes")
        result = await people.hears("Result of vote #1")
        assert "2 of 2 voted" in result
        assert people.told("Person A") == []


async def test_somebody_who_is_not_in_the_room_is_asked_in_the_direct_channel(party, board, clock):
    async with party("Person A", "Person B") as people:
        board(
            "id,name", "person-a,Person A", "person-d,Person D", "person-e,Person E", ",Person X", "person-u,Person U"
        )
        people.people["Person D"] = Person("person-d", "Person D")
        people.space.unreachable |= {"person-e", "person-u"}
        await people.say("Person A", MERGE)
        told = await people.hears("2 people of the roll board have a ballot in the direct channel.")
        assert "Could not be reached: Person E, Person X and Person U. It closes when all have voted, " in told
        await people.ballot("Person D", "Merge?")
        await people.press("Person D", "No")
        await people.hears("Your vote is counted: No", "Person D")
        assert people.told("Person B") == []
        await people.all_asked()
        await people.say("Person A", "poll show #1")
        await people.hears("No ballot shown so far to: Person E, Person X and Person U")
        clock.advance(7200)
        result = await people.hears("Result of vote #1")
        assert "Could not be reached: Person E, Person X and Person U." in result
        assert "No 1" in result
        assert "1 of 5 voted" in result


async def test_somebody_whose_id_reads_like_a_name_on_the_roll_is_asked_too(party, board):
    async with party("Person A", "Person B") as people:
        await (await people.space.join("group", Person("person-b2", "person-a")))
        board("id,name", ",Person-A", "person-a,", ",PERSON-X", "person-x,")
        people.people["Person X"] = Person("person-x", "Person X")
        await people.say("Person A", MERGE)
        told = await people.hears("3 people of the roll board have a ballot")
        assert "Could not be reached: PERSON-X." in told
        for channel in ("direct-person-a", "direct-person-b2", "direct-person-x"):
            await people.space.wait_for(channel, lambda reply: reply.card is not None, 10)


async def test_a_name_that_several_people_have_is_said_to_be_so_when_the_vote_opens(party, board):
    async with party("Person A", "Person B") as people:
        await (await people.space.join("group", Person("person-b2", "Person B")))
        board("name", "Person A", "Person B")
        await people.say("Person A", MERGE)
        told = await people.hears("One person of the roll board has a ballot")
        assert "Could not be reached: Person B (several people are called so)." in told


async def test_where_nobody_on_the_roll_can_be_asked_the_group_is_told_so(party, board):
    async with party("Person A") as people:
        board("name", "Person X")
        await people.say("Person A", MERGE)
        told = await people.hears("Nobody of the roll board has a ballot in the direct channel.")
        assert "Could not be reached: Person X." in told


async def test_the_roll_is_frozen_when_it_opens_and_who_leaves_the_room_stays_on_it(party, board, shellbot, clock):
    async with party("Person A", "Person B") as people:
        board("name", "Person A", "Person B")
        await people.say("Person A", MERGE)
        await people.ballot("Person B", "Merge?")
        board("name", "Person A")
        assert "is removed" in shellbot("poll", "roll", "remove", "board")
        await people.press("Person A", "Yes")
        await people.hears("Your vote is counted: Yes", "Person A")
        await (await people.space.leave("group", people.people["Person B"]))
    async with party() as people:
        await people.join("Person A")
        people.people["Person B"] = Person("person-b", "Person B")
        await people.press("Person B", "Yes")
        result = await people.hears("Result of vote #1")
        assert "2 of 2 voted" in result


async def test_a_vote_that_is_planned_asks_those_on_the_roll_when_it_opens(party, board, clock):
    async with party("Person A", "Person B") as people:
        board("name", "Person B")
        await people.say("Person A", 'poll "Merge?" Yes, No opens tomorrow 9:00 in 2h to roll board')
        await people.hears("Who is on the roll board when it opens can vote.")
        board("name", "Person A")
        clock.advance(21 * 3600)
        await people.hears("One person of the roll board has a ballot")
        await people.ballot("Person A", "Merge?")
        assert people.told("Person B") == []


async def test_a_planned_vote_whose_roll_is_gone_is_cancelled_and_says_why(party, board, shellbot, clock):
    async with party("Person A") as people:
        board("name", "Person A")
        await people.say("Person A", 'poll "Merge?" Yes, No opens tomorrow 9:00 in 2h to roll board')
        await people.hears("opens at")
        shellbot("poll", "roll", "remove", "board")
        clock.advance(21 * 3600)
        await people.hears("Vote #1 is cancelled: Merge?** There is no roll board; there is none yet.")


async def test_a_roll_that_is_not_there_is_told_with_those_that_are(party, board):
    async with party("Person A") as people:
        board("name", "Person A")
        await people.say("Person A", 'poll "Merge?" Yes, No for the roll boards in 2h')
        await people.hears("There is no roll boards; there are: board.")


async def test_from_python(party, board):
    async with party("Person A", "Person B") as people:
        board("name", "Person B")
        poll = Poll("Merge?", ["Yes", "No"], roll="Board")
        bot = await people.engine.get_bot("group")

        async def work():
            await poll.open(bot)
            return await poll.reachable()

        reach = await bot.begin(Topic("test"), work)
        assert (reach.asked, reach.unreachable) == (1, ())


async def test_who_is_asked_and_in_no_room_sees_this_vote_and_no_other(party, board):
    async with party("Person A", "Person B") as people:
        board("id,name", "person-d,Person D")
        people.people["Person D"] = Person("person-d", "Person D")
        await people.say("Person A", 'poll "Secret?" Yes, No in 2h')
        await people.say("Person A", MERGE)
        await people.ballot("Person D", "Merge?")
        await people.whisper("Person D", "poll list")
        assert "Secret" not in await people.hears("- #2 Merge?", "Person D")
        await people.whisper("Person D", "poll show #1")
        await people.hears("There is no vote #1 here.", "Person D")


class Directory(MemorySpace):
    """A platform that knows people by their addresses, and answers at the second time of asking."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.asked = []

    async def find(self, address):
        self.asked.append(address)
        if len(self.asked) == 1:
            raise RateLimited("wait", retry_after=0.0)
        return Person("person-d", "Person D", address) if address == "d@example.org" else None


async def test_people_are_found_by_address_in_the_room_and_on_the_platform(tmp_path, board):
    space = Directory(None)
    engine = Engine(space=space, instance=tmp_path / "instance")
    await engine.start()
    try:
        people = Party(engine)
        people.people["Person A"] = Person("person-a", "Person A", "A@example.org")
        people.people["Person D"] = Person("person-d", "Person D")
        await (await space.join("group", people.people["Person A"]))
        board("address", "a@example.org", "d@example.org", "x@example.org")
        await people.say("Person A", MERGE)
        for name in ("Person A", "Person D"):
            await people.ballot(name, "Merge?")
            await people.press(name, "Yes")
        assert "Could not be reached: x@example.org" in await people.hears("2 of 3 voted")
        assert "a@example.org" not in space.asked
    finally:
        await engine.stop()


def test_the_rolls_that_are_kept_are_listed_shown_and_removed(tmp_path, shellbot, board):
    assert "There is none yet" in shellbot("poll", "roll", "list")
    assert "Roll board: 2 people." in board("id,name", "=1,Person A", "-2,Person B", "=1,again")
    assert (tmp_path / "instance" / "rolls" / "board.csv").stat().st_mode & 0o777 == 0o600
    assert shellbot("poll", "roll", "list").startswith("board: 2 people, of 20")
    assert shellbot("poll", "roll", "show", "Board") == "Person A <=1>\nPerson B <-2>\n"
    assert shellbot("poll", "roll", "remove", "board") == "Roll board is removed.\n"
    done = CliRunner().invoke(cli, ["poll", "roll", "show", "board", "--instance", str(tmp_path / "instance")])
    assert "there is no roll board" in str(done.exception)
    assert Rolls(tmp_path / "instance").names() == []


def test_a_file_with_mistakes_is_not_kept(tmp_path, shellbot):
    file = tmp_path / "roll.csv"
    file.write_text("id,name\n1,Person A\n2,Person B,x\n")
    assert f"{file}, line 3: it has 3 cells" in shellbot("poll", "roll", "import", "board", str(file), code=1)
    for name in ("../board", ".board", "a/b", ""):
        shellbot("poll", "roll", "import", name, str(file), code=1)
    assert not (tmp_path / "instance" / "rolls").exists()


def test_a_roll_is_not_checked_against_a_server_that_is_not_there(tmp_path):
    (file := tmp_path / "roll.csv").write_text("name\nPerson A\n")
    done = CliRunner().invoke(cli, ["poll", "check", str(file), "--instance", str(tmp_path / "instance")])
    told = f"there is no store {tmp_path / 'instance' / 'store.db'}; name the folder of the server"
    assert told in str(done.exception)
    assert done.output == ""


async def test_a_roll_is_checked_before_anybody_is_asked(party, tmp_path, shellbot, board):
    file = tmp_path / "roll.csv"
    async with party("Person A", "Person B") as people:
        people.space.unreachable.add("person-c")
        await people.join("Person C")
        await (await people.space.join("annex", Person("person-e", "Person E")))
        await people.engine.desk.store.read(lambda db: None)  # who came last is in the store
        file.write_text("name;id\nPerson A;\n;person-b\n")
        assert shellbot("poll", "check", str(file)) == f"{file}: 2 people, 2 can be asked, 0 lines to look at.\n"
        file.write_text("name;id\nPerson A;\nPerson C;\nPERSON A;\nPerson X;\nPerson E\n")
        told = shellbot("poll", "check", str(file), "--room", "Group", code=1).splitlines()
        assert told == [
            f"{file}, line 3: Person C cannot be reached: there is no direct channel; ask them to write to the bot "
            "once",
            f"{file}, line 4: PERSON A is on it twice: line 2 is the same person; take one of them out",
            f"{file}, line 5: Person X is unknown: no such person has met the bot; correct it, or ask them to write to "
            "the bot once",
            f"{file}, line 6: Person E is not in group; asked in the direct channel",
            f"{file}: 5 people, 2 can be asked, 3 lines to look at.",
        ]
    assert len(read(file.read_bytes()).entries) == 5
    board("name", "Person A")
    assert "board: 1 person, 1 can be asked" in shellbot("poll", "check", "board")
    assert "there is no room cellar; there are: group, annex" in str(
        CliRunner()
        .invoke(cli, ["poll", "check", "board", "--room", "cellar", "--instance", str(tmp_path / "instance")])
        .exception
    )


async def test_on_the_chat_page_with_buttons_and_over_a_kill(dialogue, tmp_path):
    group = await dialogue.group("Person A", "Person B", "Person C")
    file = tmp_path / "roll.csv"
    file.write_text("name\nPerson B\nperson c\n")
    instance = ["--instance", str(dialogue.server.folder)]

    def shellbot(*arguments):
        done = CliRunner().invoke(cli, ["poll", *arguments, *instance])
        assert done.exit_code == 0, done.output
        return done.output

    assert "2 can be asked" in shellbot("check", str(file), "--room", "Everybody")
    shellbot("roll", "import", "board", str(file))
    await dialogue.direct("Person A").say(f"poll rehearse {MERGE.removeprefix('poll ')}")
    await dialogue.direct("Person A").heard("2 people of the roll board would get this ballot")
    assert "You pressed Yes." in await dialogue.direct("Person A").press("Yes")
    await group.say("Person A", MERGE)
    await group.heard("2 people of the roll board have a ballot")
    await dialogue.direct("Person B").press("Yes")
    await dialogue.restart(kill=True)
    await dialogue.direct("Person C").say("no")
    assert "2 of 2 voted" in await group.heard("Result of vote #1")
    assert "Person B" in shellbot("export", "1")
    assert "Person A" not in shellbot("export", "1")
