"""One message to many channels: as many texts in one write as fit."""

from __future__ import annotations

import queue
from collections.abc import Callable
from time import monotonic
from typing import Any

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


def put_foreign(fan: Any, heads: list[bytes], body: bytes, timeout: float | None, is_read: Callable[[], bool]) -> None:
    """Into a queue that was put in the place of ours: one text per channel."""
    check_total(heads, body)
    text = body.decode()
    sent: list[str] = []
    for head in heads:
        if not is_read():
            raise NotRunning("the publisher process has ended; make a new one", sent=tuple(sent))
        try:
            if timeout == 0:
                fan.put_nowait(head.decode() + text)
            else:
                fan.put(head.decode() + text)
        except queue.Full as error:
            raise QueueFull("the queue is full", sent=tuple(sent)) from error
        sent.append(head[:-1].decode())


def check_total(heads: list[bytes], body: bytes) -> None:
    """Refuse a put of channels times bytes above 64 MiB, before any of it is queued."""
    total = sum(map(len, heads)) + len(heads) * len(body)
    if total > MAX_PUT_BYTES:
        text = f"this put would queue {total:,} bytes, at most {MAX_PUT_BYTES:,} are taken; put to fewer channels"
        raise MessageTooLarge(text, size_bytes=total, limit_bytes=MAX_PUT_BYTES)
