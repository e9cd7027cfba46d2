"""Who has asked what, and is answered: a slice for each in turn, between which the hub reads and sends what is new."""

from __future__ import annotations

from time import monotonic

from shellbot.bus.frames import Ask, reply_begin, reply_end
from shellbot.bus.hub.answers import Answer, Heads
from shellbot.bus.hub.tally import ExactTally
from shellbot.bus.hub.way_out import WayOut
from shellbot.bus.ring import Ring
from shellbot.bus.transports import SendingEnd

# Replies have so many seconds at a time, and then what is new is read; unless one of them is late.
_TURN = 0.01
_LATE = 1.0


class Replies:
    """The questions of all subscribers; the newest of each counts.

    Args:
        ring: None at the guarantee ``fast``, where a reply says only that what was subscribed is in force.

    Attributes:
        heads: Where subscribers were told how far the bus is.
        given, given_bytes, gaps: What has been answered, what of the past was sent for it, and what was gone.
    """

    def __init__(self, end: SendingEnd, ring: Ring | None, out: WayOut, tally: ExactTally | None) -> None:
        self.heads = Heads(out.position)
        self.given = self.given_bytes = self.gaps = 0
        self._end = end
        self._ring = ring
        self._out = out
        self._tally = tally
        # Who was answered on its connection to this hub.
        self.answered: set[bytes] = set()
        self._owed: dict[bytes, Ask] = {}
        self._begun: dict[bytes, Answer] = {}

    def __len__(self) -> int:
        return len(self._owed) + len(self._begun)

    def owe(self, question: Ask) -> None:
        self._begun.pop(question.uid, None)
        self._owed[question.uid] = question

    def forget(self, uid: bytes) -> None:
        """This subscriber has gone."""
        self.answered.discard(uid)
        self._begun.pop(uid, None)
        self._owed.pop(uid, None)

    def go_on(self, now: float) -> bool:
        """One slice for each; whether one of them can go on at once."""
        if not self:
            return False
        self._out.forget_pauses(now)
        for uid, question in list(self._owed.items()):
            if self._out.paused_until(uid) <= now:
                self._begin(question, now)
        can_go_on = False
        # In their order, so the first has waited longest; whoever waits for long goes before what is new.
        is_late = bool(self._begun) and next(iter(self._begun.values())).begun < now - _LATE
        for answer in list(self._begun.values()):
            if not is_late and monotonic() - now > _TURN:
                return True
            if answer.go_on(self._end.send_now, self._out.position):
                self._end_of(answer, now)
            elif not answer.is_blocked:
                can_go_on = True
        return can_go_on

    def _begin(self, question: Ask, now: float) -> None:
        if self._ring is not None:
            del self._owed[question.uid]
            now_at = self._out.position
            self._begun[question.uid] = Answer(question, self._ring, now_at, now, self.heads, self._tally)
        elif all(map(self._end.send_now, (reply_begin(question, 0), reply_end(question, 0, 0)))):
            del self._owed[question.uid]
            self.answered.add(question.uid)
            self.given += 1

    def _end_of(self, answer: Answer, now: float) -> None:
        uid = answer.question.uid
        del self._begun[uid]
        self.answered.add(uid)
        self.given += 1
        self.given_bytes += answer.bytes_sent
        self.gaps += answer.gaps
        if self._ring is not None:
            # A ring a second for each, however often it asks.
            self._out.hold(uid, now + answer.bytes_sent / self._ring.size)

    def due_in(self, now: float) -> list[float]:
        """Seconds until those may be answered who must wait."""
        return [self._out.paused_until(uid) - now for uid in self._owed]
