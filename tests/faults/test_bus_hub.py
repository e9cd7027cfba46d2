"""Many programs on one address: what dies or breaks, and what becomes of the messages; see decision 7."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from benchmarks.scene.listener import Listener
from benchmarks.scene.stage import SenderProgram, Stage, is_gone, wait_until
from shellbot.bus import Bus
from shellbot.bus.hub.seat import Answer, Hello
from shellbot.context import Context
from shellbot.testing import FaultProxy, Verdict, kill, kill_every, stopped


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder that no other test uses, so that its files may be spoiled."""
    with tempfile.TemporaryDirectory(prefix="sb-") as path:
        monkeypatch.setenv("SHELLBOT_RUNTIME", path)
        yield Path(path)


@pytest.fixture
def stage(folder: Path) -> Iterator[Stage]:
    with Stage() as made:
        yield made


def good(stage: Stage) -> Verdict:
    total = sum(stage.sent.values())
    return Verdict(total, total)


def all_came(stage: Stage, listener: Listener) -> None:
    """All that was put came to this reader, once and in order."""
    assert listener.wait_for(stage.sent), f"came {dict(listener.next)} of {stage.sent}"
    assert listener.verdict(stage.sent) == good(stage)


def the_file(folder: Path, ending: str) -> Path:
    (found,) = folder.glob(f"*{ending}")
    return found


# -- what dies


def test_at_fast_a_killed_hub_takes_messages_with_it(folder: Path) -> None:
    """The harm that is repaired."""
    with Stage(guarantee="fast") as stage:
        senders = [stage.sender(name) for name in "ab"]
        listener = stage.listener()
        for sender in senders:
            sender.put(0, rate=20_000)
        with kill_every(stage.hub, 0.1, times=5) as killing:
            killing.wait(15)
        for sender in senders:
            before = sender.halt()["sent"]
            sender.put(0, rate=100)
            assert listener.wait_for({sender.name: before + 1})
            sender.halt()
        assert listener.wait_for(stage.sent)
        assert listener.verdict(stage.sent).lost > 0


@pytest.mark.parametrize("programs", [1, 3])
def test_a_killed_hub_is_followed_and_nothing_is_lost(stage: Stage, programs: int) -> None:
    senders = [stage.sender(name) for name in "abc"[:programs]]
    listener = stage.listener()
    for sender in senders:
        sender.put(0, rate=5000)
    with kill_every(stage.hub, 0.1, times=5) as killing:
        killing.wait(15)
    for sender in senders:
        sender.halt()
    all_came(stage, listener)
    assert listener.subscriber.reconnects >= 1


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_hub_killed_200_times_loses_nothing(stage: Stage) -> None:
    senders = [stage.sender(name) for name in "abc"]
    listener = stage.listener()
    for sender in senders:
        sender.put(0, rate=5000)
    with kill_every(stage.hub, 0.2, times=200) as killing:
        killing.wait(110)
    for sender in senders:
        sender.halt()
    all_came(stage, listener)


def test_a_whole_program_killed_takes_nothing_of_the_others_with_it(stage: Stage) -> None:
    first = stage.sender("a")
    others = [stage.sender(name) for name in "bc"]
    listener = stage.listener()
    for sender in (first, *others):
        sender.put(0, rate=5000)
    wait_until(lambda: listener.next["a"] > 200)
    hub = stage.wait_hub()
    first.kill()
    wait_until(lambda: is_gone(hub))
    stage.wait_hub(other_than=hub)
    for sender in others:
        sender.halt()
    assert listener.wait_for({sender.name: sender.sent for sender in others})
    # Of the one that died, all that came is its beginning.
    first.sent = listener.next["a"]
    assert listener.verdict(stage.sent) == good(stage)


def test_a_killed_guest_is_nothing_to_the_hub_and_at_the_next_takeover_it_is_there(stage: Stage) -> None:
    first, second = (stage.sender(name) for name in "ab")
    listener = stage.listener()
    for sender in (first, second):
        sender.put(0, rate=3000)
    hub = stage.wait_hub()
    facts = stage.look()
    assert facts is not None
    guest = next(program.pid for program in facts.programs if program.pid != hub)
    kill(guest)
    wait_until(lambda: (found := stage.look()) and {one.pid for one in found.programs}.isdisjoint({guest, 0}))
    assert stage.hub() == hub
    kill(hub)
    stage.wait_hub(other_than=hub)
    for sender in (first, second):
        sender.halt()
    all_came(stage, listener)


