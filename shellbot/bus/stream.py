"""What a subscriber has of the bus, over all its connections: a machine without socket, thread or clock.

It is given the frames of one subscriber in the order they came, and gives back those to deliver, with a :class:`Hole`
where messages are gone; what is to be sent upstream stands in ``out``. Four facts carry it: a new connection begins
with a welcome, so the machine sees exactly where its stream broke; in between nothing is lost; the bus says now and
then how many messages it ever took, which makes an anchor; so the anchor and the number of messages since say what
is there. After a welcome the machine asks for the rest, and leaves out what comes beside the reply, which repeats it.

What is counted since the anchor are messages of the channels that were agreed on with it (``_counted``), not of those
held now: a channel counts, or no longer counts, from the end of a reply on that was asked for after the change. Until
then the bus goes on sending what was removed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from shellbot.bus.frames import ALL, HEADS, MANY, Gap, ask, covers, private_topic, scope_of, subscription, wire_topics
from shellbot.bus.latest import Latest

logger = logging.getLogger(__name__)


class Hole(bytes):
    """A gap in its place between frames. It cannot be decoded, so readers look at it only where decoding failed."""

    gap: Gap

    @classmethod
    def of(cls, gap: Gap) -> Hole:
        hole = cls(b"\xff")
        hole.gap = gap
        return hole


class Stream:
    """One subscriber's place in the bus.

    Wherever frames are handed over, ``at`` says how many messages and gaps were delivered, or lie ready, before them.

    Args:
        last: How many messages from before the first connection are wanted.

    Attributes:
        channels, held: Names and topics wanted now.
        out: Frames to send upstream, to be taken away after each call.
        is_plain: Whether data frames may be delivered as they are, without sort().
        is_syncing: Whether the reply to a broken connection is awaited.
        asked, answered: How many questions were asked, and which was answered last.
        welcomes: How many connections there were.
        heard: How many control frames came.
        replayed: How many messages came out of replies.
    """

    def __init__(self, channels: list[str], last: int = 0) -> None:
        self.channels = channels
        self.held = frozenset(map(subscription, channels))
        self.out: list[bytes] = []
        self.is_plain = True
        self.is_syncing = False
        self.asked = self.answered = 0
        self.welcomes = 0
        self.heard = 0
        self.replayed = 0
        self._uid = self._private = b""
        self._address = ""
        self._replays = self._is_exact = False
        self._anchor: tuple[int, int] | None = None
        # Messages since the anchor are `at` minus this.
        self._base = 0
        self._counted = self._asked_for = self._scope = self.held
        self._wired: frozenset[bytes] = frozenset()
        # Set while frames of removed channels may still come.
        self._is_filtering = False
        self._last = last
        self._latest: Latest | None = None
        self._is_many = False
        self._skip = 0
        self._table = self._count = 0
        self._behind_hole = -1
        self._is_unsure = False
        self._is_told = self._has_warned = False

    def open(self, uid: bytes, address: str, *, replays: bool, is_exact: bool) -> None:
        """Before the first connection.

        Args:
            uid: 32 hexadecimal digits that nobody else has.
            address: For the log.
            replays: Whether what is missed is asked for, and reported where it is gone.
            is_exact: Whether the bus is to count for us.
        """
        self._uid = uid
        self._private = private_topic(uid)
        self._address = address
        self._replays = replays
        self._is_exact = is_exact

    @property
    def state(self) -> str:
        if self.is_syncing:
            return "syncing"
        return "live" if self.answered else "new"

    @property
    def wants_past(self) -> bool:
        return bool(self._last)

    @property
    def is_ready(self) -> bool:
        """Whether the last question was answered."""
        return 0 < self.asked == self.answered

    # -- what is to be sent -----------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Say everything, on a connection that was told nothing."""
        self._wired = self.held
        self.out.clear()
        self._tell(b"\x01", (HEADS, self._private, *self.held))

    def ask(self) -> None:
        """Ask for what comes from now on. The answer covers all that was changed before."""
        self.asked += 1
        self._asked_for = self._scope = self.held
        # Names matter only where something is counted or looked for.
        scope = scope_of(self.held) if self._is_exact or self._last else ALL
        self._is_many = scope == MANY
        if self._last:
            self._latest = Latest(self._last)
        self.out.append(ask(self._uid, self.asked, scope, last=self._last))

    def change(self, channels: list[str], fresh: Iterable[str], gone: Iterable[str]) -> None:
        """Hold these channels from now on, ``fresh`` more and ``gone`` less than before."""
        before = self.held
        self.channels = channels
        self.held = before.union(map(subscription, fresh)).difference(map(subscription, gone))
        if not (self._uid or self.is_syncing):
            self._counted = self._asked_for = self._scope = self.held
            return
        if self.held == before:
            return
        self._tell(b"\x01", self.held - self._wired)
        self._wired |= self.held
        self._is_filtering |= not before <= self.held
        if not self.is_syncing and self._latest is None:
            # Otherwise that is done when the reply has ended.
            self._leave()
            if self.asked:
                self.ask()
        self._settle()

    def forget(self, count: int) -> None:
        """So many messages that lay ready are not delivered after all."""
        self._base -= count
        self._behind_hole = -1

    # -- a part of it -----------------------------------------------------------------------------------------------

    @property
    def anchor(self) -> tuple[int, int] | None:
        """The last place in the bus that was told; each time another object."""
        return self._anchor

    def received(self, at: int) -> int:
        """How many messages came since the anchor."""
        return at - self._base

    def part(self, channels: list[str], at: int, counts: Mapping[bytes, int] | None) -> Stream:
        """The stream of one who had a share of this one up to here, and goes on alone, as after a break.

        Args:
            channels: Those it holds.
            counts: How many messages of each topic came since the anchor; None: nobody knows.
        """
        part = Stream(channels)
        part._replays = self._replays
        if b"" in part.held:
            counted = self._counted
        else:
            counted = part.held if b"" in self._counted else part.held & self._counted
        # Else nobody has promised anything yet, or what is missing will be told as a gap of unknown size.
        if self._anchor is not None and counts is not None and counted:
            shares = counts.items()
            received = sum(count for one, count in shares if b"" in counted or one in counted)
            part._anchor, part._base, part._counted = self._anchor, at - received, counted
        part.welcomes = min(1, self.answered)
        part.is_syncing = True
        part._settle()
        return part

    def _tell(self, sign: bytes, topics: Iterable[bytes]) -> None:
        self.out += [sign + wire for one in topics for wire in wire_topics(one)]

    def _leave(self) -> bool:
        """Unsubscribe from what is neither held nor counted."""
        leaving = self._wired - self.held
        if self._anchor is not None:
            leaving -= self._counted
        self._tell(b"\x00", leaving)
        self._wired -= leaving
        return bool(leaving)

    def _ask_since(self, at: int) -> None:
        """Ask for what came since the anchor."""
        assert self._anchor is not None
        self.asked += 1
        self._asked_for, self._scope = self.held, self._counted
        scope = scope_of(self._counted)
        received = at - self._base
        self._is_many = scope == MANY
        self._skip = received if self._is_many else 0
        epoch, position = self._anchor
        self.out.append(
            ask(
                self._uid,
                self.asked,
                scope,
                epoch=epoch,
                position=position,
                received=received,
                table=self._table,
                count=self._count + received if self._table else 0,
            )
        )

    # -- what has come ----------------------------------------------------------------------------------------------

    def sort(self, frames: Iterable[bytes], at: int) -> list[bytes]:
        """What is to be delivered of these frames."""
        found: list[bytes] = []
        for frame in frames:
            if frame[:1] == b"\xff":
                if isinstance(frame, Hole):
                    found.append(frame)
                else:
                    found += self.control(frame, at + len(found))
            elif self.is_plain:
                found.append(frame)
            else:
                found += self._data(frame)
        return found

    def control(self, frame: bytes, at: int) -> list[bytes]:
        """What is to be delivered in the place of a control frame."""
        self.heard += 1
        found: list[bytes] = []
        try:
            if frame.startswith(HEADS):
                kind, *fields = frame[len(HEADS) :].split(b" ")
                if kind == b"W":
                    found = self._welcome(int(fields[0]), at)
                elif kind == b"H":
                    found = self._head(int(fields[0]), int(fields[1]), at)
            elif frame.startswith(self._private):
                rid, _, rest = frame[len(self._private) :].partition(b" ")
                if rid == b"%d" % self.asked:
                    kind, _, body = rest.partition(b" ")
                    found = self._reply(kind, body, at)
        except (ValueError, IndexError):
            logger.debug("a control frame was not understood: %r", frame[:100])
        self._settle()
        return found

    def _settle(self) -> None:
        is_agreed = self._anchor is None or self._counted == self.held
        self.is_plain = is_agreed and not (self.is_syncing or self._is_filtering or self._latest)

    def _data(self, frame: bytes) -> list[bytes]:
        if self.is_syncing:
            return []
        if self._latest is not None:
            if not covers(self.held, frame) or not self._latest.keep(frame):
                return []
            found = self._give_kept()
            self._settle()
            return found
        is_wanted = not self._is_filtering or covers(self.held, frame)
        is_counted = covers(self._counted, frame)
        if is_wanted:
            self._base += not is_counted
            return [frame]
        self._base -= is_counted
        return []

    def _welcome(self, epoch: int, at: int) -> list[bytes]:
        """A new connection: what was asked on an old one is not answered any more."""
        self.welcomes += 1
        self._is_told = False
        if self._anchor is not None and self._anchor[0] == epoch:
            self.is_syncing = True
            self._ask_since(at)
            return []
        if at:
            self._last = 0
        found = self._give_kept()
        if self._replays and (at or self.welcomes > 1):
            # Nobody knows what was put since, and till all subscriptions are in force again.
            found += self._lose(at + len(found))
            self._is_unsure = True
        self._anchor, self.is_syncing = None, False
        self.ask()
        return found

    def _head(self, epoch: int, position: int, at: int) -> list[bytes]:
        if self.is_syncing or self._anchor is None or epoch != self._anchor[0]:
            return []
        found = self._check(epoch, position, at)
        self._count += at - self._base
        if found:
            self._table = 0
        self._anchor, self._base = (epoch, position), at + len(found)
        return found

    def _reply(self, kind: bytes, body: bytes, at: int) -> list[bytes]:
        if kind == b"M":
            return self._missed(body.split(b"\n"))
        fields = body.split(b" ")
        if kind == b"E":
            epoch, position, table, count = map(int, fields[:4])
            return self._end(epoch, position, table, count, at)
        if kind == b"B" and self.is_syncing:
            return self._begin(int(fields[0]), fields[1:], at)
        return []

    def _begin(self, epoch: int, gap: list[bytes], at: int) -> list[bytes]:
        """A reply begins, or goes on behind a gap."""
        if gap[0] == b"-" and (self._anchor is None or self._anchor[0] == epoch):
            return []
        if not gap[0].isdigit():
            return self._lose(at)
        first, last = int(gap[0]), int(gap[1])
        exactly = int(gap[2]) if len(gap) > 2 else None
        received = at - self._base
        at_most = last - first + 1
        ahead = 0
        if self._anchor is not None and self._anchor[0] == epoch:
            # What was received is among the positions since the anchor; of all channels it is known to be the first.
            missing = last - self._anchor[1] - received
            at_most = min(at_most, missing)
            if b"" in self._counted and missing < 0:
                ahead = -missing
        if exactly is not None:
            at_most = exactly
        else:
            self._table = 0
        found: list[bytes] = [self._hole(first, last, at_most)] if at_most > 0 else []
        self._count += received - ahead + (exactly or 0)
        self._skip = ahead
        self._anchor, self._base = (epoch, last), at + len(found) - ahead
        return found

    def _missed(self, texts: list[bytes]) -> list[bytes]:
        if self._is_many:
            texts = [text for text in texts if covers(self._scope, text)]
        if self._latest is not None:
            self._latest.answer += texts
            return []
        if not self.is_syncing:
            return []
        if self._skip:
            skipped = texts[: self._skip]
            self._skip -= len(skipped)
            texts = texts[len(skipped) :]
        wanted = self._wanted(texts)
        self._base -= len(texts) - len(wanted)
        self.replayed += len(wanted)
        return wanted

    def _end(self, epoch: int, position: int, table: int, count: int, at: int) -> list[bytes]:
        """The last question is answered, and all that was put before is here."""
        found: list[bytes] = []
        if self._latest is not None:
            found = self._give_latest(self._latest)
        elif self._anchor is not None:
            found = self._check(epoch, position, at)
        if self._is_unsure:
            found += self._lose(at + len(found))
            self._is_unsure = False
        self._anchor = (epoch, position) if epoch and self._replays else None
        self._base = at + len(found)
        self._skip = 0
        self._counted = self._asked_for
        is_counted = self._is_exact and self._scope == self._asked_for
        self._table, self._count = (table, count) if is_counted else (0, 0)
        self.is_syncing = False
        self.answered = self.asked
        self._log(epoch)
        if self._leave() or self.held != self._asked_for or is_counted != self._is_exact:
            # Something was changed after the question.
            self.ask()
        else:
            self._is_filtering = False
        return found

    def _log(self, epoch: int) -> None:
        if not self._is_told:
            self._is_told = True
            logger.info("connected to the bus on %s, %d times by now", self._address, self.welcomes)
        if self._replays and not epoch and not self._has_warned:
            self._has_warned = True
            text = "the bus on %s runs at 'fast': what is missed while a connection is broken cannot be replayed"
            logger.warning(text, self._address)

    def _wanted(self, texts: list[bytes]) -> list[bytes]:
        return [text for text in texts if covers(self.held, text)] if self._is_filtering else texts

    def _give_kept(self) -> list[bytes]:
        """Deliver what came before the answer with the last messages, which is not waited for any more."""
        latest, self._latest = self._latest, None
        if latest is None or not latest.kept:
            return []
        self._last = 0
        return self._wanted(latest.kept)

    def _give_latest(self, latest: Latest) -> list[bytes]:
        self._latest, self._last = None, 0
        self.replayed += len(self._wanted(latest.answer))
        return self._wanted(latest.together(self._asked_for))

    # -- what is gone -----------------------------------------------------------------------------------------------

    def _check(self, epoch: int, position: int, at: int) -> list[bytes]:
        """Who has all channels can tell whether something is missing that nobody has reported."""
        assert self._anchor is not None
        if epoch != self._anchor[0]:
            return self._lose(at)
        first = self._anchor[1] + 1
        missing = position - self._anchor[1] - (at - self._base)
        return [self._hole(first, position, missing)] if missing > 0 and b"" in self._counted else []

    def _lose(self, at: int) -> list[bytes]:
        """Nobody knows what is missing here; that is said once."""
        self._anchor = None
        self._table = self._skip = 0
        if at == self._behind_hole:
            return []
        self._behind_hole = at + 1
        return [self._hole(None, None, None)]

    def _hole(self, first: int | None, last: int | None, at_most: int | None) -> Hole:
        return Hole.of(Gap(tuple(self.channels), first, last, at_most))
