"""Names and frames of the wire, as pure functions.

A message is exactly one frame, ``channel SP json``. What the bus itself has to say is in control frames, which begin
with the byte 0xFF: no UTF-8 text does, so no channel can collide, and their body is never JSON, so a reader looks for
them only where decoding failed.

==================================================  ===================  ==============================================
frame                                               direction            when
==================================================  ===================  ==============================================
``channel SP json``                                 publisher -> sub     a message
``FF "h W" epoch``                                  publisher -> sub     welcome: the first frame of a new connection
``FF "h H" epoch G``                                publisher -> all     head: G messages were sent before this frame
``FF "s" uid rid "B" epoch gap``                    publisher -> one     a reply begins, or goes on behind a gap
``FF "s" uid rid "M" texts``                        publisher -> one     missed messages, LF between, about 256 KiB
``FF "s" uid rid "E" epoch G table count``          publisher -> one     the reply ends: G messages were sent before
``FF "s" uid 0 "P"``                                publisher -> one     are you stuck? (no answer, it only needs room)
``01 topic``, ``00 topic``                          sub -> publisher     subscribe, unsubscribe (ZeroMQ's own)
``02 uid rid epoch G n last table count scope ..``  sub -> publisher     ask
==================================================  ===================  ==============================================

*epoch* names one history of a bus, 0 one without; *G*, a position in it, is the number of messages it ever took. A
subscriber remembers the last (epoch, G) it was told in its own stream, its anchor, and the number *n* of messages it
took since: that says exactly what it has. An ask with epoch 0 wants what comes from now on, after the *last* so many
messages. *scope* is ``a`` (all channels), ``n`` and the names, or ``m``: more names than fit, so the reply has all
channels, the first n messages too, and the subscriber leaves out what it does not want. *gap* is ``-``, or ``? ?`` for
another history, or the first and the last position that are gone and, where the bus counts exactly, how many of them
were for this subscriber: *table* names one counting, 0 none, and *count* is how many messages it has had of the scope.

Fields are separated by one space. Golden frames of each version are in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from shellbot.errors import InvalidChannel

# All that a channel's name can begin with: who wants all channels does not want what the bus says to others.
EVERYTHING = tuple(bytes((byte,)) for byte in (*range(0x21, 0x7F), *range(0xC2, 0xF5)))
MAX_NAME_BYTES = 255
MAX_CHANNELS = 10_000
CONTROL = 0xFF
HEADS = b"\xffh "
ALL, NAMED, MANY = b"a", b"n", b"m"
# An ask with more bytes of names than this is for all, and the subscriber looks through the reply.
MAX_SCOPE_BYTES = 256 * 1024
MISSED_BYTES = 256 * 1024

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


class Gap(NamedTuple):
    """In the place of messages that are gone for good; a value, no error.

    Attributes:
        channels: Those of the subscription.
        first, last: Positions of the bus that were missed, over all channels; None where nobody knows.
        at_most: So many messages of these channels at most; with ``bus.exact_gaps`` exactly so many; None as above.
    """

    channels: tuple[str, ...]
    first: int | None = None
    last: int | None = None
    at_most: int | None = None


class Ask(NamedTuple):
    """What a subscriber asks of the publisher; see the table above.

    Attributes:
        names: Channels as they stand in topics, without the space; with scope ``n`` only.
    """

    uid: bytes
    rid: bytes
    epoch: int = 0
    position: int = 0
    received: int = 0
    last: int = 0
    table: int = 0
    had: int = 0
    scope: bytes = ALL
    names: tuple[bytes, ...] = ()


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


def wire_topics(topic: bytes) -> tuple[bytes, ...]:
    """What is subscribed to at the publisher for this topic."""
    return (topic,) if topic else EVERYTHING


def is_covered(topic: bytes, held: Collection[bytes]) -> bool:
    """Whether frames of this topic reach one of these subscriptions, which are prefixes, of any program."""
    return topic in held or any(topic[:size] in held for size in range(len(topic)))


def covers(held: Collection[bytes], frame: bytes) -> bool:
    """Whether a message is of one of these topics."""
    return frame[: frame.find(b" ") + 1] in held or b"" in held


def private_topic(uid: bytes) -> bytes:
    """What only the subscriber with this id subscribes to."""
    return b"\xffs%b " % uid


def private_uid(frame: bytes) -> bytes | None:
    """Whose private topic this is that came upstream, as a subscription or the end of one."""
    uid = frame[3:-1]
    return uid if frame[1:3] == b"\xffs" and _UID.fullmatch(uid) else None


def welcome(epoch: int) -> bytes:
    return b"%bW %d" % (HEADS, epoch)


def head(epoch: int, position: int) -> bytes:
    return b"%bH %d %d" % (HEADS, epoch, position)


def scope_of(held: Collection[bytes]) -> bytes:
    """The end of an ask for these topics; the empty topic is all channels."""
    if b"" in held:
        return ALL
    names = b"".join(held)
    return MANY if len(names) > MAX_SCOPE_BYTES else b"%b %b" % (NAMED, names[:-1])


def ask(
    uid: bytes,
    rid: int,
    scope: bytes = ALL,
    *,
    epoch: int = 0,
    position: int = 0,
    received: int = 0,
    last: int = 0,
    table: int = 0,
    count: int = 0,
) -> bytes:
    """Ask for what was missed since an anchor; without one, for what comes from now on, after the last so many."""
    return b"\x02%b %d %d %d %d %d %d %d %b" % (uid, rid, epoch, position, received, last, table, count, scope)


def parse_ask(data: bytes) -> Ask | None:
    """What a subscriber asks, or None where it cannot be understood."""
    fields = data[1:].split(b" ", 9)
    if data[:1] != b"\x02" or len(fields) < 9 or not _UID.fullmatch(fields[0]):
        return None
    if not all(field.isdigit() and len(field) <= 19 for field in fields[1:8]) or fields[8] not in (ALL, NAMED, MANY):
        return None
    names = tuple(fields[9].split(b" ")) if len(fields) > 9 and fields[8] == NAMED else ()
    epoch, position, received, last, table, had = map(int, fields[2:8])
    return Ask(fields[0], fields[1], epoch, position, received, last, table, had, fields[8], names)


def reply_begin(question: Ask, epoch: int, gap: bytes = b"-") -> bytes:
    return b"%b%b B %d %b" % (private_topic(question.uid), question.rid, epoch, gap)


def reply_missed(question: Ask, texts: bytes) -> bytes:
    return b"%b%b M %b" % (private_topic(question.uid), question.rid, texts)


def reply_end(question: Ask, epoch: int, position: int, table: int = 0, count: int = 0) -> bytes:
    return b"%b%b E %d %d %d %d" % (private_topic(question.uid), question.rid, epoch, position, table, count)


def probe(uid: bytes) -> bytes:
    return b"%b0 P" % private_topic(uid)
