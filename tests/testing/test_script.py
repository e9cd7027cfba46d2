"""The demo's script in virtual time: the same seed gives the same play, and it comes to an end."""

from __future__ import annotations

import heapq

import pytest

from shellbot.testing.script import CAST, OPENING, QUIET, Deed, Seen, react

CHOICES = ("Pizza", "Sushi", "Salad")


class Stage:
    """Plays what the script says, in no time. The bot of this stage knows one vote that all of the cast can take."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.seen: list[Seen] = []
        self.done: list[tuple[float, Deed]] = []
        self.votes: dict[str, list[str]] = {}
        self._due: list[tuple[float, int, Deed]] = []

    def see(self, event: Seen) -> None:
        self.seen.append(event)
        for deed in react(self.seed, self.seen):
            heapq.heappush(self._due, (self.now + deed.delay, len(self._due) + len(self.done), deed))

    def open_vote(self) -> None:
        self.votes = {}
        for name in CAST:
            self.see(Seen("ballot", name, choices=CHOICES))

    def play(self, until: float = 600.0) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, deed = heapq.heappop(self._due)
            self.done.append((self.now, deed))
            if deed.do == "wait":
                self.see(Seen("woke", text=deed.text))
            elif deed.text == OPENING:
                self.open_vote()
            elif deed.do == "press":
                self.votes.setdefault(deed.who, []).append(deed.text)
                self.see(Seen("voted", deed.who))

    def said(self) -> list[str]:
        return [deed.text for _, deed in self.done if deed.do == "say"]


def whole_play(seed: int) -> Stage:
    stage = Stage(seed)
    stage.see(Seen("began"))
    stage.play(10)
    stage.see(Seen("came", "Person A"))
    stage.play()
    stage.see(Seen("result", text="Pizza"))
    stage.play()
    return stage


def test_the_same_seed_gives_the_same_play():
    assert whole_play(7).done == whole_play(7).done
    assert whole_play(7).done != whole_play(8).done


def test_the_real_person_is_greeted_by_name_once():
    assert sum("Person A" in text for text in whole_play(1).said()) == 1


def test_one_of_the_cast_opens_a_vote_when_the_real_person_starts_nothing():
    stage = Stage(1)
    stage.see(Seen("began"))
    stage.play(10)
    stage.see(Seen("came", "Person A"))
    came = stage.now
    stage.play(came + QUIET - 0.01)
    assert not any(text == OPENING for text in stage.said())
    stage.play(came + QUIET)
    assert sum(text == OPENING for text in stage.said()) == 1


def test_nobody_of_the_cast_opens_a_vote_when_the_real_person_did():
    stage = Stage(1)
    stage.see(Seen("began"))
    stage.see(Seen("came", "Person A"))
    stage.play(QUIET / 2)
    stage.open_vote()
    stage.play()
    assert not any(text == OPENING for text in stage.said())


@pytest.mark.parametrize("seed", range(20))
def test_one_votes_at_once_most_within_20_s_one_changes_and_one_is_late(seed):
    stage = Stage(seed)
    stage.open_vote()
    stage.play()
    first = {}
    for at, deed in stage.done:
        first.setdefault(deed.who, at)
    assert set(first) == set(CAST)
    assert min(first.values()) < 2
    assert sum(at < 20 for at in first.values()) == len(CAST) - 1
    assert 20 < max(first.values()) < 30
    changed = [votes for votes in stage.votes.values() if len(votes) == 2]
    assert len(changed) == 1
    assert changed[0][0] != changed[0][1]


@pytest.mark.parametrize("seed", range(20))
def test_who_waits_for_the_others_is_told_once_how_far_the_vote_is(seed):
    stage = Stage(seed)
    for told in (["I have voted.", "So have I.", "Me too. Who is missing?", "poll list"], []):
        begun, before = stage.now, len(stage.done)
        stage.open_vote()
        stage.play(begun + 600)
        said = [(at - begun, deed) for at, deed in stage.done[before:] if deed.do == "say"]
        assert sorted(deed.text for _, deed in said) == sorted(told)
        assert all(at < 20 for at, _ in said), "before the last of them votes"
        assert all(deed.who in stage.votes for _, deed in said)


def test_two_talk_about_the_result_and_then_all_fall_silent():
    stage = whole_play(3)
    assert "Pizza it is, then." in stage.said()
    spoken = len(stage.done)
    stage.play(1e9)
    assert len(stage.done) == spoken
    for _ in range(5):  # later results are left to the real people
        stage.see(Seen("result"))
    stage.play(1e9)
    assert len(stage.done) == spoken + 2
