"""Replies out of the ring: in slices, with texts that lie in pieces, and where the ring has come round."""

from __future__ import annotations

import pytest

from shellbot.bus.frames import Ask
from shellbot.bus.hub.answers import MAX_HEADS, Answer, Heads
from shellbot.bus.hub.tally import ExactTally
from shellbot.bus.records import Assembler, Cutter, writer_id
from shellbot.bus.ring import Ring

UID = b"0123456789abcdef" * 2
MIB = 1024 * 1024


class Kept:
    """A ring as the hub fills it: what comes out of a pipe, pieces and all."""

    def __init__(self, size: int = 4 * MIB, *, is_exact: bool = False) -> None:
        self.ring = Ring(None, size)
        self.tally = ExactTally(self.ring) if is_exact else None
        self.heads = Heads(0)
        self._assembler = Assembler()
        self._cutter = Cutter(writer_id(1, 1))

    def put(self, *texts: bytes) -> None:
        for text in texts:
            self.commit(text + b"\n") if len(text) < 4096 else self.put_long(text)

    def put_long(self, text: bytes, between: bytes = b"") -> None:
        pieces, last = self._cutter.cut(b"", text)
        for start in range(0, len(pieces), 64 * 4096):
            self.commit(pieces[start : start + 64 * 4096])
            if between:
                self.commit(between + b"\n")
        self.commit(last)

    def commit(self, data: bytes) -> None:
        since = self._assembler.oldest_mark
        self.ring.reserve(len(data))[:] = data
        self._assembler.mark = self.ring.offset
        texts = self._assembler.feed_through(data)
        self.ring.commit(len(data), len(texts), since)
        if self.tally:
            self.tally.count(texts)

    def answer(self, position: int = 0, received: int = 0, **fields: object) -> Answer:
        question = Ask(UID, b"1", self.ring.epoch, position, received)._replace(**fields)
        return Answer(question, self.ring, self.ring.position, 0.0, self.heads, self.tally)

    def whole(self, answer: Answer) -> tuple[list[bytes], list[bytes], bytes]:
        """What begins of a reply say, its texts, and its end."""
        frames: list[bytes] = []
        turns = 0
        while not answer.go_on(lambda frame: not frames.append(frame), self.ring.position):
            turns += 1
            assert turns < 1000
        head = b"\xffs" + UID + b" 1 "
        bodies = [frame.removeprefix(head) for frame in frames]
        texts = [text for body in bodies if body[:2] == b"M " for text in body[2:].split(b"\n")]
        return [body[2:] for body in bodies if body[:1] == b"B"], texts, bodies[-1]


def texts_of(count: int, name: str = "a", size: int = 100) -> list[bytes]:
    return [b"%b %0*d" % (name.encode(), size, number) for number in range(count)]


def test_what_was_received_is_left_out() -> None:
    kept = Kept()
    kept.put(*texts_of(10))
    begins, texts, end = kept.whole(kept.answer(2, 3))
    assert begins == [b"%d -" % kept.ring.epoch]
    assert texts == texts_of(10)[5:]
    assert end == b"E %d 10 0 0" % kept.ring.epoch


def test_only_the_channels_that_were_asked_for_count() -> None:
    kept = Kept()
    kept.put(b"a 1", b"ab 2", b"a 3", b"b 4", b"a 5")
    _, texts, _ = kept.whole(kept.answer(0, 1, scope=b"n", names=(b"a", b"c")))
    assert texts == [b"a 3", b"a 5"]


def test_with_too_many_names_all_is_sent_also_what_was_received() -> None:
    kept = Kept()
    kept.put(b"a 1", b"b 2", b"a 3")
    _, texts, _ = kept.whole(kept.answer(0, 1, scope=b"m"))
    assert texts == [b"a 1", b"b 2", b"a 3"]


