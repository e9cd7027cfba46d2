"""Several people in one console: who is meant, what is shown, and nothing in a message that passes for another."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.clocks import ExternalClock
from shellbot.errors import ChannelNotFound, SpaceError
from shellbot.events import Button, Card, Event, File, Join, Leave, Message, Person, Reply
from shellbot.spaces.console import HELP, ConsoleSpace
from shellbot.stores.memory import MemoryStore

START = datetime(2026, 11, 20, tzinfo=UTC)
LUNCH = Card(id="c", title="Lunch?", buttons=(Button("p", "Pizza"), Button("s", "Sushi")))


class Output(io.StringIO):
    """Keeps what was written, whole writes only."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)

    def lines(self) -> list[str]:
        return "".join(self.writes).splitlines()


class Console:
    """A console, the bot behind it and what both did."""

    def __init__(self, source: TextIO, output: TextIO | None = None) -> None:
        self.output = Output()
        self.space = ConsoleSpace(clock=ExternalClock(START), input=source, output=output or self.output)
        self.events: list[Event] = []
        self.answer: Callable[[Event], Awaitable[None]] | None = None

    async def deliver(self, event: Event) -> asyncio.Future[None]:
        self.events.append(event)
        if self.answer is not None:
            await self.answer(event)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn.set_result(None)
        return turn

    def said(self) -> list[tuple[str, str, str]]:
        return [(each.channel.id, each.person.name, each.text) for each in self.events if isinstance(each, Message)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


@contextlib.asynccontextmanager
async def console(typed: str, **settings: TextIO) -> AsyncIterator[Console]:
    """A console whose people typed all of this, after which the input ended."""
    room = Console(io.StringIO(typed), **settings)
    await room.space.start(room.deliver)
    try:
        await room.space.ended.wait()
        yield room
    finally:
        await room.space.close()


async def test_a_name_and_a_colon_speak_in_the_group_and_an_arrow_in_the_direct_channel() -> None:
    async with console("Ann: hello all\nBob> 2\n") as room:
        assert room.said() == [("group", "Ann", "hello all"), ("direct-bob", "Bob", "2")]
        assert [event.channel.is_direct for event in room.events if isinstance(event, Message)] == [False, True]
        assert {event.time for event in room.events} == {START}
        assert len({event.id for event in room.events}) == len(room.events)
        assert room.output.lines() == []


async def test_who_speaks_first_joins_the_group_first_and_once() -> None:
    async with console("Ann> hi\nAnn: hi\nBob: hi\n") as room:
        assert [(type(event), event.person.name, event.channel.id) for event in room.events] == [
            (Join, "Ann", "group"),
            (Message, "Ann", "direct-ann"),
            (Message, "Ann", "group"),
            (Join, "Bob", "group"),
            (Message, "Bob", "group"),
        ]


async def test_a_name_is_one_person_however_it_is_typed() -> None:
    typed = "Mary Ann: 1\n mary   ANN > 2\n\tMARY ANN: 3\nMaryAnn: 4\nStraße: 5\nSTRASSE: 6\nＡnn: 7\nann: 8\n"
    async with console(typed) as room:
        ids = [event.person.id for event in room.events if isinstance(event, Message)]
        assert ids[0] == ids[1] == ids[2] != ids[3]
        assert ids[4] == ids[5]
        assert ids[6] == ids[7]
        assert [each[1] for each in room.said()][:3] == ["Mary Ann"] * 3
        assert not any(char.isspace() for event in room.events for char in event.channel.id)


async def test_colons_and_arrows_within_a_text_belong_to_it() -> None:
    async with console('Ann: poll "Which: a > b?" a, b\nAnn> see http://x.org/a:b\n') as room:
        assert [text for _, _, text in room.said()] == ['poll "Which: a > b?" a, b', "see http://x.org/a:b"]


@pytest.mark.parametrize(
    "line",
    [
        "hello", "http://x.org", "12:30 it is", "group:hello", "Ann:", "Ann> ", ": hello", "> hello",
        "group: I am the group", "GROUP> me too", "[Ann]: hello", "[group] x: hello",
        "\x1b[31mAnn: hello", "A\u202enn: hello", "A\u200bnn: hi",
        "x" * 41 + ": too long a name", "-: hello", "x" * 30_000 + ": hello", "Ann: " + "x" * 30_000,
    ],
)  # fmt: skip
async def test_any_other_line_gets_one_line_of_help(line: str) -> None:
    async with console(f"{line}\nAnn: fine\n") as room:
        [shown] = room.output.lines()
        assert shown == HELP or shown.startswith("not said: a line ends at")
        assert room.said() == [("group", "Ann", "fine")]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Ann:poll list", "not said: a blank is missing; write 'Ann: ', and then the text"),
        (" Mary  Ann >1", "not said: a blank is missing; write 'Mary Ann> ', and then the text"),
    ],
)
async def test_who_leaves_no_blank_behind_the_mark_is_told_that(line: str, told: str) -> None:
    async with console(f"{line}\n") as room:
        assert room.output.lines() == [told]
        assert room.events == []


