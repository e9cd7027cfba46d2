"""The bench ``chat``: the chat-bot server under many people, many rooms and many open pages, and its musts."""

from __future__ import annotations

from benchmarks.figures import Figure, Group, Trial, at_most, of


def groups() -> list[Group]:
    """All that is measured, in the order of the table."""
    return [_vote(1_000), _vote(10_000), _reply(), _rooms(), _slow(), _streams(), _webex()]


def _vote(people: int) -> Group:
    title = f"{people:,} people vote"
    is_must = people == 10_000  # what fewer take is there to be compared with
    figures = [
        Figure(
            f"{title}: opened, answered, announced",
            of("vote", "whole"),
            "s",
            *((at_most(10), at_most(4)) if is_must else (None, None)),
        ),
        Figure(f"{title}: until all have the ballot", of("vote", "opened"), "s"),
        Figure(f"{title}: until all have voted", of("vote", "ballots"), "s"),
        Figure(f"{title}: until the result is there", of("vote", "result"), "s"),
        Figure(f"{title}: until all came in, before", of("vote", "joined"), "s"),
        Figure(
            f"{title}: memory per channel",
            of("vote", "after kB"),
            "kB",
            *((at_most(20), at_most(8)) if is_must else (None, None)),
            1,
        ),
        Figure(f"{title}: memory per channel before the vote", of("vote", "there kB"), "kB", digits=1),
        Figure(f"{title}: without ballot or end of it", of("vote", "lost"), "", at_most(0), None, 0, True),
        Figure(f"{title}: votes counted wrongly", of("vote", "wrong"), "", at_most(0), None, 0, True),
    ]
    return Group(f"vote-{people}", [Trial("vote", "vote", {"people": people}, {"people": 20})], figures, rounds=3)


def _reply() -> Group:
    figures = [
        Figure("message to reply, web: our own time, p50", of("reply", "own 50"), "ms", at_most(5)),
        Figure("message to reply, web: p50", of("reply", "reply 50"), "ms"),
        Figure("message to reply, web: p99", of("reply", "reply 99"), "ms"),
        Figure("message to reply, web: the form alone, p50", of("reply", "post 50"), "ms"),
        Figure("a form to a bare Flask, p50", of("reply", "bare 50"), "ms"),
        Figure("a form to a bare Flask, p99", of("reply", "bare 99"), "ms"),
    ]
    return Group("reply", [Trial("reply", "reply", {"count": 1000}, {"count": 10})], figures, rounds=5)


def _rooms() -> Group:
    arguments = {"rooms": 1000, "settle": 5, "seconds": 10}
    quick = {"rooms": 20, "settle": 0.1, "seconds": 0.3}
    trials = [Trial(space, "rooms", {"space": space, **arguments}, quick) for space in ("web", "memory")]
    figures = []
    for space in ("web", "memory"):
        title = f"1,000 idle rooms, {space}"
        figures += [
            Figure(f"{title}: memory", of(space, "MB"), "MB", at_most(30), None, 1),
            Figure(f"{title}: CPU", of(space, "cpu"), "%", at_most(0), None, 0),
            Figure(f"{title}: wake-ups", of(space, "wake-ups"), "/s", digits=1),
        ]
    return Group("rooms", trials, figures, rounds=3)


def _slow() -> Group:
    trials = [
        Trial(name, "slow", {"computes": computes, "turns": 10, "count": 200}, {"turns": 2, "count": 5})
        for name, computes in (("waits", False), ("computes", True))
    ]
    figures = []
    for name, must in (("waits", at_most(1.3)), ("computes", None)):
        title = f"a slow command that {name}: message to reply of others"
        figures += [
            Figure(f"{title}, p99, of without", of(name, "moved"), "x", must),
            Figure(f"{title}, p50", of(name, "with 50"), "ms"),
            Figure(f"{title}, p99", of(name, "with 99"), "ms"),
            Figure(f"{title}, p99 without", of(name, "without 99"), "ms"),
        ]
    return Group("slow", trials, figures, rounds=5)


def _streams() -> Group:
    trial = Trial(
        "streams",
        "streams",
        {"streams": 500, "talks": 100, "rate": 50, "seconds": 10},
        {"streams": 20, "talks": 5, "seconds": 0.5},
    )
    title = "500 open pages, 10 messages/s to all"
    figures = [
        Figure(f"{title}: a form, p99", of("streams", "post 99"), "ms", at_most(10)),
        Figure(f"{title}: a form, p50", of("streams", "post 50"), "ms"),
        Figure(f"{title}: until the last page has it, p50", of("streams", "all told 50"), "ms", digits=1),
        Figure(f"{title}: until the last page has it, p99", of("streams", "all told 99"), "ms", digits=1),
        Figure(f"{title}: memory per page", of("streams", "kB"), "kB", digits=1),
        *(
            Figure(f"{title}: {words}", of("streams", fault), "", at_most(0), None, 0, True)
            for fault, words in (("lost", "lost"), ("doubled", "doubled"), ("disordered", "out of order"))
        ),
    ]
    return Group("streams", [trial], figures, rounds=3)


def _webex() -> Group:
    arguments = {"people": 300, "latency": 0.1, "parallel": 20}
    trial = Trial("webex", "webex", arguments, {"people": 10, "latency": 0.01})
    title = "300 ballots on Webex, 0.1 s a call, 20 at once"
    figures = [
        Figure(f"{title}: until the last has it", of("webex", "s"), "s", at_most(3)),
        Figure(f"{title}: sent twice", of("webex", "doubled"), "", at_most(0), None, 0, True),
    ]
    return Group("webex", [trial], figures, rounds=3)
