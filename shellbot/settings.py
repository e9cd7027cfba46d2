"""Settings: each key that shellbot reads, with its type, default, whether it is a secret, and a line of doc.

A key stands in one section, the part before the first dot. In a section declared here a name close to a known one is
taken for a slip of the pen (:func:`nearest`). Everything else is the program's own and passes: other sections, the free
keys below, and names in our sections that look like nothing we know.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from shellbot.errors import ConfigError

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Size = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
# Links begin with it, so that one which is none leads nowhere.
PublicUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^((?i:https?)://[^\s/?#]+(/[^\s?#]*)?)?\Z", description="an address such as https://chat.example.com"
    ),
]


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared key.

    Attributes:
        kind: Type of the value, as msgspec knows types; Any where it is the program's own.
        default: What a room reads when nothing is said; None means that there is none.
        is_secret: Never shown, neither in a repr nor in a log.
        doc: One line for ``shellbot config`` and the pages.
        is_bare_wrong: Written down without a value it is a mistake: who did that did not mean that nothing is set.
    """

    key: str
    kind: Any
    default: Any
    doc: str
    is_secret: bool = False
    is_bare_wrong: bool = False


_DECLARED = (
    Setting("general.switch", str, None, "'on' while the program runs; background processes end when it is 'off'"),
    Setting("bus.address", str, "tcp://127.0.0.1:5555", "where the bus is: tcp://, ipc:// or memory://"),
    Setting("bus.guarantee", Literal["fast", "replay", "log", "once"], "replay", "what the bus promises"),
    Setting("bus.put_timeout", Seconds, 5.0, "seconds that put() waits before it raises QueueFull"),
    Setting("bus.linger", Seconds, 2.0, "seconds a stopping publisher waits for readers that take nothing"),
    Setting("bus.slow", Literal["block", "disconnect", "drop"], "block", "what happens to a reader that is too slow"),
    Setting("bus.slow_grace", Seconds, 0.005, "seconds a slow reader is given before it is disconnected"),
    Setting("bus.history", int, 16 * 1024 * 1024, "bytes of past messages that can be replayed"),
    Setting("bus.room", int, 1000, "messages that a reader's connection takes in before they are read"),
    Setting("bus.exact_gaps", bool, False, "whether a gap says exactly how many messages are gone (costs speed)"),
    Setting("bus.probe", Seconds, 0.5, "seconds of silence before a reader asks whether the bus is there; 0 never"),
    Setting("bot.id", str, None, "the bot's own id, filled in by the space"),
    Setting("bot.name", str, "Shelly", "the name people call the bot by"),
    Setting("bot.address", str, None, "the bot's address on its platform, filled in by the space"),
    Setting("bot.version", str, None, "what the command 'version' says"),
    Setting("bot.banner.text", str, None, "said when the bot comes into a channel; {} becomes its name"),
    Setting("bot.banner.content", str, None, "the same in markdown"),
    Setting("bot.banner.file", str, None, "a file or link shown with the banner"),
    Setting("bot.on_enter", str, None, "said when the bot comes in and there is no banner"),
    Setting("bot.on_exit", str, None, "said when the bot leaves"),
    Setting("bot.burst", Count, 200, "lines somebody may say to the bot without a pause until it is silent; 0: any"),
    Setting("shell.commands", list[str], [], "modules of commands to load besides those that come along"),
    Setting("space.type", str, "web", "where people chat: web, console, memory or webex"),
    Setting("space.title", str, None, "title of the group channel"),
    Setting("space.room", str, None, "title of the group channel on Webex, as of 2017"),
    Setting("space.participants", list[str] | str, None, "who is invited into the group channel"),
    Setting("space.team", str, None, "team that the group channel belongs to"),
    Setting("space.token", str, None, "token of the bot on its platform", is_secret=True),
    Setting("space.audit_token", str, None, "token of the person on whose behalf a channel is audited", is_secret=True),
    Setting("webex.api_url", str, "https://webexapis.com/v1/", "where Webex is; another for tests and proxies"),
    Setting(
        "webex.way",
        Literal["webhook", "polling", "websocket"],
        None,
        "how messages come in; webhook where server.public_url is set, else polling",
    ),
    Setting(
        "webex.catalog_url",
        str,
        "https://u2c.wbx2.com/u2c/api/v1/catalog?format=hostmap",
        "where the websocket way begins; on a host of Webex",
    ),
    Setting("webex.poll_every", Seconds, 2.0, "seconds between two looks for messages, when polling"),
    Setting("webex.parallel", Size, 20, "calls to Webex at once"),
    Setting("webex.bots", list[str], [], "ids or addresses of other bots that are listened to; none by default"),
    Setting("server.address", str, "127.0.0.1", "address that the web server listens on"),
    Setting("server.port", Port, 8080, "first port that it tries"),
    Setting("server.public_url", PublicUrl, None, "address under which others reach it"),
    Setting("server.private", bool, False, "whether one comes in by a join link only"),
    Setting("server.new_rooms", bool, True, "whether people may make further rooms in the web chat"),
    Setting("server.url", str, None, "the same, as of 2017"),
    Setting("server.hook", str, "/hook", "path for what a platform posts"),
    Setting("server.binding", str, None, "as of 2017: when set, a web server is started"),
    Setting("server.debug", bool, False, "say more in the log"),
    Setting("files.max_bytes", Size, 10_000_000, "most bytes of one file that goes with a message"),
    Setting("files.max_count", Count, 10, "most files of one message; 0 takes none"),
    Setting("files.total_bytes", Size, 1_000_000_000, "most bytes of files that this server keeps in all"),
    Setting("instance.folder", str, None, "folder of this server: its store, keys and instance.json"),
    Setting("sqlite.db", str, "store.db", "file of the store, in the folder of the instance"),
    Setting("file.updater.path", str, "/var/log/shellbot.log", "file that an audited channel is copied to"),
    Setting("elasticsearch.updater.host", str, "localhost:9200", "index that an audited channel is copied to"),
    *(
        Setting(f"access.{name}", list[str], None, doc, is_bare_wrong=True)
        for name, doc in (
            ("admins", "ids or addresses of those who may everything"),
            ("people", "ids or addresses of those who may use the bot; everybody if not set"),
            ("domains", "domains whose people may use the bot, besides access.people"),
            ("rooms", "ids of the rooms where the bot takes commands; all if not set"),
        )
    ),
    Setting("polls.timezone", str, None, "zone of times in polls, e.g. Europe/Paris; the machine's by default"),
    Setting("retention.days", Size, None, "days after which votes, events and the web chat's history are forgotten"),
    Setting("listener.lock", str, "off", "'on' while no message is handled"),
    Setting("vacuum.stamp", Any, None, "when housekeeping was last done"),
    Setting("audit.has_been_armed", bool, False, "whether channels can be audited"),
)
DECLARED: Mapping[str, Setting] = {setting.key: setting for setting in _DECLARED}