@pytest.mark.parametrize("position", range(5))
def test_a_text_in_many_pieces_among_others_is_whole_again(position: int) -> None:
    kept = Kept(16 * MIB)
    long = b"a " + b"x" * 1_000_000
    kept.put(b"a 1")
    kept.put_long(long, between=b"b 2")
    kept.put(b"a 3", long)
    put = [b"a 1", b"b 2", b"b 2", b"b 2", b"b 2", long, b"a 3", long]
    assert kept.ring.position == len(put)
    _, texts, end = kept.whole(kept.answer(position))
    assert texts == put[position:]
    assert end.startswith(b"E %d 8 " % kept.ring.epoch)


def test_what_the_ring_no_longer_holds_is_told_first() -> None:
    kept = Kept()
    kept.put(*texts_of(100_000))
    first = kept.ring.first
    assert 0 < first < 100_000
    begins, texts, _ = kept.whole(kept.answer(10, 5))
    assert begins == [b"%d 11 %d" % (kept.ring.epoch, first)]
    assert texts == texts_of(100_000)[first:]


@pytest.mark.parametrize("scope", [b"a", b"n", b"m"])
@pytest.mark.parametrize("ahead", [0, 1, 5, 1000])
def test_nothing_that_was_received_is_sent_again_behind_a_gap(scope: bytes, ahead: int) -> None:
    """The ring may begin between the anchor and the last message that came."""
    kept = Kept()
    put = [b"%b %0100d" % (b"a" if number % 10 == 0 else b"b", number) for number in range(60_000)]
    kept.put(*put)
    first = kept.ring.first
    names = (b"a",) if scope == b"n" else ()
    wanted = [(at, text) for at, text in enumerate(put, 1) if not names or text[:2] == b"a "]
    anchor = first - 100
    had = [pair for pair in wanted if anchor < pair[0] <= first + ahead]
    begins, texts, _ = kept.whole(kept.answer(anchor, len(had), scope=scope, names=names))
    gap_first, gap_last = map(int, begins[0].split(b" ")[1:3])
    assert gap_first == anchor + 1
    assert texts == [text for at, text in wanted if at > gap_last]
    if had:
        assert gap_last >= had[-1][0]


@pytest.mark.parametrize("ahead", [0, 1, 500])
def test_a_bus_that_counts_goes_on_exactly_behind_what_was_received(ahead: int) -> None:
    kept = Kept(is_exact=True)
    assert kept.tally is not None
    put = [b"%b %0100d" % (b"a" if number % 10 == 0 else b"b", number) for number in range(60_000)]
    kept.put(*put)
    had = sum(text[:1] == b"a" for text in put[: kept.ring.first + ahead])
    question = {"scope": b"n", "names": (b"a",), "table": kept.tally.table, "had": had}
    begins, texts, _ = kept.whole(kept.answer(0, had, **question))
    assert begins[0].split(b" ")[3] == b"0"
    assert texts == [text for text in put if text[:1] == b"a"][had:]


def test_the_gap_of_another_history_has_no_numbers() -> None:
    kept = Kept()
    kept.put(*texts_of(3))
    # all of a ring that began anew is new to the subscriber, nothing of one that has lost its end
    for answer, missed in ((kept.answer(2, 1, epoch=kept.ring.epoch + 1), texts_of(3)), (kept.answer(4), [])):
        begins, texts, end = kept.whole(answer)
        assert (begins, texts) == ([b"%d ? ?" % kept.ring.epoch], missed)
        assert end.startswith(b"E %d 3 " % kept.ring.epoch)


def test_a_reply_that_is_not_read_is_overtaken_and_says_so() -> None:
    kept = Kept()
    kept.put(*texts_of(20_000))
    answer = kept.answer(0)
    frames: list[bytes] = []
    # its reader takes two frames, and then nothing while the ring comes round
    while not answer.is_blocked:
        assert not answer.go_on(lambda frame: len(frames) < 2 and not frames.append(frame), kept.ring.position)
    kept.put(*texts_of(60_000, "b"))
    begins, texts, end = kept.whole(answer)
    got = [text for frame in frames[1:] for text in frame.split(b" M ", 1)[1].split(b"\n")] + texts
    ((gap_first, gap_last),) = [begin.split(b" ")[1:] for begin in begins]
    expected = texts_of(20_000) + texts_of(60_000, "b")
    assert got == expected[: int(gap_first) - 1] + expected[int(gap_last) :]
    assert end.startswith(b"E %d 80000 " % kept.ring.epoch)


