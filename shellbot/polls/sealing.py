"""Sealing a vote so that only the urn of its poll opens it. Pure.

Who votes needs the public half of the urn's key, which may travel with the ballot; the secret half stays with the
group. Sealed forms of one vote never look alike, and all have one length.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

import orjson
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from shellbot.polls.ballot import Vote
from shellbot.polls.spec import MAX_CHOICES, Spec

KEY_BYTES = 32
_PLACE_BYTES = 16
_MASK_BYTES = (MAX_CHOICES + 7) // 8


def seal(vote: Vote, spec: Spec, public: str, poll: str, channel: str) -> str:
    """A vote as text that says nothing; ``channel`` is the voter's, and it opens for no other voter or poll.

    Args:
        public: As :attr:`Urn.public` gave it. ValueError: it is no key.
    """
    box = SealedBox(PublicKey(_bytes(public)))
    mask = sum(1 << spec.choices.index(choice) for choice in vote)
    return _text(box.encrypt(_place(poll, channel) + mask.to_bytes(_MASK_BYTES, "big")))


class Urn:
    """Opens what was sealed for one poll.

    Args:
        secret: 32 random bytes. Once they are gone, nothing opens it any more.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the key of an urn has {KEY_BYTES} bytes, not {len(secret)}")
        key = PrivateKey(_derived(secret, b"shellbot box"))
        self.public = _text(bytes(key.public_key))
        self._box = SealedBox(key)
        self._voters = _derived(secret, b"shellbot voter")

    def open(self, sealed: object, spec: Spec, poll: str, channel: str) -> Vote | None:
        """The vote in it; None if it is none of this poll and voter, or was touched."""
        if not isinstance(sealed, str):
            return None
        try:
            inside = self._box.decrypt(_bytes(sealed))
        except (CryptoError, ValueError, TypeError):
            return None
        place, mask = inside[:_PLACE_BYTES], int.from_bytes(inside[_PLACE_BYTES:], "big")
        if not hmac.compare_digest(place, _place(poll, channel)) or mask >> len(spec.choices):
            return None
        vote = tuple(choice for number, choice in enumerate(spec.choices) if mask >> number & 1)
        is_one = len(vote) == 1 if spec.kind != "multiple" else len(vote) <= spec.most
        return vote if is_one else None

    def voter(self, channel: str) -> str:
        """Under which name a voter's sealed vote is kept: without the key it tells nothing of the channel."""
        return hmac.new(self._voters, channel.encode(), hashlib.sha256).hexdigest()


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(key=secret, person=purpose, digest_size=KEY_BYTES).digest()


def _place(poll: str, channel: str) -> bytes:
    return hashlib.blake2b(orjson.dumps([poll, channel]), digest_size=_PLACE_BYTES).digest()


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode())