def test_hub_and_guests_killed_at_the_same_time_are_started_again_and_lose_nothing(stage: Stage) -> None:
    senders = [stage.sender(name) for name in "abc"]
    listener = stage.listener()
    pids = [sender.said["pid"] for sender in senders]
    for sender in senders:
        sender.put(0, rate=3000)
    wait_until(lambda: len(listener.next) == 3)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: stage.hub() not in (None, *pids))
    for sender in senders:
        sender.halt()
    all_came(stage, listener)


def test_when_all_programs_are_killed_the_past_is_there_for_the_next(stage: Stage) -> None:
    first = stage.sender("a")
    with FaultProxy(stage.address) as proxy:
        listener = stage.listener(address=proxy.address)
        proxy.hold("down")
        first.put(2000).finish()
        wait_until(lambda: (facts := stage.look()) and facts.position == 2000)
        first.kill()
        proxy.reset()
        proxy.heal()
        second = stage.sender("b")
        second.put(10).finish()
        all_came(stage, listener)
        assert listener.gaps == []
        assert listener.subscriber.replayed > 0


@pytest.mark.parametrize("how", ["spoiled", "cut short", "removed", "another size"])
def test_a_ring_that_cannot_be_gone_on_with_is_told_as_a_gap(stage: Stage, folder: Path, how: str) -> None:
    first = stage.sender("a")
    listener = stage.listener()
    first.put(100).finish()
    assert listener.wait_for(stage.sent)
    first.kill()
    wait_until(lambda: stage.hub() is None)
    ring = the_file(folder, ".ring")
    if how == "spoiled":
        with ring.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 64)
    elif how == "cut short":
        os.truncate(ring, 5000)
    elif how == "removed":
        ring.unlink()
    second = stage.sender("b", **({"history": 8 * 1024 * 1024} if how == "another size" else {}))
    second.put(0, rate=500)
    wait_until(lambda: listener.next["b"] > 50)
    second.halt()
    assert listener.wait_for(stage.sent)
    verdict = listener.verdict(stage.sent)
    assert (verdict.unreported, verdict.duplicated, verdict.reordered) == (0, 0, 0)
    assert {(gap.first, gap.last, gap.at_most) for _, gap in listener.gaps} == {(None, None, None)}


def test_four_candidates_at_once_make_one_hub(stage: Stage) -> None:
    senders = [SenderProgram(stage.address, name) for name in "abcd"]
    try:
        for sender in senders:
            assert "pid" in sender.wait_started().said
        wait_until(lambda: (facts := stage.look()) and len(facts.programs) == 4)
        stage.senders += senders
        listener = stage.listener()
        for sender in senders:
            sender.put(500)
        for sender in senders:
            sender.finish()
        all_came(stage, listener)
    finally:
        for sender in senders:
            sender.__exit__()


def test_a_hub_that_closes_hands_on_and_nothing_is_lost(stage: Stage) -> None:
    senders = [stage.sender(name) for name in "abc"]
    listener = stage.listener()
    for sender in senders[1:]:
        sender.put(0, rate=5000)
    senders[0].put(5000).finish()
    hub = stage.wait_hub()
    assert hub == senders[0].said["pid"]
    assert senders[0].end() < 5
    stage.wait_hub(other_than=hub)
    for sender in senders[1:]:
        sender.halt()
    all_came(stage, listener)


def test_programs_that_close_while_the_hub_is_killed_lose_nothing(stage: Stage) -> None:
    stayer = stage.sender("stayer")
    listener = stage.listener()
    for number in range(5):
        leaver = stage.sender(f"leaver-{number}")
        leaver.put(3000)
        hub = stage.wait_hub()
        leaver.finish()
        leaver.tell({"close": True})
        kill(hub)
        leaver.hear()
        stayer.put(10).finish()
    all_came(stage, listener)


