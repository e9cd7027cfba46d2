"""docs/webex-vote.md, played from its first line to its last: each command is there and does what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from click.testing import CliRunner

from shellbot.cli import cli
from shellbot.events import Person
from tests.scenarios.later import hears_later

PAGE = (Path(__file__).parents[2] / "docs" / "webex-vote.md").read_text()
STEPS = [
    (kind, line)
    for kind, block in re.findall(r"```(sh|chat)\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
# For the platform alone, or what makes the folder of this run.
ELSEWHERE = ("export ", "read ", "shellbot run --space webex", "shellbot doctor")
SAID = {
    "rehearse": "3 people of the roll board would get this ballot, in a moment.",
    '"Shall': "3 people of the roll board have a ballot",
    "show": "0 of 3 voted",
    "remind": "reminded 2 who have not voted.",
    "extend": "Vote #1 is extended by Person A",
    "close": "Result of vote #1",
}
PRINTED = {
    "poll check": "roll.csv: 3 people, 3 can be asked, 0 lines to look at.",
    "poll roll import": "Roll board: 3 people.",
    "poll roll list": "board: 3 people",
    "poll roll remove": "Roll board is removed.",
    "poll list": "#1    open",
    "poll show": "Vote #1: Shall we merge?",
    "poll recount": "The log is whole, and the store says the same.",
    "poll export": "Written: vote.",
    "poll forget": "Vote #1 is forgotten.",
    "backup": "to be read by you only.",
    "backup restore": "is as it was.",
}


def shellbot(line):
    arguments = shlex.split(line)[1:]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, (line, done.output, done.exception)
    named = max((words for words in PRINTED if line.removeprefix("shellbot ").startswith(words)), key=len)
    assert PRINTED[named] in done.output, (line, done.output)
    return named


def remove(line):
    assert line.startswith("rm ")
    subprocess.run(["sh", "-c", line], check=True, timeout=15)


async def test_the_runbook_from_its_first_line_to_its_last(party, clock, tmp_path, monkeypatch):
    folder = tmp_path / "instance"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHELLBOT_INSTANCE_FOLDER", str(folder))
    (tmp_path / "roll.csv").write_text("Name;Id\r\nPerson A;\r\nPerson B;person-b\r\nPerson C;person-c\r\n")
    run, said = set(), set()
    steps = list(STEPS)
    async with party("Person A", "Person B") as people:
        people.people["Person C"] = Person("person-c", "Person C")  # in no room of the vote, and has written to the bot
        await (await people.space.join("annex", people.people["Person C"]))
        await people.engine.desk.store.read(lambda db: None)
        while (step := steps.pop(0))[1] != "shellbot poll recount 1":
            kind, line = step
            if kind == "sh":
                if not line.startswith(ELSEWHERE):
                    run.add(shellbot(line))
                continue
            word = line.split()[1]
            said.add(word)
            if word == "rehearse":
                await people.whisper("Person A", line)
                await hears_later(people, clock, SAID[word], "Person A")
                continue
            if word == "remind":
                await people.press("Person B", "Yes")
                await people.hears("Your vote is counted: Yes", "Person B")
            await people.say("Person A", line)
            await people.hears(SAID[word])
            if word == '"Shall':
                for name in people.people:
                    is_ballot = lambda reply: reply.card is not None and not reply.id.startswith("rehearsal")  # noqa: E731
                    await people.space.wait_for(people.direct(name), is_ballot)
        result = await people.hears("Result of vote #1")
        assert "1 of 3 voted. The quorum of 2 is missed" in result
        for name in people.people:
            await people.hears("Closed.", name)
    for kind, line in [step, *steps]:
        assert kind == "sh"
        if not line.startswith("rm "):
            run.add(shellbot(line))
    remove(steps[-1][1])
    assert run == set(PRINTED)
    assert said == set(SAID)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["roll.csv", "vote.csv", "vote.json"]


def test_what_is_not_played_is_on_the_page():
    assert all(any(line.startswith(begin) for _, line in STEPS) for begin in ELSEWHERE)
