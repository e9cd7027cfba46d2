"""The hub: takes texts from the queues of all programs on an address, keeps them in the ring, and sends them.

One thread, asleep in one poll() on the queues, the subscribers, the door, the programs that came in, the questions of
wait_ready(), signals and the parent's end. What is read goes from the pipe straight into the ring and is committed
there before it is sent, so that a hub that is killed at any instant takes nothing with it.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec

from shellbot.bus.fan import Fan
from shellbot.bus.frames import Ask, head, parse_ask, private_uid, reply_begin, reply_end
from shellbot.bus.hub.answers import Answer
from shellbot.bus.hub.facts import Facts, Program
from shellbot.bus.hub.intake import Intake
from shellbot.bus.hub.life import Life
from shellbot.bus.hub.local import BLIND_SECONDS, Local
from shellbot.bus.hub.rules import Rules
from shellbot.bus.hub.seat import Answer as SeatAnswer
from shellbot.bus.hub.seat import receive
from shellbot.bus.hub.tally import ExactTally
from shellbot.bus.hub.waiters import Waiters
from shellbot.bus.hub.way_out import GaveUp, WayOut
from shellbot.bus.page import Page
from shellbot.bus.records import Assembler
from shellbot.bus.ring import SEGMENTS, Ring
from shellbot.bus.transports import SendingEnd
from shellbot.cells import process_tag

logger = logging.getLogger(__name__)

# Heads are sent, and other programs told how far their queues are, so many seconds after something has changed.
NEWS_EVERY = 0.25
# The rest of the loop is looked after once in so many reads while texts keep coming.
_BUSY = 32
# Replies have so many seconds at a time, and then what is new is read; unless one of them is late.
_TURN = 0.01
_LATE = 1.0


class Hub:
    """One run of the loop.

    Args:
        life: Why and when this program ends.
        own: The queue of this program.
        ring: None at the guarantee ``fast``.
        asked: Where questions of this program come in.
    """

    def __init__(
        self,
        end: SendingEnd,
        door: socket.socket | None,
        ring: Ring | None,
        rules: Rules,
        own: Intake,
        life: Life,
        count: Callable[[], object],
        local: Local | None = None,
    ) -> None:
        self._end = end
        self._door = door
        self._ring = ring
        self._rules = rules
        self._own = own
        self._life = life
        self._count = count
        self._local = local
        # Whether, at the end, another program will go on with this address.
        self.has_guests = False
        self._assembler = Assembler()
        own.assembler = self._assembler
        self._intakes: dict[int, Intake] = {own.reading: own}
        self._answers: dict[bytes, Answer] = {}
        self._owed: dict[bytes, Ask] = {}
        self._poller = select.poll()
        self._waiters = Waiters(self._poller)
        self._serving: dict[int, Callable[[], object]] = {}
        self.out = WayOut(end, rules, ring.position if ring else 0, self._while_waiting, self._go_on)
        self._tally = ExactTally(ring) if ring and rules.exact_gaps else None
        self._begun = monotonic()
        self._began_at = self.out.position
        self._replied = self._replied_bytes = self._gaps = 0
        self._unfinished = 0
        self._take_over(own)
        self._headed = self.out.position
        self._head_at = self._next_head_at()
        self._news_at = 0.0
        self._listen(own.reading, None)
        self._listen(end.fileno(), self._serve_upstream)
        if door is not None:
            self._listen(door.fileno(), self._open_door)
        if own.asked is not None:
            self._listen_to_questions(own.asked)
        if local is not None and local.reading >= 0:
            self._listen(local.reading, None)
        for descriptor, action in life.watched():
            self._listen(descriptor, action)

    def _listen(self, descriptor: int, action: Callable[[], object] | None) -> None:
        if descriptor >= 0:
            self._poller.register(descriptor, select.POLLIN)
            if action is not None:
                self._serving[descriptor] = action

    def _ignore(self, descriptor: int) -> None:
        self._serving.pop(descriptor, None)
        try:
            self._poller.unregister(descriptor)
        except KeyError:
            pass

    # -- the loop

    def run(self) -> None:
        """Until this program's queue ends, or it must stop; then what was queued before is sent."""
        try:
            if self._ring is not None:
                self._go_on_with(self._ring)
            self._run()
        except GaveUp:
            self._life.is_hurried = True
            logger.error("stopped with messages that no subscriber took; sent=%d", self.out.position)
        finally:
            self._count()
            self._note_unfinished()
            self._waiters.close()
            self.has_guests = self._has_guests()
            for intake in list(self._intakes.values()):
                intake.tell()
                intake.close()

    def _has_guests(self) -> bool:
        return any(intake.visitor is not None for intake in self._intakes.values())

    def _run(self) -> None:
        poll = self._poller.poll
        reading = list(self._intakes.values())
        busy = 0
        while True:
            came = False
            for intake in reading:
                # Its program may have come again since, with the same queue.
                if not intake.is_closed and self._read(intake):
                    came = True
            if self._local is not None and self._local.work():
                came = True
            if self._own.has_ended if self._local is None else self._local.has_ended:
                return
            # While texts keep coming, the rest is looked after now and then.
            ready = poll(0) if came else []
            busy = busy + 1 if ready and busy < _BUSY else 0
            if busy == 0:
                now = monotonic()
                self._serve_upstream()
                is_answering = self._go_on_answering(now)
                patience = self._tell_news(now)
                if self._life.must_stop(now):
                    self._drain()
                    return
                if not came and self._assembler.open_bytes:
                    self._assembler.drop_dead(lambda pid: process_tag(pid) != 0)
                self._note_unfinished()
                if not ready:
                    if self._local is not None and self._local.reading < 0:
                        patience = BLIND_SECONDS
                    ready = poll(0 if is_answering else self._life.patience(patience))
            reading = []
            for descriptor, _ in ready:
                found = self._intakes.get(descriptor)
                if found is not None:
                    reading.append(found)
                else:
                    self._serve(descriptor)

    def _serve(self, descriptor: int) -> None:
        action = self._serving.get(descriptor)
        if action is not None:
            action()
        else:
            self._waiters.forget(descriptor)

    def _while_waiting(self, waited: float) -> None:
        """Others are served while a subscriber has no room."""
        now = monotonic()
        self._serve_upstream()
        self._go_on_answering(now)
        self._count()
        for descriptor, _ in self._poller.poll(0):
            if descriptor not in self._intakes:
                self._serve(descriptor)
        if self._life.must_stop(now) and waited > self._life.drain_limit:
            raise GaveUp

    def _go_on(self) -> None:
        """Somebody who had no room has taken something: whoever waits for an end of this sees that."""
        for intake in self._intakes.values():
            intake.page.go_on()

    def _drain(self) -> None:
        """Send what was queued before the stop; what is put from now on is not waited for."""
        if self._local is not None:
            self._local.work()
        left = self._own.waiting_bytes
        while left > 0 and not self._own.has_ended:
            left -= self._own.room
            self._read(self._own)

    # -- from the queues to the subscribers

    def _read(self, intake: Intake) -> bool:
        """One read of a queue; whether something came."""
        ring = self._ring
        if ring is None:
            texts = intake.take()
            if texts:
                self._send(texts, intake)
        else:
            if self._assembler.open_bytes:
                self._renew_open(ring)
            room = ring.reserve(intake.room)
            if ring.offset >= self._head_at:
                self._send_head()
            size = intake.read_into(room)
            if size:
                texts = self._keep(ring, bytes(room[:size]), intake)
                self._send(texts, intake)
            else:
                texts = []
        # While it waited for room its program may have come again, with the same queue.
        if intake is not self._own and not intake.is_closed and intake.has_ended:
            intake.say(b"e")
            self._remove(intake)
        return bool(texts)

    def _send(self, texts: list[bytes], intake: Intake) -> None:
        """To all; its program sees where they are."""
        before = self.out.position
        intake.page.hold(len(texts))
        try:
            self.out.send(texts)
        except GaveUp:
            # What is in the ring is sent by the next hub.
            is_inherited = self._ring is not None and self._has_guests()
            intake.add_sent(len(texts) if is_inherited else self.out.position - before)
            intake.page.give_up_held()
            raise
        intake.add_sent(len(texts))

    def _keep(self, ring: Ring, data: bytes, intake: Intake | None) -> list[bytes]:
        """Commit what was read to the place reserved for it; gives the texts that are whole with it."""
        assembler = self._assembler
        since = assembler.oldest_mark
        assembler.mark = ring.offset
        texts = assembler.feed_through(data)[0] if intake is None else intake.understand(data)
        ring.commit(len(data), len(texts), since)
        if self._tally is not None:
            self._tally.count(texts)
        return texts

    def _take_over(self, intake: Intake) -> None:
        """Count what a hub that was killed had read of this queue and not sent: it is in the ring, or gone."""
        if self._ring is not None:
            intake.add_sent(intake.page.held)
        else:
            intake.page.give_up_held()

    def _note_unfinished(self) -> None:
        """Nothing tells of which queue they were."""
        if self._unfinished != self._assembler.dropped:
            self._own.page.add_unfinished(self._assembler.dropped - self._unfinished)
            self._unfinished = self._assembler.dropped

    def _renew_open(self, ring: Ring) -> None:
        """Keep the beginning of a text in the ring, however long its writer is held up in the middle of it."""
        since = self._assembler.oldest_mark
        if since is None or since > ring.offset - ring.size // 2:
            return
        for piece in self._assembler.renewed(ring.offset):
            ring.append(piece, 0, since)

    def accept_early(self, fan: Fan) -> None:
        """Texts that this very process has taken out of its queue already."""
        if texts := fan.taken_early():
            self.accept(texts)

    def accept(self, texts: list[bytes]) -> None:
        """Texts that come another way than out of a pipe."""
        if self._ring is not None:
            if self._ring.offset >= self._head_at:
                self._send_head()
            for text in texts:
                self._ring.append(text + b"\n", 1)
            if self._tally is not None:
                self._tally.count(texts)
        self._send(texts, self._own)

    def _go_on_with(self, ring: Ring) -> None:
        """What the hub before us has left: texts whose beginning it read, and what it read last and did not commit."""
        if ring.last is not None:
            last = next(ring.records_from(ring.last))
            for record in ring.records_from(last.since if ring.holds(last.since) else last.offset):
                self._assembler.mark = record.offset
                self._assembler.feed_through(bytes(record.body))
        left = ring.leftover()
        if left is not None:
            texts = self._keep(ring, bytes(left), None)
            logger.info("went on with %d messages that the process before had read", len(texts))
            self.out.send(texts)
        self._head_at = self._next_head_at()

    # -- subscribers

    def _serve_upstream(self) -> None:
        """Take note of subscriptions and questions: what came before a question is in force with its answer."""
        changed = False
        for frame in self._end.upstream():
            if not frame:
                continue
            if frame[0] <= 1:
                self._waiters.note(frame)
                changed = True
                if frame[0] == 0 and (uid := private_uid(frame)):
                    self._answers.pop(uid, None)
                    self._owed.pop(uid, None)
            elif question := parse_ask(frame):
                self._answers.pop(question.uid, None)
                self._owed[question.uid] = question
        if changed and self._waiters:
            self._waiters.answer()

    def _go_on_answering(self, now: float) -> bool:
        """One slice for each who asked; whether one of them can go on at once."""
        if not (self._owed or self._answers):
            return False
        self.out.forget_pauses(now)
        for uid, question in list(self._owed.items()):
            if self.out.paused_until(uid) <= now:
                if self._ring is None:
                    if all(map(self._end.send_now, (reply_begin(question, 0), reply_end(question, 0, 0)))):
                        del self._owed[uid]
                else:
                    del self._owed[uid]
                    self._answers[uid] = Answer(question, self._ring, self.out.position, now, self._tally)
        can_go_on = False
        # In their order, so the first has waited longest; whoever waits for long goes before what is new.
        is_late = bool(self._answers) and next(iter(self._answers.values())).begun < now - _LATE
        for uid, answer in list(self._answers.items()):
            if not is_late and monotonic() - now > _TURN:
                return True
            if answer.go_on(self._end.send_now, self.out.position):
                del self._answers[uid]
                self._replied += 1
                self._replied_bytes += answer.bytes_sent
                self._gaps += answer.gaps
                if self._ring is not None:
                    # A ring a second for each, however often it asks.
                    self.out.hold(uid, now + answer.bytes_sent / self._ring.size)
            elif not answer.is_blocked:
                can_go_on = True
        return can_go_on

    def _tell_news(self, now: float) -> float | None:
        """Tell how far we are, somewhat after a change; the seconds until the next time."""
        until = [self.out.paused_until(uid) - now for uid in self._owed]
        if self._is_news():
            if not self._news_at:
                self._news_at = now + NEWS_EVERY
            elif now >= self._news_at:
                self._news_at = 0.0
                self._count()
                for intake in self._intakes.values():
                    intake.tell()
                self._send_head()
            if self._news_at:
                until.append(self._news_at - now)
        return max(0.0, min(until)) if until else None

    def _is_news(self) -> bool:
        is_behind = self._ring is not None and self._headed != self.out.position
        return is_behind or any(intake.has_news for intake in self._intakes.values())

    def _send_head(self) -> None:
        if self._ring is None:
            return
        # Where there is no room it is tried again after the next read.
        if self._end.send_now(head(self._ring.epoch, self.out.position)):
            self._headed = self.out.position
            self._head_at = self._next_head_at()

    def _next_head_at(self) -> int:
        """Where the next segment begins: the ring gives up whole ones, so of what a reader got since its last head it
        has all or nothing, and what is sent behind a gap is new to the reader."""
        if self._ring is None:
            return 0
        segment = self._ring.size // SEGMENTS
        return (self._ring.offset // segment + 1) * segment

    # -- other programs

    def _open_door(self) -> None:
        """Somebody has come; what it brings is taken when it is there."""
        if self._door is None:
            return
        try:
            connection, _ = self._door.accept()
        except OSError:
            return
        connection.setblocking(False)
        self._listen(connection.fileno(), lambda: self._let_in(connection))

    def _let_in(self, connection: socket.socket) -> None:
        self._ignore(connection.fileno())
        guest = receive(connection)
        if isinstance(guest, str):
            logger.warning("refused a program at the door: %s", guest)
            _answer(connection, SeatAnswer(os.getpid(), refused=guest))
            connection.close()
            return
        if guest.hello.is_look:
            self._listen(connection.fileno(), lambda: self._be_looked_at(connection))
            _answer(connection, self._rules.answer(os.getpid()))
            return
        if not self._rules.covers(guest.hello.guarantee):
            text = f"process {os.getpid()} runs this bus at '{self._rules.guarantee}'"
            _answer(connection, SeatAnswer(os.getpid(), refused=text, offered=self._rules.guarantee))
            for descriptor in guest.descriptors:
                os.close(descriptor)
            connection.close()
            return
        reading, page, asked = guest.descriptors
        intake = Intake(reading, Page(page), self._assembler, socket.socket(fileno=asked), connection)
        known = [known for known in self._intakes.values() if known.number == intake.number]
        for one in known:
            # Its process was started again.
            self._remove(one)
        if not known:
            self._take_over(intake)
        self._intakes[reading] = intake
        self._listen(reading, None)
        self._listen(connection.fileno(), lambda: self._let_go(intake))
        if intake.asked is not None:
            self._listen_to_questions(intake.asked)
        _answer(connection, self._rules.answer(os.getpid()))
        logger.info("another program publishes here pid=%d programs=%d", guest.hello.pid, len(self._intakes))

    def _be_looked_at(self, connection: socket.socket) -> None:
        """Somebody who only looks asks, or goes."""
        try:
            data = connection.recv(16)
        except OSError:
            data = b""
        if data:
            _answer(connection, self.facts())
        else:
            self._ignore(connection.fileno())
            connection.close()

    def facts(self) -> Facts:
        """What can be told of this hub now."""
        ring, out = self._ring, self.out
        return Facts(
            pid=os.getpid(),
            guarantee=self._rules.guarantee,
            slow=self._rules.slow.policy,
            uptime=monotonic() - self._begun,
            position=ring.position if ring else 0,
            first=ring.first if ring else 0,
            sent=out.position - self._began_at,
            readers=sum(1 for topic in self._waiters.held if private_uid(b"\x01" + topic)),
            topics=len(self._waiters.held),
            replies=len(self._owed) + len(self._answers),
            replied=self._replied,
            replied_bytes=self._replied_bytes,
            gaps=self._gaps,
            cuts=out.cuts,
            unfinished=self._assembler.dropped,
            programs=[Program(intake.pid, intake.waiting_bytes, intake.page.sent) for intake in self._intakes.values()],
        )

    def _let_go(self, intake: Intake) -> None:
        """Its process has gone; what it has queued is still sent, and it may come again with the same queue."""
        if intake.visitor is not None:
            try:
                if intake.visitor.recv(16):
                    return
            except BlockingIOError:
                return
            except OSError:
                pass
            self._ignore(intake.visitor.fileno())
            intake.part()
            if intake.page.is_over and not intake.waiting_bytes:
                self._remove(intake)

    def _remove(self, intake: Intake) -> None:
        del self._intakes[intake.reading]
        self._ignore(intake.reading)
        if intake.visitor is not None:
            self._ignore(intake.visitor.fileno())
        if intake.asked is not None:
            self._ignore(intake.asked.fileno())
        intake.close()

    def _listen_to_questions(self, asked: socket.socket) -> None:
        def take() -> None:
            self._waiters.take(asked)

        self._listen(asked.fileno(), take)


def _answer(connection: socket.socket, answer: Any) -> None:
    try:
        connection.send(msgspec.json.encode(answer))
    except OSError:
        # It has gone meanwhile.
        pass