def test_a_forked_child_of_a_program_keeps_nobody_from_the_seat(stage: Stage) -> None:
    first, second = (stage.sender(name) for name in "ab")
    listener = stage.listener()
    first.tell({"fork": True})
    child = first.hear()["child"]
    first.put(1000).finish()
    hub = stage.wait_hub()
    os.kill(first.pid, signal.SIGKILL)
    stage.wait_hub(other_than=hub)
    second.put(1000).finish()
    all_came(stage, listener)
    assert not is_gone(child)


# -- crashes at chosen points

AT_WORK = [
    ("shellbot.bus.hub.intake:Intake.read_into", "before"),
    ("shellbot.bus.hub.intake:Intake.read_into", "after"),
    ("shellbot.bus.ring:Ring.commit", "before"),
    ("shellbot.bus.ring:Ring.commit", "after"),
    ("shellbot.bus.hub.way_out:WayOut.send", "after"),
    ("shellbot.bus.ring:Ring._prepare", "before"),
    ("shellbot.bus.ring:Ring._prepare", "after"),
    ("shellbot.bus.ring:Ring._zero_to", "after"),
    ("shellbot.bus.ring:Ring._evict", "after"),
    ("shellbot.bus.ring:Ring._enter", "before"),
]
AT_TAKEOVER = [
    ("shellbot.bus.hub.seat:FileSeat.claim", "after"),
    ("shellbot.bus.ring:Ring._recover", "before"),
    ("shellbot.bus.ring:Ring._recover", "after"),
    ("shellbot.bus.transports.zmq:ZmqSending._bind", "before"),
    ("shellbot.bus.transports.zmq:ZmqSending._bind", "after"),
    ("shellbot.bus.hub.seat:FileSeat.open_door", "before"),
    ("shellbot.bus.hub.seat:FileSeat.open_door", "after"),
    ("shellbot.bus.hub.journal:Journal.recover", "before"),
    ("shellbot.bus.hub.journal:Journal.recover", "after"),
    ("shellbot.bus.hub.process:hand_over", "before"),
    ("shellbot.bus.hub.process:hand_over", "after"),
    ("shellbot.bus.hub.guests:Guests._let_in", "before"),
    ("shellbot.bus.hub.guests:Guests._let_in", "after"),
    ("shellbot.bus.hub.answers:Answer.go_on", "before"),
    ("shellbot.bus.hub.answers:Answer.go_on", "after"),
]


def name_of(case: Any) -> str:
    return str(case).rpartition(".")[2]


@pytest.mark.parametrize("size", [0, 20_000], ids=["small", "pieces"])
@pytest.mark.parametrize(("point", "when"), AT_WORK, ids=name_of)
def test_a_hub_that_dies_at_any_point_of_its_work_loses_nothing(folder: Path, point: str, when: str, size: int) -> None:
    """With the smallest ring, which comes round soon."""
    flag = folder / "die"
    with Stage(history=8 * 1024 * 1024) as stage:
        senders = [stage.sender(name, crash=[point, when, str(flag)]) for name in "ab"]
        listener = stage.listener()
        for sender in senders:
            sender.put(0, rate=500 if size else 5000, size=size)
        for _ in range(3):
            hub = stage.wait_hub()
            flag.touch()
            wait_until(lambda: not flag.exists())
            stage.wait_hub(other_than=hub)
        for sender in senders:
            sender.halt()
        all_came(stage, listener)


@pytest.mark.parametrize(("point", "when"), AT_TAKEOVER, ids=name_of)
def test_a_hub_that_dies_while_it_takes_over_loses_nothing(folder: Path, point: str, when: str) -> None:
    flag = folder / "die"
    with Stage() as stage:
        senders = [stage.sender(name, crash=[point, when, str(flag)]) for name in "abc"]
        listener = stage.listener()
        for sender in senders:
            sender.put(0, rate=3000)
        for _ in range(2):
            hub = stage.wait_hub()
            flag.touch()
            kill(hub)
            wait_until(lambda: not flag.exists())
            stage.wait_hub(other_than=hub)
        for sender in senders:
            sender.halt()
        all_came(stage, listener)