# Keys whose last part is up to the program.
FAMILIES = tuple(
    Setting(key, list[str] | str, None, doc, is_bare_wrong=True)
    for key, doc in (
        ("access.roles.", "ids, addresses or domains (@example.com) of who has this role"),
        ("access.commands.", "who may use this command: roles, ids, addresses, domains, everybody or nobody"),
    )
)

# Under these a program keeps what it likes: bot.store and store.<id> are copied into the stores of bots,
# localized.<text> translates, the others are per channel.
FREE = ("bot.store", "store", "localized", "audit.switch", "audit.previous-switch", "fan", "bots", "lists", "process")

# Environment variables that begin like settings and are none.
ENVIRONMENT = frozenset({"SHELLBOT_CRASH_AT", "SHELLBOT_RUNTIME", "SHELLBOT_TEST_ALL"})

MASK = "***"
_SECTIONS = frozenset(key.partition(".")[0] for key in DECLARED)
_CLOSE = 0.7
_LONGEST_SHOWN = 60  # characters of a value in a message
_SECRET = re.compile(r"(^|[._-])(token|secret|password|passwd|passphrase|credentials?|keys?)$", re.IGNORECASE)
_IN_URL = re.compile(r"(://)[^/@\s]+(?=@)|([?&](?:\w*token|\w*secret|password|\w*key|sig\w*)=)[^&#\s]+", re.IGNORECASE)
_SWITCHES = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}


def declared(key: str) -> Setting | None:
    """What is declared for a key, by itself or as one of a family such as ``access.roles.NAME``."""
    if key in DECLARED:
        return DECLARED[key]
    return next((family for family in FAMILIES if key.startswith(family.key) and key != family.key), None)


def is_counter(key: str) -> bool:
    """Whether this is one of the counters of work done: ``publisher.counter`` and its like. They are always shared."""
    return key.endswith(".counter")


def is_secret(key: str) -> bool:
    """Whether the value of this key is not to be seen: declared so, or its last word is token, password and so on."""
    setting = declared(key)
    return bool(_SECRET.search(key)) if setting is None else setting.is_secret


