"""Publishers, hub and subscribers over real processes, in any order of things that people and machines do to them.

Hypothesis makes up the story; :mod:`tests.bus.promise` and :class:`shellbot.testing.History` say after each chapter
whether every reader saw what it was promised. A failure prints the steps, so that it can be told again by hand.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from shellbot.bus import Bus, Gap, Subscriber
from shellbot.bus.hub.facts import Facts, Look
from shellbot.context import Context
from shellbot.errors import BusError
from shellbot.testing import FaultProxy, History, Verdict, kill, read_message, stopped
from tests.bus.conftest import free_tcp_address
from tests.bus.promise import HELD_BYTES, Account, Promise, Put, Text, Told
from tests.bus.publishing import Nursery, Program, message
from tests.bus.watching import wait_until

HISTORY = 8 * 1024 * 1024
LIMIT = 10.0
STILL = 1.0
# A process that dies again and again is started after longer and longer pauses.
MAX_KILLS = 6
# One is the beginning of another.
CHANNELS = ["room", "room1", "room10"]
LONG = 100_000

some = st.integers(0, 2)
channel_lists = st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3, unique=True)
held_lists = st.one_of(channel_lists, channel_lists, st.just([""]))
# Sizes of records: in one piece, just so or not any more, and many pieces.
sizes = st.one_of(
    st.lists(st.integers(60, 300), min_size=1, max_size=25),
    st.lists(st.integers(4095, 4097), min_size=1, max_size=6),
    st.lists(st.just(LONG), min_size=1, max_size=3),
    st.lists(st.sampled_from([60, 4096, 4097, LONG]), min_size=1, max_size=6),
)


@dataclass
class Sender:
    """A program, as long as it publishes.

    Attributes:
        let_read: Called when its queue stands still: a bus waits for its slowest reader.
        waiting: What it was told to put and has not confirmed; with each number the texts of one put().
    """

    name: str
    program: Program
    promise: Promise
    let_read: Callable[[], object]
    waiting: dict[int, list[Put]] = field(default_factory=dict)
    number: int = 0

    def put(self, channels: list[str], sizes: list[int]) -> None:
        lengths = []
        for number, size in enumerate(sizes, self.number + 1):
            length = max(0, size - record_size(channels[0], self.name, number, 0))
            lengths.append(length)
            self.waiting[number] = [
                self.promise.put(Text(self.name, number, channel), record_size(channel, self.name, number, length))
                for channel in channels
            ]
        self.program.tell("put", channels, self.name, self.number + 1, lengths)
        self.number += len(sizes)

    def confirm(self, timeout: float, count: int = sys.maxsize) -> None:
        """Hear what was put, until all is, or so many more are, or no more is said."""
        while self.waiting and count > 0 and (number := self.program.hear(timeout)) is not None:
            assert isinstance(number, int), f"{self.name} could not put: {number}"
            count -= 1
            for put in self.waiting.pop(number):
                put.sure_at = self.promise.now

    def confirm_all(self) -> None:
        deadline = monotonic() + LIMIT
        while self.waiting and monotonic() < deadline:
            self.confirm(STILL)
            if self.waiting:
                self.let_read()
        assert not self.waiting, f"{self.name} has not put {min(self.waiting)} in {LIMIT:g} s"

    def ask(self, *order: Any) -> Any:
        self.confirm_all()
        self.program.tell(*order)
        return self.program.hear()


@dataclass
class Reader:
    """A subscriber, and what it saw."""

    subscriber: Subscriber
    account: Account
    is_far: bool

    def take(self, count: int, timeout: float = 0) -> None:
        for _ in range(count):
            found = self.subscriber.receive(timeout)
            if found is None:
                return
            if isinstance(found, Gap):
                self.account.trace.append(Told(found.at_most))
            else:
                sender, number = read_message(found.message)
                assert found.message == message(sender, number, len(found.message["pad"])), "spoiled"
                self.account.took(Text(sender, number, found.channel))


class Buses(RuleBasedStateMachine):
    """One address, and all that may happen to it."""

    def __init__(self, nursery: Nursery, scheme: str, slow: str) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.is_well = False
        self.promise = Promise()
        self.senders: list[Sender] = []
        self.readers: list[Reader] = []
        self.idle: list[Program] = []
        self.is_held = False
        self.started = self.kills = 0
        self.nursery = nursery
        self.stack = ExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="sb-"))
        before = os.environ["SHELLBOT_RUNTIME"]
        self.stack.callback(os.environ.__setitem__, "SHELLBOT_RUNTIME", before)
        os.environ["SHELLBOT_RUNTIME"] = self.folder
        self.address = free_tcp_address() if scheme == "tcp" else f"ipc://{self.folder}/bus"
        self.settings = {"address": self.address, "history": HISTORY, "slow": slow, "linger": 0.5}
        self.proxy = self.stack.enter_context(FaultProxy(self.address))

    def step(self, text: str) -> None:
        self.promise.tick()
        self.steps.append(text)

    # -- programs

    @initialize(count=st.integers(1, 3), near=held_lists, far=held_lists)
    def begin(self, count: int, near: list[str], far: list[str]) -> None:
        for _ in range(count):
            self.start()
        self.open(near, False, True, 0)
        self.open(far, True, True, 0)

    @precondition(lambda self: len(self.senders) < 3)
    @rule()
    def start(self) -> None:
        program = self.idle.pop() if self.idle else self.nursery.program()
        self.started += 1
        sender = Sender(f"s{self.started}", program, self.promise, self.let_read)
        self.step(f"{sender.name} starts, pid {program.pid}")
        self.senders.append(sender)
        said = sender.ask("start", self.folder, self.settings)
        assert said is True, f"{sender.name} could not start: {said}"

    @precondition(lambda self: self.senders)
    @rule(which=some, channels=channel_lists, sizes=sizes)
    def put(self, which: int, channels: list[str], sizes: list[int]) -> None:
        self.begin_to_put(which, channels, sizes)
        self.sender(which).confirm_all()

    @precondition(lambda self: self.senders)
    @rule(which=some, channels=channel_lists, sizes=sizes)
    def begin_to_put(self, which: int, channels: list[str], sizes: list[int]) -> None:
        """What comes next happens meanwhile."""
        sender = self.sender(which)
        self.step(f"{sender.name} puts to {channels} records of {sizes}")
        sender.put(channels, sizes)

    @precondition(lambda self: self.senders)
    @rule(which=some, channel=st.sampled_from(CHANNELS))
    def flood(self, which: int, channel: str) -> None:
        """More than the ring holds."""
        sender = self.sender(which)
        self.step(f"{sender.name} puts more than the ring holds to {channel}")
        sender.put([channel], [LONG] * (HISTORY // LONG + 2))
        sender.confirm_all()

    @precondition(lambda self: self.senders)
    @rule(which=some)
    def close_program(self, which: int) -> None:
        sender = self.sender(which)
        self.step(f"{sender.name} closes")
        said = sender.ask("close")
        assert said is True, f"{sender.name} could not close: {said}"
        self.senders.remove(sender)
        self.idle.append(sender.program)

    # -- kills

    @precondition(lambda self: self.senders and self.kills < MAX_KILLS)
    @rule()
    def kill_hub(self) -> None:
        pid = self.hub()
        self.step(f"the hub is killed, pid {pid}")
        self.kill_process(pid)

    @precondition(lambda self: self.senders and self.kills < MAX_KILLS)
    @rule(which=some, channels=channel_lists, count=st.integers(0, 30))
    def kill_hub_amid(self, which: int, channels: list[str], count: int) -> None:
        """When so many of the messages that are just put have been taken."""
        sender, pid = self.sender(which), self.hub()
        sender.confirm_all()
        self.step(f"{sender.name} puts to {channels}, and after {count} of them the hub is killed, pid {pid}")
        sender.put(channels, [60, 4096, LONG] * 10)
        sender.confirm(STILL, count)
        self.kill_process(pid)

    @precondition(lambda self: len(self.senders) > 1 and self.kills < MAX_KILLS)
    @rule(which=some)
    def kill_process_of(self, which: int) -> None:
        sender = self.sender(which)
        if pid := sender.ask("pid"):
            self.step(f"the process of {sender.name} is killed, pid {pid}")
            self.kill_process(pid)

    @precondition(lambda self: self.senders)
    @rule(which=some, whole=st.booleans())
    def kill_program(self, which: int, whole: bool) -> None:
        sender = self.sender(which)
        self.step(f"{sender.name} is killed{', and its process with it' if whole else ''}")
        self.kill_sender(sender, whole)

    @precondition(lambda self: self.senders)
    @rule(is_kill=st.booleans())
    def restart_everything(self, is_kill: bool) -> None:
        self.step(f"all programs {'are killed' if is_kill else 'close'}")
        while self.senders:
            if is_kill:
                self.kill_sender(self.senders[0], whole=True)
            else:
                self.close_program(0)
        self.start()

    @precondition(lambda self: self.senders)
    @rule(which=some, whose=st.one_of(st.none(), some), channels=channel_lists, sizes=sizes)
    def stop_for_a_moment(self, which: int, whose: int | None, channels: list[str], sizes: list[int]) -> None:
        pid = self.hub() if whose is None else self.sender(whose).ask("pid")
        if not pid:
            # It is just being started again.
            return
        sender = self.sender(which)
        self.step(f"while process {pid} is stopped {sender.name} puts to {channels} records of {sizes}")
        try:
            with stopped(pid):
                sender.put(channels, sizes)
                for reader in self.readers:
                    reader.take(5)
        except ProcessLookupError:
            self.steps.append("it had gone")
        sender.confirm_all()

    # -- the network

    @rule()
    def cut(self) -> None:
        self.step("connections of far readers are cut")
        self.proxy.reset()

    @precondition(lambda self: not self.is_held)
    @rule()
    def hold(self) -> None:
        self.step("nothing comes through to far readers")
        self.proxy.hold()
        self.is_held = True

    @precondition(lambda self: self.is_held)
    @rule()
    def heal(self) -> None:
        self.step("far readers are reached again")
        self.proxy.heal()
        self.is_held = False

    # -- readers

    @precondition(lambda self: len(self.readers) < 4)
    @rule(channels=held_lists, is_far=st.booleans(), waits=st.booleans(), last=st.sampled_from([0, 0, 3, 50]))
    def open(self, channels: list[str], is_far: bool, waits: bool, last: int) -> None:
        name = f"r{len(self.promise.accounts) + 1}"
        where = "far" if is_far else "near"
        self.step(f"{name} opens {where} for {channels}{f', and the last {last}' if last else ''}")
        is_still = bool(last) and self.wait_still()
        context = Context({"bus": self.settings | {"address": self.proxy.address if is_far else self.address}})
        account = Account(name, dict.fromkeys(channels))
        self.promise.accounts.append(account)
        reader = Reader(Bus(context).subscribe(channels, last=last), account, is_far)
        self.readers.append(reader)
        reader.take(1)
        if last:
            self.wait_ready(reader)
            self.get_past(reader, last if is_still else 0)
        elif waits:
            self.wait_ready(reader)

    @precondition(lambda self: self.readers)
    @rule(which=some)
    def ready(self, which: int) -> None:
        reader = self.reader(which)
        self.step(f"{reader.account.name} is made ready")
        self.wait_ready(reader)

    @precondition(lambda self: self.readers)
    @rule(which=some, channels=held_lists, waits=st.booleans())
    def add(self, which: int, channels: list[str], waits: bool) -> None:
        reader = self.reader(which)
        self.step(f"{reader.account.name} adds {channels}")
        reader.subscriber.add(channels)
        reader.account.since = dict.fromkeys(channels) | reader.account.since
        if waits:
            self.wait_ready(reader)

    @precondition(lambda self: self.readers)
    @rule(which=some, channel=st.sampled_from(["", *CHANNELS]))
    def remove(self, which: int, channel: str) -> None:
        reader = self.reader(which)
        if list(reader.account.since) != [channel]:
            self.step(f"{reader.account.name} removes {channel!r}")
            reader.subscriber.remove(channel)
            reader.account.since.pop(channel, None)
            reader.account.past.discard(channel)

    @precondition(lambda self: self.readers)
    @rule(which=some, count=st.integers(1, 30))
    def read_some(self, which: int, count: int) -> None:
        reader = self.reader(which)
        self.step(f"{reader.account.name} reads {count} at most")
        reader.take(count)

    @precondition(lambda self: self.readers and self.senders)
    @rule(which=some)
    def read_all(self, which: int) -> None:
        reader = self.reader(which)
        if not (reader.is_far and self.is_held):
            self.step(f"{reader.account.name} reads all")
            self.read([reader])

    @precondition(lambda self: self.readers)
    @rule(which=some)
    def close_reader(self, which: int) -> None:
        reader = self.reader(which)
        self.step(f"{reader.account.name} closes")
        reader.subscriber.close()
        self.readers.remove(reader)
        complaints = self.promise.complaints(reader.account, has_read_all=False)
        assert not complaints, complaints[:5]

    # -- how it ends

    def finish(self) -> None:
        """Whatever happened: when all is well again everybody gets all that was promised, and what is put then."""
        self.step("all is made well")
        if self.is_held:
            self.heal()
        if not self.senders:
            self.start()
        for reader in self.readers:
            self.wait_ready(reader)
        for sender in self.senders:
            sender.confirm_all()
            self.step(f"{sender.name} puts to all")
            sender.put(CHANNELS, [100, LONG])
            sender.confirm_all()
        self.read(self.readers)
        complaints = self.promise.disagreements()
        assert not complaints, complaints[:5]

    def teardown(self) -> None:
        error = sys.exc_info()[0]
        # Hypothesis ends a story with a BaseException when it has enough of it.
        is_well = error is not None and not issubclass(error, Exception)
        try:
            if error is None:
                self.finish()
                is_well = True
        finally:
            for reader in self.readers:
                reader.subscriber.close()
            for program in [*self.idle, *(sender.program for sender in self.senders)]:
                program.close()
            self.stack.close()
            self.steps += [said := self.nursery.errors(), *map(str, self.promise.accounts)]
        assert "Traceback" not in said, said
        self.is_well = is_well

    # -- helpers

    def sender(self, which: int) -> Sender:
        return self.senders[which % len(self.senders)]

    def reader(self, which: int) -> Reader:
        return self.readers[which % len(self.readers)]

    def hub(self) -> int:
        """Pid of whoever is the hub now."""
        found: list[Facts] = []
        wait_until(lambda: (facts := self.look()) is not None and not found.append(facts), LIMIT)
        return found[0].pid

    def look(self) -> Facts | None:
        try:
            with Look(Context({"bus": self.settings})) as looking:
                return looking.facts()
        except BusError:
            return None

    def kill_process(self, pid: int) -> None:
        self.kills += 1
        try:
            kill(pid)
        except ProcessLookupError:
            self.steps.append("it had gone")

    def kill_sender(self, sender: Sender, whole: bool) -> None:
        self.senders.remove(sender)
        self.promise.killed.add(sender.name)
        sender.program.kill(whole=whole)
        sender.confirm(0)
        if whole:
            sender.program.close()
        else:
            # Its process may still be at work; it is looked after at the end.
            self.stack.callback(sender.program.close)

    def let_read(self) -> None:
        """Nobody holds the bus up any more."""
        if self.is_held:
            self.heal()
        for reader in self.readers:
            reader.take(sys.maxsize)

    def wait_ready(self, reader: Reader) -> None:
        """What is put from now on must come; where there is somebody to say so."""
        if self.senders and not (reader.is_far and self.is_held):
            reader.subscriber.wait_ready(LIMIT)
            if reader.account.calm_from is None:
                reader.take(sys.maxsize)
            reader.account.promise(self.promise.tick())

    def wait_still(self) -> bool:
        """Wait until the bus has taken all that was put; False where that, or what it still holds, is not known."""
        if not self.senders or self.promise.killed or self.promise.bytes_since(0) > HELD_BYTES:
            return False
        for sender in self.senders:
            sender.confirm_all()
        count = sum(map(len, self.promise.puts.values()))
        wait_until(lambda: (facts := self.look()) is not None and facts.position == count, LIMIT)
        return True

    def get_past(self, reader: Reader, last: int) -> None:
        """It has begun with so many messages at least, where there were so many."""
        account, promise = reader.account, self.promise
        if account.calm_from is not None:
            account.past = set(account.since)
            self.read([reader])
            held = [put for puts in promise.puts.values() for put in puts if account.holds(put.text.channel)]
            came = len(account.trace)
            assert came >= min(last, len(held)), f"{came} of the last {last} came"

    def read(self, readers: list[Reader]) -> None:
        """All that must come; then it is judged."""
        since = monotonic()
        while True:
            for reader in readers:
                reader.take(sys.maxsize)
            late = [reader for reader in readers if self.promise.awaited(reader.account)]
            if not late:
                break
            awaited = self.promise.awaited(late[0].account)
            state = f"{late[0].subscriber.state}, {late[0].subscriber.reconnects} reconnects"
            assert monotonic() < since + LIMIT, f"{late[0].account.name} waits for {awaited[:5]}; it is {state}"
            late[0].take(1, 0.1)
            if monotonic() > since + STILL:
                self.let_read()
        for reader in readers:
            complaints = self.promise.complaints(reader.account)
            assert not complaints, f"{reader.account.name}: {complaints[:5]}"
            self.judge(reader.account)

    def judge(self, account: Account) -> None:
        """The same by the test kit's own judge."""
        history = History()
        due = {put.text for put in self.promise.due(account)} | set(account.trace)
        for puts in self.promise.puts.values():
            for put in puts:
                if put.text in due:
                    history.put(put.text.sender, put.text.channel, put.text.number)
        for one in account.trace:
            if isinstance(one, Told):
                history.gap(account.name, one.at_most)
            else:
                history.arrived(account.name, one.channel, one.sender, one.number)
        verdict = history.verdict(account.name)
        well = Verdict(sent=verdict.sent, delivered=verdict.delivered, lost=verdict.lost)
        assert verdict == well, f"{account.name}: {verdict}"


