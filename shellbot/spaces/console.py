"""Several people in one terminal: ``NAME: text`` is said in the group, ``NAME> text`` in NAME's direct channel.

Who speaks is there, until ``(NAME leaves)``. A name is one person however it is typed: case, outer and repeated blanks,
and forms of a letter that look the same (Unicode NFKC) do not count. The first spelling is the one that is shown, also
by later runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import unicodedata
from typing import ClassVar, TextIO
from urllib.parse import unquote

from shellbot.clocks import AsyncioClock, BaseClock
from shellbot.errors import ChannelNotFound, SpaceError
from shellbot.events import Capabilities, Card, Channel, Event, Join, Leave, Message, Person, Reply
from shellbot.files.names import size_text
from shellbot.spaces.base import GROUP, Deliver, Space, bus_safe, new_id
from shellbot.spaces.plaintext import from_markdown, lines_of
from shellbot.spaces.terminal import MAX_LINE, LineReader, LineWriter
from shellbot.stores.base import Store

logger = logging.getLogger(__name__)
HELP = "usage: 'NAME: text' speaks in the group, 'NAME> text' in NAME's direct channel; '(NAME leaves)' takes NAME out"
END = "Ctrl-D ends"
ENDING = ("quit", "exit", "bye", "q")  # what people type who look for the end
INDENT = "  "  # of all lines but the first of a message: only a head begins at the edge
MAX_NAME = 40
MOST_TYPED = 100  # lines that wait for the bot to take them
MOST_REMEMBERED = 10_000  # replies that were shown
SCHEMA = "CREATE TABLE IF NOT EXISTS console_people (id TEXT PRIMARY KEY, name TEXT NOT NULL)"
_LINE = re.compile(r"\s*([^:>]*[^:>\s])\s*([:>])(?:\s+(.*))?", re.DOTALL)
_CLOSE = re.compile(r"\s*([^\W\d_][^:>]*[:>])([^\s/].*)", re.DOTALL)  # no blank behind the mark; `http://` is no name
_LEAVING = re.compile(r"\s*\(\s*(.*\S)\s+leaves\s*\)\s*")
_DIRECT = "direct-"


class ConsoleSpace(Space):
    """People who type their names; replies come as ``[group] text`` and ``[NAME] text``.

    A terminal gets an editable line that stays below what is printed; anything else is read and written line by
    line, each when the bots are through with the one before. Cards are shown as numbered lines, to be answered by
    typing the number or the words. What was shown is not shown again in a higher version.

    Attributes:
        ended: Set when the input has ended (end of file, Ctrl-D, Ctrl-C) and all of it was delivered, or when nobody
            reads the output any more.
    """

    name: ClassVar[str] = "console"
    capabilities: ClassVar[Capabilities] = Capabilities(cards=True, edit=False, ids=True)

    def __init__(
        self, *, clock: BaseClock | None = None, input: TextIO | None = None, output: TextIO | None = None
    ) -> None:
        self.ended = asyncio.Event()
        self._clock = clock or AsyncioClock()
        self._input = sys.stdin if input is None else input
        self._output = sys.stdout if output is None else output
        self._group = Channel(id=GROUP, title=GROUP)
        self._people: dict[str, Person] = {}  # by id
        self._here: set[str] = set()  # ids of people who are in the group
        self._joined: set[str] = set()  # of these, whom the bot was told of in this run
        self._shown: dict[tuple[str, str], None] = {}  # channel and id of replies, oldest first
        self._store: Store | None = None
        self._deliver: Deliver | None = None
        self._writer: LineWriter | None = None
        self._reader: LineReader | None = None
        self._prompting: asyncio.Task[None] | None = None

    def share(self, store: Store) -> None:
        self._store = store

    async def start(self, deliver: Deliver) -> None:
        self._deliver = deliver
        if self._store is not None:
            await self._store.create(SCHEMA)
            known = await self._store.read(lambda db: db.execute("SELECT id, name FROM console_people").fetchall())
            self._people = {id_: Person(id=id_, name=name) for id_, name in known}
            self._here = set(self._people)
        self._writer = LineWriter(self._output)
        if _is_terminal(self._input) and _is_terminal(self._output):
            self._prompting = asyncio.create_task(self._prompt(self._writer))
            await self._writer.write([HELP, END])
        else:
            self._reader = LineReader(self._input, self._take_at_rest, self.ended.set)

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()
        prompting, self._prompting = self._prompting, None
        if prompting is not None:
            prompting.cancel()
            await asyncio.wait((prompting,))
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()

    async def open_direct(self, person: Person) -> Channel:
        self._people.setdefault(person.id, person)
        return Channel(id=_DIRECT + person.id, title=person.name, is_direct=True)

    async def post(self, channel_id: str, reply: Reply) -> None:
        title = self._title(channel_id)
        key = (channel_id, reply.id)
        if key in self._shown:
            return
        self._shown[key] = None
        while len(self._shown) > MOST_REMEMBERED:
            del self._shown[next(iter(self._shown))]
        try:
            await self._write(self._lines(channel_id, title, reply))
        except BaseException:
            self._shown.pop(key, None)
            raise

    def _title(self, channel_id: str) -> str:
        if channel_id == GROUP:
            return GROUP
        if not channel_id.startswith(_DIRECT):
            raise ChannelNotFound(f"the console has no channel {channel_id}")
        person_id = channel_id.removeprefix(_DIRECT)
        person = self._people.get(person_id)  # not there: somebody of an earlier run, and no store
        return " ".join(lines_of(person.name if person is not None else unquote(person_id)))

    def _lines(self, channel_id: str, title: str, reply: Reply) -> list[str]:
        body = from_markdown(reply.text) if reply.text else []
        if reply.fixed:
            body = [*(body or [""]), *lines_of(reply.fixed)]  # below the head, so that its columns line up
        if reply.card is not None:
            answer = "NAME: 1" if channel_id == GROUP else f"{title}> 1"
            body += _card_lines(reply.card, answer, body)
        body += [f"file: {file.name} ({size_text(file.size_bytes)}), kept as {file.path}" for file in reply.files]
        head, *rest = body or [""]
        return [f"[{title}] {head}".rstrip(), *(f"{INDENT}{line}".rstrip() for line in rest)]

    async def _write(self, lines: list[str]) -> None:
        if self._writer is None:
            raise SpaceError("the console is not open")
        width = _width(self._output)
        if width:
            lines = [piece for line in lines for piece in _wrapped(line, width)]
        try:
            await self._writer.write(lines)
        except SpaceError:
            self.ended.set()
            raise

    async def _take_at_rest(self, line: str) -> None:
        """A line of whoever does not wait to see what it answers: the next one is read when all of this one is done."""
        await self._take(line)
        if self._until_rest is not None:
            await self._until_rest()

    async def _take(self, line: str) -> None:
        """What one typed line means, delivered. An error is told and does not end the reading."""
        if not line.strip():
            return
        try:
            if len(line) > MAX_LINE:
                await self._write([f"not said: a line ends at {MAX_LINE} characters"])
                return
            if leaving := _LEAVING.fullmatch(line):
                await self._leave(leaving[1])
                return
            spoken = _parsed(line)
            if spoken is None:
                await self._write([_advice(line)])
                return
            name, is_direct, text = spoken
            person = await self._person(name)
            channel = await self.open_direct(person) if is_direct else self._group
            await self._give(Message(id=new_id(), channel=channel, person=person, time=self._clock.utcnow(), text=text))
        except Exception:
            logger.exception("a typed line was not delivered")
            await self._apologise()

    async def _apologise(self) -> None:
        try:
            await self._write(["not said: something failed here; see the log, and say it again"])
        except SpaceError:
            pass  # nobody is there to read it

    async def _person(self, name: str) -> Person:
        """The person of this name, who has joined the group before this returns."""
        person_id = bus_safe(_key(name))
        person = self._people.get(person_id) or Person(id=person_id, name=name)
        if person_id not in self._joined:
            await self._give(Join(id=new_id(), channel=self._group, person=person, time=self._clock.utcnow()))
            is_new = person_id not in self._here
            self._joined.add(person_id)
            self._here.add(person_id)
            self._people[person_id] = person
            if self._store is not None:
                row = (person.id, person.name)
                self._store.post(lambda db: db.execute("INSERT OR IGNORE INTO console_people VALUES (?, ?)", row))
            if is_new and self._prompting is not None:  # it may be a slip, and votes would wait for this person
                await self._write([f"{person.name} is new here; '({person.name} leaves)' takes them out again"])
        return person

    async def _leave(self, name: str) -> None:
        person_id = bus_safe(_key(" ".join(name.split())))
        if person_id not in self._here:
            there = ", ".join(sorted(self._people[here].name for here in self._here)) or "nobody"
            await self._write([f"nobody is here by this name, but {there}"])
            return
        leave = Leave(id=new_id(), channel=self._group, person=self._people[person_id], time=self._clock.utcnow())
        await self._give(leave)
        self._here.discard(person_id)
        self._joined.discard(person_id)
        if self._store is not None:
            self._store.post(lambda db: db.execute("DELETE FROM console_people WHERE id = ?", (person_id,)))

    async def _give(self, event: Event) -> None:
        if self._deliver is not None:
            await self._deliver(event)

    async def _prompt(self, writer: LineWriter) -> None:
        # loaded here: a server without a terminal does not need it
        from prompt_toolkit import PromptSession
        from prompt_toolkit.application import create_app_session
        from prompt_toolkit.input import create_input
        from prompt_toolkit.output import create_output
        from prompt_toolkit.patch_stdout import patch_stdout

        typed: asyncio.Queue[str | None] = asyncio.Queue(MOST_TYPED)  # full: the next prompt waits
        taking = asyncio.create_task(self._take_all(typed))
        try:
            with create_app_session(input=create_input(self._input), output=create_output(self._output)):
                with patch_stdout(raw=False):
                    writer.output = sys.stdout
                    session: PromptSession[str] = PromptSession()
                    while True:
                        # signals are the program's business; Ctrl-C is a key here
                        await typed.put(await session.prompt_async("> ", handle_sigint=False))
        except (EOFError, KeyboardInterrupt):
            await typed.put(None)
            await taking
        finally:
            taking.cancel()
            writer.output = self._output
            self.ended.set()

    async def _take_all(self, typed: asyncio.Queue[str | None]) -> None:
        while (line := await typed.get()) is not None:
            await self._take(line)


def _parsed(line: str) -> tuple[str, bool, str] | None:
    """Name, whether it is for the direct channel, and text; None when the line is of no such form."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    name, text = " ".join(unicodedata.normalize("NFC", found[1]).split()), (found[3] or "").strip()
    is_name = (
        0 < len(name) <= MAX_NAME and name[0].isalnum() and not set(name) & set("[]<") and lines_of(name) == [name]
    )
    if not text or not is_name or _key(name) == GROUP:  # '[group]' is not a person
        return None
    return name, found[2] == ">", text