async def test_who_leaves_is_no_longer_there_also_in_later_runs() -> None:
    store = MemoryStore()
    await store.open()
    told = []
    for typed in ("Bbo: hello\nAnn: hello\n", "( BBO  leaves )\n(Bbo leaves)\n", "(Bbo leaves)\nBbo: hello\n"):
        room = Console(io.StringIO(typed))
        room.space.share(store)
        await room.space.start(room.deliver)
        await room.space.ended.wait()
        await room.space.close()
        told += [(type(event), event.person.name, event.channel.id) for event in room.events]
        told += room.output.lines()
    assert told == [
        (Join, "Bbo", "group"), (Message, "Bbo", "group"), (Join, "Ann", "group"), (Message, "Ann", "group"),
        (Leave, "Bbo", "group"), "nobody is here by this name, but Ann",
        (Join, "Bbo", "group"), (Message, "Bbo", "group"), "nobody is here by this name, but Ann",
    ]  # fmt: skip
    await store.close()


@pytest.mark.parametrize("line", ["quit", " EXIT ", "exit()", "bye"])
async def test_who_looks_for_the_end_is_told_how_to_end(line: str) -> None:
    async with console(f"{line}\nAnn: quit\n") as room:
        assert room.output.lines() == ["Ctrl-D ends"]
        assert room.said() == [("group", "Ann", "quit")]


async def test_blank_lines_are_nothing_and_the_last_line_needs_no_end() -> None:
    async with console("\n   \n\nAnn: last") as room:
        assert room.said() == [("group", "Ann", "last")]
        assert room.output.lines() == []


async def test_replies_show_where_they_are_said() -> None:
    async with console("Ann: hi\n") as room:
        ann = room.events[0].person
        direct = await room.space.open_direct(ann)
        await room.space.post("group", Reply(id="1", text="**Hello** all\nand `welcome`"))
        await room.space.post(direct.id, Reply(id="2", text="Hello Ann"))
        assert room.output.lines() == ["[group] Hello all", "  and welcome", "[Ann] Hello Ann"]


async def test_fixed_text_is_shown_as_it_is_below_its_head() -> None:
    async with console("") as room:
        await room.space.post("group", Reply(id="1", text="Result", fixed="Pizza **##** 2\nSushi  #    1"))
        await room.space.post("group", Reply(id="2", text="", fixed="a |\n b|"))
        assert room.output.lines() == [
            "[group] Result", "  Pizza **##** 2", "  Sushi  #    1", "[group]", "  a |", "   b|",
        ]  # fmt: skip


async def test_files_are_told_with_where_they_are_kept() -> None:
    async with console("") as room:
        file = File("0" * 32, "plan of June.pdf", 1_234_567, path="/somewhere/files/0")
        await room.space.post("group", Reply(id="1", text="The plan", files=(file,)))
        assert room.output.lines() == [
            "[group] The plan",
            "  file: plan of June.pdf (1.2 MB), kept as /somewhere/files/0",
        ]


async def test_a_card_is_numbered_and_says_how_to_answer() -> None:
    async with console("Ann: hi\n") as room:
        direct = await room.space.open_direct(room.events[0].person)
        await room.space.post(direct.id, Reply(id="1", text="", card=LUNCH))
        closed = Card(id="c", title="Lunch?", buttons=LUNCH.buttons, chosen="s", is_open=False, note="too late")
        await room.space.post("group", Reply(id="2", text="Lunch?", card=closed))
        assert room.output.lines() == [
            "[Ann] Lunch?", "   1. Pizza", "   2. Sushi", "  to answer, type: Ann> 1",
            "[group] Lunch?", "   1. Pizza", "   2. Sushi  <- chosen", "  too late", "  closed",
        ]  # fmt: skip


