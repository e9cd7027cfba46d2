"""What a file is called, and what it is. Pure."""

from __future__ import annotations

import mimetypes
import re
import unicodedata

from shellbot.markup import one_line

MAX_NAME_BYTES = 200  # a folder takes names of 255
MAX_ENDING_BYTES = 20
ANY = "application/octet-stream"
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,80}")
_PICTURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
HEAD_BYTES = 16  # of a file, for type_of
_UNITS = ("kB", "MB", "GB", "TB")


def clean_name(name: str) -> str:
    """The last part of a name that somebody gave, fit to be read and to be saved under.

    Without folders, control characters, turns of the direction of reading, and what other systems take for a device or
    a wildcard; at most 200 bytes, of which the ending is the last to go. ``file``, where nothing is left.
    """
    last = re.split(r"[/\\]", one_line(unicodedata.normalize("NFC", name)))[-1]
    kept = re.sub(r'[<>:"|?*\x00-\x1f]', "_", last).strip(" .")
    if _DEVICE.match(kept):
        kept = f"_{kept}"
    if len(kept.encode()) > MAX_NAME_BYTES:
        stem, dot, ending = kept.rpartition(".")
        ending = f"…{dot}{ending}" if stem and len(ending.encode()) <= MAX_ENDING_BYTES else "…"
        kept = kept.encode()[: MAX_NAME_BYTES - len(ending.encode())].decode(errors="ignore").rstrip() + ending
    return kept or "file"


def type_of(head: bytes, declared: str, name: str) -> str:
    """The content type: of a picture by its first bytes, of anything else as declared, or by its name.

    What only says that it is a picture is none.
    """
    for pattern, kind in _PICTURES:
        if pattern.match(head):
            return kind
    told = declared.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(told) or told == ANY:
        told = mimetypes.guess_type(name, strict=True)[0] or ANY
    return ANY if told in {kind for _, kind in _PICTURES} else told


def size_text(size_bytes: int) -> str:
    """A size as people read it: ``1.2 MB``."""
    if size_bytes < 1000:
        return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"
    size = float(size_bytes)
    for unit in _UNITS:
        size /= 1000
        if size < 999.95:
            return f"{size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size:.0f} {_UNITS[-1]}"
