"""What ``shellbot doctor`` looks at where the bot is on Webex: library, token, webhooks, public address, clocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from shellbot.clocks import AsyncioClock
from shellbot.errors import SpaceError, SpaceUnauthorized
from shellbot.spaces.webex.client import Client
from shellbot.spaces_by_type import TOKENS

Said = Iterator[tuple[Literal["ok", "note", "wrong"], str]]

PATIENCE = 15.0  # seconds for what Webex is asked
LOOK = 5.0  # seconds for our own address
SLACK = 30.0  # seconds by which clocks may differ


def examine(
    setting: Callable[[str, Any], Any], environment: Callable[[str], str | None], name: str, is_served: bool
) -> Said:
    """
    Args:
        setting: Gives a setting, or the default that goes with it.
        name: Of the instance.
        is_served: Whether its server runs.
    """
    token = setting("space.token", None) or next(filter(None, map(environment, TOKENS)), None)
    if not token:
        yield "wrong", f"there is no token; make a bot at developer.webex.com and put its token into {TOKENS[0]}"
        return
    url = setting("webex.api_url", "https://webexapis.com/v1/")
    client = Client(token, url, AsyncioClock(), parallel=1)  # or it says that the SDK is missing
    try:
        me, hooks = asyncio.run(_ask(client))
    except SpaceUnauthorized:
        yield (
            "wrong",
            f"Webex does not know this token; make a new one at developer.webex.com and put it into {TOKENS[0]}",
        )
    except (SpaceError, TimeoutError) as error:
        yield "wrong", f"Webex cannot be asked now: {error or 'no answer in time'}"
    else:
        address = (me.get("emails") or [""])[0]
        yield "ok", f"the token is that of {me.get('displayName')}, {address}"
        if me.get("type") not in (None, "bot"):
            yield "note", "that is a person, not a bot: all that this person reads would be read by the server"
        yield from _ways(setting, hooks, f"shellbot {name}", is_served)
    yield from _clock(url)


async def _ask(client: Client) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await client.me(), await client.hooks()
    finally:
        await client.close()


def _ways(setting: Callable[[str, Any], Any], hooks: list[dict[str, Any]], name: str, is_served: bool) -> Said:
    public, way = setting("server.public_url", ""), setting("webex.way", None)
    if way == "websocket":
        yield "note", "messages come by websocket, which is an experiment"
        return
    if way == "polling" or not (public or way):
        yield (
            "note",
            "messages are polled, and buttons are not heard, only typed answers; server.public_url changes that",
        )
        return
    if not public:
        yield "wrong", "webhooks need an address that Webex can reach; set server.public_url"
        return
    ours = [hook for hook in hooks if hook.get("name") == name]
    asleep = [hook for hook in ours if hook.get("status", "active") != "active"]
    elsewhere = [hook for hook in ours if not str(hook.get("targetUrl")).startswith(public.rstrip("/") + "/")]
    if not ours:
        yield "note", "no webhooks yet; the start of the server makes them"
    elif asleep or elsewhere:
        what = "are not active" if asleep else "lead to another address"
        yield "note", f"{len(asleep or elsewhere)} webhooks {what}; a running server mends that within 5 minutes"
    else:
        yield "ok", f"{len(ours)} webhooks are active"
    if is_served:
        yield from _public(public)
    if urlsplit(public).scheme != "https":
        yield "note", f"what people write to {public} can be read on the way there; put it behind https"


def _public(public: str) -> Said:
    where = f"{public.rstrip('/')}/healthz"
    try:
        with urlopen(Request(where), timeout=LOOK) as answer:  # noqa: S310 - the owner's own address
            status = answer.status
    except HTTPError as error:
        status = error.code
    except (URLError, OSError, ValueError) as error:
        yield "wrong", f"{public} cannot be reached from here: {getattr(error, 'reason', error)}; deliveries need it"
        return
    if status == 200:
        yield "ok", f"the server answers at {public}"
    else:
        yield (
            "wrong",
            f"{public} answers with {status}, so something else is there, or the bot does not work; see its log",
        )


def _clock(url: str) -> Said:
    try:
        with urlopen(Request(url, method="HEAD"), timeout=LOOK) as answer:  # noqa: S310 - without the token
            date = answer.headers.get("Date")
    except HTTPError as error:
        date = error.headers.get("Date")
    except (URLError, OSError, ValueError):
        return  # told already
    if not date:
        return
    ahead = time.time() - parsedate_to_datetime(date).timestamp()
    if abs(ahead) > SLACK:
        which = "ahead of" if ahead > 0 else "behind"
        yield (
            "wrong",
            f"this machine's clock is {abs(ahead):.0f} s {which} Webex's; set it, or deadlines are off by that",
        )
    else:
        yield "ok", "this machine's clock and Webex's agree"
