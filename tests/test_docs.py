"""The pages say what is so."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from shellbot.bus.counters import NAMES
from shellbot.commands.base import Command
from shellbot.commands.loading import load_commands
from shellbot.settings import DECLARED
from tests.processes import started

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]


def test_the_faults_listed_are_the_faults_tested():
    listed = set(re.findall(r"`(test_[a-z]\d\d_\w+)`", (ROOT / "docs/faults.md").read_text()))
    tested = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        tested.update(re.findall(r"^(?:async )?def (test_[a-z]\d\d_\w+)", file.read_text(), re.MULTILINE))
    assert listed == tested


def test_every_row_names_tests_of_its_own_number():
    for row, tests in re.findall(
        r"^\| ([A-D]\d+) \|.*\| ([^|]+) \|$", (ROOT / "docs/faults.md").read_text(), re.MULTILINE
    ):
        number = f"test_{row[0].lower()}{int(row[1:]):02}_"
        assert all(name.startswith(number) for name in re.findall(r"`(\w+)`", tests)), row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_in_the_pages_are_there(page):
    for name in re.findall(r"`((?:tests|docs|examples|scripts|benchmarks)/[\w/.-]+)`", page.read_text()):
        assert (ROOT / name).exists(), name


def blocks(page, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def run(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=True, **options
    ).stdout


def test_the_bus_in_ten_lines(runtime_folder):
    bus, _ = blocks("README.md")
    address = f"ipc://{runtime_folder}/{os.urandom(4).hex()}"  # the port of the page may be taken on this machine
    assert run(bus.replace("tcp://127.0.0.1:5555", address)) == "room-1 {'choice': 'sushi'}\n"


def test_the_bus_from_the_shell_in_the_readme_also_where_who_listens_comes_late(runtime_folder):
    """What runs in the background begins only when the bus is there: `pub` has to wait for it."""
    [shown] = [block for block in blocks("README.md", "sh") if "shellbot pub" in block]
    path = f"{runtime_folder}/{os.urandom(4).hex()}"
    late = f'[ "$1" = pub ] || until [ -S {path} ]; do sleep 0.02; done'
    begin = f'shellbot() {{ {late}; "{sys.executable}" -m shellbot "$@"; }}\n'
    code = f"import os; os.execvp('sh', ['sh', '-ec', {f'{begin}{shown}wait'!r}])"
    with started("-c", code, env={**os.environ, "SHELLBOT_BUS_ADDRESS": f"ipc://{path}"}) as shell:
        assert shell.communicate(timeout=15) == ('room-1 {"choice":"sushi"}\n', "")


def test_the_bot_in_ten_lines(tmp_path):
    _, bot = blocks("README.md")
    environment = {**os.environ, "SHELLBOT_INSTANCE_FOLDER": str(tmp_path / "instance")}
    said = run(bot.replace('type="web"', 'type="console"'), input="Ann: hello Bob\n", env=environment)
    assert said == "[group] Hello, Bob!\n"


BUS = (ROOT / "docs/bus.md").read_text()
SHOWN = re.findall(r"```(python|sh)\n(.*?)```\n\n```text\n(.*?)```", BUS, re.DOTALL)


@pytest.mark.parametrize(("language", "code", "output"), SHOWN, ids=range(len(SHOWN)))
def test_the_page_on_the_bus(runtime_folder, language, code, output):
    address = f"ipc://{runtime_folder}/{os.urandom(4).hex()}"
    if language == "sh":
        code = f'shellbot() {{ "{sys.executable}" -m shellbot "$@"; }}\n{code}'
        code = f"import subprocess; subprocess.run(['sh', '-c', {code!r}], check=True)"
    else:
        begin = 'from shellbot import Bus, Context\nbus = Bus(Context({"bus": {"address": "tcp://127.0.0.1:5555"}}))\n'
        code = (begin + code).replace("tcp://127.0.0.1:5555", address)
    assert run(code, env={**os.environ, "SHELLBOT_BUS_ADDRESS": address}) == output


def test_every_example_of_the_page_on_the_bus_is_run():
    assert len(SHOWN) == len(re.findall(r"```(?:python|sh)\n", BUS))


def test_the_page_on_the_bus_has_all_its_settings_and_counters():
    assert set(re.findall(r"^\| `(bus\.\w+)` \|", BUS, re.MULTILINE)) == {
        key for key in DECLARED if key.startswith("bus.")
    }
    assert set(re.findall(r"`(\w+)`", BUS)) >= set(NAMES)


def test_every_promise_names_tests_that_are_there():
    """Their names stand there with spaces, so that lines can be broken."""
    tested = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        tested.update(re.findall(r"^ *(?:async )?def test_(\w+)", file.read_text(), re.MULTILINE))
    lines = (ROOT / "docs/guarantees.md").read_text().splitlines()
    rows = [line[2:-2].split(" | ") for line in lines if line.startswith("| ") and line != "| promise | tests |"]
    assert rows
    for promise, tests in rows:
        named = {name.replace(" ", "_") for name in re.findall(r"`([^`]+)`", tests)}
        assert named, promise
        assert named <= tested, promise


@pytest.mark.timeout(60)  # programs that start programs, beside other tests
def test_the_page_on_testing(tmp_path):
    vote, options, _ = blocks("docs/testing.md")
    (tmp_path / "test_lunch.py").write_text(vote)
    hello = (ROOT / "examples" / "hello_bot.py").read_text()
    (tmp_path / "my_bot.py").write_text(hello)
    own = (
        "async def test_hello(dialogue):\n"
        "    await dialogue.group('Person A')\n"
        "    assert 'Hello, world!' in await dialogue.direct('Person A').say('hello')\n"
    )
    (tmp_path / "test_hello.py").write_text(f"{options}\n\n{own}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False, cwd=tmp_path)
    assert "2 passed" in done.stdout, done.stdout


@pytest.mark.timeout(60)  # programs that start programs, beside other tests
def test_the_platform_on_the_page_on_testing(tmp_path):
    (tmp_path / "test_platform.py").write_text(blocks("docs/testing.md")[2])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False, cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.timeout(60)  # programs that start programs, beside other tests
def test_the_conversations_on_the_page_on_testing(tmp_path):
    talk, told = re.findall(r"```text\n(.*?)```", (ROOT / "docs/testing.md").read_text(), re.DOTALL)
    (tmp_path / "my_bot.py").write_text((ROOT / "examples" / "hello_bot.py").read_text())
    command = [sys.executable, "-m", "shellbot", "test", "my_bot.txt"]

    def played(text):
        (tmp_path / "my_bot.txt").write_text(text)
        return subprocess.run(command, capture_output=True, text=True, timeout=28, check=False, cwd=tmp_path)

    assert played(talk).returncode == 0
    other = played(talk.replace("Ann: hello Bob", "Ann: hello"))
    assert other.stdout.split("\n", 1)[1] == told


def test_the_page_on_machines(tmp_path):
    bot, door = blocks("docs/machines.md")
    talk, printed = re.findall(r"```text\n(.*?)```", (ROOT / "docs/machines.md").read_text(), re.DOTALL)
    typed = [line for line in talk.splitlines() if line.startswith("Ann> ")]
    answered = [line for line in talk.splitlines() if line not in typed]
    environment = {**os.environ, "SHELLBOT_INSTANCE_FOLDER": str(tmp_path / "instance")}
    said = run(bot.replace('type="web"', 'type="console"'), input="\n".join(typed) + "\n", env=environment)
    assert said.splitlines() == answered
    assert run(door) == printed


def test_the_hooks_in_the_page_on_commands_are_those_of_a_command():
    page = (ROOT / "docs/commands.md").read_text()
    named = dict(re.findall(r"`(on_\w+)\(([^)]*)\)`", page))
    hooks = {name: hook for name, hook in vars(Command).items() if name.startswith("on_")}
    assert {name: ", ".join(list(inspect.signature(hook).parameters)[1:]) for name, hook in hooks.items()} == named


def test_the_page_on_commands(tmp_path):
    """Its bot loads, the classes it names are there, and the words in its table are theirs."""
    page = (ROOT / "docs/commands.md").read_text()
    code, _ = blocks("docs/commands.md")
    bot = tmp_path / "my_bot.py"
    bot.write_text(code)
    assert [command.keyword for command in load_commands(str(bot))] == ["input", "sleep", "step", "update"]
    named = re.findall(r"^\| `(\w+)\.(\w+)` \| (?:`([^`]+)`)? *\|", page, re.MULTILINE)
    assert {module for module, _, _ in named} > {"noop", "default", "empty", "start"}
    for module, name, said in named:
        command = getattr(import_module(f"shellbot.commands.{module}"), name)
        assert command.keyword == said.partition(" ")[0] or (command.keyword.startswith("*") and not said)


@pytest.fixture
def dialogue_options(tmp_path):
    bot = tmp_path / "tea_bot.py"
    bot.write_text(blocks("docs/commands.md")[1])
    return [str(bot)]


async def test_the_command_that_waits(dialogue):
    group = await dialogue.group("Person A")
    await group.say("Person A", "tea 3")
    await group.heard("I look after it.")
    await group.say("Person A", "echo meanwhile")
    await dialogue.clock.advance(180)
    await group.heard("The tea is ready.")


def test_the_page_on_webex_has_all_its_settings():
    page = (ROOT / "docs/webex.md").read_text()
    assert set(re.findall(r"^\| `(webex\.\w+)` \|", page, re.MULTILINE)) >= {
        key for key in DECLARED if key.startswith("webex.")
    }
