"""The command line: ``shellbot run``, and the bus from the shell with ``pub``, ``sub``, ``spy`` and ``bus top``."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import shutil
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import click
import msgspec
import orjson

from shellbot.bus.address import parse_address
from shellbot.bus.bus import Bus
from shellbot.bus.frames import Gap
from shellbot.bus.holder import holder_of, is_held, is_stranger
from shellbot.bus.hub.facts import Facts, Look
from shellbot.commands.loading import load_commands
from shellbot.context import Context
from shellbot.engine import VERSION, Engine
from shellbot.errors import BusError, BusTimeout, ConfigError, ShellbotError
from shellbot.instance import default_folder, read_facts, usual_folder
from shellbot.settings import DECLARED
from shellbot.stores.memory import MemoryStore
from shellbot.tools.access import access
from shellbot.tools.backup import backup
from shellbot.tools.config import config
from shellbot.tools.conversations import conversations
from shellbot.tools.doctor import doctor
from shellbot.tools.init import init
from shellbot.tools.numbers import number_of
from shellbot.tools.polls import polls
from shellbot.tools.reload import Beside, serve_anew

_FULL = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def _set_level(context: click.Context, parameter: click.Parameter, count: int) -> None:
    # Once before the command and once behind it: what is asked for counts.
    if count:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(logging.Formatter(_FULL))
    if count or context.parent is None:
        logging.getLogger().setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(count, 2)])


_verbose = click.option(
    "--verbose",
    "-v",
    count=True,
    expose_value=False,
    callback=_set_level,
    help="Log more: -v what starts and stops, -vv every message.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, "--version", message="shellbot %(version)s")
@_verbose
@click.pass_context
def cli(context: click.Context) -> None:
    """Bots for group chats, votes in direct channels, and the bus between them."""
    # Who watches a terminal wants to read what happens; a server's log wants to be searched.
    is_full = context.invoked_subcommand == "run" or logging.getLogger().level < logging.WARNING
    logging.basicConfig(format=_FULL if is_full else "shellbot: %(message)s", stream=sys.stderr)


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
@click.option("--space", type=click.Choice(["web", "console", "webex"]), help="Where people chat; web by default.")
@click.option("--instance", type=click.Path(file_okay=False), help="Folder of this server: store, keys, instance.json.")
@click.option("--port", type=number_of(int, 0, 65535), help="First port to try for the page; 8080 by default.")
@click.option("--bus", help="Address of the bus; a socket of this server's own by default.")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False), help="Settings: a YAML or TOML file.")
@click.option("--demo", is_flag=True, help="Let scripted people in, so that one person alone sees a whole vote.")
@click.option(
    "--fake", is_flag=True, help="With --space webex: one on this machine, played on a page, without an account."
)
@click.option("--private", is_flag=True, help="Let people in by a join link only; one is printed.")
@click.option("--standby", is_flag=True, help="Where another process serves the instance, take its place when it ends.")
@click.option("--open", "is_opened", is_flag=True, help="Open the page in a browser.")
@click.option("--reload", "is_anew", is_flag=True, help="Start anew when a file of BOT changes.")
@_verbose
def run(
    bot: str | None,
    space: str | None,
    instance: str | None,
    port: int | None,
    bus: str | None,
    settings: str | None,
    demo: bool,
    fake: bool,
    private: bool,
    standby: bool,
    is_opened: bool,
    is_anew: bool,
) -> None:
    """Serve a chat, with the commands in the file BOT besides the built-in ones."""
    if demo and private:
        raise click.UsageError("--demo lets scripted people in without a link; leave out --private, or --demo")

    if "SHELLBOT_CRASH_AT" in os.environ:
        from shellbot.testing.crashing import arm

        arm()

    def serve(*beside: Beside) -> None:
        context = Context.from_file(settings) if settings else Context()
        context.apply_environment()
        given = {"space.type": space, "instance.folder": instance, "server.port": port, "bus.address": bus}
        context.apply({key: value for key, value in given.items() if value is not None})
        context.look_up()
        kind = context.check("space.type")
        paged = {"--demo": demo, "--private": private, "--port": port is not None, "--open": is_opened}
        if kind in ("console", "memory") and (names := [name for name, is_given in paged.items() if is_given]):
            raise click.UsageError(
                f"{', '.join(names)}: that is for the chat page, and the space {kind} has none; leave it out, or "
                "chat in the browser with --space web"
            )
        if kind == "webex" and (names := [name for name in ("--demo", "--private") if paged[name]]):
            raise click.UsageError(
                f"{', '.join(names)}: that is for the chat page; on Webex people are in the rooms. Leave it out"
            )
        if private:
            context.set("server.private", True)
        with ExitStack() as stack:
            page = ""
            if fake:
                if kind != "webex":
                    raise click.UsageError("--fake goes with --space webex")
                from shellbot.testing.fakewebex.stage import stage

                page = stack.enter_context(stage(context))
                if instance is None:
                    context.set("instance.folder", str(default_folder("fake")))
            engine = Engine(
                context,
                commands=load_commands(bot) if bot else (),
                # what it knew would be of a platform that is gone
                store=MemoryStore() if fake else None,
                is_demo=demo,
                is_standby=standby,
            )
            engine.run(ready=_companion(demo, is_opened, beside, page))

    if not is_anew:
        serve()
    elif bot is None:
        raise click.UsageError("--reload watches the files of a bot; name its file: shellbot run BOT --reload")
    else:
        serve_anew(serve, Path(bot), *([Path(settings)] if settings else []))


def _companion(demo: bool, is_opened: bool, others: Sequence[Beside], page: str = "") -> Callable[[Engine], Any]:
    def ready(engine: Engine) -> Any:
        url = engine.server.url if engine.server is not None else ""
        if page:
            print(f"shellbot: {page}", flush=True)
            if is_opened:
                webbrowser.open(page)
        if is_opened and engine.server is not None:
            webbrowser.open(engine.server.link() if engine.context.check("server.private") else url)
        beside: list[Awaitable[None]] = [other(engine) for other in others]
        if demo and url:
            from shellbot.testing.demo import play

            beside.append(play(url))
        return asyncio.gather(*beside)

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
        folder = instance or context.get("instance.folder") or usual_folder()
        facts = read_facts(folder)
        if facts is not None:
            address = facts.get("bus")
        elif instance is not None:
            raise ConfigError(f"no server runs in {folder}; start one with: shellbot run --instance {folder}")
    if address is not None:
        context.set("bus.address", address)
    bus = Bus(context)
    bus.check()
    if address is not None and parse_address(address).scheme == "memory":
        raise click.UsageError(
            f"{address} lives in one process, and this command is another; give --bus an ipc:// or tcp:// address"
        )
    return bus


@cli.command()
@_bus_options
@_verbose
@click.option(
    "--timeout",
    default=5.0,
    show_default=True,
    type=number_of(float),
    help="Seconds to wait for a subscriber; 0 does not wait.",
)
@click.argument("channel")
@click.argument("messages", metavar="JSON...", nargs=-1)
def pub(address: str | None, instance: str | None, timeout: float, channel: str, messages: tuple[str, ...]) -> None:
    """Publish JSON on CHANNEL: each argument, or each line of the standard input."""
    bus = _find_bus(address, instance)
    given = [_parsed(text) for text in messages]
    said: Iterable[Any] = given or (_parsed(line) for line in sys.stdin if line.strip())
    with bus.publish() as publisher:
        begun = monotonic()
        if timeout > 0:
            try:
                publisher.wait_ready(channel, timeout)
                if _is_first(bus, publisher.pid):
                    # Who waited for a bus looks for one every 0.2 s, and only one of them was waited for.
                    select.select([], [], [], max(0.0, begun + _COMING - monotonic()))
            except BusTimeout:
                raise BusTimeout(
                    f"nobody subscribed to {channel!r} within {timeout:g} s; start `shellbot sub {channel}`, "
                    "wait longer with --timeout, or publish to nobody with --timeout 0"
                ) from None
        for message in said:
            publisher.put(channel, message)


def _is_first(bus: Bus, pid: int | None) -> bool:
    """Whether nobody else published there, so that readers are only coming."""
    try:
        with Look(bus.context) as look:
            return look.facts().pid == pid
    except BusError:
        return False


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise click.UsageError(
            f"not JSON: {text.strip()[:60]!r} ({error}); a text needs quotes of its own: '\"hi\"'"
        ) from error


def _reading_options(command: Callable[..., None]) -> Callable[..., None]:
    ends = "End when nothing came for so many seconds (exit code 1 with --count)."
    count = click.option("--count", type=number_of(int, 1), help="End after so many messages.")
    return _bus_options(_verbose(count(click.option("--timeout", type=number_of(float), help=ends)(command))))


@cli.command()
@_reading_options
@click.option(
    "--last", default=0, type=number_of(int, 0), help="Begin with so many messages from before; the bus keeps the last."
)
@click.argument("channels", nargs=-1, required=True)
def sub(
    address: str | None,
    instance: str | None,
    count: int | None,
    timeout: float | None,
    last: int,
    channels: tuple[str, ...],
) -> None:
    """Print what is published on CHANNELS, a line each: the channel, a space, the JSON."""
    _print_frames(_find_bus(address, instance), list(channels), count, timeout, last)


@cli.command()
@_reading_options
def spy(address: str | None, instance: str | None, count: int | None, timeout: float | None) -> None:
    """Print everything on the bus."""
    _print_frames(_find_bus(address, instance), "", count, timeout)


# Seconds until all have come who waited for a bus.
_COMING = 0.3
# Between two looks whether the bus is back.
_LOOK_EVERY = 0.25
# Seconds until one is looked at that listens there and has not welcomed us.
_STRANGE_AFTER = 1.0
# Another program is the hub so many seconds after one has ended, or there is none.
_TAKEOVER = 2.0
_GAP_LOG = "messages are gone"
_SILENCE_LOG = "the bus on %s does not answer"


class _Silence(logging.Filter):
    """Hears in the log that the bus has gone silent, and keeps it to itself where nobody publishes any more.

    Attributes:
        is_told: Whether it was said, and has to be taken back when the bus answers.
    """

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self.is_told = False
        self._address = parse_address(bus.context.get("bus.address") or DECLARED["bus.address"].default)

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(_SILENCE_LOG):
            return True
        is_worth_it = logging.getLogger().isEnabledFor(logging.INFO) or is_held(self._address)
        self.is_told = self.is_told or is_worth_it
        return is_worth_it

    def tell_stranger(self) -> None:
        """Say it where who listens there is no bus, or one that is stuck."""
        if is_stranger(self._address):
            self.is_told = True
            who, where = holder_of(self._address), self._address.url
            text = f"{who} listens on {where} and does not answer as a bus does; waiting for one there"
            click.echo(f"shellbot: {text}. Stop it, or give another address with --bus", err=True)


def _print_frames(bus: Bus, channels: list[str] | str, count: int | None, timeout: float | None, last: int = 0) -> None:
    if not logging.getLogger().isEnabledFor(logging.INFO):
        # Said in our own words.
        logging.getLogger("shellbot.bus.subscriber").addFilter(lambda record: not str(record.msg).startswith(_GAP_LOG))
    silence = _Silence(bus)
    logging.getLogger("shellbot.bus.incoming").addFilter(silence)
    seen = replayed = 0
    with bus.subscribe(channels, last) as subscriber:
        try:
            since = begun = monotonic()
            has_looked = False
            while count is None or seen < count:
                left = _LOOK_EVERY if timeout is None else since + timeout - monotonic()
                frame = subscriber.receive(max(0.0, min(left, _LOOK_EVERY)))
                if silence.is_told and (frame is not None or subscriber.state == "live"):
                    silence.is_told = False
                    missed = ", and what was missed follows" if subscriber.replayed > replayed else ""
                    click.echo(f"shellbot: the bus is back{missed}", err=True)
                elif not has_looked and subscriber.state == "new" and monotonic() > begun + _STRANGE_AFTER:
                    has_looked = True
                    silence.tell_stranger()
                replayed = subscriber.replayed
                if isinstance(frame, Gap):
                    click.echo(f"shellbot: {_gap_text(frame)}", err=True)
                elif frame is not None:
                    sys.stdout.buffer.write(f"{frame.channel} ".encode() + orjson.dumps(frame.message) + b"\n")
                    sys.stdout.flush()
                    seen += 1
                    since = monotonic()
                elif timeout is not None and left <= _LOOK_EVERY:
                    if count is not None:
                        raise BusTimeout(f"only {seen} of {count} messages came; nothing for {timeout:g} s")
                    return
        except KeyboardInterrupt:
            sys.exit(130)


def _gap_text(gap: Gap) -> str:
    if gap.at_most is None:
        return "messages are gone for good, nobody knows how many"
    were = "1 message at most is" if gap.at_most == 1 else f"{gap.at_most:,} messages at most are"
    where = "" if gap.first is None else f", between positions {gap.first:,} and {gap.last:,} of the bus"
    return f"{were} gone for good{where}"


@cli.group("bus")
def bus_commands() -> None:
    """Look at a running bus."""


@bus_commands.command()
@_bus_options
@click.option("--once", "is_once", is_flag=True, help="Print one block and end.")
@click.option("--json", "is_json", is_flag=True, help="Print the facts as one JSON object and end.")
@click.option("--every", default=1.0, show_default=True, type=number_of(float, 0.1), help="Seconds between two looks.")
def top(address: str | None, instance: str | None, is_once: bool, is_json: bool, every: float) -> None:
    """Show who publishes, how fast, and what is behind."""
    try:
        context = _find_bus(address, instance).context
        if is_json:
            with Look(context) as look:
                facts = {"address": context.get("bus.address"), **msgspec.to_builtins(look.facts())}
                click.echo(orjson.dumps(facts))
        else:
            _show_facts(context, is_once, every)
    except KeyboardInterrupt:
        sys.exit(130)


def _show_facts(context: Any, is_once: bool, every: float) -> None:
    """One block after the other; in a terminal in the same place, and also while nobody publishes."""
    url, is_watched = context.get("bus.address"), sys.stdout.isatty() and not is_once
    before: Facts | None = None
    patience_ends = 0.0
    while True:
        try:
            with Look(context) as look:
                while True:
                    facts = look.facts()
                    patience_ends = monotonic() + _TAKEOVER
                    if before is not None or not is_once:
                        _draw(_facts_text(url, facts, before), is_watched)
                    if before is not None and is_once:
                        return
                    before = facts
                    # Not longer than this hub lives.
                    select.select([look], [], [], every)
        except BusError as error:
            # Where a hub ends, another program takes its place.
            if monotonic() > patience_ends:
                if not (is_watched and isinstance(error, BusTimeout)):
                    raise
                _draw([f"{error}; waiting"], is_watched)
            select.select([], [], [], _LOOK_EVERY)


def _draw(lines: list[str], in_place: bool) -> None:
    if in_place:
        size = shutil.get_terminal_size()
        lines = [line[: size.columns] for line in lines]
        if len(lines) >= size.lines:
            lines = [*lines[: size.lines - 2], "..."]
        click.echo("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", nl=False)
    else:
        click.echo("\n".join([*lines, ""]))


def _facts_text(url: str, facts: Facts, before: Facts | None) -> list[str]:
    """Lines of at most 80 characters."""
    earlier: dict[int, int] = {}
    seconds = sent_before = 0.0
    if before is not None and before.pid == facts.pid:
        earlier = {program.pid: program.sent for program in before.programs}
        seconds, sent_before = facts.uptime - before.uptime, before.sent

    def rate(sent: int, sent_before: float | None) -> str:
        return "-" if sent_before is None or seconds <= 0 else f"{(sent - sent_before) / seconds:,.0f}"

    pairs: list[tuple[str, int | str, str, int]] = [
        ("messages/s", rate(facts.sent, sent_before), "readers", facts.readers),
        ("sent", facts.sent, "readers cut off", facts.cuts),
        ("can be replayed", facts.position - facts.first, "gaps told", facts.gaps),
        ("replies going on", facts.replies, "topics", facts.topics),
        ("replies given", facts.replied, "unfinished messages", facts.unfinished),
        ("replied bytes", facts.replied_bytes, "programs", len(facts.programs)),
    ]
    programs = [
        (program.pid or "-", program.queued_bytes, program.sent, rate(program.sent, earlier.get(program.pid)))
        for program in facts.programs
    ]
    return [
        f"bus  {url if len(url) <= 75 else f'...{url[-72:]}'}",
        f"hub  process {facts.pid}, up {timedelta(seconds=int(facts.uptime))}, {facts.guarantee}, slow: {facts.slow}",
        "",
        *(f"{left:<18}{_shown(a):>18}        {right:<20}{_shown(b):>16}" for left, a, right, b in pairs),
        "",
        f"{'pid':>10}{'queued bytes':>20}{'sent':>25}{'messages/s':>25}",
        *(f"{pid:>10}{_shown(queued):>20}{_shown(sent):>25}{now:>25}" for pid, queued, sent, now in programs),
    ]


def _shown(number: int | str) -> str:
    return number if isinstance(number, str) else f"{number:,}"


# --- for those who write a bot

cli.add_command(init)
cli.add_command(conversations)
cli.add_command(config)
cli.add_command(doctor)
cli.add_command(polls)
cli.add_command(access)
cli.add_command(backup)


@cli.command()
def version() -> None:
    """Print which shellbot this is."""
    click.echo(f"shellbot {VERSION}")
