"""The command line: ``shellbot run``, and the bus from the shell with ``pub``, ``sub``, ``spy``."""

from __future__ import annotations

import logging
import os
import sys
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any

import click
import orjson

from shellbot.bus.bus import Bus
from shellbot.commands.loading import load_commands
from shellbot.context import Context
from shellbot.engine import VERSION, Engine
from shellbot.errors import BusTimeout, ConfigError, ShellbotError
from shellbot.instance import default_folder, read_facts


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, "--version", message="shellbot %(version)s")
@click.option("--verbose", "-v", count=True, help="Log more: -v what starts and stops, -vv every message.")
def cli(verbose: int) -> None:
    """Bots for group chats, votes in direct channels, and the bus between them."""
    level = [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def main() -> None:
    """The program ``shellbot``. What it cannot do it says in one line, with exit code 1; bad usage exits with 2."""
    try:
        cli(prog_name="shellbot")
    except ShellbotError as error:
        sys.exit(f"shellbot: {error}")
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


# --- the server


@cli.command()
@click.argument("bot", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--space", type=click.Choice(["web", "console"]), help="Where people chat; web by default.")
@click.option("--instance", type=click.Path(file_okay=False), help="Folder of this server: store, keys, instance.json.")
@click.option("--port", type=click.IntRange(0, 65535), help="First port to try for the page; 8080 by default.")
@click.option("--bus", help="Address of the bus; a socket of this server's own by default.")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False), help="Settings: a YAML or TOML file.")
@click.option("--demo", is_flag=True, help="Let scripted people in, so that one person alone sees a whole vote.")
@click.option("--open", "is_opened", is_flag=True, help="Open the page in a browser.")
def run(
    bot: str | None,
    space: str | None,
    instance: str | None,
    port: int | None,
    bus: str | None,
    settings: str | None,
    demo: bool,
    is_opened: bool,
) -> None:
    """Serve a chat, with the commands in the file BOT besides the built-in ones."""
    context = Context.from_file(settings) if settings else Context()
    context.apply_environment()
    given = {"space.type": space, "instance.folder": instance, "server.port": port, "bus.address": bus}
    context.apply({key: value for key, value in given.items() if value is not None})
    engine = Engine(context, commands=load_commands(bot) if bot else (), is_demo=demo)
    engine.run(ready=_companion(demo, is_opened))


def _companion(demo: bool, is_opened: bool) -> Callable[[Engine], Any]:
    def ready(engine: Engine) -> Any:
        url = engine.server.url if engine.server is not None else ""
        if is_opened and url:
            webbrowser.open(url)
        if demo and url:
            from shellbot.testing.demo import play

            return play(url)
        return None

    return ready


# --- the bus from the shell


def _bus_options(command: Callable[..., None]) -> Callable[..., None]:
    where = click.option("--bus", "address", help="Address of the bus; by default that of the running server.")
    which = click.option("--instance", type=click.Path(file_okay=False), help="Folder of the server whose bus it is.")
    return where(which(command))


def _find_bus(address: str | None, instance: str | None) -> Bus:
    context = Context()
    context.apply_environment()
    if address is None and instance is None:
        address = context.get("bus.address")
    if address is None:
        folder = instance or context.get("instance.folder") or default_folder()
        facts = read_facts(folder)
        if facts is not None:
            address = facts.get("bus")
        elif instance is not None:
            raise ConfigError(f"no server runs in {folder}; start one with: shellbot run --instance {folder}")
    if address is not None:
        context.set("bus.address", address)
    bus = Bus(context)
    bus.check()
    return bus


@cli.command()
@_bus_options
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for a subscriber; 0 does not wait.")
@click.argument("channel")
@click.argument("messages", metavar="JSON...", nargs=-1)
def pub(address: str | None, instance: str | None, timeout: float, channel: str, messages: tuple[str, ...]) -> None:
    """Publish JSON on CHANNEL: each argument, or each line of the standard input."""
    bus = _find_bus(address, instance)
    texts: Iterator[str] = iter(messages) if messages else (line for line in sys.stdin if line.strip())
    with bus.publish() as publisher:
        if timeout > 0:
            try:
                publisher.wait_ready(channel, timeout)
            except BusTimeout:
                raise BusTimeout(
                    f"nobody subscribed to {channel!r} within {timeout:g} s; start `shellbot sub {channel}`, "
                    "wait longer with --timeout, or publish to nobody with --timeout 0"
                ) from None
        for text in texts:
            publisher.put(channel, _parsed(text))


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise click.UsageError(
            f"not JSON: {text.strip()[:60]!r} ({error}); a text needs quotes of its own: '\"hi\"'"
        ) from error


@cli.command()
@_bus_options
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
@click.option("--timeout", type=float, help="End when nothing came for so many seconds (exit code 1 with --count).")
@click.argument("channels", nargs=-1, required=True)
def sub(
    address: str | None, instance: str | None, count: int | None, timeout: float | None, channels: tuple[str, ...]
) -> None:
    """Print what is published on CHANNELS, a line each: the channel, a space, the JSON."""
    _print_frames(_find_bus(address, instance), list(channels), count, timeout)


@cli.command()
@_bus_options
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
@click.option("--timeout", type=float, help="End when nothing came for so many seconds (exit code 1 with --count).")
def spy(address: str | None, instance: str | None, count: int | None, timeout: float | None) -> None:
    """Print everything on the bus."""
    _print_frames(_find_bus(address, instance), "", count, timeout)


def _print_frames(bus: Bus, channels: list[str] | str, count: int | None, timeout: float | None) -> None:
    seen = 0
    with bus.subscribe(channels) as subscriber:
        try:
            while count is None or seen < count:
                frame = subscriber.receive(timeout)
                if frame is None:
                    if count is not None:
                        raise BusTimeout(f"only {seen} of {count} messages came; nothing for {timeout:g} s")
                    return
                sys.stdout.buffer.write(f"{frame.channel} ".encode() + orjson.dumps(frame.message) + b"\n")
                sys.stdout.flush()
                seen += 1
        except KeyboardInterrupt:
            sys.exit(130)


@cli.command()
def version() -> None:
    """Print which shellbot this is."""
    click.echo(f"shellbot {VERSION}")
