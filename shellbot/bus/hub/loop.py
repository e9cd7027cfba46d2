"""The hub: takes texts from the queues of all programs on an address, keeps them, and sends them.

One thread, asleep in one poll() on the queues, the subscribers, the door, the programs that came in, the questions of
wait_ready(), signals and the parent's end.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from collections.abc import Callable
from time import monotonic

from shellbot.bus.fan import Fan
from shellbot.bus.frames import head, parse_ask, private_uid
from shellbot.bus.hub.facts import Facts, Program
from shellbot.bus.hub.guests import Guests
from shellbot.bus.hub.intake import Intake
from shellbot.bus.hub.journal import Journal, Passage, Source
from shellbot.bus.hub.life import Life
from shellbot.bus.hub.local import BLIND_SECONDS, Local
from shellbot.bus.hub.pace import GATHER, Pace
from shellbot.bus.hub.replies import Replies
from shellbot.bus.hub.rules import Rules
from shellbot.bus.hub.tally import ExactTally
from shellbot.bus.hub.waiters import Waiters
from shellbot.bus.hub.watching import Watching
from shellbot.bus.hub.way_out import GaveUp, WayOut
from shellbot.bus.ring import Ring
from shellbot.bus.transports import SendingEnd

logger = logging.getLogger(__name__)

# Heads are sent, and other programs told how far their queues are, so many seconds after something has changed.
NEWS_EVERY = 0.25
# When leaving, so often it is looked whether a reply can go on.
_LEAVE_LOOK = 0.02
# What a subscriber subscribes to comes in a row, and its question behind that.
_ABOUT_TO_ASK = 0.1


class Hub:
    """One run of the loop.

    Args:
        door: Where other programs come in.
        ring: None at the guarantee ``fast``.
        own: The queue of this program.
        life: Why and when this program ends.
        count: Called when this program's own count of what was sent should be brought up to date.

    Attributes:
        out: The way to the subscribers.
        has_guests: Whether, at the end, another program will go on with this address.
    """

    def __init__(
        self,
        end: SendingEnd,
        door: socket.socket,
        ring: Ring | None,
        rules: Rules,
        own: Intake,
        life: Life,
        count: Callable[[], object],
        local: Local | None = None,
    ) -> None:
        self._end = end
        self._ring = ring
        self._rules = rules
        self._own = own
        self._life = life
        self._count = count
        self._local = local
        self.has_guests = False
        self.out = WayOut(end, rules, ring.position if ring else 0, self._while_waiting, self._go_on)
        tally = ExactTally(ring) if ring and rules.exact_gaps else None
        self._source: Source = Journal(ring, tally) if ring else Passage()
        self._replies = Replies(end, ring, self.out, tally)
        self._begun = monotonic()
        self._began_at = self._headed = self.out.position
        # Of the ring, at whose beginning the last head was sent; without one there are none.
        self._segment = self._source.segment if ring is None else -1
        self._news_at = 0.0
        self._subscribed_at = 0.0
        self._unfinished = 0
        self._watching = Watching()
        self._waiters = Waiters(self._watching)
        self._guests = Guests(
            door,
            own,
            rules,
            self._source.assembler,
            self._watching,
            self._waiters,
            take_over=self._take_over,
            facts=self.facts,
        )
        self._intakes = self._guests.intakes
        self._watching.listen(end.fileno(), self._serve_upstream)
        if local is not None:
            self._watching.listen(local.reading)
        for descriptor, action in life.watched():
            self._watching.listen(descriptor, action)

    # -- the loop

    def run(self) -> None:
        """Until this program's queue ends, or it must stop; then what was queued before is sent."""
        try:
            self.out.send(self._source.recover())
            self._run()
            self._take_leave()
        except GaveUp:
            self._life.is_hurried = True
            logger.error("stopped with messages that no subscriber took; sent=%d", self.out.position)
        finally:
            self._count()
            self._note_unfinished()
            self._waiters.close()
            self.has_guests = self._guests.are_there()
            self._guests.close()

    def _run(self) -> None:
        poll = self._watching.poller.poll
        pace = Pace(monotonic(), self.out.position)
        patience: float | None = None
        since = 0
        ready = [(descriptor, 0) for descriptor in self._intakes]
        while True:
            came = False
            for descriptor, _ in ready:
                intake = self._intakes.get(descriptor)
                if intake is not None:
                    came = self._read(intake) or came
                else:
                    self._watching.serve(descriptor, since)
            if self._local is not None and self._local.work():
                came = True
            now = monotonic()
            left = pace.left(now)
            wait: float | None = left
            if not came or patience == 0 or left <= 0 or self._own.is_gone:
                if self._own.has_ended if self._local is None else self._local.has_ended:
                    return
                pace.note(now, self.out.position)
                patience = wait = self._look_after(now)
                if self._life.is_stopping:
                    self._drain()
                    return
            elif pace.is_flood(now, self.out.position):
                # Not sleep(), which waits for a point in time: under a clock that is faked it fails when that is set.
                select.select((), (), (), GATHER)
            elif not self._source.room:
                # Now, and not when we are woken: with cold caches each step takes four times as long.
                self._make_room(self._own)
            since = self._watching.newest
            ready = poll(wait)

    def _take_leave(self) -> None:
        """Where no other program goes on: let those who have come, and wait for what they missed, have it."""
        until = monotonic() + self._life.closing_time
        while self._ring is not None and not self._guests.are_there() and self._is_owing():
            left = until - monotonic()
            if left <= 0:
                return
            self._serve_others(min(left, _LEAVE_LOOK))
            self._serve_upstream()
            self._replies.go_on(monotonic())

    def _is_owing(self) -> bool:
        """Whether a subscriber of ours still waits for an answer on its connection, or may be about to ask."""
        if monotonic() - self._subscribed_at < _ABOUT_TO_ASK:
            return True
        uids = {uid for topic in self._waiters.held if (uid := private_uid(b"\x01" + topic))}
        return bool(self._replies) or not uids <= self._replies.answered

    def _look_after(self, now: float) -> float | None:
        """All that is not reading and sending; for how many milliseconds there is nothing more of it to do."""
        self._end.adapt(now)
        self._serve_upstream()
        is_answering = self._replies.go_on(now)
        patience = self._tell_news(now)
        self._life.must_stop(now)
        self._source.forget_dead(self._is_all_read)
        self._note_unfinished()
        if self._local is not None and self._local.reading < 0:
            patience = BLIND_SECONDS
        return 0 if is_answering else self._life.patience(patience)

    def _while_waiting(self, waited: float) -> None:
        """Others are served while a subscriber has no room."""
        now = monotonic()
        self._serve_upstream()
        self._replies.go_on(now)
        self._count()
        self._serve_others(0)
        if self._life.must_stop(now) and waited > self._life.drain_limit:
            raise GaveUp

    def _serve_others(self, timeout: float) -> None:
        """Do all that is not reading of queues, for who comes in so many seconds."""
        since = self._watching.newest
        for descriptor, _ in self._watching.poller.poll(timeout * 1000):
            if descriptor not in self._intakes:
                self._watching.serve(descriptor, since)

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
        if len(self._source.room) < intake.room:
            self._make_room(intake)
        texts = self._source.read(intake)
        if texts:
            self._send(texts, intake)
        # While it waited for room its program may have come again, with the same queue.
        if intake is not self._own and not intake.is_closed and intake.has_ended:
            intake.say(b"e")
            self._guests.remove(intake)
        return bool(texts)

    def _make_room(self, intake: Intake) -> None:
        """Have a place for what is read next."""
        self._source.prepare(intake)
        if self._source.segment != self._segment:
            self._send_head()

    def _is_all_read(self) -> bool:
        return not any(intake.waiting_bytes for intake in self._intakes.values())

    def accept_early(self, fan: Fan) -> None:
        """Texts that this very process has taken out of its queue already."""
        if texts := fan.taken_early():
            self.accept(texts)

    def accept(self, texts: list[bytes]) -> None:
        """Texts that come another way than out of a pipe."""
        if self._source.segment != self._segment:
            self._send_head()
        self._source.accept(texts)
        self._send(texts, self._own)

    def _send(self, texts: list[bytes], intake: Intake) -> None:
        """To all; its program sees where they are."""
        before, count = self.out.position, len(texts)
        intake.page.hold(count)
        try:
            self.out.send(texts)
        except GaveUp:
            # What is in the ring is sent by the next hub.
            is_inherited = self._ring is not None and self._guests.are_there()
            intake.add_sent(count if is_inherited else self.out.position - before)
            intake.page.give_up_held()
            raise
        intake.page.add_sent(count)

    def _take_over(self, intake: Intake) -> None:
        """Count what a hub that was killed had read of this queue and not sent: it is in the ring, or gone."""
        if self._ring is not None:
            intake.add_sent(intake.page.held)
        else:
            intake.page.give_up_held()

    def _note_unfinished(self) -> None:
        """Nothing tells of which queue they were."""
        dropped = self._source.assembler.dropped
        if self._unfinished != dropped:
            self._own.page.add_unfinished(dropped - self._unfinished)
            self._unfinished = dropped

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
                self._subscribed_at = monotonic() if frame[0] else self._subscribed_at
                if frame[0] == 0 and (uid := private_uid(frame)):
                    self._replies.forget(uid)
            elif question := parse_ask(frame):
                self._replies.owe(question)
        if changed and self._waiters:
            self._waiters.answer()

    def _tell_news(self, now: float) -> float | None:
        """Tell how far we are, somewhat after a change; the seconds until the next time."""
        until = self._replies.due_in(now)
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
        """Say how many messages were sent; also where a segment of the ring begins.

        The ring gives up whole segments, so of what a reader got since such a head it has all or nothing, and what is
        sent behind a gap is new to the reader.
        """
        # Where there is no room it is tried again after the next read.
        if self._ring is not None and self._end.send_now(head(self._ring.epoch, self.out.position)):
            self._headed = self.out.position
            self._replies.heads.add(self._headed)
            self._segment = self._source.segment

    def facts(self) -> Facts:
        """What can be told of this hub now."""
        ring, out, replies = self._ring, self.out, self._replies
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
            replies=len(replies),
            replied=replies.given,
            replied_bytes=replies.given_bytes,
            gaps=replies.gaps,
            cuts=out.cuts,
            unfinished=self._source.assembler.dropped,
            programs=[Program(intake.pid, intake.waiting_bytes, intake.page.sent) for intake in self._intakes.values()],
        )
