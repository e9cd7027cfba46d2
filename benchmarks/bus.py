"""The bench ``bus``: shellbot's bus at the guarantee ``fast``, against raw sockets and the figures it has to meet."""

from __future__ import annotations

from benchmarks.figures import Bound, Figure, Group, Trial, at_least, at_most, most, of, ratio

CHANNELS = 100_000
_MANY = f"{CHANNELS:,} channels in one subscriber"


def groups() -> list[Group]:
    """All that is measured, in the order of the table."""
    return [
        _throughput("100 B", 100, 400_000, at_least(0.75), at_least(0.9)),
        _throughput("1 KiB", 1024, 250_000, at_least(0.6), at_least(0.75)),
        _throughput("10 KiB", 10 * 1024, 50_000, at_least(0.5), at_least(0.8)),
        _latency(),
        _busy(),
        _put(),
        _first(),
        _idle(),
        _ready(),
        _stopped(),
        _channels(),
        _start(),
    ]


def _throughput(name: str, size: int, count: int, must: Bound, aim: Bound) -> Group:
    trials = [
        Trial(
            f"{system} {transport}",
            "throughput",
            {"system": system, "transport": transport, "size": size, "count": count},
            {"count": 300},
        )
        for transport in ("tcp", "ipc")
        for system in ("raw", "fast")
    ]
    ours = ("fast tcp", "fast ipc")
    figures = [
        Figure(f"{name}, tcp, of raw", ratio("fast tcp", "raw tcp", "rate"), "x", must, aim),
        *(Figure(f"{name}, {trial}", of(trial, "rate", 1e-3), "k/s", digits=0) for trial in ("fast tcp", "raw tcp")),
        Figure(f"{name}, ipc, of raw over ipc", ratio("fast ipc", "raw ipc", "rate"), "x"),
        Figure(f"{name}, fast ipc", of("fast ipc", "rate", 1e-3), "k/s", digits=0),
        Figure(f"{name}, tcp and ipc, lost", most("lost", *ours), "", at_most(0), digits=0, is_worst=True),
        Figure(
            f"{name}, tcp and ipc, out of order", most("disordered", *ours), "", at_most(0), digits=0, is_worst=True
        ),
    ]
    return Group(f"throughput-{name.replace(' ', '')}", trials, figures)


def _latency() -> Group:
    pace = {"count": 3000, "rate": 1000}
    trials = [Trial(system, "latency", {"system": system, **pace}, {"count": 100}) for system in ("raw", "fast")]
    figures = [
        Figure("p50 at 1,000/s, of raw", ratio("fast", "raw", "p50"), "x", at_most(1.4), at_most(1.2)),
        Figure("p99 at 1,000/s, of raw", ratio("fast", "raw", "p99"), "x", at_most(1.6), at_most(1.3)),
        *(
            Figure(f"{name} at 1,000/s, {system}", of(system, name), "us", digits=0)
            for name in ("p50", "p99")
            for system in ("fast", "raw")
        ),
    ]
    return Group("latency", trials, figures)


def _busy() -> Group:
    pace = {"count": 3000, "rate": 1000, "busy": True}
    trials = [Trial(system, "latency", {"system": system, **pace}, {"count": 30}) for system in ("raw", "fast")]
    title = "with a CPU-bound thread in the caller"
    figures = [
        Figure(f"p99 {title}", of("fast", "p99", 1e-3), "ms", at_most(1), at_most(0.3)),
        Figure(f"p50 {title}", of("fast", "p50", 1e-3), "ms"),
        Figure(f"p99 {title}, raw", of("raw", "p99", 1e-3), "ms"),
    ]
    return Group("busy-caller", trials, figures)


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
        Trial("fork", "first_message", {"system": "fast", "method": "fork"}),
        Trial("spawn", "first_message", {"system": "fast", "method": "spawn"}),
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
    trial = Trial("fast", "idle", {"system": "fast", "settle": 5, "seconds": 10}, {"settle": 0.1, "seconds": 0.3})
    figures = []
    for side in ("publisher", "subscriber"):
        wakes, cpu = of("fast", f"{side} wake-ups"), of("fast", f"{side} cpu")
        figures += [
            Figure(f"idle 5 s after the last message, {side}, wake-ups", wakes, "/s", at_most(1), at_most(0.3), 1),
            Figure(f"idle 5 s after the last message, {side}, CPU", cpu, "%", at_most(0), None, 1),
        ]
    return Group("idle", [trial], figures, rounds=3)


def _ready() -> Group:
    trials = [
        Trial("fast", "ready", {"system": "fast", "trials": 1000}, {"trials": 20}),
        # That there is something to lose: plain sockets, without wait_ready().
        Trial("raw", "ready", {"system": "raw", "trials": 100}, {"trials": 5}),
    ]
    figures = [
        Figure(
            "published right after `wait_ready`, 1,000 times: lost", of("fast", "lost"), "", at_most(0), None, 0, True
        ),
        Figure("the same with raw, which has no such thing, 100 times: lost", of("raw", "lost"), "", digits=0),
        Figure("`wait_ready` on a running bus, p50", of("fast", "p50"), "ms"),
        Figure("`wait_ready` on a running bus, p99", of("fast", "p99"), "ms"),
    ]
    return Group("ready", trials, figures, rounds=3)


def _stopped() -> Group:
    arguments = {"system": "fast", "count": 60_000, "seconds": 1.5}
    trial = Trial("fast", "stopped", arguments, {"count": 30_000, "seconds": 0.2, "warm": 1000})
    title = "subscriber stopped for 1.5 s under load, 1 KiB, `block`"
    figures = [
        Figure(f"{title}: lost", of("fast", "lost"), "", at_most(0), None, 0, True),
        Figure(f"{title}: out of order", of("fast", "disordered"), "", at_most(0), None, 0, True),
        Figure(f"{title}: publisher's side grows", of("fast", "mib"), "MiB", at_most(8), None, 1, True),
    ]
    return Group("stopped", [trial], figures, rounds=3)


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
        Figure(f"{_MANY}: lost", most("lost", "many", "one of many"), "", at_most(0), None, 0, True),
    ]
    return Group("channels", trials, figures, rounds=5)


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