def test_long_messages_come_whole_whatever_happens_to_hubs(stage: Stage) -> None:
    senders = [stage.sender(name) for name in "ab"]
    listener = stage.listener()
    for sender in senders:
        sender.put(0, rate=30, size=500_000)
    with kill_every(stage.hub, 0.15, times=5) as killing:
        killing.wait(15)
    for sender in senders:
        sender.halt()
    all_came(stage, listener)


def test_half_of_a_long_message_of_a_killed_program_disturbs_nobody(stage: Stage) -> None:
    hub, dying = stage.sender("a"), stage.sender("b")
    listener = stage.listener()
    hub.put(0, rate=100)
    for number in range(3):
        dying.put(0, size=1_000_000)
        assert listener.wait_for({dying.name: 4})
        dying.kill()
        dying.sent = -1
        dying = stage.sender(f"next-{number}")
    hub.halt()
    for sender in stage.senders:
        if sender.sent < 0:
            sender.sent = listener.next[sender.name]
    dying.put(3, size=1_000_000).finish()
    all_came(stage, listener)


# -- places and doors


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """The runtime folder is a file system of 1 MiB."""
    if os.getuid():
        pytest.skip("needs root, to mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_at_start_and_the_program_lives(small_disk: Path) -> None:
    with Stage() as stage:
        refused = stage.sender("a")
        assert refused.said["error"] == "StorageFull"
        assert "SHELLBOT_RUNTIME" in refused.said["text"]
        assert not list(small_disk.glob("*.ring"))
    with Stage(guarantee="fast") as stage:
        sender = stage.sender("a")
        listener = stage.listener()
        sender.put(10).finish()
        all_came(stage, listener)


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_cleaned_runtime_folder_makes_no_second_hub(folder: Path, scheme: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sb-") as place:
        with Stage(f"ipc://{place}/bus" if scheme == "ipc" else None) as stage:
            first = stage.sender("a")
            listener = stage.listener()
            hub = stage.wait_hub()
            for path in folder.iterdir():
                path.unlink()
            late = stage.sender("b")
            assert late.said.get("error") == "AddressInUse"
            first.put(100).finish()
            late.sent = 0
            assert listener.wait_for({"a": 100})
            assert listener.gaps == []
            assert not is_gone(hub)


def test_a_stranger_on_the_port_of_a_dead_hub_is_waited_for(stage: Stage) -> None:
    sender = stage.sender("a")
    listener = stage.listener()
    sender.put(100).finish()
    assert listener.wait_for(stage.sent)
    publisher = sender.publisher
    with stopped(sender):
        kill(publisher)
        context: zmq.Context[Any] = zmq.Context()
        stranger = context.socket(zmq.REP)
        stranger.bind(stage.address)
    wait_until(lambda: sender_restarts(sender) >= 1)
    stranger.close(0)
    context.term()
    sender.put(100).finish()
    all_came(stage, listener)


def sender_restarts(sender: SenderProgram) -> int:
    sender.tell({"pid": True})
    return int(sender.hear()["restarts"])


def knock(folder: Path, cookie: str) -> Answer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(5)
        connection.connect(str(the_file(folder, ".in")))
        connection.send(msgspec.json.encode(Hello(cookie, os.getpid(), is_look=True)))
        return msgspec.json.decode(connection.recv(65536), type=Answer)


def test_a_stranger_without_the_cookie_is_refused_at_the_door(stage: Stage, folder: Path) -> None:
    sender = stage.sender("a")
    listener = stage.listener()
    stage.wait_hub()
    assert not knock(folder, (folder / "cookie").read_text()).refused
    assert "cookie" in knock(folder, "x" * 32).refused
    assert "cookie" in knock(folder, "ü").refused
    for junk in (b"", b"{}", b"\xff" * 1000, b"GET / HTTP/1.1\r\n\r\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(5)
            connection.connect(str(the_file(folder, ".in")))
            connection.send(junk)
    sender.put(100).finish()
    all_came(stage, listener)


def test_another_user_cannot_come_to_the_door(stage: Stage, folder: Path) -> None:
    if os.getuid():
        pytest.skip("needs root, to become another user")
    stage.sender("a")
    stage.wait_hub()
    door = str(the_file(folder, ".in"))
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            os._exit(0 if connection.connect_ex(door) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_program_that_asks_for_more_than_the_hub_keeps_is_told(stage: Stage) -> None:
    stage.sender("a", guarantee="fast")
    refused = stage.sender("b", guarantee="replay")
    assert refused.said["error"] == "GuaranteeUnavailable"
    assert "'fast'" in refused.said["text"]


def test_a_program_that_asks_for_less_is_let_in(stage: Stage) -> None:
    senders = [stage.sender("a", guarantee="replay"), stage.sender("b", guarantee="fast")]
    listener = stage.listener()
    for sender in senders:
        sender.put(100).finish()
    all_came(stage, listener)


def test_the_next_hub_keeps_the_rules_of_the_first(stage: Stage) -> None:
    first, second = stage.sender("a", slow="block"), stage.sender("b", guarantee="fast", slow="disconnect")
    listener = stage.listener()
    for sender in (first, second):
        sender.put(100).finish()
    assert listener.wait_for(stage.sent)
    hub = stage.wait_hub()
    first.kill()
    stage.wait_hub(other_than=hub)
    facts = stage.look()
    assert facts is not None
    assert (facts.guarantee, facts.slow, facts.position) == ("replay", "block", 200)
    second.put(100).finish()
    all_came(stage, listener)
    assert listener.gaps == []


# -- many, and much


def crowd(stage: Stage, count: int) -> None:
    sender = stage.sender("a")
    stage.sender("b")
    subscribers = [Bus(Context({"bus": {"address": stage.address}})).subscribe("a") for _ in range(count)]
    try:
        for subscriber in subscribers:
            subscriber.wait_ready(20)
        sender.put(50).finish()
        kill(stage.wait_hub())
        sender.put(50).finish()
        for subscriber in subscribers:
            found = [subscriber.receive(20) for _ in range(100)]
            assert [one and one.message["n"] for one in found] == list(range(100))  # type: ignore[union-attr]
            assert subscriber.gaps == 0
    finally:
        for subscriber in subscribers:
            subscriber.close()


def test_many_subscribers_ask_at_once_after_a_takeover(stage: Stage) -> None:
    crowd(stage, 100)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_thousand_subscribers_ask_at_once_after_a_takeover(stage: Stage) -> None:
    crowd(stage, 1000)


def test_a_whole_ring_replayed_to_one_reader_leaves_time_for_the_others(stage: Stage) -> None:
    sender = stage.sender("a")
    other = stage.listener()
    with FaultProxy(stage.address) as proxy:
        slow = stage.listener(address=proxy.address)
        proxy.reset()
        proxy.refuse()
        sender.put(14_000, size=1000).finish()
        assert other.wait_for(stage.sent)
        sender.put(0, rate=1000)
        since = time.monotonic()
        proxy.heal()
        wait_until(lambda: slow.next["a"] > 14_000)
        sender.halt()
        all_came(stage, slow)
        assert slow.subscriber.replayed > 13_000
    all_came(stage, other)
    assert other.longest_pause(since) < 0.5


def test_a_reader_of_all_channels_gets_no_replies_to_others(stage: Stage) -> None:
    sender = stage.sender("a")
    with FaultProxy(stage.address) as mine, FaultProxy(stage.address) as theirs:
        listener = stage.listener("", address=mine.address)
        other = stage.listener("", address=theirs.address)
        sender.put(2000, size=1000).finish()
        assert listener.wait_for(stage.sent)
        assert other.wait_for(stage.sent)
        theirs.refuse()
        theirs.reset()
        sender.put(2000, size=1000).finish()
        assert listener.wait_for(stage.sent)
        before = mine.counts.bytes_down
        theirs.heal()
        assert other.wait_for(stage.sent)
        assert other.subscriber.replayed >= 2000
        assert mine.counts.bytes_down - before < 10_000
        all_came(stage, listener)
