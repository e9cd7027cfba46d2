"""Rows of what happens to processes: hubs, publishers, programs and readers killed or stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
from functools import partial
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

import zmq

from benchmarks.faults.acts import hubs_killed, reader_stopped
from benchmarks.faults.row import FAST, REPLAY, Outcome, Row
from benchmarks.faults.scenes import CALM, followed, halt, judged, kill_hubs, pause, put_on
from benchmarks.scene.stage import Stage, free_address, is_gone, wait_until
from benchmarks.scene.talk import Program
from shellbot.testing import kill, stopped

MIB = 1024 * 1024
_CROWD = "subscribers, 1,000 in 2 processes"


def rows() -> list[Row]:
    small = {"history": 8 * MIB}
    return [
        Row("hub killed, 3 programs x 5 k/s", FAST, partial(_hubs, 3, 5000, 5, {"guarantee": FAST}), is_harm=True),
        Row("hub killed, 3 programs x 5 k/s", REPLAY, partial(_hubs, 3, 5000, 10, {})),
        Row("hub killed, 3 programs x 30 k/s", REPLAY, partial(_hubs, 3, 30_000, 6, {})),
        Row("hub killed, 4 programs flat out", REPLAY, partial(_hubs, 4, 0, 3, {}), is_paced=False, may_lose=True),
        Row("hub killed, 1 program alone, 20 k/s", REPLAY, partial(_hubs, 1, 20_000, 5, {})),
        Row("hub killed, 2 programs with messages of 1 MiB", REPLAY, partial(_hubs, 2, 15, 5, {}, 1000 * 1000)),
        Row("hub killed with its whole program", FAST, partial(_whole, {"guarantee": FAST}), is_harm=True),
        Row("hub killed with its whole program", REPLAY, partial(_whole, {})),
        Row("hub stopped for 2 s", FAST, partial(_stopped_hub, {"guarantee": FAST}), is_harm=True),
        Row("hub stopped for 2 s", REPLAY, partial(_stopped_hub, {})),
        Row("kill of a process behind a queue, nobody starts it again", "none", partial(_plain, False), is_harm=True),
        Row("kill of a publisher that is no hub", REPLAY, _guest),
        Row("kill of the parent, whose queue is multiprocessing's", "none", partial(_plain, True), is_harm=True),
        Row("kill of the parent", REPLAY, _parent),
        Row("subscriber killed, a new one from now on", FAST, partial(_reader, {"guarantee": FAST}, 0), is_harm=True),
        Row("subscriber killed, a new one with last=100,000", REPLAY, partial(_reader, {}, 100_000)),
        Row(f"{_CROWD}, one hub killed", FAST, partial(_crowd, {"guarantee": FAST}), is_harm=True),
        Row(f"{_CROWD}, ask at once", REPLAY, partial(_crowd, {}), is_paced=False),
        Row(
            "sigstop of a reader, 1.5 s, drop", FAST, partial(_slow, {"guarantee": FAST, "slow": "drop"}), is_harm=True
        ),
        Row("sigstop of a reader, 1.5 s, block", REPLAY, partial(_slow, {"slow": "block"})),
        Row("sigstop of a reader, 2 s, disconnect", REPLAY, partial(_slow, {"slow": "disconnect"}, 2.0)),
        Row(
            "sigstop of a reader, 2 s, disconnect, ring of 8 MiB",
            REPLAY,
            partial(_slow, {"slow": "disconnect"} | small, 2.0),
            is_gap_due=True,
        ),
    ]


def _hubs(programs: int, rate: float, times: int, bus: dict[str, Any], size: int = 0, *, scale: int = 1) -> Outcome:
    return hubs_killed(programs, rate, times * scale, bus, size)


def _whole(bus: dict[str, Any], scale: int = 1) -> Outcome:
    """The program of the hub is killed and not started again. Judged is what the others put, and that what came of the
    one that died is its beginning."""
    found = Outcome()
    for _ in range(3 * scale):
        with Stage(**bus) as stage:
            first, *others = (stage.sender(name) for name in "abc")
            reader = stage.reader()
            put_on([first, *others], 5000)
            pause(CALM)
            killed = monotonic()
            hub = stage.wait_hub()
            first.kill()
            stage.wait_hub(other_than=hub)
            took = monotonic() - killed
            pause(CALM)
            halt(others, [reader])
            first.sent = reader.next().get("a", 0)
            one = judged(stage, [reader], [killed])
            one.takeovers.append(took)
            found.add(one)
    return found


def _stopped_hub(bus: dict[str, Any], scale: int = 1) -> Outcome:
    """The reader gives the connection up meanwhile, and asks on a new one for what it missed."""
    found = Outcome()
    for _ in range(scale):
        with Stage(**bus) as stage:
            senders = [stage.sender(name) for name in "ab"]
            reader = stage.reader()
            put_on(senders, 5000)
            pause(CALM)
            with stopped(stage.wait_hub()):
                pause(2.0)
            back = monotonic()
            pause(CALM)
            halt(senders, [reader])
            found.add(judged(stage, [reader], [back]))
    return found


def _plain(is_parent: bool, scale: int = 1) -> Outcome:
    """What a program does without shellbot: a multiprocessing.Queue, and a process that sends out of it. All is put,
    and then that process is killed, or the program."""
    address, count = free_address(), 20_000
    mine, theirs = multiprocessing.Pipe()
    program = multiprocessing.Process(target=_put_into_queue, args=(theirs, address, count))
    context: zmq.Context[Any] = zmq.Context()
    reader = context.socket(zmq.SUB)
    # No limits here and there, so that what is lost is lost by the kill.
    reader.set(zmq.RCVHWM, 0)
    reader.set(zmq.SUBSCRIBE, b"")
    reader.connect(address)
    program.start()
    sending = 0
    came = 0
    try:
        sending = mine.recv()
        reader.recv()
        mine.send("go on")
        mine.recv()
        os.kill(program.pid if is_parent and program.pid else sending, signal.SIGKILL)
        while reader.poll(500):
            came += int(reader.recv()) >= 0
        is_orphan = is_parent and not is_gone(sending)
    finally:
        program.kill()
        program.join()
        if sending and not is_gone(sending):
            os.kill(sending, signal.SIGKILL)
        reader.close(0)
        context.term()
    notes = ["the process behind the queue outlives its parent"] if is_orphan else []
    return Outcome(sent=count, delivered=came, lost=count - came, unreported=count - came, notes=notes)


def _put_into_queue(told: Connection, address: str, count: int) -> None:
    """A program: says the pid of its process that sends, sends -1 until somebody reads, and puts."""
    queue: multiprocessing.Queue[int] = multiprocessing.Queue()
    sending = multiprocessing.Process(target=_send_out_of, args=(queue, address), daemon=True)
    sending.start()
    told.send(sending.pid)
    while not told.poll(0.001):
        queue.put(-1)
    for number in range(count):
        queue.put(number)
    told.send("all is put")
    signal.pause()


def _send_out_of(queue: multiprocessing.Queue[int], address: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    out = context.socket(zmq.PUB)
    out.set(zmq.SNDHWM, 0)
    out.bind(address)
    while True:
        out.send(b"%d" % queue.get())


def _guest(scale: int = 1) -> Outcome:
    with Stage() as stage:
        senders = [stage.sender(name) for name in "ab"]
        reader = stage.reader()
        put_on(senders, 5000)
        events = []
        for _ in range(5 * scale):
            wait_until(lambda: _guest_of(stage))
            events.append(monotonic())
            kill(_guest_of(stage))
            pause(0.1)
        # What their processes did while they were away is seen at the next takeover.
        killed = kill_hubs(stage, 1, 0.1)
        halt(senders, [reader])
        return judged(stage, [reader], events + [one.killed_at for one in killed])


def _guest_of(stage: Stage) -> int:
    """Pid of a publisher that is not the hub and lives; 0 for none."""
    facts = stage.look()
    found = [one.pid for one in facts.programs if one.pid not in (0, facts.pid)] if facts else []
    return next((pid for pid in found if not is_gone(pid)), 0)


def _parent(scale: int = 1) -> Outcome:
    """Its publisher, the hub, sends what was put and ends; the other program goes on."""
    found = Outcome()
    for _ in range(3 * scale):
        with Stage() as stage:
            first, second = (stage.sender(name) for name in "ab")
            reader = stage.reader()
            first.put(5000).finish()
            put_on([second], 5000)
            hub = stage.wait_hub()
            killed = monotonic()
            os.kill(first.pid, signal.SIGKILL)
            wait_until(partial(is_gone, hub))
            ended = monotonic() - killed
            stage.wait_hub(other_than=hub)
            halt([second], [reader])
            one = judged(stage, [reader], [killed])
            if ended > 1.0:
                one.broken.append(f"a publisher outlived its parent by {ended:.1f} s")
            found.add(one)
    return found


def _reader(bus: dict[str, Any], last: int, scale: int = 1) -> Outcome:
    found = Outcome()
    for _ in range(scale):
        with Stage(**bus) as stage:
            sender = stage.sender("a")
            first = stage.reader()
            put_on([sender], 10_000)
            pause(1.0)
            first.kill()
            pause(CALM)
            second = stage.reader(last=last)
            began = monotonic()
            halt([sender], [second])
            found.add(judged(stage, [second], [began]))
    return found


def _crowd(bus: dict[str, Any], scale: int = 1) -> Outcome:
    """A hundred messages a second, before, while and after the hub is killed."""
    found = Outcome()
    for _ in range(scale):
        with Stage(**bus) as stage:
            sender, _other = stage.sender("a"), stage.sender("b")
            first = {"address": stage.address, "channel": "a", "count": 500, "bus": bus}
            with Program("benchmarks.scene.crowd", first) as one, Program("benchmarks.scene.crowd", first) as two:
                crowds = (one, two)
                for crowd in crowds:
                    crowd.hear(60)
                put_on([sender], 100)
                pause(CALM)
                kills = kill_hubs(stage, 1, 0.05)
                # All are back by then, so that also at `fast` the last one comes to each.
                pause(1.0)
                sender.halt()
                for crowd in crowds:
                    crowd.tell({"until": sender.sent})
                for crowd in crowds:
                    told = crowd.hear(60)
                    # Each of them tells its gaps; none was due.
                    found.add(
                        Outcome(
                            sent=500 * sender.sent,
                            delivered=told["delivered"],
                            lost=told["lost"],
                            unreported=told["lost"],
                            duplicated=told["doubled"],
                            recoveries=[told["pause"]],
                        )
                    )
            found.takeovers += followed(kills)
    return found


def _slow(bus: dict[str, Any], seconds: float = 1.5, scale: int = 1) -> Outcome:
    """1 kB, 5 k/s. Another reader reads along."""
    found = Outcome()
    for _ in range(scale):
        beside = reader_stopped(bus, 5000, 1000, seconds)
        put, delay = beside.worst_put * 1000, beside.delays["p99"] * 1000
        beside.one.notes.append(f"worst put {put:.0f} ms, the other reader's p99 {delay:.1f} ms")
        if bus.get("guarantee") != FAST and beside.other.lost:
            beside.one.broken.append(f"the other reader lost {beside.other.lost}")
        found.add(beside.one)
    return found
