"""Which space goes with the setting ``space.type``, made with what the settings say of it."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from shellbot.clocks import BaseClock
from shellbot.context import Context
from shellbot.errors import ConfigError
from shellbot.files.shelf import Shelf
from shellbot.spaces.base import Space
from shellbot.stores.base import Store

KINDS = ("web", "console", "webex", "memory")
TOKENS = ("WEBEX_TEAMS_ACCESS_TOKEN", "WEBEX_ACCESS_TOKEN")  # of the bot, where the setting space.token is not


def make_space(
    kind: str, context: Context, *, store: Store, clock: BaseClock, shelf: Shelf, instance: str, hook_url: str = ""
) -> Space:
    """
    Args:
        instance: Name of this server.
        hook_url: Where a platform can post to; ``''`` for nowhere.

    Raises:
        ConfigError: There is no such space, or it cannot be made with these settings.
    """
    if kind == "web":
        from shellbot.spaces.web import WebSpace

        title, bot = context.check("space.title") or "Everybody", context.check("bot.name") or "Shelly"
        return WebSpace(store=store, clock=clock, title=title, bot=bot, shelf=shelf)
    if kind == "console":
        from shellbot.spaces.console import ConsoleSpace

        return ConsoleSpace(clock=clock)
    if kind == "memory":
        from shellbot.spaces.memory import MemorySpace

        return MemorySpace(clock=clock)
    if kind == "webex":
        from shellbot.spaces.webex import Options, WebexSpace

        token = context.check("space.token", filter=True)
        for name in TOKENS:
            token = token or context.filter(f"${name}", None)
        return WebexSpace(
            token=token or "",
            store=store,
            clock=clock,
            options=context.read(Options, prefix="webex"),
            shelf=shelf,
            hook_url=hook_url,
            instance=instance,
            context=context,
        )
    raise ConfigError(no_such(kind), key="space.type")


def no_such(kind: str) -> str:
    """What is said of a kind that is none of :data:`KINDS`."""
    return f"there is no space {kind!r}; take web, console, webex or memory"


def posts_here(kind: str, context: Context) -> bool:
    """Whether the platform of this space is to post what happens, so that somebody must listen."""
    way = context.check("webex.way")
    return kind == "webex" and (way == "webhook" or (way is None and bool(context.check("server.public_url"))))


def hook_url(context: Context, own: str) -> str:
    """Where the platform posts to.

    Args:
        own: Address of our own server; for a platform on this machine, as in tests.
    """
    base = context.check("server.public_url") or (own if _is_here(context.check("webex.api_url") or "") else "")
    return f"{base.rstrip('/')}{hook_path(context)}" if base else ""


def hook_path(context: Context) -> str:
    """Path of what is posted."""
    return f"/{(context.check('server.hook') or '/hook').lstrip('/')}"


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
