"""Signed links: what one says, how long it counts, and plain words for whoever comes with one that does not count."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from itsdangerous import BadSignature, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from shellbot.errors import LinkRefused

DAY = 24 * 60 * 60
REFUSALS: Mapping[str, str] = {
    "damaged": "This link is not whole. Please copy all of it, or ask who sent it for a new one.",
    "expired": "This link is too old: it counted for {span}. Please ask who sent it for a new one.",
    "used": "This link was used already, and it counts once. For a new one, say `link` in your direct channel in the "
    "browser where you are in the room.",
    "revoked": "This link was revoked: somebody in the room has ended all links to it. Please ask them for a new one.",
    "room": "This link is for another room, or for one that is not here any more. Please ask who sent it for a new "
    "one.",
}


class Links:
    """Signs the tokens of links and reads them again. Any thread.

    Args:
        secret: Key of this server. What was signed with another one is ``damaged``.
        purpose: What these links are for. A token made for one purpose is nothing for another.
        seconds: For how long a link counts.
        now: Seconds since 1970.
    """

    def __init__(
        self, secret: bytes, purpose: str, *, seconds: int = DAY, now: Callable[[], float] = time.time
    ) -> None:
        class Signer(TimestampSigner):
            def get_timestamp(self) -> int:
                return int(now())

        # 48 bytes fill their 64 characters: with spare bits in the last one, two texts would be one token
        how = {"digest_method": hashlib.sha384, "key_derivation": "hmac"}
        self._serializer = URLSafeTimedSerializer(secret, salt=f"shellbot {purpose}", signer=Signer, signer_kwargs=how)
        self._seconds = seconds

    def make(self, fields: Mapping[str, Any]) -> str:
        """Sign JSON values. They can be read by whoever has the link, and not be changed."""
        return str(self._serializer.dumps(dict(fields)))

    def read(self, token: str) -> dict[str, Any]:
        """Give what was signed.

        Raises:
            LinkRefused: It is ``damaged`` or ``expired``.
        """
        try:
            fields = self._serializer.loads(token, max_age=self._seconds)
        except SignatureExpired as error:
            raise self.refused("expired") from error
        except (BadSignature, UnicodeError) as error:  # half a character is no text that could be checked
            raise self.refused("damaged") from error
        if not isinstance(fields, dict):
            raise self.refused("damaged")
        return fields

    def refused(self, reason: str) -> LinkRefused:
        """The error for one of :data:`REFUSALS`."""
        return LinkRefused(REFUSALS[reason].format(span=self._span()), reason=reason)

    def _span(self) -> str:
        return f"{self._seconds // DAY} days" if self._seconds > DAY else f"{self._seconds // 3600} hours"
