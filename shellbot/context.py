"""Context: settings under dotted keys, read by every room at start; a switch and counters are shared by processes.

Shared are ``general.switch`` and every integer changed by ``increment`` or ``decrement``, or whose name ends in
``.counter``: all processes that have this context see one value, under fork, spawn and forkserver
(:mod:`shellbot.cells`). All other keys are a snapshot, taken when a child process starts.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from shellbot.cells import Cells, switch_word
from shellbot.errors import ConfigError
from shellbot.settings import DECLARED, convert, is_counter, masked, nearest, unset, variable
from shellbot.sources import flatten, from_environment, full_keys, is_reference, read_environment, read_file

logger = logging.getLogger(__name__)

T = TypeVar("T")
SWITCH = "general.switch"
_ON = switch_word("on")
_OFF = switch_word("off")


class Context:
    """Settings of one program.

    Args:
        settings: Nested or dotted, e.g. ``{"bus": {"address": "tcp://127.0.0.1:5555"}}``. A name at the top that is
            neither dotted nor holds a mapping is a general one: ``{"debug": True}`` is ``general.debug``.
        filter: What ``check(key, filter=True)`` does to a value, called with the value and the default. Without it,
            ``$NAME`` is looked up in the environment.

    Raises:
        ConfigError: There is no room for the file of shared cells, or settings nest too deep.

    Runs in: any process and thread.
    Source: shellbot 2017, whose manager process it does without.
    """

    def __init__(
        self, settings: Mapping[str, Any] | None = None, filter: Callable[[Any, Any], Any] | None = None
    ) -> None:
        self.filter = filter or self._filter
        self._begin({}, Cells())
        if settings:
            self.apply(settings)

    def _begin(self, values: dict[str, Any], cells: Cells) -> None:
        self._values = values
        self._cells = cells
        self._words = cells.words
        self._branches: tuple[int, frozenset[str]] | None = None
        self._has_told = False

    @classmethod
    def from_file(cls, path: str | Path, *, environ: Mapping[str, str] | None = None) -> Context:
        """Settings of a YAML or TOML file, and over them those of the environment (``SHELLBOT_BUS_ADDRESS``).

        Args:
            environ: Used in place of ``os.environ``.

        Raises:
            ConfigError: The file cannot be used; the text names file and line.
        """
        context = cls()
        context.apply_file(path)
        context.apply_environment(environ)
        return context

    def apply_file(self, path: str | Path) -> None:
        """Add the settings of a YAML or TOML file.

        Raises:
            ConfigError: The file cannot be used, and nothing is taken over; the text names file and line.
        """
        self.apply(read_file(path).settings)

    def apply_environment(self, environ: Mapping[str, str] | None = None) -> None:
        """Take over what ``SHELLBOT_...`` variables say for the keys of :mod:`shellbot.settings`.

        Raises:
            ConfigError: One cannot be read as what its key wants; nothing is taken over then.
        """
        self.apply(read_environment(os.environ if environ is None else environ))

    # -- as in 2017 ---------------------------------------------------------------------------------------------

    def apply(self, settings: Mapping[str, Any] | None = None) -> None:
        """Add settings to those that are there. A key close to one of ours is kept and logged as a warning.

        Raises:
            ConfigError: This is no mapping, or nests too deep; nothing is taken over.
        """
        leaves = full_keys({} if settings is None else settings)
        with self._cells.lock:
            for key, value in leaves.items():
                known = nearest(key)
                if known:
                    logger.warning("'%s' is not a setting; did you mean '%s'?", key, known)
                for above in _above(key):
                    # What was one value is a section now.
                    self._values.pop(above, None)
                self._write(key, value)

    def clear(self) -> None:
        """Forget all keys; shared ones, for all processes."""
        with self._cells.lock:
            self._values.clear()
            self._branches = None
            self._cells.switch = None
            for name in self._cells.names():
                self._cells.store(name, None)

    @property
    def is_empty(self) -> bool:
        """Whether no key has a value."""
        return not (self._values or self._words[0] or self._cells.names())

    def check(
        self,
        key: str,
        default: Any = None,
        is_mandatory: bool = False,
        validate: Callable[[Any], object] | None = None,
        filter: bool = False,
    ) -> Any:
        """Make sure of one setting before it is used. Where it is absent, the environment is asked, then the default.

        Args:
            default: Kept as the value when there is none.
            is_mandatory: Without a value and a default, raise KeyError.
            validate: Called with the value; False raises ValueError. Implies ``is_mandatory``.
            filter: Put the value through the context's filter and keep what comes out.

        Returns:
            The value now in the context, or None.

        Raises:
            KeyError: No value.
            ConfigError: A ValueError: the value is not valid.
        """
        found = self.get(key)
        value = found
        if value is None:
            value = from_environment(key, os.environ)
        if value is None:
            value = default
        if value is None and (is_mandatory or validate):
            raise KeyError(f"missing '{key}' in the settings; give it a value or set {variable(key)}")
        if validate and validate(value) is False:
            raise ConfigError(f"invalid value for '{key}' in the settings", key=key)
        if filter:
            value = self._filtered(key, value, default)
        if value is not found:
            with self._cells.lock:
                self._write(key, value, is_told=False)
        return value

    @classmethod
    def _filter(cls, value: Any, default: Any = None) -> Any:
        """``$NAME`` from the environment, else the default, which may be a ``$NAME`` too; None when nobody knows."""
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        for candidate in (value, default):
            is_name = isinstance(candidate, str) and candidate.startswith("$")
            found = os.environ.get(candidate[1:]) if is_name else candidate
            if found is not None:
                return found
        return None

    def _filtered(self, key: str, value: Any, default: Any = None) -> Any:
        found = self.filter(value, default)
        if found is None and value is not None:
            # A password may begin with '$' too: masked, not shown.
            logger.warning("'%s' is %s, which is not set in the environment", key, masked(key, value))
        return found

    def look_up(self) -> None:
        """Put in the place of ``$NAME`` what it stands for, in each setting that shellbot knows.

        Secrets stay as they are: who uses one looks it up, and a password may begin with ``$``.

        Raises:
            ConfigError: The variable is not set, or holds what this setting does not take.
        """
        for key, setting in DECLARED.items():
            value = self._values.get(key)
            if setting.is_secret or not isinstance(value, str) or not is_reference(value):
                continue
            found = self.filter(value, None)
            if found is None:
                raise ConfigError(f"{key}: {unset(value)}", key=key)
            self.set(key, convert(key, found, setting.kind, is_text=True))

    def has(self, prefix: str) -> bool:
        """Whether this key, or a key below it, has a value: 'space' finds 'space.title' and not 'spaceship'."""
        return self.get(prefix) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; above others, a dict of the keys below it, nested; else the default.

        A shared key costs some tens of nanoseconds to read, no call to another process.
        """
        if key == SWITCH:
            word = self._words[0]
            if word == _ON:
                return "on"
            if word == _OFF:
                return "off"
            return self._cells.switch or default
        value = self._values.get(key)
        # An integer here may have become a counter in another process.
        if value is not None and type(value) is not int:
            return value
        counted = self._cells.read(key)
        if counted is not None:
            return counted
        if value is not None:
            return value
        return self._branch(key) or default

    def set(self, key: str, value: Any) -> None:
        """Give a key this value. A mapping replaces all keys below; None takes the value away.

        Processes started before see it only where the key is shared; the first time it is not, a warning is logged.
        """
        with self._cells.lock:
            if isinstance(value, Mapping):
                for name in [*self._values, *self._cells.names()]:
                    if name == key or name.startswith(key + "."):
                        self._write(name, None)
                for name, leaf in flatten({key: value}):
                    self._write(name, leaf)
            else:
                self._write(key, value)

    def increment(self, key: str, delta: int = 1) -> int:
        """Add to an integer that all processes share; what is absent or no integer counts as 0.

        Returns:
            The new value. Others count meanwhile, so two processes may be given the same.

        Raises:
            ConfigError: More than 128 shared names, or more than 63 processes alive that count. Nothing was added.
        """
        if key == SWITCH:
            raise ConfigError(f"{SWITCH} is a word, not a number", key=key)
        with self._cells.lock:
            value = self._values.get(key)
            if value is not None and not isinstance(value, int):
                value = 0
                if self._cells.read(key) is not None:
                    self._cells.store(key, 0)
            total = self._cells.add(key, delta, start=value or 0)
            if self._values.pop(key, None) is not None:
                self._branches = None
            return total

    def decrement(self, key: str, delta: int = 1) -> int:
        """Take from an integer that all processes share; see :meth:`increment`."""
        return self.increment(key, -delta)

    @classmethod
    def set_logger(cls, level: int = logging.DEBUG) -> None:
        """Log everything from this level to standard error, in place of what was set up before."""
        logging.basicConfig(
            level=level, format="%(asctime)s %(levelname)-7s %(name)s %(message)s", datefmt="%H:%M:%S", force=True
        )

    # -- beyond 2017 --------------------------------------------------------------------------------------------

    def read(self, kind: type[T], prefix: str) -> T:
        """The settings of one room, typed: an instance of this dataclass.

        Each field ``name`` is the key ``prefix.name``, or the key in its ``metadata={"key": ...}``. Its value is what
        the context has (``$NAME`` looked up), else what the environment says, else the declared default, else the
        field's own.

        Raises:
            ConfigError: A value of the wrong kind, or none where one is needed; the text names the key.
        """
        hints = typing.get_type_hints(kind, include_extras=True)
        found: dict[str, Any] = {}
        for field in dataclasses.fields(typing.cast(Any, kind)):
            key = field.metadata.get("key", f"{prefix}.{field.name}")
            value = self.get(key)
            is_text = is_reference(value)
            if is_text:
                value = self._filtered(key, value)
            if value is not None:
                if key in DECLARED:
                    value = convert(key, value, DECLARED[key].kind, is_text=is_text)
                found[field.name] = convert(key, value, hints[field.name], is_text=is_text)
                continue
            value = from_environment(key, os.environ, hints[field.name])
            if value is None and key in DECLARED:
                value = DECLARED[key].default
            if value is not None:
                found[field.name] = value
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                if not _takes_none(hints[field.name]):
                    raise ConfigError(f"missing '{key}' in the settings; or set {variable(key)}", key=key)
                found[field.name] = None
        return kind(**found)

    @property
    def shared_file(self) -> str:
        """The file that is touched when ``general.switch`` changes."""
        return self._cells.path

    def only(self, *prefixes: str) -> Context:
        """A context with these keys and sections, and the same shared cells: what a child process needs to know."""
        part = Context.__new__(Context)
        part.filter = self.filter
        kept = {
            key: value
            for key, value in self._values.copy().items()
            if any(key == prefix or key.startswith(prefix + ".") for prefix in prefixes)
        }
        part._begin(kept, self._cells)
        return part

    def masked(self) -> dict[str, Any]:
        """All keys with their values as they may be shown: secrets and passwords in addresses as ``***``."""
        return {key: masked(key, value) for key, value in sorted(self._all().items())}

    def __repr__(self) -> str:
        return f"Context({self.masked()!r})"

    def __getstate__(self) -> dict[str, Any]:
        own = None if self.filter == self._filter else self.filter
        return {"values": self._values.copy(), "cells": self._cells, "filter": own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.filter = state["filter"] or self._filter
        self._begin(state["values"], state["cells"])

    def _all(self) -> dict[str, Any]:
        found = self._values.copy()
        if self._words[0]:
            found[SWITCH] = self._cells.switch
        for name in self._cells.names():
            found.setdefault(name, self._cells.read(name))
            if type(found[name]) is int:
                found[name] = self._cells.read(name)
        return found

    def _write(self, key: str, value: Any, *, is_told: bool = True) -> None:
        """Keep one leaf where it belongs. The caller holds the lock."""
        cells = self._cells
        if key == SWITCH:
            cells.switch = ("off", "on")[value] if isinstance(value, bool) else value
            return
        is_counted = cells.read(key) is not None
        if type(value) is int and (is_counted or is_counter(key)):
            cells.store(key, value)
            self._values.pop(key, None)
            self._branches = None
            return
        if is_counted:
            cells.store(key, None)
        if is_told and cells.is_shared and not self._has_told and self._values.get(key) != value:
            self._has_told = True
            logger.warning("'%s' was set after a process was started with these settings; it will not see that", key)
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value
            for above in _above(key):
                if self._values.get(above) == {}:
                    del self._values[above]
        self._branches = None

    def _branch(self, key: str) -> dict[str, Any] | None:
        """The keys below this one as nested dicts, or None. A value hides what lies below it."""
        known = self._branches
        if known is None or known[0] != self._cells.count:
            with self._cells.lock:
                count = self._cells.count
                names = [*self._values, *self._cells.names(), SWITCH]
                known = self._branches = count, frozenset(above for name in names for above in _above(name))
        if key not in known[1]:
            return None
        root: dict[str, Any] = {}
        hiding: set[str] = set()
        start = len(key) + 1
        for name, value in sorted(self._all().items()):
            if not name.startswith(key + ".") or not hiding.isdisjoint(_above(name)):
                continue
            hiding.add(name)
            *path, last = name[start:].split(".")
            node = root
            for part in path:
                node = node.setdefault(part, {})
            node[last] = value
        return root or None


def _above(key: str) -> list[str]:
    """The sections that a key lies in, from the top."""
    parts = key.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _takes_none(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)
