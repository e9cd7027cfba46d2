"""What readers of a bus must see, said once more, slowly, and without a line of what it judges.

A *text* is one message on one channel. Of each sender they have an order; a reader gets those of its channels in that
order, each once. Which of them it must get is in :meth:`Account.due`; what is not there must lie where a gap was told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import NamedTuple

# Texts of this many bytes were always in the ring of 8 MiB: what the records cost is counted with the texts, and the
# room that is cleared ahead, the rest of a lap and a segment are taken off.
HELD_BYTES = 4608 * 1024
RECORD_COST = 64
# What a program can have put and not handed on.
QUEUE_BYTES = 1024 * 1024


class Text(NamedTuple):
    """One message on one channel."""

    sender: str
    number: int
    channel: str


@dataclass
class Put:
    """A text as it was put.

    Attributes:
        at: When its program was told to put it.
        sure_at: When it was heard that put() had returned; None: not yet.
    """

    text: Text
    at: int
    size: int
    sure_at: int | None = None


class Told(NamedTuple):
    """A gap; None is any number."""

    at_most: int | None


@dataclass
class Account:
    """Of one reader.

    Attributes:
        since: Channels it holds, and from when on all that is put there was promised to it; None: not yet.
        past: Channels of which it began with messages from before: from the first of a sender on it has all of them.
        trace: What came, in order.
        leaks: What came of it on channels not held then.
        calm_from: Where in the trace its first promise was given.
    """

    name: str
    since: dict[str, int | None]
    past: set[str] = field(default_factory=set)
    trace: list[Text | Told] = field(default_factory=list)
    leaks: list[Text] = field(default_factory=list)
    calm_from: int | None = None

    def __str__(self) -> str:
        """What came, in few words."""
        found: list[str] = []
        for sender, same in groupby(self.trace, lambda one: one.sender if isinstance(one, Text) else ""):
            first, *_, last = [*same] * 2
            found.append(f"{first} to {last}" if sender else str(first))
        return f"{self.name} with {self.since} saw {'; '.join(found)}"

    def holds(self, channel: str) -> bool:
        return channel in self.since or "" in self.since

    def took(self, text: Text) -> None:
        if not self.holds(text.channel):
            self.leaks.append(text)
        self.trace.append(text)

    def begins(self, channel: str) -> int | None:
        """From when on what is put to this channel was promised."""
        known = [at for name, at in self.since.items() if name in ("", channel) and at is not None]
        return min(known, default=None)

    def promise(self, now: int) -> None:
        """All it holds is in force from now on."""
        self.since = {name: now if at is None else at for name, at in self.since.items()}
        if self.calm_from is None:
            self.calm_from = len(self.trace)


class Promise:
    """What was put, by whom, and what each reader saw."""

    def __init__(self) -> None:
        self.now = 0
        self.puts: dict[str, list[Put]] = {}
        self.killed: set[str] = set()
        self.accounts: list[Account] = []

    def tick(self) -> int:
        self.now += 1
        return self.now

    def put(self, text: Text, size: int) -> Put:
        found = Put(text, self.now, size)
        self.puts.setdefault(text.sender, []).append(found)
        return found

    def bytes_since(self, at: int) -> int:
        """How much the bus can have taken since then: only that can have pushed something out of the ring."""
        found = 0
        for puts in self.puts.values():
            later = sum(put.size + RECORD_COST for put in puts if put.sure_at is None or put.sure_at >= at)
            earlier = sum(put.size + RECORD_COST for put in puts) - later
            found += later + min(earlier, QUEUE_BYTES)
        return found

    def taken(self, sender: str) -> list[Put]:
        """Texts of a sender that the bus took, as far as anybody can know.

        With a program that is killed goes what nobody read of it: an end of its texts, no longer than its queue.
        """
        puts = self.puts.get(sender, [])
        seen = {text for account in self.accounts for text in account.trace if isinstance(text, Text)}
        count = max((place for place, put in enumerate(puts, 1) if put.text in seen), default=0)
        sure = [put for put in puts if put.sure_at is not None]
        if sender not in self.killed:
            return puts[: max(count, len(sure))]
        # One whose beginning was read may have its end in the queue: it fills what those behind it leave of that.
        behind = 0
        for place in range(len(sure), count, -1):
            if behind > QUEUE_BYTES:
                return puts[:place]
            behind += puts[place - 1].size
        return puts[:count]

    def due(self, account: Account) -> list[Put]:
        """What a reader must have, in the order of each sender."""
        found = []
        got = set(account.trace)
        for sender in self.puts:
            has_begun = False
            for put in self.taken(sender):
                begin = account.begins(put.text.channel)
                is_past = not account.past.isdisjoint(("", put.text.channel))
                has_begun |= is_past and put.text in got
                if begin is not None and (put.at > begin or (is_past and has_begun)):
                    found.append(put)
        return found

    def missing(self, account: Account) -> list[Put]:
        got = set(account.trace)
        return [put for put in self.due(account) if put.text not in got]

    def awaited(self, account: Account) -> list[Put]:
        """What must still come: it is missing, and the ring has it, or no gap has told that it is gone.

        Lest it came twice, what follows a gap in the ring may be left out and told as gone with it: no more than the
        reader had before, as nobody knows any more how much of that is in the gap.
        """
        held = [put for put in self.missing(account) if self.bytes_since(put.at) < HELD_BYTES]
        trace = account.trace
        last_gap = max((place for place, one in enumerate(trace) if isinstance(one, Told)), default=0)
        had = sum(isinstance(one, Text) for one in trace[:last_gap])
        return held if len(held) > had else self.untold(account)

    def untold(self, account: Account) -> list[Put]:
        """What is missing for which there are not gaps enough in its place."""
        windows: list[tuple[int, int, Put]] = []
        trace = account.trace
        gaps = [(place, one.at_most) for place, one in enumerate(trace) if isinstance(one, Told)]
        places = {one: place for place, one in reversed(list(enumerate(trace))) if isinstance(one, Text)}
        missing = self.missing(account)
        if not missing:
            return []
        lost = {put.text for put in missing}
        for puts in self.puts.values():
            for index, put in enumerate(puts):
                if put.text in lost:
                    before = [places[one.text] for one in puts[:index] if one.text in places]
                    behind = [places[one.text] for one in puts[index:] if one.text in places]
                    windows.append((max(before, default=-1), min(behind, default=len(trace)), put))
        # Every stretch of the trace must have gaps for what can only be told in it.
        for low in sorted({low for low, _, _ in windows}):
            for high in sorted({high for _, high, _ in windows}):
                within = [put for left, right, put in windows if low <= left and right <= high]
                told = [at_most for place, at_most in gaps if low < place < high]
                if None not in told and len(within) > sum(count for count in told if count is not None):
                    return within
        return []

    # -- judgement

    def complaints(self, account: Account, *, has_read_all: bool = True) -> list[str]:
        """All that a reader may complain of."""
        found = [f"{text} is of a channel not held" for text in account.leaks]
        texts = [one for one in account.trace if isinstance(one, Text)]
        known = {put.text: (place, put) for puts in self.puts.values() for place, put in enumerate(puts)}
        last: dict[str, int] = {}
        for text in texts:
            if text not in known:
                found.append(f"{text} was never put")
                continue
            place = known[text][0]
            if place <= last.get(text.sender, -1):
                found.append(f"{text} came twice or late")
            last[text.sender] = max(place, last.get(text.sender, -1))
        if has_read_all:
            found += [f"{put.text} is gone" for put in self.awaited(account)]
        if self.bytes_since(0) < HELD_BYTES and account.calm_from is not None:
            later = account.trace[account.calm_from :]
            found += [f"{one} though nothing can be gone" for one in later if isinstance(one, Told)]
        found += [f"{one} tells nothing" for one in account.trace if isinstance(one, Told) and one.at_most == 0]
        return found

    def disagreements(self) -> list[str]:
        """All readers see what they see in one order."""
        found = []
        for one, other in combinations(self.accounts, 2):
            places = {text: place for place, text in enumerate(other.trace) if isinstance(text, Text)}
            last = -1
            for text in one.trace:
                if isinstance(text, Text) and text in places:
                    if places[text] < last:
                        found.append(f"{text} has another place at {one.name} than at {other.name}")
                    last = max(last, places[text])
        return found
