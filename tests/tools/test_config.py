"""``shellbot config``: each setting with its source, no secret, every mistake at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shellbot.settings import DECLARED
from shellbot.tools.config import Row, defaults, survey

YAML = """\
bot:
  name: Ann
  on_enter: $GREETING
bus:
  adress: tcp://127.0.0.1:5555
  slow: sometimes
  put_timeout: -1
space:
  token: very secret
mine:
  colour: red
"""


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(YAML)
    return file


def test_each_setting_is_shown_with_its_source(settings):
    found = survey(settings, {"SHELLBOT_BOT_NAME": "Bob", "SHELLBOT_SERVER_PORT": "81", "PATH": "/bin"})
    assert {
        Row("bot.name", "Bob", f"SHELLBOT_BOT_NAME, over {settings}:2"),
        Row("bot.on_enter", "$GREETING", f"{settings}:3, and GREETING is not set in the environment"),
        Row("mine.colour", "red", f"{settings}:11"),
        Row("server.port", "81", "SHELLBOT_SERVER_PORT"),
        Row("space.token", "***", f"{settings}:9"),
    } <= set(found.rows)
    assert found.values["server.port"] == 81


def test_every_mistake_is_told_with_its_place_and_the_nearest_key(settings):
    environ = {"SHELLBOT_SERVER_PORT": "http", "SHELLBOT_BOT_NAM": "x", "SHELLBOT_RUNTIME": "/x"}
    mistakes = survey(settings, environ).mistakes
    assert mistakes[0] == f"{settings}:5: 'bus.adress' is not a setting; did you mean 'bus.address'?"
    assert mistakes[1].startswith(f"{settings}:6: bus.slow: ")
    assert mistakes[2].startswith(f"{settings}:7: bus.put_timeout: ")
    assert mistakes[3].startswith(f"{settings}:3: bot.on_enter: $GREETING is not set in the environment; ")
    assert mistakes[4].startswith("SHELLBOT_SERVER_PORT: server.port: ")
    assert mistakes[5] == "SHELLBOT_BOT_NAM: no setting is read from it; did you mean SHELLBOT_BOT_NAME?"
    assert len(mistakes) == 6


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("none.yaml", None, "No such file or directory"),
        ("a.yaml", "bot: [", "a.yaml:1: "),
        ("a.toml", "\nx = = 1", "a.toml:2: "),
        ("a.yaml", "bot:\n  name: a\n  name: b", "a.yaml:3: 'name' is said twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path, name, text, told):
    if text is not None:
        (tmp_path / name).write_text(text)
    found = survey(tmp_path / name, {"SHELLBOT_BOT_NAME": "Bob"})
    assert len(found.mistakes) == 1
    assert told in found.mistakes[0]
    assert [row.key for row in found.rows] == ["bot.name"]


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", "bot: Waiter\nmood: good"), ("a.toml", 'bot = "Waiter"\nmood = "good"')]
)
def test_a_section_with_a_value_of_its_own_is_a_mistake_and_what_nothing_reads_is_marked(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    found = survey(file, {})
    assert found.mistakes == (
        f"{file}:1: 'bot' has settings under it and no value of its own; write e.g. 'bot.name: ...'",
    )
    assert Row("general.mood", "good", f"{file}:2, read by your own code if at all") in found.rows
    file.write_text("general:\n  bot: Waiter\n" if name == "a.yaml" else '[general]\nbot = "Waiter"\n')
    assert survey(file, {}).mistakes == ()  # who writes this, means it


DOOR = "on '0.0.0.0' anybody on the network could walk in"


@pytest.mark.parametrize(
    ("text", "environ", "places"),
    [
        ("server:\n  address: 0.0.0.0\n", {}, ["{file}:2: server.address: " + DOOR]),
        ("server:\n  private: true\n  address: 0.0.0.0\n", {}, ["{file}:3: server.address: " + DOOR]),
        ("", {"SHELLBOT_SERVER_ADDRESS": "0.0.0.0"}, ["SHELLBOT_SERVER_ADDRESS: server.address: " + DOOR]),
        ("server:\n  public_url: foo\n", {}, ["{file}:2: server.public_url: takes an address such as https://"]),
        (
            "server.public_url: |\n  https://here\n",
            {},
            ["{file}:1: server.public_url: takes an address such as https://"],
        ),
        ("server.public_url: https://\n", {}, ["{file}:1: server.public_url: takes an address such as https://"]),
        ("", {"SHELLBOT_SERVER_PUBLIC_URL": "//here"}, ["SHELLBOT_SERVER_PUBLIC_URL: server.public_url: takes an"]),
        ("space:\n  type: marsian\n", {}, ["{file}:2: space.type: there is no space 'marsian'; take web, console"]),
        ("bus:\n  guarantee: log\n", {}, ["{file}:2: bus.guarantee is 'log', but this version promises 'replay'"]),
        ("bus:\n  history: 5\n", {}, ["{file}:2: bus.history is 5; it should be "]),
        ("bus:\n  slow: drop\n", {}, ["{file}:2: bus.slow is 'drop', but bus.guarantee is 'replay', which loses"]),
        ("polls:\n  timezone: Nowhere/At\n", {}, ["{file}:2: polls.timezone: there is no zone 'Nowhere/At'"]),
        ("", {"SHELLBOT_POLLS_TIMEZONE": "../x"}, ["SHELLBOT_POLLS_TIMEZONE: polls.timezone: there is no zone '../x'"]),
        ("bot:\n  name: $NO_SUCH\n", {}, ["{file}:2: bot.name: $NO_SUCH is not set in the environment; set it, or"]),
        ("server: {public_url: $HOME_OF_IT}\n", {"HOME_OF_IT": "https://chat.test"}, []),
        ("bus: {slow: drop, guarantee: fast}\n", {}, []),
        ("server: {private: on, address: 0.0.0.0, public_url: 'https://chat.test:8443/at/'}\n", {}, []),
        ("server: {address: 0.0.0.0}\nspace: {type: console}\n", {}, []),
        ("server: {address: localhost, public_url: ''}\n", {}, []),
    ],
)
def test_what_run_refuses_is_a_mistake(tmp_path, text, environ, places):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    told = survey(file, environ).mistakes
    assert len(told) == len(places)
    assert all(line.startswith(place.format(file=file)) for line, place in zip(told, places, strict=True))
    given = [*(["--settings", str(file)] if text else []), "--instance", str(tmp_path / "instance"), "--port", "0"]
    if places:
        run = [sys.executable, "-m", "shellbot", "run", *given]
        done = subprocess.run(run, capture_output=True, text=True, timeout=15, check=False, env=os.environ | environ)
        assert done.returncode == 1
        assert places[0].split(": ", 1)[1].removeprefix("space.type: ").removeprefix("server.address: ") in done.stderr


def test_a_variable_that_a_file_names_is_looked_up_as_what_its_key_wants(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("server:\n  port: $PORT\nspace:\n  token: $TOKEN\n")
    found = survey(file, {"PORT": "81"})
    assert (found.values, found.mistakes) == ({"server.port": 81, "space.token": None}, ())
    assert found.rows[1] == Row("space.token", "***", f"{file}:4, and its variable is not set in the environment")
    (mistake,) = survey(file, {"PORT": "http"}).mistakes
    assert mistake.startswith(f"{file}:2: server.port: ")


def test_defaults_are_all_that_is_not_set():
    rows = list(defaults({"bot.name": "Ann"}))
    assert {row.key for row in rows} == DECLARED.keys() - {"bot.name"}
    assert {row.origin for row in rows} == {"default"}
    assert next(row.value for row in rows if row.key == "bus.address") == "a socket of the server's own"


def shellbot(*arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "shellbot", "config", *arguments],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
        env={**os.environ, **environ},
    )


def test_the_command_shows_what_is_set_and_no_secret(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('[bot]\nname = "\\u001b[2JAnn"\n\n[bus]\naddress = "tcp://ann:secret@127.0.0.1:5555"\n')
    done = shellbot("--settings", str(file), SHELLBOT_SPACE_TOKEN="very secret")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"bot.name     ?[2JAnn  ({file}:2)\n"
        f"bus.address  tcp://***@127.0.0.1:5555  ({file}:5)\n"
        "space.token  ***  (SHELLBOT_SPACE_TOKEN)\n"
        "3 set; the others have their defaults: shellbot config --all\n"
    )


def test_the_command_ends_with_1_when_there_are_mistakes(settings):
    done = shellbot("--settings", str(settings), "--all")
    assert done.returncode == 1
    assert "did you mean 'bus.address'?" in done.stderr
    assert done.stderr.count("\n") == 4
    assert "first port that it tries" in done.stdout
    assert "very secret" not in done.stdout + done.stderr