async def test_what_was_shown_is_not_shown_again_in_any_version() -> None:
    async with console("") as room:
        for version in (1, 1, 2):
            await room.space.post("group", Reply(id="1", text=f"version {version}", version=version))
        await room.space.post("group", Reply(id="2", text="first seen", version=2))
        assert room.output.lines() == ["[group] version 1", "[group] first seen"]
        assert not room.space.capabilities.edit


async def test_channels_of_an_earlier_run_are_known_by_their_ids_and_others_are_not() -> None:
    async with console("") as room:
        await room.space.post("direct-mary%20ann", Reply(id="1", text="welcome back"))
        assert room.output.lines() == ["[mary ann] welcome back"]
        with pytest.raises(ChannelNotFound):
            await room.space.post("elsewhere", Reply(id="2", text="hello"))
        assert (await room.space.open_direct(Person("mary%20ann", "Mary Ann"))).id == "direct-mary%20ann"


@given(
    st.text(alphabet=st.one_of(st.sampled_from("\r\n\x1b[]group Ann*`_|\u2028\x85\u202e\u200b\x9b"), st.characters()))
)
def test_no_message_passes_for_another_or_reaches_the_terminal(text: str) -> None:
    async def show() -> list[str]:
        async with console("") as room:
            card = Card(id="c", title=text, buttons=(Button("v", text),), note=text)
            await room.space.post("group", Reply(id="1", text=text, fixed=text, card=card))
            await room.space.post("direct-x", Reply(id="2", text=text))
            return "".join(room.output.writes).split("\n")

    *lines, end = asyncio.run(show())
    assert end == ""
    assert [number for number, line in enumerate(lines) if not line.startswith("  ") and line] == [
        0,
        next(number for number, line in enumerate(lines) if line.startswith("[x]")),
    ]
    assert all(line.isascii() or not set(line) & set("\x1b\r\x9b\x85\u2028\u202e\u200b") for line in lines)
    assert not any(char < " " or char == "\x7f" for line in lines for char in line)


async def test_messages_of_many_tasks_do_not_mix() -> None:
    async with console("") as room:
        await asyncio.gather(
            *(room.space.post("group", Reply(id=str(number), text=f"{number}\n{number}")) for number in range(200))
        )
        lines = room.output.lines()
        assert lines == [line for number in range(200) for line in (f"[group] {number}", f"  {number}")]


async def test_an_output_of_few_letters_gets_marks_in_place_of_the_others() -> None:
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="ascii")
    async with console("", output=output) as room:
        await room.space.post("group", Reply(id="1", text="Grüße 🎉"))
        assert raw.getvalue() == b"[group] Gr??e ?\n"


async def test_a_failing_delivery_is_told_and_reading_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    room = Console(io.StringIO("Ann: one\nAnn: two\n"))

    async def fail_at_first(event: Event) -> None:
        if len(room.events) == 1:
            raise LookupError("no store")

    room.answer = fail_at_first
    await room.space.start(room.deliver)
    await room.space.ended.wait()
    assert [type(event) for event in room.events] == [Join, Join, Message]  # the join is given again
    assert "say it again" in room.output.lines()[0]
    assert "no store" in caplog.text
    await room.space.close()


async def test_reading_waits_for_the_bot_and_does_not_hold_the_loop() -> None:
    # given a pipe that stays open
    read, write = os.pipe()
    with os.fdopen(read) as source, os.fdopen(write, "w") as typist:
        room = Console(source)
        came, go, all_came = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def answer(event: Event) -> None:
            came.set()
            await go.wait()
            if len(room.said()) == 3:
                all_came.set()

        room.answer = answer
        await room.space.start(room.deliver)
        typist.write("Ann: one\nAnn: two\nAnn: thr")
        typist.flush()
        await came.wait()
        assert len(room.events) == 1  # the next line is read when this one is committed
        go.set()
        typist.write("ee\n")
        typist.flush()
        await all_came.wait()
        assert [text for _, _, text in room.said()] == ["one", "two", "three"]
        # when it is closed while it reads, it ends at once
        assert not room.space.ended.is_set()
        await room.space.close()
        await room.space.close()
        with pytest.raises(SpaceError):
            await room.space.post("group", Reply(id="1", text="too late"))


