"""Message to reply through the web chat, by turns with the same form to a bare Flask: what of it is our own time."""

from __future__ import annotations

from time import perf_counter

from benchmarks.chat_server import serve, serve_bare
from benchmarks.peer import Peer
from benchmarks.spent import percentile
from benchmarks.visitor import Visitor, bot_says

_WARM = 20


def run(count: int) -> dict[str, float]:
    replied: list[float] = []
    taken: list[float] = []
    bare: list[float] = []
    with Peer(serve) as ours, Peer(serve_bare) as other:
        with Visitor(ours.hear(), "Person A") as person, Visitor(other.hear()) as stranger:
            person.open()
            for number in range(_WARM + count):
                text, key = f"echo reply-{number:06}", f"say-{number:06}"
                reply = bot_says(f"reply-{number:06}")
                began = perf_counter()
                stranger.say(text, key)
                bare.append(perf_counter() - began)
                began = perf_counter()
                person.say(text, key)
                taken.append(perf_counter() - began)
                person.read_until(reply)
                replied.append(perf_counter() - began)
    found = {"reply": replied[_WARM:], "post": taken[_WARM:], "bare": bare[_WARM:]}
    result = {f"{name} {share}": percentile(found[name], share) * 1e3 for name in found for share in (50, 99)}
    return {**result, "own 50": result["reply 50"] - result["bare 50"]}
