"""The bench of faults: what it takes for a broken promise, and that a row of it runs and is written whole."""

from __future__ import annotations

import pytest

from benchmarks.faults import bench
from benchmarks.faults.row import FAST, REPLAY, Line, NotRun, Outcome, Row
from benchmarks.scene.listener import Listener, Pause
from benchmarks.scene.reader import delays, judge


def nothing(*, scale: int) -> Outcome:
    return Outcome(sent=scale, delivered=scale)


def broken(outcome: Outcome, **options: bool) -> list[str]:
    return Line(Row("reset", REPLAY, nothing, **options), outcome).broken


def kind(row: Row) -> str:
    return row.fault.split()[0].strip(",:")


def test_rows_are_told_apart_and_each_kind_shows_its_harm_or_says_why_there_is_none() -> None:
    rows = bench.rows()
    assert len({(row.fault, row.level) for row in rows}) == len(rows)
    harmful = {kind(row) for row in rows if row.is_harm}
    assert [row.fault for row in rows if kind(row) not in harmful and not row.why_no_harm] == []
    assert [row.fault for row in rows if kind(row) in harmful and row.why_no_harm] == []
    assert all(row.level == REPLAY for row in rows if not row.is_harm)


def test_rows_are_chosen_by_a_word_of_their_name() -> None:
    hubs = bench.rows("hub")
    assert len(hubs) > 5
    assert hubs == [row for row in hubs if "hub" in row.fault]
    assert bench.rows("no such fault") == []


def test_what_is_promised_is_judged() -> None:
    assert broken(Outcome(sent=5, delivered=5)) == []
    for outcome in (Outcome(lost=1), Outcome(unreported=1), Outcome(duplicated=1), Outcome(reordered=1)):
        assert len(broken(outcome)) == 1


def test_a_gap_that_is_due_must_be_told_in_time() -> None:
    assert broken(Outcome(lost=1, told=[0.2]), is_gap_due=True) == []
    assert broken(Outcome(lost=1, told=[0.3]), is_gap_due=True)
    assert broken(Outcome(lost=1), is_gap_due=True)


def test_a_hub_must_be_followed_in_time_where_there_is_time() -> None:
    assert broken(Outcome(takeovers=[0.01, 0.01, 0.4])) == []
    assert broken(Outcome(takeovers=[0.01, 0.01, 0.6]))
    assert broken(Outcome(takeovers=[0.06, 0.06, 0.06]))
    assert broken(Outcome(takeovers=[0.6]), is_paced=False) == []


def test_a_fault_without_repair_must_do_harm() -> None:
    row = Row("reset", FAST, nothing, is_harm=True)
    assert Line(row, Outcome(lost=1)).broken == []
    assert "harmless" in Line(row, Outcome()).broken[0]


def test_why_there_is_no_harm_is_said_under_the_table() -> None:
    row = Row("flip", REPLAY, nothing, why_no_harm="nobody could repair it")
    assert "- flip, replay: nobody could repair it" in bench.table([Line(row, Outcome())])


@pytest.fixture
def listener() -> Listener:
    """One that has not begun."""
    return Listener("tcp://127.0.0.1:9")


def test_a_pause_belongs_to_the_event_before_it_and_not_to_those_before_that(listener: Listener) -> None:
    listener.pauses = [Pause(0.9, 1.2), Pause(1.4, 2.4)]
    assert judge(listener, {}, [1.0, 1.3])["pauses"] == pytest.approx([0.2, 1.0])


def test_delays_are_those_of_what_was_put_in_a_time(listener: Listener) -> None:
    for number in range(300):
        listener.stamps.append(number)
        listener.delays.append(number / 1000)
    assert delays(listener, 100, 199) == {"p50": 0.15, "p99": 0.199, "max": 0.199}
    assert delays(listener, 500, 600) == {"p50": 0.0, "p99": 0.0, "max": 0.0}


def test_a_row_runs_and_the_table_has_its_columns() -> None:
    (row,) = bench.rows("reset 5 times")[1:]
    shown: list[str] = []
    (line,) = bench.run([row], 1, 1, shown.append)
    assert line.broken == []
    outcome = line.outcome
    assert 0 < outcome.sent == outcome.delivered
    heading, _, cells = shown
    assert heading == "| fault | level | sent | delivered | lost | unreported | duplicated | reordered | recovery_ms |"
    assert cells.count("|") == heading.count("|")
    assert cells in bench.table([line])


def test_what_cannot_be_made_here_is_not_run() -> None:
    def missing(*, scale: int) -> Outcome:
        raise NotRun("needs a disk")

    (line,) = bench.run([Row("disk", REPLAY, missing)], 1, 1, lambda text: None)
    assert line.broken == []
    assert "not run" in bench.cells(line)
    assert "needs a disk" in bench.table([line])