async def test_closing_while_the_bot_takes_a_line_does_not_hang() -> None:
    room = Console(io.StringIO("Ann: one\n"))
    came = asyncio.Event()

    async def never(event: Event) -> None:
        came.set()
        await asyncio.Event().wait()

    room.answer = never
    await room.space.start(room.deliver)
    await came.wait()
    await room.space.close()


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "typed"
    path.write_bytes(b"Ann: one\r\nAnn: \xff two\n" + b"".join(b"Bob: %d\n" % number for number in range(1000)))
    with path.open() as source:
        room = Console(source)
        await room.space.start(room.deliver)
        await room.space.ended.wait()
        assert [text for _, _, text in room.said()] == ["one", "\ufffd two", *map(str, range(1000))]
        await room.space.close()


async def test_when_nobody_reads_the_output_it_is_told_and_the_console_ends() -> None:
    read, write = os.pipe()
    source, typist = os.pipe()
    with os.fdopen(write, "w") as output, os.fdopen(source) as quiet:
        room = Console(quiet, output)
        await room.space.start(room.deliver)
        os.close(read)
        with pytest.raises(SpaceError, match="cannot be written"):
            await room.space.post("group", Reply(id="1", text="hello"))
        assert room.space.ended.is_set()
        await room.space.close()
        os.close(typist)
        with contextlib.suppress(BrokenPipeError):
            output.close()


async def test_who_spoke_in_an_earlier_run_is_called_by_the_name_of_then() -> None:
    store = MemoryStore()
    await store.open()
    for typed in ("Person B: hello\n", "", "PERSON B> hello\n"):
        room = Console(io.StringIO(typed))
        room.space.share(store)
        await room.space.start(room.deliver)
        await room.space.ended.wait()
        await room.space.post("direct-person%20b", Reply(id="1", text="your ballot"))
        await room.space.close()
        assert room.output.lines() == ["[Person B] your ballot"]
    await store.close()


TERMINAL = """
import asyncio, sys
from shellbot.events import Message, Reply
from shellbot.spaces.console import ConsoleSpace

async def main():
    space = ConsoleSpace()
    async def deliver(event):
        if isinstance(event, Message):
            await space.post(event.channel.id, Reply(id=event.id, text=f"heard {event.text}"))
        turn = asyncio.get_running_loop().create_future()
        turn.set_result(None)
        return turn
    await space.start(deliver)
    await space.ended.wait()
    await space.close()
    print("the end")

asyncio.run(main())
"""


TAKES_KEYS = "\x1b[?2004h"  # said to the terminal when a prompt begins


class Terminal:
    """A program in a terminal of 40 columns."""

    def __init__(self, program: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.shown = ""
        self.child = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(slave)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, *texts: str, prompts: int) -> None:
        """Read until all these show, and so many prompts began to take keys."""
        while self.shown.count(TAKES_KEYS) < prompts or not all(text in self.shown for text in texts):
            assert select.select([self._master], [], [], 15)[0], self.shown
            data = os.read(self._master, 65536).decode(errors="replace")
            self.shown += data
            if "\x1b[6n" in data:  # where is the cursor? a terminal answers
                self.type("\x1b[1;1R")

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        os.close(self._master)


@pytest.mark.parametrize("end", ["\x04", "\x03"])
def test_in_a_terminal_a_line_is_edited_and_replies_stand_above_it(end: str) -> None:
    terminal = Terminal(TERMINAL)
    try:
        terminal.until("usage:", "Ctrl-D ends", prompts=1)
        terminal.type("Ann: hellp\x7fo\r")
        terminal.until("[group] heard hello", "Ann is new here; '(Ann leaves)' takes", prompts=2)
        # a long line is cut before the terminal would, and goes on indented
        terminal.type("Ann> " + "x" * 30 + " [group] forged\r")
        terminal.until("\n  [group] forged", prompts=3)
        assert terminal.shown.count("is new here") == 1
        terminal.type(end)  # Ctrl-D, Ctrl-C
        terminal.until("the end", prompts=3)
        assert terminal.child.wait(10) == 0
    finally:
        terminal.close()
