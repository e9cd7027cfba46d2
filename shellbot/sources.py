"""Where settings come from: YAML and TOML files, with the line of each key, and the environment."""

from __future__ import annotations

import difflib
import logging
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shellbot.errors import ConfigError
from shellbot.settings import DECLARED, ENVIRONMENT, convert, declared, in_family, nearest, section_keys, variable

logger = logging.getLogger(__name__)

MAX_DEPTH = 64
_COLUMN = "the names of one section begin in the same column"
# What was begun and has no end is told where it begins.
_BEGUN = {"while scanning a quoted scalar": "a quote begins here and has no end"}
_MISPLACED = re.compile(r"expected '?<(block end|document start)>'?, but found '(<block \w+ start>|\?)'")
_REFERENCE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Source:
    """What one file says: settings by dotted key, and for each the line it stands on, counted from 1."""

    name: str
    settings: dict[str, Any]
    lines: dict[str, int]

    def place(self, key: str) -> str:
        line = self.lines.get(key) or self.lines.get(key.removeprefix("general."))
        return f"{self.name}:{line}" if line else self.name


def flatten(settings: Mapping[Any, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Each leaf of nested settings with its dotted key. An empty mapping is a leaf.

    Raises:
        ConfigError: More than 64 levels, as from a mapping that holds itself.
    """
    if depth > MAX_DEPTH:
        raise ConfigError(f"settings are nested more than {MAX_DEPTH} levels deep at {prefix[:80]}", key=prefix)
    for name, value in settings.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            yield from flatten(value, key, depth + 1)
        else:
            yield key, dict(value) if isinstance(value, Mapping) else value


def full_keys(settings: Mapping[Any, Any]) -> dict[str, Any]:
    """Nested settings by dotted key. A value at the top, under a name without a dot, is a general one.

    Raises:
        ConfigError: This is no mapping, or it nests too deep.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"settings are names with values, not {type(settings).__name__}")
    return {
        key if "." in key or isinstance(value, dict) else f"general.{key}": value for key, value in flatten(settings)
    }


def is_reference(value: object) -> bool:
    """Whether this is ``$NAME``, to be looked up in the environment."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def read_file(path: str | Path) -> Source:
    """Read a file of settings; the ending tells its language: ``.toml``, else YAML.

    Raises:
        ConfigError: It cannot be read or understood, or says something that shellbot would not use: a key close to a
            known one, a value of the wrong kind, the same key twice. The text names file and line; of several
            mistakes each on a line of its own.
    """
    source = parse_file(path)
    if mistakes := list(mistakes_in(source)):
        raise ConfigError("\n".join(map(str, mistakes)), key=mistakes[0].key)
    return source


def parse_file(path: str | Path) -> Source:
    """What a file says, whether shellbot would use it or not.

    Raises:
        ConfigError: It cannot be read or understood. The text names file and line.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{path}: {reason}") from error
    return _read_toml(str(path), text) if path.suffix.lower() == ".toml" else _read_yaml(str(path), text)


def mistakes_in(source: Source) -> Iterator[ConfigError]:
    """A key close to a known one, a value of the wrong kind: each with file and line."""
    for key, value in source.settings.items():
        known = nearest(key)
        if known:
            yield ConfigError(f"{source.place(key)}: '{key}' is not a setting; did you mean '{known}'?", key=key)
        name = key.removeprefix("general.")
        if key not in source.lines and (section := _section_beside(source, name)):
            yield ConfigError(
                f"{source.place(key)}: '{name}' stands beside '{section}:' and not under it; indent it with two blanks",
                key=key,
            )
        if (
            value is not None and key not in source.lines and (keys := section_keys(name))
        ):  # `bot: Waiter` at the top is nobody's general.bot
            example = f"{name}.name" if f"{name}.name" in keys else keys[0]
            yield ConfigError(
                f"{source.place(key)}: '{name}' has settings under it and no value of its own; "
                f"write e.g. '{example}: ...'",
                key=key,
            )
        setting = declared(key)
        if setting is not None and setting.is_bare_wrong and value is None:
            yield ConfigError(f"{source.place(key)}: {key}: no value; write [] for none, or take the line out", key=key)
        if setting is not None and value is not None and not is_reference(value):
            try:
                convert(key, _as_switch(key, value), setting.kind)
            except ConfigError as error:
                yield ConfigError(f"{source.place(key)}: {error}", key=key)


def _section_beside(source: Source, name: str) -> str:
    """The section that this name at the top was meant for: one of ours with a setting so called, and left empty."""
    empty = [key.removeprefix("general.") for key, value in source.settings.items() if value is None]
    return next((section for section in empty if f"{section}.{name}" in DECLARED), "")


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that variables like ``SHELLBOT_BUS_ADDRESS`` give, by dotted key.

    A variable close to one of ours is logged as a warning, with the nearest.

    Raises:
        ConfigError: One cannot be read as what its key wants.
    """
    settings = {key: from_environment(key, environ) for key in keys_in(environ)}
    for name, meant in slips_in(environ):
        logger.warning("no setting is read from %s; did you mean %s?", name, meant)
    return settings


def keys_in(environ: Mapping[str, str]) -> list[str]:
    """The keys that variables stand for."""
    known = {variable(key): key for key in DECLARED}
    return [key for name in environ if (key := known.get(name) or in_family(name)) is not None]


def slips_in(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that are none of ours, but close to one, each with that one."""
    known = {variable(key) for key in DECLARED}
    ours = [name for name in environ if name.startswith("SHELLBOT_") and in_family(name) is None]
    others = [name for name in ours if name not in known | ENVIRONMENT]
    near = [(name, difflib.get_close_matches(name, known, n=1, cutoff=0.8)) for name in others]
    return [(name, found[0]) for name, found in near if found]


def from_environment(key: str, environ: Mapping[str, str], kind: Any = None) -> Any:
    """What the environment says for one key, as its kind, or None.

    Raises:
        ConfigError: The variable cannot be read as that kind; the text names it.
    """
    text = environ.get(variable(key))
    if text is None:
        return None
    if kind is None:
        setting = declared(key)
        kind = setting.kind if setting is not None else str
    try:
        return convert(key, text, kind, is_text=True)
    except ConfigError as error:
        raise ConfigError(f"{variable(key)}: {error}", key=key) from None


def _as_switch(key: str, value: Any) -> Any:
    """YAML 1.1 reads a bare ``on`` as true."""
    return ("off", "on")[value] if key in ("general.switch", "listener.lock") and isinstance(value, bool) else value


def _settings(name: str, loaded: Any, lines: dict[str, int]) -> Source:
    if loaded is None:
        loaded = {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{name}: settings are names with values, like 'bot: {{name: Shelly}}'")
    try:
        settings = {key: _as_switch(key, value) for key, value in full_keys(loaded).items()}
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}", key=error.key) from None
    return Source(name, settings, lines)


def _read_yaml(name: str, text: str) -> Source:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[str, int] = {}
        if root is not None:
            _yaml_lines(name, root, "", lines, 0)
        loaded = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark if error.context in _BEGUN else error.problem_mark
        raise ConfigError(f"{name}:{mark.line + 1}: {_yaml_problem(error)}" if mark else f"{name}: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name}: {str(error).splitlines()[0] if str(error) else 'cannot be read'}") from error
    return _settings(name, loaded, lines)


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    """What is wrong and what to do, where that is plain; else in YAML's own words."""
    problem = str(error.problem or error.context)
    if error.context in _BEGUN:
        return _BEGUN[error.context]
    if problem.startswith("found character '\\t'"):
        return "a tab stands at the beginning; indent with blanks"
    if found := re.match(r"found character ('.') that cannot start", problem):
        return f"a text that begins with {found[1]} goes into quotes"
    if problem.startswith("mapping values") and error.problem_mark is not None:
        mark = error.problem_mark
        line = (mark.buffer or "")[: mark.pointer].rpartition("\n")[2]
        if ": " in line:
            return "a text with ': ' in it goes into quotes"
        return f"this does not fit the line above; {_COLUMN}, and behind each stands ':'"
    if _MISPLACED.match(problem):
        return f"this is indented otherwise than the lines above; {_COLUMN}"
    return problem


def _yaml_lines(name: str, node: yaml.Node, prefix: str, lines: dict[str, int], depth: int) -> None:
    if not isinstance(node, yaml.MappingNode) or depth > MAX_DEPTH:
        return
    seen: set[str] = set()
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        label = str(key_node.value)
        if label in seen and label != "<<":
            raise ConfigError(f"{name}:{line}: '{label}' is said twice", key=label)
        seen.add(label)
        key = f"{prefix}.{label}" if prefix else label
        lines.setdefault(key, line)
        _yaml_lines(name, value_node, key, lines, depth + 1)


def _read_toml(name: str, text: str) -> Source:
    try:
        loaded = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        place = f"{name}:{found[1]}" if found else name
        raise ConfigError(f"{place}: {_toml_problem(str(error).partition(' (at ')[0])}") from error
    return _settings(name, loaded, _toml_lines(text))


def _toml_problem(problem: str) -> str:
    """What is wrong and what to do."""
    match problem:
        case "Invalid value":
            return f'{problem}; a text goes into quotes, like name = "Waiter", and true and false are small'
        case r"Illegal character '\n'":
            return "a quote has no end on this line"
    return problem


def _toml_lines(text: str) -> dict[str, int]:
    """Lines of ``key = value`` under the last ``[table]``; tomllib does not tell. What is missed here has no line."""
    lines: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), 1):
        if table := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            prefix = _bare(table[1]) + "."
        elif entry := re.match(r"\s*([\w.\"' -]+?)\s*=", line):
            lines.setdefault(prefix + _bare(entry[1]), number)
    return lines


def _bare(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))