def _advice(line: str) -> str:
    """What to say to a line that is nobody's."""
    if line.strip().rstrip("()").casefold() in ENDING:
        return END
    if (close := _CLOSE.fullmatch(line)) and (spoken := _parsed(f"{close[1]} {close[2]}")) is not None:
        return f"not said: a blank is missing; write '{spoken[0]}{close[1][-1]} ', and then the text"
    return HELP


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _card_lines(card: Card, answer: str, before: list[str]) -> list[str]:
    title = " ".join(lines_of(card.title))
    lines = [title] if title and title not in before else []
    for number, button in enumerate(card.buttons, 1):
        chosen = "  <- chosen" if card.is_pressed(button) else ""
        lines.append(f"{number:2}. {' '.join(lines_of(button.label))}{chosen}")
    if card.note:
        lines += lines_of(card.note)
    lines.append(f"to answer, type: {answer}" if card.is_open else "closed")
    return lines


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _width(stream: TextIO) -> int:
    """Columns of the terminal; 0 when it is none."""
    if not _is_terminal(stream):
        return 0
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def _wrapped(line: str, width: int) -> list[str]:
    """Cut a line before the terminal would, so that what goes on is indented and cannot be taken for a head."""
    from prompt_toolkit.utils import get_cwidth

    pieces = []
    while get_cwidth(line) > width:
        columns, cut = 0, 0
        while cut < len(line) and (columns := columns + get_cwidth(line[cut])) <= width:
            cut += 1
        blank = line.rfind(" ", len(INDENT) + 1, cut)
        cut = blank if blank > 0 else max(cut, len(INDENT) + 1)
        pieces.append(line[:cut].rstrip())
        line = INDENT + line[cut:].lstrip()
    return [*pieces, line]