def record_size(channel: str, sender: str, number: int, length: int) -> int:
    """Bytes on the way to the hub, where it fits into one record."""
    body = json.dumps({"from": sender, "n": number, "pad": ""}, separators=(",", ":"))
    return len(f"{channel} {body}\n") + length


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


def explore(nursery: Nursery, scheme: str, slow: str, seconds: float, steps: int = 25) -> None:
    """Let things happen, a few stories at a time, for so long; the steps of the first that ends badly are printed."""
    made: list[Buses] = []

    def begin() -> Buses:
        made[:] = [one for one in made if not one.is_well][:1]
        made.append(Buses(nursery, scheme, slow))
        return made[-1]

    chosen = settings(
        max_examples=5,
        stateful_step_count=steps,
        # With real processes it would take minutes to make a story shorter.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        report_multiple_bugs=False,
    )
    until = monotonic() + seconds
    while monotonic() < until:
        number = random.randrange(2**32)
        print(f"seed {number}")
        try:
            run_state_machine_as_test(seed(number)(begin), settings=chosen)
        except BaseException:
            print(*made[0].steps, sep="\n")
            raise


@pytest.mark.timeout(60)
@pytest.mark.parametrize("slow", ["block", "disconnect"])
@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_every_reader_sees_what_it_was_promised(nursery: Nursery, scheme: str, slow: str) -> None:
    explore(nursery, scheme, slow, seconds=5)


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("slow", ["block", "disconnect"])
@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_every_reader_sees_what_it_was_promised_long(nursery: Nursery, scheme: str, slow: str) -> None:
    explore(nursery, scheme, slow, seconds=70, steps=40)
