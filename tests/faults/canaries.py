"""Secrets that are looked for in all that a server writes down, and a bot that is careless with them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

LEAKY = """
import logging
from shellbot import Command

class Leaky(Command):
    keyword = "leak"

    async def execute(self, bot, arguments="", **kwargs):
        logging.getLogger(__name__).debug("on the way: %s", bot.desk.context.get("space.token"))
        bot.say("done")

class Broken(Command):
    keyword = "break"

    async def execute(self, bot, arguments="", **kwargs):
        raise ValueError(f"with {bot.desk.context!r}")
"""


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def keys_in(folder: Path) -> dict[str, str]:
    """The keys of an instance in each form in which somebody might write them down."""
    found = {}
    for key in (folder / "keys").iterdir():
        body = key.read_bytes()
        found[f"{key.name} hex"] = body.hex()
        found[f"{key.name} base64"] = base64.b64encode(body).decode().rstrip("=")
        found[f"{key.name} repr"] = repr(body)[2:-1]
    return found


def found_in(written: Mapping[str, str], secrets: Mapping[str, str]) -> set[str]:
    """Names of the secrets that stand somewhere in this."""
    assert all(len(secret) > 8 for secret in secrets.values())
    return {name for name, secret in secrets.items() if any(secret in text for text in written.values())}
