"""Values to bytes and back: JSON, with the limits of the bus.

A message is one JSON value: at most 1 MiB encoded, at most 64 lists and objects inside each other, finite numbers,
strings as keys, integers of 64 bits. A tuple travels as a list, a UUID as its text, an Enum as its value; a datetime,
a set, bytes or an object of yours is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from shellbot.errors import InvalidMessage, MessageTooLarge, NotFinite, NotSerializable, TooDeep

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
# More levels need more brackets than fit.
SHALLOW_BYTES = 2 * MAX_DEPTH

# orjson would make texts of these without a word, and nobody turns them back.
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_SORTED = OPTIONS | orjson.OPT_SORT_KEYS
_FEW = 32
# Below, looking for null in the bytes is faster than looking at the values.
_SMALL_BYTES = 300
_dumps = orjson.dumps
_loads = orjson.loads


def encode(message: Any, *, is_sorted: bool = False) -> bytes:
    """One line of compact JSON.

    Args:
        is_sorted: With the keys of each object in order, so that equal messages have the same text.

    Raises:
        NotSerializable: A value or key without a JSON form; ``path`` names it.
        NotFinite: NaN or infinity.
        TooDeep: More than 64 levels, or a cycle.
        MessageTooLarge: More than 1 MiB.
    """
    try:
        data = _dumps(message, None, _SORTED if is_sorted else OPTIONS)
    except TypeError as error:
        raise _explain(message, error) from error
    # orjson writes NaN as null, and 65 levels need 130 brackets: small texts need one look, others a few.
    if len(data) > SHALLOW_BYTES or data.find(b"null") >= 0:
        examine(message, data)
    return data


def examine(message: Any, data: bytes) -> None:
    """Refuse what orjson has let pass: cheap looks first, a walk where they see something, a slow one for the path."""
    size = len(data)
    if (size < _SMALL_BYTES or not _is_plain(message)) and (
        (may_be_deep(data) and is_deep(message)) or (data.find(b"null") >= 0 and not _is_finite(message))
    ):
        raise next(_faults(message))
    if size > MAX_BYTES:
        raise MessageTooLarge(
            f"the message has {size:,} bytes when encoded, at most {MAX_BYTES:,} travel; send a reference instead",
            size_bytes=size,
            limit_bytes=MAX_BYTES,
        )


def decode(data: bytes | str) -> Any:
    """The value of some JSON text, under the same limits. Of equal keys in an object the last one counts.

    Raises:
        InvalidMessage: It is no JSON; or MessageTooLarge, TooDeep.
    """
    size = len(data)
    if size > MAX_BYTES:
        raise MessageTooLarge(
            f"{size:,} bytes of JSON; at most {MAX_BYTES:,} are read", size_bytes=size, limit_bytes=MAX_BYTES
        )
    try:
        value = _loads(data)
    except ValueError as error:
        raise InvalidMessage(f"this is no JSON: {error}") from error
    if may_be_deep(data if isinstance(data, bytes) else data.encode()) and is_deep(value):
        raise next(_faults(value))
    return value


def may_be_deep(data: bytes) -> bool:
    """Whether this JSON text could hold more than 64 levels. Cheap: 65 levels need 130 brackets, 65 of them opening."""
    return (
        len(data) > SHALLOW_BYTES
        and (data.rfind(b"{") > 0 or data.rfind(b"[") > 0)
        and data.count(b"{") + data.count(b"[") > MAX_DEPTH
    )


def is_deep(value: Any) -> bool:
    """Whether a value without cycles has more than 64 levels."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list | tuple)]
        if not level:
            return False
    return True


def _is_plain(message: Any) -> bool:
    """Whether this is an object of a few texts and finite numbers, as most are."""
    if type(message) is not dict or len(message) > _FEW:
        return False
    for value in message.values():
        kind = type(value)
        if kind is float:
            if value - value != 0:
                return False
        elif kind is not str and kind is not int and kind is not bool:
            return False
    return True


def _is_finite(message: Any) -> bool:
    level = [message]
    while level:
        # What is not 0 here is NaN: that of infinity less infinity too.
        if any(value - value != 0 for value in level if type(value) is float):
            return False
        level = [inner for outer in level for inner in _inside(outer)]
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _explain(message: Any, error: TypeError) -> InvalidMessage:
    """The refusal for what the encoder did not take, naming the place."""
    found = next(_faults(message), None)
    return found or NotSerializable(f"the message has no JSON form: {error}")


def _faults(message: Any) -> Iterator[InvalidMessage]:
    """Walk a message, without recursion, and say what cannot travel."""
    stack: list[tuple[Any, str, int]] = [(message, "$", 0)]
    while stack:
        value, path, depth = stack.pop()
        kind = type(value)
        if kind is float:
            if not math.isfinite(value):
                yield NotFinite(f"{value} at {path}: JSON has no such number; send None or a text", path=path)
        elif isinstance(value, dict | list | tuple):
            if depth == MAX_DEPTH:
                yield TooDeep(f"more than {MAX_DEPTH} levels, or a cycle, at {_short(path)}", path=path)
                continue
            if isinstance(value, dict):
                for key, inner in value.items():
                    if not isinstance(key, str):
                        text = f"key {key!r} at {path} is of type {type(key).__name__}; use a text"
                        yield NotSerializable(text, path=path)
                    else:
                        yield from _single(key, path)
                        stack.append((inner, f"{path}.{key}", depth + 1))
            elif isinstance(value, tuple) and kind is not tuple:
                yield NotSerializable(f"{kind.__name__} at {path} has no JSON form; send a dict or list", path=path)
            else:
                stack.extend((inner, f"{path}[{n}]", depth + 1) for n, inner in enumerate(value))
        elif value is not None and kind is not bool:
            yield from _single(value, path)


def _single(value: Any, path: str) -> Iterator[InvalidMessage]:
    """What is wrong with a value that is no container."""
    try:
        _dumps(value, None, OPTIONS)
    except TypeError as error:
        what = f"{type(value).__name__} at {_short(path)}"
        yield NotSerializable(f"{what} has no JSON form ({error}); send a text or a number", path=path)


def _short(path: str) -> str:
    return path if len(path) <= 80 else f"{path[:77]}..."
