"""A context as people knew it in 2017, without its manager process, and what came on top."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot import Context
from shellbot.errors import ConfigError

METHODS = ["fork", "spawn", "forkserver"]

# Forking while another test's thread runs is what is tested here, not a mistake.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
NESTED = {
    "spark": {"room": "title", "participants": ["a@example.com", "b@example.com"]},
    "DEBUG": True,
    "server": {"port": 80, "url": "http://www.example.com/"},
    "bot.store": {"planets": ["Uranus", "Mercury"]},
    "bot": {"banner": {"text": "Hello, I am {}", "content": None}},
}


@pytest.fixture
def no_variable(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("FUZZY", raising=False)
    return "$FUZZY"


# -- as in 2017 -----------------------------------------------------------------------------------------------------


def test_nested_settings_are_flat_at_every_depth() -> None:
    context = Context(NESTED)
    assert context.get("general.DEBUG") is True
    assert context.get("spark.room") == "title"
    assert context.get("server.port") == 80
    assert context.get("bot.store.planets") == ["Uranus", "Mercury"]
    assert context.get("bot.banner.text") == "Hello, I am {}"


def test_get_above_other_keys_gives_them_as_a_dict() -> None:
    context = Context(NESTED)
    assert context.get("bot.store") == {"planets": ["Uranus", "Mercury"]}
    assert context.get("bot") == {"store": {"planets": ["Uranus", "Mercury"]}, "banner": {"text": "Hello, I am {}"}}
    context.increment("publisher.counter")
    assert context.get("publisher") == {"counter": 1}
    context.set("general.switch", "on")
    assert context.get("general") == {"DEBUG": True, "switch": "on"}


def test_get_gives_the_default_for_what_is_absent_or_none() -> None:
    context = Context(NESTED)
    assert context.get("hello") is None
    assert context.get("hello", "whatever") == "whatever"
    assert context.get("bot.banner.content", "else") == "else"
    assert context.get("general.switch") is None
    assert context.get("general.switch", "on") == "on"
    context.set("special", None)
    assert context.get("special", []) == []
    for value in (0, False, "", [], {}):
        context.set("special", value)
        assert context.get("special", "default") == value


def test_has_looks_at_whole_names() -> None:
    context = Context({"spaceship": {"title": "Rocket"}, "bot": {"banner": {"text": "x"}, "name": None}})
    assert not context.has("space")
    assert context.has("spaceship")
    assert context.has("bot.banner")
    assert not context.has("bot.name")
    assert not context.has(".title")
    assert not context.has("")


def test_clear_and_is_empty() -> None:
    context = Context()
    assert context.is_empty
    for change in (
        lambda: context.set("hello", "world"),
        lambda: context.increment("gauge"),
        lambda: context.set("general.switch", "on"),
        lambda: context.apply(NESTED),
    ):
        change()
        assert not context.is_empty
        context.clear()
        assert context.is_empty
        assert context.get("gauge") is None


def test_set_replaces_a_section_and_apply_adds_to_it() -> None:
    context = Context({"a": {"b": 1, "c": {"d": 2}}})
    context.apply({"a": {"c": {"e": 3}}})
    assert context.get("a") == {"b": 1, "c": {"d": 2, "e": 3}}
    context.set("a", {"f": 4})
    assert context.get("a") == {"f": 4}
    assert context.get("a.b") is None
    context.set("a", {})
    assert context.get("a") == {}
    context.set("a.g", 5)
    assert context.get("a") == {"g": 5}
    context.set("h", 1)
    context.apply({"h": {"i": 2}})
    assert context.get("h") == {"i": 2}


def test_check_fills_in_a_default_and_leaves_a_value() -> None:
    context = Context({"spark": {"room": "title"}})
    for default in ([], {}, "*born", 0, False):
        context.set("spark.absent", None)
        assert context.check("spark.absent", default=default) == default
        assert context.get("spark.absent") == default
    context.check("spark.room", default="another", is_mandatory=True)
    assert context.get("spark.room") == "title"
    context.check("spark.nothing")
    assert not context.has("spark.nothing")


def test_check_raises_key_error_for_what_is_missing() -> None:
    context = Context()
    with pytest.raises(KeyError, match=r"missing 'spark.unknown'.*SHELLBOT_SPARK_UNKNOWN"):
        context.check("spark.unknown", is_mandatory=True)
    with pytest.raises(KeyError):
        context.check("spark.unknown", validate=lambda line: True)
    with pytest.raises(KeyError):
        context.check("spark.unknown", is_mandatory=True, filter=True)
    context.check("spark.unknown", filter=True)
    context.check("spark.unknown", default="x", is_mandatory=True)


def test_check_raises_value_error_for_what_is_not_valid() -> None:
    context = Context({"spark": {"webhook": "http://example.com", "token": "hkNWEtMJNkODk3ZDZLOGQ0OVGl"}})
    context.check("spark.webhook", validate=lambda line: line.startswith("http"))
    with pytest.raises(ValueError, match=r"spark.webhook"):
        context.check("spark.webhook", validate=lambda line: line.startswith("https"))
    with pytest.raises(ConfigError) as caught:
        context.check("spark.token", validate=lambda line: len(line) == 32)
    assert "hkNW" not in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "default", "environment", "expected"),
    [
        ("$FUZZY", None, None, None),
        ("$FUZZY", None, "", ""),
        ("$FUZZY", None, "hello", "hello"),
        ("$FUZZY", "hello there", None, "hello there"),
        ("$FUZZY", "unused", "", ""),
        ("$FUZZY", "unused", "hello", "hello"),
        (None, "$FUZZY", "hello", "hello"),
        ("$FUZZY", "$FUZZY", "hello", "hello"),
        ("$FUZZY", "$FUZZY", None, None),
        ("as it is", "unused", "hello", "as it is"),
        (42, None, None, 42),
        (["$FUZZY"], None, None, ["$FUZZY"]),
    ],
)
def test_check_with_filter_looks_into_the_environment(
    monkeypatch: pytest.MonkeyPatch, stored: Any, default: Any, environment: str | None, expected: Any
) -> None:
    monkeypatch.delenv("FUZZY", raising=False)
    if environment is not None:
        monkeypatch.setenv("FUZZY", environment)
    context = Context({"spark": {"fuzzy_token": stored}})
    context.check("spark.fuzzy_token", default=default, filter=True)
    assert context.get("spark.fuzzy_token") == expected


def test_without_filter_a_reference_stays_as_it_is(no_variable: str) -> None:
    context = Context({"spark": {"fuzzy_token": no_variable}})
    context.check("spark.fuzzy_token", default="hello", is_mandatory=True)
    assert context.get("spark.fuzzy_token") == no_variable


def test_an_unknown_variable_is_a_warning(caplog: pytest.LogCaptureFixture, no_variable: str) -> None:
    context = Context({"bot": {"name": no_variable}, "space": {"token": "$ecret"}})
    context.check("bot.name", filter=True)
    context.check("space.token", filter=True)
    assert [record.getMessage() for record in caplog.records] == [
        "'bot.name' is $FUZZY, which is not set in the environment",
        "'space.token' is ***, which is not set in the environment",
    ]


def test_the_filter_alone(no_variable: str) -> None:
    assert Context._filter(no_variable) is None
    assert Context._filter(None) is None
    assert Context._filter("") == ""
    assert Context._filter("plain") == "plain"


def test_a_filter_of_ones_own() -> None:
    context = Context({"my.var": "my value"}, filter=lambda value, default: value + "...")
    context.check("my.var", filter=True)
    assert context.get("my.var") == "my value..."


def test_a_gauge_goes_up_and_down() -> None:
    context = Context()
    assert context.increment("gauge") == 1
    assert context.decrement("gauge", 2) == -1
    context.set("gauge", "world")
    assert context.get("gauge") == "world"
    assert context.decrement("gauge") == -1
    context.set("gauge", 123)
    assert context.get("gauge") == 123
    assert context.increment("gauge", 4) == 127
    context.set("gauge", None)
    assert context.get("gauge", "none") == "none"
    assert context.increment("gauge") == 1
    context.apply({"other": {"gauge": 40}})
    assert context.increment("other.gauge", 2) == 42
    assert context.get("other") == {"gauge": 42}


def test_a_gauge_past_64_bits_is_refused_and_stays() -> None:
    context = Context({"big": {"plain": 2**70}})
    assert context.get("big.plain") == 2**70
    with pytest.raises(ConfigError, match="64 bits"):
        context.increment("big.plain")
    assert context.get("big.plain") == 2**70
    context.set("gauge", 2**63 - 2)
    assert context.increment("gauge") == 2**63 - 1
    with pytest.raises(ConfigError, match="64 bits"):
        context.set("gauge", 2**64)
    assert context.get("gauge") == 2**63 - 1


@pytest.mark.parametrize("settings", [["a"], "text", 3])
def test_what_is_no_mapping_is_refused(settings: Any) -> None:
    with pytest.raises(ConfigError, match="names with values"):
        Context(settings)


def test_the_switch_is_a_word() -> None:
    context = Context({"general": {"switch": True}})  # as YAML reads 'switch: on'
    assert context.get("general.switch") == "on"
    context.set("general.switch", False)
    assert context.get("general.switch") == "off"
    with pytest.raises(ConfigError, match="a word"):
        context.increment("general.switch")
    for wrong in (1, "a longer word", ""):
        with pytest.raises(ConfigError, match="'on', 'off'"):
            context.set("general.switch", wrong)
    context.set("general.switch", None)
    assert context.get("general.switch") is None


def test_set_logger_replaces_handlers() -> None:
    program = "from shellbot import Context; import logging; Context.set_logger(logging.INFO); logging.info('heard')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=15, check=True)
    assert "heard" in done.stderr


def test_a_mapping_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(ConfigError, match="64 levels"):
        Context({"a": endless})


# -- flattening -----------------------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=8)
leaves = st.one_of(st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=3), st.just({}))
trees = st.recursive(leaves, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=4), max_leaves=12)
sections = st.dictionaries(names.map("x".__add__), st.dictionaries(names, trees, min_size=1, max_size=4), max_size=4)


@given(sections)
def test_what_is_applied_is_given_back(settings: dict[str, Any]) -> None:
    context = Context(settings)

    def compare(key: str, value: Any) -> None:
        assert context.get(key) == value
        assert context.has(key)
        if isinstance(value, dict):
            for name, inner in value.items():
                compare(f"{key}.{name}", inner)

    for name, section in settings.items():
        compare(name, section)
    again = Context({name: context.get(name) for name in settings})
    assert again.masked() == context.masked()


@given(sections, sections)
def test_what_is_applied_last_holds(first: dict[str, Any], second: dict[str, Any]) -> None:
    context = Context(first)
    context.apply(second)
    for key, value in Context(second).masked().items():
        if value != {}:
            assert context.masked()[key] == value


# -- sharing --------------------------------------------------------------------------------------------------------


def work(pipe: Connection, context: Context) -> None:
    context.set("publisher.counter", 0)
    pipe.send((context.get("bus.address"), context.get("general.switch")))
    pipe.recv()
    context.increment("publisher.counter", 3)
    context.set("bus.address", "changed here")
    pipe.send((context.get("bus.address"), context.get("general.switch")))


@pytest.mark.parametrize("method", METHODS)
def test_the_switch_and_counters_are_shared_and_the_rest_is_a_snapshot(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    context = Context({"general": {"switch": "on"}, "bus": {"address": "before"}})
    multi = multiprocessing.get_context(method)
    here, there = multi.Pipe()
    child = multi.Process(target=work, args=(there, context), daemon=True)
    child.start()
    try:
        assert here.recv() == ("before", "on")
        assert context.get("publisher.counter") == 0  # in force although nothing was counted yet

        context.set("bus.address", "after")
        context.set("bot.name", "Shelly")
        context.set("general.switch", "off")
        context.increment("publisher.counter")
        here.send("go")

        assert here.recv() == ("changed here", "off")
        assert context.get("publisher.counter") == 4
        assert context.get("bus.address") == "after"
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
            "'bus.address' was set after a process was started with these settings; it will not see that"
        ]
    finally:
        child.kill()
        child.join()
        child.close()
        here.close()
        there.close()


def test_nothing_is_said_when_no_process_was_started(caplog: pytest.LogCaptureFixture) -> None:
    context = Context()
    context.set("bus.address", "tcp://127.0.0.1:5556")
    subprocess.run([sys.executable, "-c", ""], check=True, timeout=15)
    context.set("bus.address", "tcp://127.0.0.1:5557")
    assert caplog.records == []


def test_setting_the_same_value_again_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    context = Context({"bus": {"address": "tcp://127.0.0.1:5556"}})
    pickle.dumps(context)
    context.set("bus.address", "tcp://127.0.0.1:5556")
    context.check("bus.slow", "block")
    assert caplog.records == []


def test_a_part_for_a_child_has_no_secrets_and_the_same_cells() -> None:
    context = Context({"general": {"switch": "on"}, "bus": {"address": "x"}, "space": {"token": "secret"}})
    part = pickle.loads(pickle.dumps(context.only("bus", "general")))
    assert part.get("bus.address") == "x"
    assert not part.has("space")
    part.set("general.switch", "off")
    assert part.increment("gauge") == 1
    assert context.get("general.switch") == "off"
    assert context.get("gauge") == 1


def test_a_pickled_context_does_not_hold_the_file(tmp_path: Any) -> None:
    assert len(pickle.dumps(Context())) < 500


# -- typed ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BusSettings:
    address: str
    put_timeout: float
    slow: Literal["block", "disconnect", "drop"]


@dataclass(frozen=True, slots=True)
class OwnSettings:
    size: int
    label: str | None
    title: str = field(default="Rocket", metadata={"key": "fleet.title"})
    people: list[str] = field(default_factory=list)
    is_fast: bool = False


def test_a_room_reads_its_settings_once_typed() -> None:
    assert Context().read(BusSettings, "bus") == BusSettings("tcp://127.0.0.1:5555", 5.0, "block")
    context = Context({"bus": {"address": "memory://", "put_timeout": 1, "slow": "drop"}})
    assert context.read(BusSettings, "bus") == BusSettings("memory://", 1.0, "drop")


def test_a_program_reads_its_own_settings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context({"rocket": {"size": 3, "label": "$LABEL"}, "fleet": {"title": "Comet"}})
    monkeypatch.setenv("LABEL", "a label")
    monkeypatch.setenv("SHELLBOT_ROCKET_PEOPLE", "a, b")
    monkeypatch.setenv("SHELLBOT_ROCKET_IS_FAST", "on")
    assert context.read(OwnSettings, "rocket") == OwnSettings(3, "a label", "Comet", ["a", "b"], True)
    with pytest.raises(ConfigError, match=r"missing 'raft.size'"):
        context.read(OwnSettings, "raft")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bus": {"slow": "dorp"}}, "bus.slow: takes block, disconnect or drop, and 'dorp' is none of them"),
        ({"bus": {"put_timeout": -1}}, "bus.put_timeout: takes a number from 0, and -1 is none"),
        ({"bus": {"put_timeout": "soon"}}, "bus.put_timeout: takes a number from 0, and 'soon' is none"),
        ({"bus": {"address": {"host": "x"}}}, "bus.address: takes a text, and a section is none"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Context(settings).read(BusSettings, "bus")


def test_the_environment_speaks_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELLBOT_BUS_ADDRESS", "tcp://127.0.0.1:6000")
    monkeypatch.setenv("SHELLBOT_BUS_PUT_TIMEOUT", "2.5")
    assert Context().read(BusSettings, "bus") == BusSettings("tcp://127.0.0.1:6000", 2.5, "block")
    assert Context().check("bus.address", "default") == "tcp://127.0.0.1:6000"
    assert Context({"bus.address": "memory://"}).check("bus.address", "default") == "memory://"
    assert Context().is_empty


# -- what is shown --------------------------------------------------------------------------------------------------


def test_secrets_are_never_shown() -> None:
    secrets = ["s3cr3t-a", "s3cr3t-b", "s3cr3t-c", "s3cr3t-d", "s3cr3t-e", "s3cr3t-f", "s3cr3t-g"]
    context = Context(
        {
            "space": {"token": secrets[0], "audit_token": secrets[1]},
            "spark": {"personal_token": secrets[2], "api-key": secrets[5]},
            "bus": {"address": f"nats://user:{secrets[3]}@host:4222"},
            "my": {"store": [{"password": secrets[4]}], "hook": f"https://x.example/?a=1&token={secrets[6]}&b=2"},
            "bot": {"name": "Shelly"},
        }
    )
    shown = repr(context) + repr(context.masked())
    assert not [secret for secret in secrets if secret in shown]
    assert "nats://***@host:4222" in shown
    assert "token=***&b=2" in shown
    assert "Shelly" in shown
    assert context.get("space.token") == secrets[0]
