"""One message to many channels: as many texts in one write as fit."""

from __future__ import annotations

from time import monotonic

from shellbot.bus.fan import Fan
from shellbot.bus.records import RECORD_BYTES
from shellbot.errors import MessageTooLarge, NotRunning, QueueFull

MAX_PUT_BYTES = 64 * 1024 * 1024


def put_many(fan: Fan, heads: list[bytes], body: bytes, timeout: float | None) -> None:
    """One text per channel, as many as fit in one write."""
    check_total(heads, body)
    done = count = 0
    records = b""
    until = monotonic() + (fan.patience if timeout is None else timeout)
    try:
        for head in heads:
            left = max(0.0, until - monotonic())
            size = len(head) + len(body) + 1
            if records and len(records) + size > RECORD_BYTES:
                fan.write(records, left)
                done, records = count, b""
            if size > RECORD_BYTES:
                fan.put_text(head, body, left)
                done = count + 1
            else:
                records += b"".join((head, body, b"\n"))
            count += 1
        if records:
            fan.write(records, max(0.0, until - monotonic()))
    except (QueueFull, NotRunning) as error:
        sent = tuple(head[:-1].decode() for head in heads[:done])
        raise type(error)(str(error), sent=sent) from error


def check_total(heads: list[bytes], body: bytes) -> None:
    """Refuse a put of channels times bytes above 64 MiB, before any of it is queued."""
    total = sum(map(len, heads)) + len(heads) * len(body)
    if total > MAX_PUT_BYTES:
        text = f"this put would queue {total:,} bytes, at most {MAX_PUT_BYTES:,} are taken; put to fewer channels"
        raise MessageTooLarge(text, size_bytes=total, limit_bytes=MAX_PUT_BYTES)
