"""Entries that are each sealed together with the one before: what was changed, added or taken out is found. Pure.

The seal is an HMAC. Who can write the entries but does not have the key cannot make one that fits.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is broken: at the entry ``seq``, which is gone where there is no ``body``."""

    seq: int
    body: bytes | None = None

    def __str__(self) -> str:
        if self.body is None:
            return f"entry {self.seq} of its log is gone"
        return f"entry {self.seq} of its log was changed: {self.body[:200].decode(errors='replace')}"


class Chain:
    """Seals entries and follows them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, label: str, seq: int, before: bytes, body: bytes) -> bytes:
        """The seal of one entry.

        Args:
            label: Of the whole chain; there may be several under one key.
            seq: Its place, counted from 1.
            before: Seal of the entry before it, empty for the first.
        """
        return hmac.digest(self._key, before + f"{label} {seq} ".encode() + body, "sha256")

    def is_sealed(self, mac: bytes, label: str, seq: int, before: bytes, body: bytes) -> bool:
        """Whether this is that seal, compared in constant time."""
        return hmac.compare_digest(mac, self.seal(label, seq, before, body))

    def follow(self, label: str, rows: Iterable[tuple[int, bytes, bytes]]) -> tuple[list[bytes], bytes, Break | None]:
        """Read ``seq, body, seal`` of all entries in their order.

        Returns:
            The bodies as far as they are genuine, the seal of the last of these, and what is wrong with the next.
        """
        bodies: list[bytes] = []
        before = b""
        for place, (seq, body, mac) in enumerate(rows, 1):
            if seq != place:
                return bodies, before, Break(place)
            if not self.is_sealed(mac, label, seq, before, body):
                return bodies, before, Break(place, body)
            bodies.append(body)
            before = mac
        return bodies, before, None