@pytest.mark.parametrize(("last", "found"), [(1, 1), (3, 3), (700, 700), (100_000, 2000)])
def test_the_last_so_many_of_some_channels(last: int, found: int) -> None:
    kept = Kept(16 * MIB)
    for number in range(20_000):
        kept.put(b"%b %0100d" % (b"a" if number % 10 == 0 else b"b", number))
    begins, texts, _ = kept.whole(kept.answer(epoch=0, last=last, scope=b"n", names=(b"a",)))
    assert begins == [b"%d -" % kept.ring.epoch]
    assert texts == [b"a %0100d" % number for number in range(0, 20_000, 10)][-found:]


def test_without_an_anchor_nothing_is_sent_again() -> None:
    kept = Kept()
    kept.put(*texts_of(10))
    begins, texts, end = kept.whole(kept.answer(epoch=0))
    assert (begins, texts, end[:1]) == ([b"%d -" % kept.ring.epoch], [], b"E")


@pytest.mark.parametrize("scope", [b"n", b"m"])
def test_what_lies_behind_the_next_head_was_not_received(scope: bytes) -> None:
    """So it is sent, though nobody knows any more which messages were received."""
    kept = Kept()
    for number in range(60):
        kept.put(*texts_of(1000))
        kept.heads.add((number + 1) * 1000)
    first = kept.ring.first
    anchor = first // 1000 * 1000
    names = (b"a",) if scope == b"n" else ()
    begins, texts, _ = kept.whole(kept.answer(anchor, 700, scope=scope, names=names))
    gap_last = int(begins[0].split(b" ")[2])
    assert first < gap_last <= anchor + 1000
    assert len(texts) == 60_000 - gap_last


def test_heads_that_are_forgotten_are_not_guessed() -> None:
    heads = Heads(5)
    assert [heads.behind(position, 99) for position in (0, 4, 5)] == [5, 5, 99]
    for position in range(10, 10 * MAX_HEADS, 10):
        heads.add(position)
        heads.add(position)
    assert [heads.behind(position, 99) for position in (7, 10, 15)] == [10, 20, 20]
    heads.add(10 * MAX_HEADS)
    assert heads.behind(2, 99) == 99
    assert heads.behind(15, 99) == 20


def test_a_gap_says_exactly_how_many_are_gone_where_the_bus_counts() -> None:
    kept = Kept(is_exact=True)
    assert kept.tally is not None
    kept.put(*texts_of(30, "b"), *texts_of(50))
    question = {"scope": b"n", "names": (b"a",)}
    _, _, end = kept.whole(kept.answer(epoch=0, **question))
    assert end == b"E %d 80 %d 50" % (kept.ring.epoch, kept.tally.table)
    for text in texts_of(45_000):
        kept.put(text, text.replace(b"a", b"b"))
    begins, texts, _ = kept.whole(kept.answer(80, 0, table=kept.tally.table, had=50, **question))
    gone = int(begins[0].split(b" ")[3])
    assert 0 < gone == 45_000 - len(texts)


def test_a_damaged_ring_ends_a_reply_with_a_gap() -> None:
    kept = Kept()
    kept.put(*texts_of(10))
    answer = kept.answer(2)
    record = next(kept.ring.records(2))
    at = 4096 + record.offset
    kept.ring._bytes[at : at + 8] = bytes(8)
    begins, texts, end = kept.whole(answer)
    assert begins[-1] == b"%d ? ?" % kept.ring.epoch
    assert texts == []
    assert end.startswith(b"E %d 10 " % kept.ring.epoch)
