"""What bots write to each other on the bus, sealed so that a stranger can neither vote nor open a vote.

Both sides speak under the name of the direct channel; ``side`` tells who speaks. The seal covers every field *and* the
name of the channel, so that a recorded frame can be neither moved to another channel nor reflected to its sender.
"""

from __future__ import annotations

import hmac
from typing import Any, Literal

import msgspec
import orjson

from shellbot.codecs import MAX_BYTES, encode
from shellbot.errors import AuthenticationFailed

VERSION = 1
Side = Literal["group", "direct"]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One thing said between a group bot and a direct bot.

    Attributes:
        group: Id of the group channel this is about.
        side: Who speaks.
        id: Told apart by this; a repeat has the same.
        re: Id of what this answers, or ``''``.
        n: Grows per direct channel and group on the direct side; 0 on the group's.
        do: Keyword of the command whose hook is called on the other side.
        body: A JSON object.
        hops: How often bots have answered each other, from what a person said to this.
    """

    group: str
    side: Side
    id: str
    do: str
    re: str = ""
    n: int = 0
    body: dict[str, Any] = msgspec.field(default_factory=dict)
    hops: int = 0


class Seal:
    """Signs and checks envelopes with the key of one instance (HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("the instance key is too short; remove the file and start again to get a new one")
        self._key = key
        # Not hmac.digest(), which lets other threads have the interpreter each time.
        self._fresh = hmac.new(key, digestmod="sha256")

    def key_for(self, purpose: str) -> bytes:
        """A key for something else than envelopes, made of this one; the same in each run."""
        return hmac.digest(self._key, purpose.encode(), "sha256")

    def close(self, channel: str, envelope: Envelope) -> bytes:
        """Make the message to put on ``channel``, as JSON.

        Raises:
            InvalidMessage: The body cannot travel on the bus.
        """
        message: dict[str, Any] = {
            "v": VERSION,
            "group": envelope.group,
            "side": envelope.side,
            "id": envelope.id,
            "re": envelope.re,
            "n": envelope.n,
            "do": envelope.do,
            "body": envelope.body,
        }
        if envelope.hops:
            message["hops"] = envelope.hops
        text = encode(message, is_sorted=True)
        sealed = b'%b,"mac":"%b"}' % (text[:-1], self._mac(channel, text).encode())
        return sealed if len(sealed) <= MAX_BYTES else encode(orjson.loads(sealed))  # which says what is wrong

    def open(self, channel: str, message: Any) -> Envelope | None:
        """Read what came on ``channel``.

        Returns:
            None for a message that is no envelope at all: people may use the channel for messages of their own.

        Raises:
            AuthenticationFailed: It looks like an envelope, but was not sealed with this key for this channel,
                or is of a version this program does not read.
        """
        if not isinstance(message, dict) or "mac" not in message:
            return None
        if not self.is_genuine(channel, message):
            raise AuthenticationFailed(f"a frame on {channel!r} does not carry the seal of this instance")
        if message.get("v") != VERSION:
            raise AuthenticationFailed(
                f"a frame on {channel!r} is of version {message.get('v')!r}; this reads {VERSION}"
            )
        get = message.get
        group, side, id_, re, do = get("group"), get("side"), get("id"), get("re"), get("do")
        n, body, hops = get("n"), get("body"), get("hops", 0)
        if not (
            isinstance(group, str)
            and isinstance(id_, str)
            and isinstance(re, str)
            and isinstance(do, str)
            and (side == "group" or side == "direct")
            and type(n) is type(hops) is int
            and isinstance(body, dict)
        ):
            raise AuthenticationFailed(f"a frame on {channel!r} has not the fields of an envelope")
        return Envelope(group=group, side=side, id=id_, re=re, n=n, do=do, body=body, hops=hops)

    def is_genuine(self, channel: str, message: dict[str, Any]) -> bool:
        """Whether the seal fits, compared in constant time and as bytes (text of a stranger may hold anything)."""
        mac = message.get("mac")
        if not isinstance(mac, str):
            return False
        rest = message.copy()
        del rest["mac"]
        try:
            expected = self._mac(channel, orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
        except (TypeError, ValueError):  # what orjson says of a value it cannot write
            return False
        return hmac.compare_digest(mac.encode(errors="replace"), expected.encode())

    def _mac(self, channel: str, text: bytes) -> str:
        """The seal over all other fields, and the channel's name. Keys are sorted: their order carries nothing."""
        mac = self._fresh.copy()
        mac.update(b"[%b,%b]" % (orjson.dumps(channel), text))
        return mac.hexdigest()
