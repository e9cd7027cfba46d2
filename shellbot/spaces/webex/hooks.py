"""The webhooks of this server: made, kept alive, and their signatures. Those of others are never touched.

A webhook is ours if its id is in our ledger, or if it has our name and an address that we have had.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
from collections.abc import Iterable
from functools import partial
from logging import getLogger

from shellbot.clocks import BaseClock
from shellbot.errors import ChannelNotFound
from shellbot.spaces.webex import ledger
from shellbot.spaces.webex.client import Client
from shellbot.spaces.webex.events import HEARD, Json
from shellbot.stores.base import Store

logger = getLogger(__name__)

SECRET_BYTES = 32
KEPT_URLS = 5  # addresses of this server
OLD_SECRET = 600.0  # seconds that the one of the last run still counts, once all webhooks have the new one


def is_signed(body: bytes, signature: str | None, secrets: Iterable[str]) -> bool:
    """Whether this is the platform's signature of these bytes, under one of our secrets. In constant time."""
    given = (signature or "").encode("utf-8", "surrogatepass")
    is_right = False
    for secret in secrets:
        wanted = hmac.new(secret.encode(), body, "sha1").hexdigest().encode()
        is_right |= hmac.compare_digest(wanted, given)
    return is_right


class Hooks:
    """Owned by the event loop.

    Args:
        name: Under which they stand in the platform's list.
        url: Where the platform posts.
    """

    def __init__(self, store: Store, client: Client, clock: BaseClock, *, name: str, url: str) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._name = name
        self._url = url
        self._urls = [url]  # that this server had, the latest first
        self._secret = ""
        self._old_secret = ""
        self._old_ends: float | None = None  # of the clock
        self._renewed: set[str] = set()  # ids of those that have the new secret

    async def load(self) -> None:
        """Make a secret for this run. It is on disk before the platform knows it."""
        secret = secrets.token_hex(SECRET_BYTES)

        def renew(db: sqlite3.Connection) -> tuple[str, list[str]]:
            old = ledger.fact(db, "secret")
            ledger.keep_fact(db, "secret", secret)
            urls = ledger.fact(db, "hook urls").split()
            urls = [self._url, *(url for url in urls if url != self._url)][:KEPT_URLS]
            ledger.keep_fact(db, "hook urls", " ".join(urls))
            return old, urls

        self._old_secret, self._urls = await self._store.write(renew)
        self._secret = secret

    def is_signed(self, body: bytes, signature: str | None) -> bool:
        """Whether this delivery is the platform's. In constant time."""
        known = [self._secret] if self._secret else []
        if self._old_secret and (self._old_ends is None or self._clock.time() < self._old_ends):
            known.append(self._old_secret)
        return is_signed(body, signature, known)

    async def ensure(self) -> bool:
        """Have all of them there, active, at our address and with this run's secret.

        Returns:
            Whether one was not, so that something may have been missed.
        """
        there = {str(hook["id"]): hook for hook in await self._client.hooks()}
        ours = await self._store.read(ledger.hooks)
        has_missed = False
        for resource, event in HEARD:
            same = [id_ for id_, hook in there.items() if self._is_ours(hook, resource, event)]
            id_ = ours.get((resource, event), "")
            if id_ not in there:
                id_ = same[0] if same else ""
            for other in same:
                if other != id_:
                    await self._client.drop_hook(other)
            if id_ and self._is_well(there[id_]) and id_ in self._renewed:
                continue
            has_missed |= not id_ or there[id_].get("status", "active") != "active"
            id_ = await self._set(id_, resource, event)
            await self._store.write(partial(ledger.keep_hook, resource=resource, event=event, id_=id_))
            self._renewed.add(id_)
        if self._old_ends is None:
            self._old_ends = self._clock.time() + OLD_SECRET
        return has_missed

    async def _set(self, id_: str, resource: str, event: str) -> str:
        fields = {"name": self._name, "targetUrl": self._url, "secret": self._secret}
        if id_:
            try:
                await self._client.change_hook(id_, status="active", **fields)
                return id_
            except ChannelNotFound:
                logger.info("a webhook went away and is made anew resource=%s", resource)
        made = await self._client.make_hook(resource=resource, event=event, **fields)
        logger.info("webhook made resource=%s event=%s", resource, event)
        return str(made["id"])

    def _is_ours(self, hook: Json, resource: str, event: str) -> bool:
        found = (hook.get("name"), hook.get("resource"), hook.get("event"))
        return found == (self._name, resource, event) and hook.get("targetUrl") in self._urls

    def _is_well(self, hook: Json) -> bool:
        found = (hook.get("name"), hook.get("targetUrl"), hook.get("status", "active"))
        return found == (self._name, self._url, "active")