def masked(key: str, value: Any) -> Any:
    """The value as it may be shown: secrets, and what stands for a password in an address, as ``***``."""
    if value is None or value == "":
        return value
    if is_secret(key):
        return MASK
    if isinstance(value, str):
        return _IN_URL.sub(lambda found: (found[1] or found[2]) + MASK, value)
    if isinstance(value, Mapping):
        return {name: masked(f"{key}.{name}", item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(key, item) for item in value]
    return value


def nearest(key: str) -> str | None:
    """The known key that was probably meant by one that is not known, or None when it seems to be meant as it is."""
    section, _, name = key.partition(".")
    if declared(key) or section not in _SECTIONS or is_counter(key):
        return None
    if any(key == free or key.startswith(free + ".") for free in FREE):
        return None
    head, _, rest = name.partition(".")
    heads = [family.key.split(".")[1] for family in FAMILIES if rest and family.key.startswith(section + ".")]
    if families := difflib.get_close_matches(head.lower(), heads, n=1, cutoff=_CLOSE):
        return f"{section}.{families[0]}.{rest}"
    # A key above known ones is a section written as one value, which is another mistake.
    names = {known[len(section) + 1 :].lower(): known for known in DECLARED if known.startswith(section + ".")}
    found = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1, cutoff=_CLOSE)
    return names[found[0]] if found else None


def section_keys(name: str) -> list[str]:
    """The known keys of the section of this name; none where it is no section."""
    return [known for known in DECLARED if known.startswith(f"{name}.")] if name in _SECTIONS else []


def variable(key: str) -> str:
    """The environment variable that stands for a key: ``SHELLBOT_BUS_PUT_TIMEOUT`` for ``bus.put_timeout``."""
    return "SHELLBOT_" + re.sub(r"\W", "_", key).upper()


def in_family(name: str) -> str | None:
    """The key in a family that a variable stands for: ``access.roles.leads`` for ``SHELLBOT_ACCESS_ROLES_LEADS``."""
    for family in FAMILIES:
        beginning = variable(family.key)
        if name.startswith(beginning) and name != beginning:
            return family.key + name.removeprefix(beginning).lower()
    return None


def unset(reference: str) -> str:
    """What is wrong with ``$NAME`` where there is no such variable."""
    return f"{reference} is not set in the environment; set it, or write the value itself"


def convert(key: str, value: Any, kind: Any, *, is_text: bool = False) -> Any:
    """Make a value one of this kind.

    Args:
        is_text: It comes from the environment: a number or a boolean is then read from it, a list at its commas.

    Raises:
        ConfigError: It is of another kind, or out of range. The text shows a short value, and nothing of a secret.
    """
    if is_text and isinstance(value, str):
        value = _from_text(value, kind)
    try:
        return msgspec.convert(value, kind, strict=not is_text)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{key}: {_refusal(key, value, kind) or error}", key=key) from None


def _from_text(text: str, kind: Any) -> Any:
    if kind is bool:
        return _SWITCHES.get(text.strip().lower(), text)
    if getattr(kind, "__origin__", None) is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _refusal(key: str, value: Any, kind: Any) -> str:
    """What a setting takes, and what it was given instead; ``""`` for a kind that is not one of a setting."""
    wanted, is_choice = _wanted(kind), typing.get_origin(kind) is Literal
    if not wanted:
        return ""
    items = [item for item in value if not isinstance(item, str)] if isinstance(value, list) else []
    if items and _wanted(list[str]) in wanted:
        return f"takes {wanted}, and {_given(key, items[0])} in it is no text; put it in quotes"
    none = "neither" if kind is bool else "none of them" if is_choice else "none"
    hint = "; put it in quotes" if kind is str and isinstance(value, int | float) else ""
    return f"takes {wanted}, and {_given(key, value)} is {none}{hint}"


def _wanted(kind: Any) -> str:
    """A kind of value in words, with its article."""
    origin, parts = typing.get_origin(kind), [part for part in typing.get_args(kind) if part is not type(None)]
    if origin is Literal:
        return _either([str(part) for part in parts])
    if origin is list:
        return "a list of texts" if parts == [str] else "a list"
    if origin in (typing.Union, types.UnionType):
        found = [_wanted(part) for part in parts]
        return _either(found) if all(found) else ""
    if origin is Annotated:
        meta = next((part for part in parts if isinstance(part, msgspec.Meta)), msgspec.Meta())
        if meta.description:
            return meta.description
        least, most = meta.ge, meta.le
        if meta != msgspec.Meta(ge=least, le=most):
            return ""
        span = "" if least is None else f" from {least}" if most is None else f" from {least} to {most}"
        return f"{_wanted(parts[0])}{span}"
    return {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "")


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _given(key: str, value: Any) -> str:
    if is_secret(key):
        return "what it was given"
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    shown = repr(masked(key, value))
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 4]}...'"
