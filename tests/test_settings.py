"""Settings from files and the environment: what is taken, what is refused, and how it is said."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from shellbot import settings
from shellbot.context import Context
from shellbot.errors import ConfigError
from shellbot.settings import DECLARED, convert, nearest, variable
from shellbot.sources import read_environment

YAML = """\
# a bot
bus:
  address: tcp://127.0.0.1:6001
  put_timeout: 2
general:
  switch: on
bot:
  banner:
    text: Hello
  store:
    planets: [Uranus, Mercury]
space: {token: $BOT_TOKEN, title: Lunch}
DEBUG: true
my:
  bus_adress: my own
"""

TOML = """\
DEBUG = true
[bus]
address = "tcp://127.0.0.1:6001"
put_timeout = 2
[general]
switch = "on"
[bot.banner]
text = "Hello"
[bot.store]
planets = ["Uranus", "Mercury"]
[space]
token = "$BOT_TOKEN"
title = "Lunch"
[my]
bus_adress = "my own"
"""


@pytest.mark.parametrize(("name", "text"), [("bot.yaml", YAML), ("bot.yml", YAML), ("bot.toml", TOML)])
def test_a_file_gives_nested_settings(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    context = Context.from_file(path, environ={})
    assert context.get("bus") == {"address": "tcp://127.0.0.1:6001", "put_timeout": 2}
    assert context.get("general") == {"DEBUG": True, "switch": "on"}
    assert context.get("bot") == {"banner": {"text": "Hello"}, "store": {"planets": ["Uranus", "Mercury"]}}
    assert context.get("space.token") == "$BOT_TOKEN"
    assert context.get("my.bus_adress") == "my own"


def test_the_environment_is_said_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bot.yaml"
    path.write_text(YAML)
    context = Context.from_file(path, environ={"SHELLBOT_BUS_ADDRESS": "memory://", "SHELLBOT_SERVER_DEBUG": "yes"})
    assert context.get("bus.address") == "memory://"
    assert context.get("bus.put_timeout") == 2
    assert context.get("server.debug") is True


@pytest.mark.parametrize("text", ["", "# nothing\n", "bot:\n"])
def test_an_empty_file_is_an_empty_context(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bot.yaml"
    path.write_text(text)
    assert Context.from_file(path, environ={}).is_empty


@pytest.mark.parametrize(
    ("name", "text", "line", "says"),
    [
        (
            "a.yaml",
            "bot:\n  name: x\nbus:\n  adress: y\n",
            4,
            "'bus.adress' is not a setting; did you mean 'bus.address'?",
        ),
        ("a.toml", '[bus]\naddress = "x"\nput-timout = 3\n', 3, "did you mean 'bus.put_timeout'?"),
        ("a.yaml", "bus.adress: y\n", 1, "did you mean 'bus.address'?"),
        ("a.yaml", "bot:\n  banner:\n    txet: y\n", 3, "did you mean 'bot.banner.text'?"),
        ("a.yaml", "general:\n  swich: on\n", 2, "did you mean 'general.switch'?"),
        ("a.yaml", "swich: on\n", 1, "did you mean 'general.switch'?"),
        ("a.yaml", "server:\n  port: eighty\n", 2, "takes a whole number from 0 to 65535, and 'eighty' is none"),
        ("a.toml", "[server]\nport = 70000\n", 2, "takes a whole number from 0 to 65535, and 70000 is none"),
        ("a.yaml", "bus:\n  slow: never\n", 2, "takes block, disconnect or drop, and 'never' is none of them"),
        ("a.yaml", "bus:\n  address: x\n  address: y\n", 3, "'address' is said twice"),
        ("a.yaml", "bus:\n  address: [\n", 3, "expected the node content"),
        ("a.yaml", "bus: !!python/object/apply:os.system [x]\n", 1, "could not determine a constructor"),
        ("a.toml", "[bus]\naddress = \n", 2, "Invalid value"),
        ("a.toml", '[bus]\naddress = "x"\naddress = "y"\n', 3, "Cannot overwrite a value"),
        (
            "a.yaml",
            "bot:\n  name: x\n version: y\n",
            3,
            "indented otherwise than the lines above; the names of one section",
        ),
        ("a.yaml", "bot:\n    name: x\n  version: y\n", 3, "indented otherwise"),
        ("a.yaml", " bot:\n  name: x\nserver:\n  port: 1\n", 3, "indented otherwise"),
        ("a.yaml", "access:\n  admins:\n  - a\n - b\n", 4, "indented otherwise"),
        ("a.yaml", "bot:\n  name: x\n    version: y\n", 3, "does not fit the line above; the names of one section"),
        ("a.yaml", "bot:\n  name x\n  version: y\n", 3, "and behind each stands ':'"),
        ("a.yaml", "bot:\n\tname: x\n", 2, "a tab stands at the beginning; indent with blanks"),
        ("a.yaml", "bot:\n  name: a: b\n", 2, "a text with ': ' in it goes into quotes"),
        ("a.yaml", "bot:\n  name: @x\n", 2, "a text that begins with '@' goes into quotes"),
        ("a.yaml", 'bot:\n  name: "x\n  version: y\n', 2, "a quote begins here and has no end"),
        ("a.yaml", "bot:\nname: x\n", 2, "'name' stands beside 'bot:' and not under it; indent it"),
        ("a.toml", "[bot]\nname = Waiter\n", 2, 'a text goes into quotes, like name = "Waiter"'),
        ("a.toml", '[bot]\nname = "Waiter\n', 2, "a quote has no end on this line"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, line: int, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{name}:{line}: ") + ".*" + re.escape(says)):
        Context.from_file(path, environ={})


def test_an_empty_section_is_no_mistake_where_no_setting_of_it_stands_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("bot:\n  # name: x\nmood: good\ngeneral:\n  bot:\n  name: y\n")
    assert Context.from_file(path, environ={}).get("general.mood") == "good"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("bus.history: many", "bus.history: takes a whole number, and 'many' is none"),
        ("bus.history: 1.5", "bus.history: takes a whole number, and 1.5 is none"),
        ("bus.put_timeout: -1", "bus.put_timeout: takes a number from 0, and -1 is none"),
        ("bus.put_timeout: {}", "bus.put_timeout: takes a number from 0, and a section is none"),
        ("files.max_bytes: [1]", "files.max_bytes: takes a whole number from 1, and a list is none"),
        ("bus.exact_gaps: maybe", "bus.exact_gaps: takes true or false, and 'maybe' is neither"),
        ("bus.history: true", "bus.history: takes a whole number, and true is none"),
        ("bus.slow: 5", "bus.slow: takes block, disconnect or drop, and 5 is none of them"),
        ("bot.name: 5", "bot.name: takes a text, and 5 is none; put it in quotes"),
        ("bot.name: [a]", "bot.name: takes a text, and a list is none"),
        ("access.admins: [5]", "access.admins: takes a list of texts, and 5 in it is no text; put it in quotes"),
        ("access.people: a1", "access.people: takes a list of texts, and 'a1' is none"),
        ("access.roles.leads: 5", "access.roles.leads: takes a list of texts or a text, and 5 is none"),
        ("bus.history: " + "x" * 80, "bus.history: takes a whole number, and '" + "x" * 55 + "...' is none"),
        ("bus.history: http://me:hush@here", "takes a whole number, and 'http://***@here' is none"),
    ],
)
def test_a_mistake_says_what_the_setting_takes_and_what_was_given(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "a.yaml").write_text(line)
    with pytest.raises(ConfigError) as raised:
        Context.from_file(tmp_path / "a.yaml", environ={})
    assert str(raised.value).endswith(says)


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (int | None, "x", "mine: takes a whole number, and 'x' is none"),
        (Annotated[int, "a note"], "x", "mine: takes a whole number, and 'x' is none"),
        (Annotated[int, msgspec.Meta(gt=0)], 0, "mine: Expected `int` >= 1"),
        (dict[str, int], "x", "mine: Expected `object`, got `str`"),
    ],
)
def test_kinds_of_a_programs_own_are_told_as_far_as_we_have_words(kind: Any, value: Any, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        convert("mine", value, kind)
    assert str(raised.value) == says


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("bus:\n  adress: x\n  history: many\nserver:\n  port: -1\n")
    with pytest.raises(ConfigError) as raised:
        Context.from_file(file, environ={})
    assert str(raised.value).splitlines() == [
        f"{file}:2: 'bus.adress' is not a setting; did you mean 'bus.address'?",
        f"{file}:3: bus.history: takes a whole number, and 'many' is none",
        f"{file}:5: server.port: takes a whole number from 0 to 65535, and -1 is none",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"- a\n- b\n", "settings are names with values"),
        (b"just text", "settings are names with values"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"a: &x\n  b: *x\n", "64 levels"),
        (b"a: \x07\n", "special characters are not allowed"),
    ],
)
def test_a_file_that_is_no_settings_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.yaml: .*" + says):
        Context.from_file(path, environ={})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        Context.from_file(tmp_path / "none.yaml")


def test_a_secret_of_the_wrong_kind_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("space:\n  token: 123456789\n")
    with pytest.raises(ConfigError) as caught:
        Context.from_file(path, environ={})
    assert "a.yaml:2: space.token" in str(caught.value)
    assert "123456789" not in str(caught.value)


def test_a_slip_in_code_is_a_warning_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    context = Context({"bus": {"adress": "x"}})
    assert context.get("bus.adress") == "x"
    assert [record.getMessage() for record in caplog.records] == [
        "'bus.adress' is not a setting; did you mean 'bus.address'?"
    ]


@pytest.mark.parametrize(
    "key",
    [
        *DECLARED,
        "bot.store.nme",
        "store.*direct.adress",
        "localized.Hello, bus.adress",
        "process.steps",
        "my.bus.adress",
        "robot.name",
        "buss.address",
        "general.DEBUG",
        "server.trigger",
        "audit.switch.room-1",
        "audit.previous-switch.room-1",
        "fan.room-1",
        "bots.ids",
        "lists",
        "publisher.counter",
        "listener.counter",
        "bus.tls.files",
        "spark.room",
        "bot",
        "",
    ],
)
def test_what_is_known_or_the_programs_own_passes(key: str) -> None:
    assert nearest(key) is None


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("bus.adress", "bus.address"),
        ("bus.Address", "bus.address"),
        ("bus.guarante", "bus.guarantee"),
        ("bus.timeout", "bus.put_timeout"),
        ("bot.banner.tex", "bot.banner.text"),
        ("space.tokn", "space.token"),
        ("server.prot", "server.port"),
        ("instance.folders", "instance.folder"),
    ],
)
def test_a_slip_of_the_pen_is_told_from_what_was_meant(key: str, known: str) -> None:
    assert nearest(key) == known


def test_each_key_has_its_variable() -> None:
    assert variable("bus.put_timeout") == "SHELLBOT_BUS_PUT_TIMEOUT"
    assert len({variable(key) for key in DECLARED}) == len(DECLARED)
    found = read_environment({variable("bus.put_timeout"): "1.5", variable("server.port"): "81", "PATH": "/bin"})
    assert found == {"bus.put_timeout": 1.5, "server.port": 81}


def test_lists_and_booleans_in_the_environment() -> None:
    found = read_environment(
        {"SHELLBOT_SHELL_COMMANDS": "a.b, c.d,", "SHELLBOT_SERVER_DEBUG": "Off", "SHELLBOT_SPACE_PARTICIPANTS": "x@y.z"}
    )
    assert found == {"shell.commands": ["a.b", "c.d"], "server.debug": False, "space.participants": "x@y.z"}


def test_a_variable_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"SHELLBOT_SERVER_PORT: server.port: takes a whole number from 0"):
        read_environment({"SHELLBOT_SERVER_PORT": "http"})


def test_a_slip_in_a_variable_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert read_environment({"SHELLBOT_BUS_ADRESS": "x", "SHELLBOT_RUNTIME": "/x", "SHELLBOT_OWN": "y"}) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "no setting is read from SHELLBOT_BUS_ADRESS; did you mean SHELLBOT_BUS_ADDRESS?"
    ]


def test_defaults_are_of_their_kind_and_documented() -> None:
    for key, setting in DECLARED.items():
        assert setting.doc
        assert len(setting.doc) < 100
        if setting.default is not None:
            assert convert(key, setting.default, setting.kind) == setting.default


@pytest.mark.parametrize(
    ("key", "is_secret"),
    [
        ("space.token", True),
        ("space.audit_token", True),
        ("spark.personal_token", True),
        ("my.api_key", True),
        ("my.secret", True),
        ("my.PASSWORD", True),
        ("bot.name", False),
        ("my.monkey", False),
        ("my.tokens_used", False),
    ],
)
def test_secrets_are_known_by_their_names(key: str, is_secret: bool) -> None:
    assert settings.is_secret(key) is is_secret


def test_nothing_of_a_secret_is_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "a.toml"
    path.write_text('[space]\ntoken = "s3cr3t"\ntoken2 = "x"\n')
    with pytest.raises(ConfigError):
        Context.from_file(path)
    context = Context({"space": {"token": "s3cr3t", "tokn": "s3cr3t"}})
    context.set("space.token", "s3cr3t again")
    context.check("space.token", filter=True)
    assert "s3cr3t" not in caplog.text


def test_every_key_that_the_package_reads_is_declared() -> None:
    sections = {key.partition(".")[0] for key in DECLARED}
    undeclared: dict[str, str] = {}
    for path in Path(settings.__file__).parent.rglob("*.py"):
        for key in _keys_read(ast.parse(path.read_text("utf-8"))):
            is_known = key in DECLARED or key in settings.FREE or settings.is_counter(key)
            if key.partition(".")[0] in sections and not is_known:
                undeclared[key] = path.name
    assert undeclared == {}


def _keys_read(tree: ast.AST) -> Iterator[str]:
    """The texts in ``context.get("a.b")`` and ``helper(context, "a.b")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            owner = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            if any(getattr(part, "id", getattr(part, "attr", "")) == "context" for part in [*owner, *node.args]):
                yield from (
                    part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )
