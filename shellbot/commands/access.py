"""Who may use which command, in which room: decided from the settings ``access.*``. Pure.

Three questions, in this order. Is it an admin? Admins may everything. May this person use the bot here at all, by
``access.rooms``, ``access.people`` and ``access.domains``? And the command: by ``access.commands.KEYWORD`` where that
is set; without it everybody may use what is ordinary, and nobody may administer.

People are told apart by the id that the platform gave, compared exactly, or by their address; never by a name.
"""

from __future__ import annotations

import difflib
import os
import string
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shellbot.context import Context
from shellbot.errors import ConfigError
from shellbot.events import Channel, Person
from shellbot.markup import one_line, plain
from shellbot.settings import convert, declared, nearest
from shellbot.sources import flatten, keys_in
from shellbot.spaces.base import bus_safe
from shellbot.trail import Attempt, Right

SECTION = "access"
LISTS = ("admins", "people", "rooms", "domains")
FAMILIES = ("roles.NAME", "commands.KEYWORD")
_ALONE = f"general.{SECTION}"  # as a section is called that was written as one value
EVERYBODY, ADMINS, NOBODY = "everybody", "admins", "nobody"
WORDS = (EVERYBODY, ADMINS, NOBODY)
DEFAULT, OWNER = "default", "owner"  # what decides where no setting does
# What comes along, whether a bot has it or not.
BUILT_IN = frozenset(
    (
        "*default",
        "*empty",
        "*upload",
        "access",
        "audit",
        "close",
        "echo",
        "help",
        "input",
        "link",
        "pass",
        "poll",
        "sleep",
        "start",
        "step",
        "update",
        "upload",
        "version",
    )
)
# How alike two words must be (difflib ratio) for one to be taken for a slip. A bot has commands that nobody told us of.
_NEAR_COMMAND, _NEAR_ROLE = 0.8, 0.7
# Not str.lower(): that would make the same of a letter and of another one which only looks like it.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, the setting that says so (or ``default`` or ``owner``), and what to tell who may not."""

    is_allowed: bool
    rule: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Subjects:
    """Those whom one rule names. ``words`` is how it is written; ``roles`` are those of them that are roles."""

    words: tuple[str, ...] = ()
    ids: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: Iterable[str], roles: Collection[str] = ()) -> Subjects:
        """Read the words of a rule. What is the name of a role, or one of our own words, is never somebody's id."""
        words = tuple(words)
        domains = [_domain(word) for word in words if _is_domain(word)]
        names = [word for word in words if not _is_domain(word) and word not in roles and word not in WORDS]
        return cls(
            words=words,
            ids=frozenset(names),
            addresses=frozenset(_folded(name) for name in names if "@" in name),
            domains=frozenset(map(_folded, domains)),
            roles=tuple(word for word in words if word in roles),
        )

    def __contains__(self, person: Person) -> bool:
        address = _folded(person.address)
        return (
            person.id in self.ids
            or address in self.addresses
            or ("@" in address and address.rpartition("@")[2] in self.domains)
        )


@dataclass(frozen=True, slots=True)
class Access:
    """The rules. What is None was not set.

    Attributes:
        commands: By keyword, what is written there.
    """

    admins: Subjects = field(default_factory=Subjects)
    people: Subjects | None = None
    rooms: tuple[str, ...] | None = None
    domains: Subjects | None = None
    roles: Mapping[str, Subjects] = field(default_factory=dict)
    commands: Mapping[str, Subjects] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any], commands: Collection[str] = ()) -> Access:
        """The rules of settings under dotted keys; other sections are passed over.

        Args:
            commands: See :func:`mistakes`.

        Raises:
            ConfigError: One cannot be meant as it is written; the text says what is wrong, and names the key.
        """
        for key, text in mistakes(settings, commands):
            raise ConfigError(f"{key}: {text}", key=key)
        lists = {name: _words(settings.get(f"{SECTION}.{name}")) for name in LISTS}
        people, domains = lists["people"], lists["domains"]
        roles = {name: Subjects.of(words) for _, name, words in _family(settings, "roles")}
        return cls(
            admins=Subjects.of(lists["admins"] or ()),
            people=Subjects.of(people) if people is not None else None,
            rooms=lists["rooms"],
            domains=Subjects.of(f"@{_domain(name)}" for name in domains) if domains is not None else None,
            roles=roles,
            commands={name.casefold(): Subjects.of(words, roles) for _, name, words in _family(settings, "commands")},
        )

    @classmethod
    def read(cls, context: Context, commands: Collection[str] = ()) -> Access:
        """The rules of a program, ``$NAME`` looked up in the environment.

        Raises:
            ConfigError: As in :meth:`of`; or a variable is not set: nothing is open to all because a value is missing.
        """
        settings: dict[str, Any] = {}
        section = context.get(SECTION, {})
        written = dict(flatten(section, SECTION)) if isinstance(section, Mapping) else {SECTION: section}
        if (alone := context.get(_ALONE)) is not None:
            written[_ALONE] = alone
        for key in dict.fromkeys([*map(_key, LISTS), *written, *keys_in(os.environ)]):
            if key.partition(".")[0] != SECTION and key != _ALONE:
                continue
            value = context.check(key, filter=True)
            if value is None and key in written:
                raise ConfigError(f"{key}: {written[key]} is not set in the environment", key=key)
            setting = declared(key)
            if value is not None:
                settings[key] = convert(key, value, setting.kind, is_text=isinstance(value, str)) if setting else value
        return cls.of(settings, commands)

    def is_admin(self, person: Person) -> bool:
        """Whether this is one of ``access.admins``."""
        return person in self.admins

    def decide(
        self, person: Person, channel: Channel, keyword: str, right: Right = "use", *, owner: str | None = None
    ) -> Decision:
        """Whether somebody may do this.

        Args:
            keyword: Of the command.
            right: With ``own`` the rule on the command does not count, but that it is the person's own matter, where
                ``owner`` says whose it is.
        """
        shown = f"`{keyword}`"
        if self.is_admin(person):
            return Decision(True, f"{SECTION}.admins")
        if (gate := self.refuses(person, channel)) is not None:
            return gate
        if right == "own":
            if owner in (None, person.id):
                return Decision(True, OWNER if owner else DEFAULT)
            return Decision(False, OWNER, f"{shown}: only who it belongs to can do that, or an admin.")
        allowed = self.commands.get(keyword.casefold())
        if allowed is not None:
            rule = f"{SECTION}.commands.{keyword.casefold()}"
            if EVERYBODY in allowed.words or person in allowed or any(person in self.roles[r] for r in allowed.roles):
                return Decision(True, rule)
            return Decision(False, rule, f"{shown} is for {self._whom(allowed)}. Say `help` for what you can say here.")
        if right == "administer":
            return Decision(False, DEFAULT, self._for_admins(person, shown))
        return Decision(True, DEFAULT)

    def judge(self, attempt: Attempt) -> Decision:
        """:meth:`decide` on what somebody tries."""
        use = attempt.use
        return self.decide(attempt.person, attempt.channel, attempt.keyword, use.right, owner=attempt.owner)

    def refuses(self, person: Person, channel: Channel) -> Decision | None:
        """Why this person may not use the bot here at all; None where that is allowed."""
        if self.is_admin(person):
            return None
        if self.rooms is not None and not channel.is_direct and not self._is_room(channel):
            return Decision(False, f"{SECTION}.rooms", "I take no commands in this room; an admin may let me.")
        gates = {"people": self.people, "domains": self.domains}
        closed = [name for name, gate in gates.items() if gate is not None]
        if closed and not any(gate is not None and person in gate for gate in gates.values()):
            rule = " and ".join(f"{SECTION}.{name}" for name in closed)
            return Decision(False, rule, "I may not take commands from you; an admin may let you in.")
        return None

    def described(self) -> Iterator[str]:
        """The rules in words, a line each; plain text."""
        domains = self.domains.domains if self.domains is not None else ()
        people = [*(self.people.words if self.people else ()), *(f"everybody of {name}" for name in sorted(domains))]
        is_open = self.people is None and self.domains is None
        rooms = "all" if self.rooms is None else _listed(self.rooms) or "none"
        yield f"Admins, who may everything: {_listed(self.admins.words) or 'nobody; name some in access.admins'}."
        yield f"Who may use the bot: {'everybody' if is_open else _listed([*people, ADMINS])}."
        yield f"In which rooms: {rooms}. In direct channels it is always heard."
        for name, role in sorted(self.roles.items()):
            yield f"Role '{one_line(name)}': {_listed(role.words) or 'nobody'}."
        for keyword, allowed in sorted(self.commands.items()):
            words = [word for word in allowed.words if word not in (ADMINS, NOBODY)]
            whom = "everybody who may use the bot" if EVERYBODY in words else _listed([*words, ADMINS])
            yield f"'{one_line(keyword)}': {whom}."
        yield "All other commands: everybody who may use the bot, but what administers: admins."

    def _is_room(self, channel: Channel) -> bool:
        """A room is named by its id on the platform, or by that of its channel."""
        return any(channel.id in (room, bus_safe(room)) for room in self.rooms or ())

    def _whom(self, allowed: Subjects) -> str:
        named = ["those who are named for it"] if allowed.ids or allowed.domains else []
        return _listed([*allowed.roles, *named, ADMINS], last=" and ")

    def _for_admins(self, person: Person, shown: str) -> str:
        if self.admins.words:
            return f"{shown} is for admins. Say `help` for what you can say here."
        named = f"who runs this server can put your id into the setting `{SECTION}.admins`. It is {plain(person.id)}"
        return f"{shown} is for admins, and there are none yet; {named}"


def mistakes(settings: Mapping[str, Any], commands: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """What cannot be meant as it is written: each time the key, and what is wrong with it.

    Args:
        commands: Keywords that are there besides those which come along. A rule for another one is a mistake where it
            is close to one of them; else it may be for a command that only another bot has.
    """
    roles = {name: key for key, name, _ in _family(settings, "roles")}
    for key, value in settings.items():
        is_ours = key.partition(".")[0] == SECTION or key == _ALONE
        if is_ours and declared(key) is None and value not in (None, {}):
            meant = nearest(key)
            hint = f"did you mean '{meant}'?" if meant else f"there are {', '.join(map(_key, (*LISTS, *FAMILIES)))}"
            yield key, f"this is no rule; {hint}"
    for name, key in roles.items():
        if name in WORDS or "@" in name:
            yield key, f"'{name}' is no name for a role; it means something else"
    known = sorted({*BUILT_IN, *(keyword.casefold() for keyword in commands)})
    for key, name, _ in _family(settings, "commands"):
        if name.casefold() not in known and (near := _near(name.casefold(), known, _NEAR_COMMAND)):
            yield key, f"there is no command '{name}'; did you mean '{near}'?"
    written = [*_of_lists(settings), *_family(settings, "roles"), *_family(settings, "commands")]
    for key, _, words in written:
        for word in words:
            if problem := _problem(key, word, roles):
                yield key, problem


def _problem(key: str, word: str, roles: Collection[str]) -> str:
    """What is wrong with one word of a rule, or ``""``."""
    is_for_command = key.startswith(_key("commands."))
    if not word.strip() or word != word.strip():
        return f"{word!r} names nobody"
    if key == _key("rooms"):
        return ""
    domain = _domain(word)
    if "*" in domain:
        return f"'{word}': a '*' stands for nothing but all names of one domain, as in '*@example.com'"
    if (key == _key("domains") or _is_domain(word)) and (not domain or "@" in domain or domain.startswith(".")):
        return f"'{word}' is no domain, such as 'example.com'"
    if not is_for_command and word in (*roles, *WORDS):
        return f"'{word}' means people only below {_key('commands')}; write ids, addresses or domains here"
    if is_for_command and word not in (*roles, *WORDS) and "@" not in word:
        near = _near(word, [*roles, *WORDS], _NEAR_ROLE)
        return f"there is no role '{word}'; did you mean '{near}'?" if near else ""
    return ""


def _key(name: str) -> str:
    return f"{SECTION}.{name}"


def _is_domain(word: str) -> bool:
    return word.startswith(("@", "*@"))


def _domain(word: str) -> str:
    """Without what marks it as one."""
    return word.removeprefix("*").removeprefix("@") if _is_domain(word) else word


def _family(settings: Mapping[str, Any], name: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Key, last part and words of each setting below ``access.NAME``."""
    prefix = f"{SECTION}.{name}."
    return [
        (key, key.removeprefix(prefix), _words(value) or ())
        for key, value in settings.items()
        if key.startswith(prefix) and value is not None
    ]


def _of_lists(settings: Mapping[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(key, name, _words(settings.get(key)) or ()) for name in LISTS for key in [f"{SECTION}.{name}"]]


def _words(value: Any) -> tuple[str, ...] | None:
    """A value as words; None where nothing is set. An empty list is set, and names nobody."""
    if value is None:
        return None
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(str(word) for word in value) if isinstance(value, Iterable) else (str(value),)


def _folded(address: str) -> str:
    return address.translate(_LOWER)


def _near(word: str, known: Iterable[str], cutoff: float) -> str | None:
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def _listed(words: Iterable[str], last: str = ", ") -> str:
    *rest, end = list(map(one_line, words)) or [""]
    return f"{', '.join(rest)}{last}{end}" if rest else end
