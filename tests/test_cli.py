"""The command line as somebody types it: the bus from the shell, and what is said when it cannot be."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from shellbot.bus.bus import Bus
from shellbot.bus.hub.facts import Look
from shellbot.context import Context
from tests.bus.watching import state_of, wait_until
from tests.processes import started


@pytest.fixture
def address(runtime_folder):
    return f"ipc://{runtime_folder}/{os.urandom(4).hex()}"


def shellbot(*arguments, **options):
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-m", "shellbot", *arguments],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
        **options,
    )


def running(*arguments):
    """Run it beside the test."""
    return started("-m", "shellbot", *arguments)


def test_what_is_published_is_printed_by_sub(address):
    with running("sub", "room-1", "room-2", "--bus", address, "--count", "2") as sub:
        done = shellbot("pub", "room-1", '{"choice": "sushi"}', '"second"', "--bus", address)
        assert done.returncode == 0, done.stderr
        assert sub.communicate(timeout=15)[0] == 'room-1 {"choice":"sushi"}\nroom-1 "second"\n'
        assert sub.returncode == 0


def test_pub_reaches_all_who_waited_for_a_bus(runtime_folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as stack:
        readers = [stack.enter_context(running("sub", "room", "--bus", url, "--count", "1")) for _ in range(6)]
        wait_until(lambda: all(state_of(reader.pid) == "S" for reader in readers))
        # They look for a bus more and more seldom, so that the last one finds it 0.2 s after the first.
        select.select([], [], [], 1.5)
        assert shellbot("pub", "room", "1", "--bus", url).returncode == 0
        assert [reader.communicate(timeout=15)[0] for reader in readers] == ["room 1\n"] * 6


def test_a_console_that_is_fed_says_all_that_comes_of_it_before_it_ends(tmp_path):
    """The ballot comes over the bus, behind the turn of who opened the vote."""
    done = shellbot(
        "run", "--space", "console", "--instance", str(tmp_path), input='Person A: poll "Q?" Red, Blue in 10m\n'
    )
    assert done.returncode == 0, done.stderr
    assert "[group] Vote #1" in done.stdout
    assert "[Person A] Vote #1" in done.stdout
    assert " 2. Blue" in done.stdout


def test_votes_that_are_fed_behind_their_poll_wait_for_their_ballots(tmp_path):
    typed = 'B: echo here\nA: poll "Q?" Red, Blue in 10m\nA> 1\nB> 2\n'
    done = shellbot("run", "--space", "console", "--instance", str(tmp_path), input=typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[A] Your vote is counted: Red." in done.stdout
    assert "[B] Your vote is counted: Blue." in done.stdout
    assert "A tie between Red and Blue. 2 of 2 voted." in done.stdout


def test_who_leaves_the_console_is_not_waited_for_in_a_vote(tmp_path):
    typed = 'B: hello\nBb: slip\nA: poll "Q?" Red, Blue\nA> 1\nB> 1\n(Bb leaves)\nA: poll "R?" Red, Blue\n'
    done = shellbot("run", "--space", "console", "--instance", str(tmp_path), input=typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 people have a ballot" in done.stdout
    assert "Red has the most votes. 2 of 3 voted." in done.stdout
    assert "2 people have a ballot" in done.stdout


def test_a_line_behind_one_that_takes_long_is_read_before_that_has_ended(tmp_path):
    bot = tmp_path / "bot.py"
    bot.write_text(
        "import asyncio\nfrom shellbot import Command\n\n\nclass Long(Command):\n    keyword = 'long'\n\n"
        "    async def execute(self, bot):\n        await asyncio.sleep(5)\n        bot.say('over')\n"
    )
    given = ["run", str(bot), "--space", "console", "--instance", str(tmp_path / "instance")]
    done = shellbot(*given, input="A: long\nB> echo hi\n")
    assert (done.stdout, done.stderr) == ("[B] hi\n[group] over\n", "")


def test_each_kind_of_place_has_a_folder_of_its_own_and_the_bus_of_the_running_one_is_found(tmp_path):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    with started("-m", "shellbot", "run", "--space", "console", env=environment) as server:
        facts = tmp_path / "shellbot" / "console" / "instance.json"
        wait_until(facts.exists)
        done = shellbot("bus", "top", "--once", env=environment)
        assert json.loads(facts.read_text())["bus"] in done.stdout
        assert server.communicate("", timeout=15)[1] == ""
        assert server.returncode == 0
    assert not (tmp_path / "shellbot" / "default").exists()


def test_pub_reads_lines_when_no_message_is_given(address):
    with running("spy", "--bus", address, "--count", "3") as spy:
        done = shellbot("pub", "room", "--bus", address, input='1\n\n{"a": [true]}\n"ü"\n')
        assert done.returncode == 0, done.stderr
        assert spy.communicate(timeout=15)[0] == 'room 1\nroom {"a":[true]}\nroom "ü"\n'


def test_sub_ends_when_nothing_comes_and_tells_how_much_was_missing(address):
    done = shellbot("sub", "room", "--bus", address, "--timeout", "0.2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = shellbot("sub", "room", "--bus", address, "--timeout", "0.2", "--count", "2")
    assert done.returncode == 1
    assert done.stderr == "shellbot: only 0 of 2 messages came; nothing for 0.2 s\n"


def test_pub_says_when_nobody_listens_and_how_to_go_on(address):
    done = shellbot("pub", "room", "1", "--bus", address, "--timeout", "0.2")
    assert done.returncode == 1
    assert "nobody subscribed to 'room' within 0.2 s; start `shellbot sub room`" in done.stderr
    assert done.stderr.count("\n") == 1
    assert shellbot("pub", "room", "1", "--bus", address, "--timeout", "0").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pub", "room", "{choice"], "not JSON: '{choice'"),
        (["pub", "", "1"], "channel"),
        (["pub", "my room", "1"], "channel"),
        (["pub", "room", "null"], "message"),
        (["sub", "my room"], "channel"),
        (["sub"], "Missing argument"),
        (["spy", "--bus", "tcp://*:99999"], "99999"),
        (["spy", "--bus", "mqtt://here"], "mqtt"),
        (["sub", "room", "--bus", "tcp://0.0.0.0:5555"], "none to connect to; take that of the machine where somebody"),
        (["spy", "--bus", "tcp://[::]:5555"], "publishes: tcp://127.0.0.1:5555 for this one"),
        (["spy", "--instance", "/nowhere/at/all"], "no server runs in /nowhere/at/all; start one with"),
        (["pub", "room", "1", "--bus", "memory://x"], "memory://x lives in one process, and this command is another"),
        (["sub", "room", "--bus", "memory://x"], "give --bus an ipc:// or tcp:// address"),
        (["bus", "top", "--bus", "memory://x"], "give --bus an ipc:// or tcp:// address"),
        (["sing"], "No such command"),
        (["run", "nothing.py"], "nothing.py"),
        (["run", "--space", "marsian"], "marsian"),
        (["run", "--port", "99999"], "'--port': takes a whole number from 0 to 65535, and '99999' is none"),
        (["run", "--port", "abc"], "'--port': takes a whole number from 0 to 65535, and 'abc' is none"),
        (["sub", "room", "--count", "0"], "'--count': takes a whole number from 1, and '0' is none"),
        (["sub", "room", "--timeout", "soon"], "'--timeout': takes a number, and 'soon' is none"),
    ],
)
def test_what_cannot_be_done_is_told_without_a_traceback(address, arguments, told):
    options = (
        []
        if "--bus" in arguments or "--instance" in arguments or arguments[0] in ("run", "sing")
        else ["--bus", address]
    )
    done = shellbot(*arguments, *options, "--timeout", "0") if arguments[0] == "pub" else shellbot(*arguments, *options)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--demo"], "--demo: that"),
        (["--private"], "--private: that"),
        (["--port", "0"], "--port: that"),
        (["--port", "8080", "--open"], "--port, --open: that"),
        (["--open", str(Path(__file__).parent.parent / "examples" / "hello_bot.py"), "--reload"], "--open: that"),
    ],
)
def test_what_is_for_the_page_is_refused_where_there_is_none(tmp_path, given, named):
    done = shellbot("run", "--space", "console", "--instance", str(tmp_path / "instance"), *given, input="")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert f"{named} is for the chat page, and the space console has none; leave it out, or chat in" in said
    assert not (tmp_path / "instance").exists()


@pytest.mark.parametrize("given", ["--demo", "--private"])
def test_what_lets_people_in_is_refused_where_the_platform_does(tmp_path, given):
    done = shellbot("run", "--space", "webex", "--instance", str(tmp_path / "instance"), given)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert f"{given}: that is for the chat page; on Webex people are in the rooms. Leave it out" in said
    assert not (tmp_path / "instance").exists()


def test_a_port_that_needs_privileges_is_told_with_another(tmp_path):
    # root may all but what is taken from it
    less = ["setpriv", "--inh-caps=-all", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    if less and shutil.which(less[0]) is None:
        pytest.skip("nothing here takes a privilege from root")
    if sys.platform != "linux" or int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("here anybody may listen on port 81")
    given = ["--instance", str(tmp_path / "instance")]
    told = "port 81 needs privileges, as all below 1024; take one from there on, such as --port 8080"
    for command in (["run", "--port", "81"], ["doctor"]):
        done = subprocess.run(
            [*less, sys.executable, "-m", "shellbot", *command, *given],
            capture_output=True,
            text=True,
            timeout=15,
            check=False,
            env={**os.environ, "SHELLBOT_SERVER_PORT": "81"},
        )
        assert done.returncode == 1
        assert told in done.stdout + done.stderr


def bus_at(address, **settings):
    return Bus(Context({"bus": {"address": address, "linger": 0.2, **settings}}))


def test_a_second_pub_joins_the_first(address):
    with running("pub", "room", "1", "--bus", address, "--timeout", "30") as first:
        with bus_at(address).subscribe("other") as subscriber:
            subscriber.wait_ready(15)
            done = shellbot("pub", "other", '"from the second"', "--bus", address)
            assert (done.returncode, done.stderr) == (0, "")
            assert subscriber.get(block=True, timeout=10) == "from the second"
        assert first.poll() is None


def test_an_address_held_by_a_stranger_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        url = f"tcp://127.0.0.1:{stranger.getsockname()[1]}"
        done = shellbot("pub", "room", "1", "--bus", url, "--timeout", "0")
    assert done.returncode == 1
    holder = rf"process {os.getpid()} \(.+\) of user \S+" if sys.platform == "linux" else "another program"
    assert re.fullmatch(rf"shellbot: {holder} listens on {url} already; stop it, or set .*\n", done.stderr)


def test_sub_tells_who_answers_in_the_place_of_a_bus_and_goes_on_waiting_for_one():
    with ExitStack() as stack:
        stranger = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"tcp://127.0.0.1:{stranger.getsockname()[1]}"
        sub = stack.enter_context(running("sub", "room", "--bus", url, "--count", "1"))
        told = sub.stderr.readline()
        holder = rf"process {os.getpid()} \(.+\) of user \S+" if sys.platform == "linux" else "another program"
        assert re.fullmatch(rf"shellbot: {holder} listens on {url} and does not answer as a bus does; .* --bus\n", told)
        stranger.close()
        assert shellbot("pub", "room", "1", "--bus", url).returncode == 0
        assert sub.communicate(timeout=15) == ("room 1\n", "shellbot: the bus is back\n")


def test_pub_refuses_what_is_no_json_before_it_waits_for_a_reader(address):
    done = shellbot("pub", "room", '"first"', "sushi", "--bus", address, "--timeout", "60")
    assert done.returncode == 2
    assert "not JSON: 'sushi'" in done.stderr
    assert "a text needs quotes of its own" in done.stderr


def test_sub_begins_with_messages_from_before(address):
    with bus_at(address).publish() as publisher:
        for number in range(5):
            publisher.put("room", number)
        wait_until(lambda: publisher.counters["sent"] == 5)
        done = shellbot("sub", "room", "--last", "2", "--count", "2", "--timeout", "10", "--bus", address)
    assert (done.returncode, done.stdout, done.stderr) == (0, "room 3\nroom 4\n", "")


def test_sub_tells_what_is_gone_and_that_the_bus_is_back(address):
    with running("sub", "-v", "room", "--bus", address, "--count", "9") as sub:
        with bus_at(address, history=2**23).publish() as publisher:
            # Only who is connected for both sides knows how much it has missed.
            assert "connected to the bus" in sub.stderr.readline()
            publisher.wait_ready("room", 15)
            publisher.put("room", 0)
            assert sub.stdout.readline() == "room 0\n"
            os.kill(sub.pid, signal.SIGSTOP)
            wait_until(lambda: state_of(sub.pid) == "T")
        with bus_at(address, history=2**23).publish() as publisher:
            for number in range(40):
                publisher.put("room", f"{number} {'x' * 500_000}")
            wait_until(lambda: publisher.counters["sent"] == 40)
            os.kill(sub.pid, signal.SIGCONT)
            told = []
            while not told or "gone" not in told[-1]:
                if (line := sub.stderr.readline()).startswith("shellbot: "):
                    told.append(line)
            for _ in range(9):
                publisher.put("room", "x")
            out = sub.communicate(timeout=15)[0]
    gap = r"shellbot: (\d+) messages at most are gone for good, between positions [12] and \d+ of the bus\n"
    lost = re.fullmatch(gap, told[-1])
    assert lost, told
    assert out.split()[1].strip('"') == lost[1]
    back = ("shellbot: the bus is back\n", "shellbot: the bus is back, and what was missed follows\n")
    assert not told[:-1] or told[:-1] in [[line] for line in back], told


def test_sub_tells_more_when_asked(address):
    done = shellbot("sub", "-v", "room", "--bus", address, "--timeout", "0.2")
    assert done.stderr == ""
    with bus_at(address).publish():
        for arguments in (["sub", "-v", "room"], ["-v", "sub", "room"]):
            done = shellbot(*arguments, "--bus", address, "--timeout", "1")
            assert f"INFO shellbot.bus.stream: connected to the bus on {address}, 1 times by now" in done.stderr
        assert shellbot("sub", "room", "--bus", address, "--timeout", "1").stderr == ""


# --- shellbot bus top


def test_top_says_in_one_line_that_nobody_publishes(address):
    for arguments in ([], ["--once"], ["--json"]):
        done = shellbot("bus", "top", *arguments, "--bus", address)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"shellbot: nobody publishes on {address} now\n"


def test_top_shows_two_programs_and_how_much_they_sent(address):
    one, two = bus_at(address), bus_at(address)
    with one.publish() as first, two.publish() as second, one.subscribe("room") as subscriber:
        subscriber.wait_ready(10)
        for _ in range(1200):
            first.put("room", 1)
        second.put("room", 2)
        wait_until(lambda: first.counters["sent"] == 1200 and second.counters["sent"] == 1)
        done = shellbot("bus", "top", "--once", "--every", "0.1", "--bus", address)
        facts = json.loads(shellbot("bus", "top", "--json", "--bus", address).stdout)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("bus  ...") or lines[0] == f"bus  {address}"
    assert re.fullmatch(rf"hub  process {first.pid}, up 0:00:\d\d, replay, slow: block", lines[1])
    assert re.search(r"^messages/s +0 +readers +1$", done.stdout, re.MULTILINE)
    assert re.search(r"^sent +1,201 ", done.stdout, re.MULTILINE)
    assert re.search(r"^can be replayed +1,201 ", done.stdout, re.MULTILINE)
    assert re.search(r" programs +2$", done.stdout, re.MULTILINE)
    assert [line.split() for line in lines[-3:-1]] == [
        [str(first.pid), "0", "1,200", "0"],
        [str(second.pid), "0", "1", "0"],
    ]
    assert (facts["address"], facts["pid"], facts["guarantee"], facts["sent"]) == (address, first.pid, "replay", 1201)
    assert [(program["pid"], program["sent"]) for program in facts["programs"]] == [(first.pid, 1200), (second.pid, 1)]


class Terminal:
    """What a command shows in a terminal of 80 by 24."""

    def __init__(self, *arguments):
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.environ |= {"COLUMNS": "80", "LINES": "24"}
            os.execv(sys.executable, [sys.executable, "-m", "shellbot", *arguments])

    def wait_shown(self, pattern):
        """Read on until this is shown; gives all that was shown till then."""
        shown = ""
        while not (found := re.search(pattern, shown)):
            assert select.select([self._screen], [], [], 10)[0], f"only this was shown: {shown!r}"
            shown += os.read(self._screen, 65536).decode()
        return found, shown

    def interrupt(self):
        """Ctrl-C; gives the exit code."""
        os.write(self._screen, b"\x03")
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return code

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._screen)


def test_top_in_a_terminal_waits_and_follows_from_hub_to_hub(address):
    with Terminal("bus", "top", "--every", "0.1", "--bus", address) as terminal:
        terminal.wait_shown(rf"nobody publishes on {address} now; waiting")
        with bus_at(address).publish() as first:
            _, shown = terminal.wait_shown(rf"(?s)hub  process {first.pid}, .* programs +1\b.*\x1b\[J")
            assert shown.count("\x1b[H") == shown.count("\x1b[J")
            second = bus_at(address).publish()
            second.start()
            terminal.wait_shown(r" programs +2\b")
        _, shown = terminal.wait_shown(rf"hub  process {second.pid}, ")
        assert "waiting" not in shown
        second.close()
        terminal.wait_shown("now; waiting")
        assert terminal.interrupt() == 130


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\nx = (", "bot.py:2 cannot be run: SyntaxError: '(' was never closed"),
        ("x = 1\n\nimport nowhere_to_be_found", "bot.py:3 cannot be run: ModuleNotFoundError"),
        ("\nimport sys\nsys.exit(3)", "bot.py:3 cannot be run: SystemExit: 3"),
        ("def f():\n    raise ValueError('a\\nb')\nf()", "bot.py:2 cannot be run: ValueError: a b"),
        ("x = 1", "defines no command"),
        (
            "from shellbot import Command\nclass A(Command):\n    keyword='a'\n    def __init__(self, x): pass",
            "put ready-made commands into a list named 'commands'",
        ),
        ("from shellbot import Command\nclass A(Command):\n    keyword='two words'", "needs a keyword: one word"),
    ],
)
def test_a_broken_bot_file_is_told_in_one_line(tmp_path, text, told):
    file = tmp_path / "bot.py"
    file.write_text(text)
    done = shellbot("run", str(file), "--space", "console", "--instance", str(tmp_path / "instance"), input="")
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_setting_in_a_file_is_told_with_the_nearest_known(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("bus:\n  adress: tcp://127.0.0.1:5555\n")
    done = shellbot("run", "--settings", str(file), "--instance", str(tmp_path / "instance"))
    assert done.returncode == 1
    assert "bus.address" in done.stderr


def test_a_guarantee_that_the_bus_does_not_keep_is_refused(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('[bus]\nguarantee = "log"\n')
    done = shellbot("run", "--settings", str(file), "--instance", str(tmp_path / "instance"))
    assert done.returncode == 1
    assert "log" in done.stderr
    assert done.stderr.count("\n") == 1


def test_version_and_help():
    assert shellbot("version").stdout == "shellbot 26.11.0\n"
    assert shellbot("--version").stdout == "shellbot 26.11.0\n"
    for arguments in ([], ["run"], ["pub"], ["sub"], ["spy"], ["bus"], ["bus", "top"], ["test"]):
        assert "Usage: shellbot" in shellbot(*arguments, "--help").stdout


def test_a_hostile_title_steers_neither_terminal_nor_log(tmp_path):
    title = "\x1b[2J\x1b]0;owned\x07\u202eLunch?\r[group] Result of vote #9: all for me\x00"
    typed = f'Ann: poll "{title}" <b>a</b>, `b` in 10m\nAnn: poll list\nAnn: poll close\n'
    done = shellbot("-vv", "run", "--space", "console", "--instance", str(tmp_path / "instance"), input=typed)
    assert done.returncode == 0, done.stderr
    assert "Lunch?" in done.stdout
    for shown in (done.stdout, done.stderr):
        assert not set(shown) & set("\x1b\x07\x00\r\u202e")
        assert not any(line.startswith("[group] Result of vote #9") for line in shown.splitlines())


def test_run_serves_the_commands_of_a_file(tmp_path):
    example = Path(__file__).parent.parent / "examples" / "hello_bot.py"
    arguments = ["run", str(example), "--space", "console", "--instance", str(tmp_path / "instance")]
    assert shellbot(*arguments, input="Ann: hello Bob\n").stdout == "[group] Hello, Bob!\n"


def test_sub_tells_that_what_was_missed_follows(address):
    with running("sub", "room", "--bus", address, "--count", "3") as sub, bus_at(address).publish() as publisher:
        publisher.wait_ready("room", 15)
        publisher.put("room", 1)
        assert sub.stdout.readline() == "room 1\n"
        with Look(Context({"bus": {"address": address}})) as look:
            # Before it is answered it could not say what it has.
            wait_until(lambda: look.facts().replied)
        for number in (2, 3):
            before = publisher.pid
            if number == 3:
                os.kill(before, signal.SIGSTOP)
                assert sub.stderr.readline() == f"shellbot: the bus on {address} does not answer; waiting for it\n"
                os.kill(sub.pid, signal.SIGSTOP)
                wait_until(lambda: state_of(sub.pid) == "T")
                publisher.put("room", 3)
            os.kill(before, signal.SIGKILL)
            wait_until(lambda killed=before, times=number - 1: publisher.pid != killed and publisher.restarts == times)
            if number == 2:
                publisher.wait_ready("room", 15)
                publisher.put("room", 2)
                assert sub.stdout.readline() == "room 2\n"
            else:
                os.kill(sub.pid, signal.SIGCONT)
        out, err = sub.communicate(timeout=15)
    assert (out, err) == ("room 3\n", "shellbot: the bus is back, and what was missed follows\n")


def test_sub_says_nothing_of_a_program_that_was_killed_before_anybody_missed_it(address):
    """What came meanwhile from another one follows without a word: nobody was told that the bus was away."""
    with running("sub", "room", "--bus", address, "--count", "2") as sub:
        with running("pub", "room", "--bus", address) as pub:
            pub.stdin.write("1\n")
            pub.stdin.flush()
            assert sub.stdout.readline() == "room 1\n"
            os.kill(sub.pid, signal.SIGSTOP)
            wait_until(lambda: state_of(sub.pid) == "T")
            os.killpg(pub.pid, signal.SIGKILL)
            pub.wait(15)
        with bus_at(address).publish() as publisher:
            publisher.put("room", 2)
            wait_until(lambda: publisher.counters["sent"] == 1)
            os.kill(sub.pid, signal.SIGCONT)
            assert sub.communicate(timeout=15) == ("room 2\n", "")


def test_sub_says_nothing_when_a_pub_has_ended_with_nothing_lost(address):
    with running("sub", "room", "--bus", address, "--count", "2") as sub:
        assert shellbot("pub", "room", "1", "--bus", address).returncode == 0
        assert sub.stdout.readline() == "room 1\n"
        # It asks the silent bus after 0.5 s, and after another 0.5 s looks for one anew.
        assert not select.select([sub.stderr], [], [], 2.5)[0]
        assert shellbot("pub", "room", "2", "--bus", address).returncode == 0
        assert sub.communicate(timeout=15) == ("room 2\n", "")


@contextmanager
def talking(address, count):
    """One that prints so many messages, and one that says them; the first has been said and printed."""
    with (
        running("sub", "room", "--bus", address, "--count", str(count)) as sub,
        running("pub", "room", "--bus", address) as pub,
    ):
        pub.stdin.write("1\n")
        pub.stdin.flush()
        assert sub.stdout.readline() == "room 1\n"
        yield sub, pub


def test_sub_says_that_a_bus_which_does_not_answer_is_back_though_nothing_was_missed(address):
    waits, back = f"shellbot: the bus on {address} does not answer; waiting for it\n", "shellbot: the bus is back\n"
    with talking(address, 2) as (sub, pub):
        with Look(Context({"bus": {"address": address}})) as look:
            hub = look.facts().pid
        os.kill(hub, signal.SIGSTOP)
        try:
            assert sub.stderr.readline() == waits
        finally:
            os.kill(hub, signal.SIGCONT)
        assert sub.stderr.readline() == back
        pub.communicate("2\n", timeout=15)
        told, said = sub.communicate(timeout=15)
        # On a busy machine it may seem so again.
        assert (told, said.replace(waits + back, "")) == ("room 2\n", "")


def test_pub_that_waits_for_its_input_is_healed(address):
    """Its process is forked while another thread reads the standard input, which holds a lock of that."""
    with talking(address, 3) as (sub, pub):
        for number in (2, 3):
            with Look(Context({"bus": {"address": address}})) as look:
                hub = look.facts().pid
            os.kill(hub, signal.SIGKILL)
            pub.stdin.write(f"{number}\n")
            pub.stdin.flush()
            assert sub.stdout.readline() == f"room {number}\n"
        _, err = pub.communicate(timeout=15)
        assert pub.returncode == 0
        assert [line.startswith("shellbot: the publisher process died") for line in err.splitlines()] == [True, True]


def test_one_pub_after_another_loses_nothing(address):
    with running("sub", "room", "--bus", address, "--count", "5") as sub:
        for number in range(5):
            assert shellbot("pub", "room", str(number), "--bus", address).returncode == 0
        out, _ = sub.communicate(timeout=15)
    assert out.splitlines() == [f"room {number}" for number in range(5)]
