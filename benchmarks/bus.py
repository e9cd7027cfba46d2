"""The bench ``bus``: shellbot's bus at ``fast`` and ``replay`` against raw sockets and others, and its musts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.figures import Bound, Figure, Group, Round, Trial, at_least, at_most, most, of, ratio

CHANNELS = 100_000
# The group that needs packages and servers which shellbot does not.
OTHERS = "others"
_MANY = f"{CHANNELS:,} channels in one subscriber"


def groups() -> list[Group]:
    """All that is measured, in the order of the table."""
    return [
        _throughput("100 B", 100, 400_000, (0.75, 0.9), (0.9, 1.0), (0.75, 0.95)),
        _throughput("1 KiB", 1024, 250_000, (0.6, 0.75), (0.85, 1.0)),
        _throughput("10 KiB", 10 * 1024, 50_000, (0.5, 0.8), (0.8, 1.0)),
        _latency(),
        _busy(),
        _put(),
        _first(),
        _idle(),
        _ready(),
        _stopped(),
        _stuck(),
        _takeover(),
        _channels(),
        _asyncio(),
        _publishers(),
        _subscribers(),
        _others(),
        _start(),
    ]


def _throughput(
    name: str,
    size: int,
    count: int,
    fast: tuple[float, float],
    replay: tuple[float, float],
    replay_of_raw: tuple[float, float] | None = None,
) -> Group:
    """Bounds are a must and an aim: of ``fast`` against raw, of ``replay`` against ``fast``, and against raw."""
    trials = [
        Trial(
            f"{system} {transport}",
            "throughput",
            {"system": system, "transport": transport, "size": size, "count": count},
            {"count": 300},
        )
        for transport in ("tcp", "ipc")
        for system in ("raw", "fast", "replay")
    ]
    ours = ("fast tcp", "fast ipc", "replay tcp", "replay ipc")
    shown = ("fast tcp", "replay tcp", "raw tcp")
    figures = [
        Figure(f"{name}, tcp, fast of raw", ratio("fast tcp", "raw tcp", "rate"), "x", *_least(fast)),
        Figure(f"{name}, tcp, replay of raw", ratio("replay tcp", "raw tcp", "rate"), "x", *_least(replay_of_raw)),
        Figure(f"{name}, tcp, replay of fast", ratio("replay tcp", "fast tcp", "rate"), "x", *_least(replay)),
        *(Figure(f"{name}, {trial}", of(trial, "rate", 1e-3), "k/s", digits=0) for trial in shown),
        Figure(f"{name}, ipc, fast of raw over ipc", ratio("fast ipc", "raw ipc", "rate"), "x"),
        Figure(f"{name}, ipc, replay of fast over ipc", ratio("replay ipc", "fast ipc", "rate"), "x"),
        *(Figure(f"{name}, {trial}", of(trial, "rate", 1e-3), "k/s", digits=0) for trial in ("fast ipc", "replay ipc")),
        *_never(name, *ours),
    ]
    return Group(f"throughput-{name.replace(' ', '')}", trials, figures)


def _least(bounds: tuple[float, float] | None) -> tuple[Bound | None, Bound | None]:
    return (at_least(bounds[0]), at_least(bounds[1])) if bounds else (None, None)


def _never(title: str, *trials: str) -> list[Figure]:
    """What must not happen to any message in any round."""
    faults = {"lost": "lost", "doubled": "doubled", "disordered": "out of order"}
    return [
        Figure(f"{title}: {words}", most(fault, *trials), "", at_most(0), None, 0, True)
        for fault, words in faults.items()
    ]


def _latency() -> Group:
    systems = ["raw", "fast", "replay"]
    trial = Trial("all", "latency", {"systems": systems, "count": 3000, "rate": 1000}, {"count": 100})
    figures = [
        Figure("p50 at 1,000/s, of raw", _times("fast p50", "raw p50"), "x", at_most(1.4), at_most(1.2)),
        Figure("p99 at 1,000/s, of raw", _times("fast p99", "raw p99"), "x", at_most(1.6), at_most(1.3)),
        *(
            Figure(f"{name} at 1,000/s, {system}", of("all", f"{system} {name}"), "us", digits=0)
            for name in ("p50", "p99")
            for system in ("fast", "replay", "raw")
        ),
    ]
    return Group("latency", [trial], figures)


def _times(name: str, other: str) -> Callable[[Round], float]:
    """One value of the one trial divided by another."""
    return lambda one: one["all"][name] / one["all"][other]


def _busy() -> Group:
    arguments = {"systems": ["raw", "replay"], "count": 3000, "rate": 1000, "busy": True}
    trial = Trial("all", "latency", arguments, {"count": 30})
    title = "with a CPU-bound thread in the caller"
    figures = [
        Figure(f"p99 {title}", of("all", "replay p99", 1e-3), "ms", at_most(1), at_most(0.3)),
        Figure(f"p50 {title}", of("all", "replay p50", 1e-3), "ms"),
        Figure(f"p99 {title}, raw", of("all", "raw p99", 1e-3), "ms"),
    ]
    # Where the system places the threads decides whether one message in a hundred waits for its clock: hence so many.
    return Group("busy-caller", [trial], figures, rounds=15)


def _put() -> Group:
    trials = [Trial(system, "put_cost", {"system": system, "bursts": 200}, {"bursts": 3}) for system in ("raw", "fast")]
    figures = [
        Figure(
            "put() 100 B, no back-pressure, of raw send", ratio("fast", "raw", "us"), "x", at_most(1.2), at_most(0.9)
        ),
        Figure("put() 100 B", of("fast", "us"), "us"),
        Figure("send 100 B, raw", of("raw", "us"), "us"),
    ]
    return Group("put-cost", trials, figures)


def _first() -> Group:
    trials = [
        Trial("fork", "first_message", {"system": "replay", "method": "fork"}),
        Trial("spawn", "first_message", {"system": "replay", "method": "spawn"}),
        Trial("raw", "first_message", {"system": "raw", "method": "fork"}),
    ]
    title = "first message after creating the bus"
    figures = [
        Figure(f"{title}, fork", of("fork", "ms"), "ms", at_most(60), at_most(35), 0),
        Figure(f"{title}, spawn", of("spawn", "ms"), "ms", digits=0),
        Figure(f"{title}, raw, fork", of("raw", "ms"), "ms", digits=0),
    ]
    return Group("first-message", trials, figures)


def _idle() -> Group:
    arguments = {"systems": ["replay", "fast"], "settle": 5, "seconds": 10}
    trial = Trial("idle", "idle", arguments, {"settle": 0.1, "seconds": 0.3})
    figures = []
    for side in ("publisher", "subscriber"):
        title = f"idle at replay, 5 s after the last message, {side}"
        wakes, cpu = of("idle", f"replay {side} wake-ups"), of("idle", f"replay {side} cpu")
        figures += [
            Figure(f"{title}, wake-ups", wakes, "/s", at_most(1), at_most(0.3), 1),
            Figure(f"{title}, CPU", cpu, "%", at_most(0), None, 1),
            Figure(f"the same at fast, {side}, wake-ups", of("idle", f"fast {side} wake-ups"), "/s", digits=1),
        ]
    return Group("idle", [trial], figures, rounds=3)


def _ready() -> Group:
    trials = [
        Trial("replay", "ready", {"system": "replay", "trials": 1000}, {"trials": 20}),
        # That there is something to lose: plain sockets, without wait_ready().
        Trial("raw", "ready", {"system": "raw", "trials": 100}, {"trials": 5}),
    ]
    figures = [
        Figure(
            "published right after `wait_ready`, 1,000 times: lost", of("replay", "lost"), "", at_most(0), None, 0, True
        ),
        Figure("the same with raw, which has no such thing, 100 times: lost", of("raw", "lost"), "", digits=0),
        Figure("`wait_ready` on a running bus, p50", of("replay", "p50"), "ms"),
        Figure("`wait_ready` on a running bus, p99", of("replay", "p99"), "ms"),
    ]
    return Group("ready", trials, figures, rounds=3)


def _stopped() -> Group:
    arguments = {"system": "replay", "count": 60_000, "seconds": 1.5}
    trial = Trial("replay", "stopped", arguments, {"count": 30_000, "seconds": 0.2, "warm": 1000})
    title = "subscriber stopped for 1.5 s under load, 1 KiB, `block`"
    figures = [
        *_never(title, "replay"),
        Figure(f"{title}: publisher's side grows", of("replay", "mib"), "MiB", at_most(8), None, 1, True),
    ]
    return Group("stopped", [trial], figures, rounds=3)


def _stuck() -> Group:
    pace = {"rate": 20_000, "seconds": 10}
    trials = [
        Trial(name, "stuck", {"is_stopped": is_stopped, **pace}, {"rate": 1000, "seconds": 0.3})
        for name, is_stopped in (("undisturbed", False), ("stuck", True))
    ]
    title = "1 of 2 subscribers stopped for 10 s"
    figures = [
        Figure(
            f"{title}: the other's p99, of none stopped",
            ratio("stuck", "undisturbed", "p99"),
            "x",
            at_most(1.2),
            at_most(1.0),
        ),
        *(
            Figure(f"{words}: {name}", of(trial, name), "ms")
            for trial, words in (("stuck", f"{title}: the other's"), ("undisturbed", "the same, none stopped"))
            for name in ("p50", "p99", "max")
        ),
        *_never(f"{title}: the other", "undisturbed", "stuck"),
        Figure(f"{title}: the stopped one, lost and not told", of("stuck", "untold"), "", at_most(0), None, 0, True),
        Figure(f"{title}: the stopped one, doubled", of("stuck", "one doubled"), "", at_most(0), None, 0, True),
        Figure(f"{title}: how often it was cut off", of("stuck", "cuts"), "", at_least(1), digits=0),
    ]
    return Group("stuck", trials, figures, rounds=3)


def _takeover() -> Group:
    figures = []
    trials = []
    for rate in (5, 10, 30):
        name = f"3 x {rate} k/s"
        arguments = {"programs": 3, "rate": rate * 1000, "kills": 10}
        trials.append(Trial(name, "takeover", arguments, {"rate": 500, "kills": 1}))
        title = f"hub killed, {name}"
        figures += [
            Figure(f"{title}: silence, p50", of(name, "p50"), "ms", at_most(50), at_most(10), 1),
            Figure(f"{title}: silence, longest", of(name, "max"), "ms", at_most(500), at_most(50), 1, True),
            *_never(title, name),
        ]
    return Group("takeover", trials, figures, rounds=2)


def _channels() -> Group:
    many = {"channels": CHANNELS, "count": 400_000}
    trials = [
        Trial("one", "channels", {"channels": 1, "count": 400_000}, {"count": 300}),
        Trial("many", "channels", many, {"channels": 3000, "count": 4000}),
        Trial("one of many", "channels", {**many, "used": 1}, {"channels": 3000, "count": 300}),
    ]
    rate = ratio("many", "one", "rate")
    figures = [
        Figure(f"{_MANY}: active", of("many", "active"), "s", at_most(0.5), at_most(0.25)),
        Figure(f"{_MANY}: speed, to all in turn, of one channel", rate, "x", at_least(0.6), at_least(0.8)),
        Figure(f"{_MANY}: speed, all to one of them, of one channel", ratio("one of many", "one", "rate"), "x"),
        *_never(_MANY, "many", "one of many"),
    ]
    return Group("channels", trials, figures, rounds=5)


def _asyncio() -> Group:
    # Put by raw sockets: so it is the reader that has no time left.
    arguments = {"sender": "raw", "transport": "tcp", "size": 100, "count": 400_000}
    ways = ("get", "await get")
    trials = [Trial(way, "throughput", {"system": way, **arguments}, {"count": 300}) for way in ways]
    figures = [
        Figure(
            "asyncio: `await aio.get()` of `get()`",
            ratio("await get", "get", "rate"),
            "x",
            at_least(0.85),
            at_least(1.0),
        ),
        *(Figure(f"asyncio: {way}", of(way, "rate", 1e-3), "k/s", digits=0) for way in ways),
        *_never("asyncio", *ways),
    ]
    return Group("asyncio", trials, figures)


def _publishers() -> Group:
    trials = [
        Trial(
            f"{programs}",
            "publishers",
            {"system": "replay", "programs": programs, "count": 400_000},
            {"count": 400},
        )
        for programs in (1, 4)
    ]
    title = "4 publishing programs on one address"
    figures = [
        Figure(f"{title}, replay, of one program", ratio("4", "1", "rate"), "x", at_least(0.9), at_least(1.1)),
        Figure(f"{title}, replay", of("4", "rate", 1e-3), "k/s", digits=0),
        *_never(title, "1", "4"),
    ]
    return Group("publishers", trials, figures)


def _subscribers() -> Group:
    arguments = {"subscribers": 1000, "processes": 2, "count": 100}
    systems = ("raw", "fast", "replay")
    trials = [
        Trial(system, "subscribers", {"system": system, **arguments}, {"subscribers": 40, "count": 10})
        for system in systems
    ]
    title = "1,000 subscribers in 2 processes"
    figures = [
        Figure(
            f"{title}, replay, of a thread and socket each",
            ratio("replay", "raw", "rate"),
            "x",
            at_least(5),
            at_least(10),
            1,
        ),
        Figure(f"{title}, fast, of a thread and socket each", ratio("fast", "raw", "rate"), "x", digits=1),
        *(Figure(f"{title}, {system}", of(system, "rate", 1e-3), "k deliveries/s", digits=0) for system in systems),
        *_never(title, "fast", "replay"),
    ]
    return Group("subscribers", trials, figures, rounds=5)


def _others() -> Group:
    arguments = {"transport": "tcp", "size": 100, "count": 400_000}
    other: dict[str, tuple[str, dict[str, Any]]] = {
        "nats-py core": ("throughput", {**arguments, "system": "nats", "transport": "nats", "count": 200_000}),
        "osBrain push": ("osbrain", {"count": 200_000}),
        "redis-py pipelined": (
            "throughput",
            {**arguments, "system": "redis pipelined", "transport": "redis", "count": 100_000},
        ),
        "redis-py": ("throughput", {**arguments, "system": "redis", "transport": "redis", "count": 10_000}),
    }
    trials = [
        *(Trial(name, "throughput", {**arguments, "system": name}, {"count": 300}) for name in ("fast", "replay")),
        *(Trial(name, module, found, {"count": 300}) for name, (module, found) in other.items()),
    ]
    bounds = {"nats-py core": (2, 3), "osBrain push": (2, 3), "redis-py pipelined": (4, 6)}
    figures = [
        *(
            Figure(f"replay of {name}", ratio("replay", name, "rate"), "x", *_least(bounds.get(name)), digits=1)
            for name in other
        ),
        *(Figure(f"fast of {name}", ratio("fast", name, "rate"), "x", digits=1) for name in other),
        *(Figure(f"beside them: {name}", of(name, "rate", 1e-3), "k/s", digits=0) for name in ("replay", "fast")),
        *(Figure(f"{name}", of(name, "rate", 1e-3), "k/s", digits=0) for name in other),
        *(Figure(f"{name}: lost", of(name, "lost"), "", digits=0, is_worst=True) for name in other),
    ]
    return Group(OTHERS, trials, figures, rounds=5)


def _start() -> Group:
    names = "from shellbot import Bus, Context, Publisher, Subscriber"
    trials = [
        Trial("package", "importing", {"statement": "import shellbot"}),
        Trial("names", "importing", {"statement": names}),
        Trial("run", "serving"),
    ]
    figures = [
        Figure("`import shellbot`", of("package", "ms"), "ms", at_most(100), at_most(50), 1),
        Figure(f"`{names}`", of("names", "ms"), "ms", digits=1),
        Figure("`shellbot run` until it answers", of("run", "s"), "s", at_most(2), at_most(1)),
    ]
    return Group("start", trials, figures)
