"""Names and frames of the wire, as pure functions.

A message is exactly one frame, ``channel SP json``. What the bus itself has to say is in control frames, which begin
with the byte 0xFF: no UTF-8 text does, so no channel can collide, and their body is never JSON, so a reader looks for
them only where decoding failed.

=====================================  ===================  ======================================================
frame                                  direction            when
=====================================  ===================  ======================================================
``channel SP json``                    publisher -> sub     a message
``FF "h W" epoch``                     publisher -> sub     welcome: the first frame of every new connection
``FF "s" uid rid "B" epoch G "-"``     publisher -> one     a reply to an ask begins; G messages were sent so far
``FF "s" uid rid "E"``                 publisher -> one     the reply ends: what was subscribed before is in force
``01 topic``, ``00 topic``             sub -> publisher     subscribe, unsubscribe (ZeroMQ's own)
``02 uid rid epoch G n``               sub -> publisher     ask; epoch 0 is "from now on"
=====================================  ===================  ======================================================

Fields are separated by one space. Golden frames of each version are in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from shellbot.errors import InvalidChannel

MAX_NAME_BYTES = 255
MAX_CHANNELS = 10_000
CONTROL = 0xFF
HEADS = b"\xffh "

_UNSAFE = re.compile(r"[\s\x00-\x20\x7f-\x9f]")
_UID = re.compile(rb"[0-9a-f]{32}")


class Frame(NamedTuple):
    """One message as it came.

    Attributes:
        channel: Name it was put under.
        message: The JSON value.
        number: The subscription's own count, from 1.
        sender, time, id: None at the guarantees ``fast`` and ``replay``.
    """

    channel: str
    message: Any
    number: int
    sender: str | None = None
    time: float | None = None
    id: str | None = None


class Ask(NamedTuple):
    """What a subscriber asks of the publisher."""

    uid: bytes
    rid: bytes
    epoch: int
    position: int
    received: int


def topic(channel: object) -> bytes:
    """The beginning of every frame of this channel: its name and one space.

    The space belongs to the subscription: ZeroMQ matches prefixes, and 'room1' would get 'room10' too. Names are
    compared byte by byte; what looks the same in another Unicode form is another channel.

    Raises:
        InvalidChannel: Not a text of 1 to 255 bytes without white space and control characters.
    """
    if not isinstance(channel, str):
        kind = type(channel).__name__
        raise InvalidChannel(f"a channel's name is a text like 'room-1', not {kind}", channel=channel)
    if not channel:
        raise InvalidChannel("a channel's name has at least one character", channel=channel)
    try:
        name = channel.encode()
    except UnicodeEncodeError as error:
        raise InvalidChannel(f"channel {channel!r} is no valid Unicode text", channel=channel) from error
    if len(name) > MAX_NAME_BYTES:
        text = f"the channel's name has {len(name)} bytes in UTF-8, at most {MAX_NAME_BYTES} are allowed"
        raise InvalidChannel(text, channel=channel)
    if _UNSAFE.search(channel):
        text = f"channel {channel!r} holds white space or a control character; use '-' or '.' instead"
        raise InvalidChannel(text, channel=channel)
    return name + b" "


def topics(channels: object) -> list[bytes]:
    """The topics of a put: one name, or a list, tuple or set of at most 10,000 names.

    Raises:
        InvalidChannel: No channel, too many, or one that is not valid. Nothing is taken then.
    """
    if isinstance(channels, str):
        return [topic(channels)]
    if not isinstance(channels, list | tuple | set | frozenset):
        kind = type(channels).__name__
        raise InvalidChannel(f"channels are a name or a list of names, not {kind}", channel=channels)
    if not channels:
        raise InvalidChannel("no channel was named; give at least one", channel=channels)
    if len(channels) > MAX_CHANNELS:
        text = f"{len(channels):,} channels in one put, at most {MAX_CHANNELS:,} are taken; put to them in parts"
        raise InvalidChannel(text, channel=None)
    return [topic(channel) for channel in channels]


def subscription(channel: object) -> bytes:
    """The topic to subscribe to; ``''`` is all channels."""
    return b"" if isinstance(channel, str) and not channel else topic(channel)


def is_covered(topic: bytes, held: Collection[bytes]) -> bool:
    """Whether frames of this topic reach one of these subscriptions, which are prefixes, of any program."""
    return topic in held or any(topic[:size] in held for size in range(len(topic)))


def private_topic(uid: bytes) -> bytes:
    """What only the subscriber with this id subscribes to."""
    return b"\xffs%b " % uid


def welcome(epoch: int) -> bytes:
    return b"%bW %d" % (HEADS, epoch)


def ask(uid: bytes, rid: int) -> bytes:
    """Ask for messages from now on."""
    return b"\x02%b %d 0 0 0" % (uid, rid)


def parse_ask(data: bytes) -> Ask | None:
    """What a subscriber asks, or None where it cannot be understood. Later versions may add fields at the end."""
    fields = data[1:].split(b" ", 5)
    if data[:1] != b"\x02" or len(fields) < 5 or not _UID.fullmatch(fields[0]):
        return None
    if not all(field.isdigit() and len(field) <= 19 for field in fields[1:5]):
        return None
    return Ask(fields[0], fields[1], *map(int, fields[2:5]))


def reply(question: Ask, epoch: int, position: int) -> list[bytes]:
    """The frames that answer an ask for what comes from now on."""
    head = private_topic(question.uid) + question.rid
    return [b"%b B %d %d -" % (head, epoch, position), b"%b E" % head]
