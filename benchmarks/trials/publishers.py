"""Programs that publish on one address, each with a bus of its own: how many messages a second reach one reader."""

from __future__ import annotations

from contextlib import ExitStack
from multiprocessing.connection import Connection
from time import monotonic_ns

from benchmarks.messages import FIRST, PROBE, START, Tally, message, worst
from benchmarks.peer import Peer, probe
from benchmarks.systems import READERS, SENDERS, Reader, address


def run(system: str, programs: int, count: int) -> dict[str, float]:
    """Put ``count`` messages in all, each program its part of them."""
    numbers = range(FIRST, FIRST + count // programs)
    with ExitStack() as stack:
        url = stack.enter_context(address("tcp"))
        reader = stack.enter_context(Peer(_read, system, url, programs, numbers))
        publishing = [stack.enter_context(Peer(_publish, system, url, one, numbers)) for one in range(programs)]

        def tell(what: str) -> None:
            for each in publishing:
                each.tell(what)

        probe(lambda: tell("probe"), reader)
        tell("start")
        reader.hear()
        started = monotonic_ns()
        tell("row")
        counted = reader.hear()
    return {"rate": programs * len(numbers) / (counted.ended - started) * 1e9, **counted._asdict()}


def _publish(connection: Connection, system: str, url: str, program: int, numbers: range) -> None:
    body = message(100 - len(',"p":0')) | {"p": program}
    with SENDERS[system](url) as sender:
        while (told := connection.recv()) != "done":
            if told == "row":
                sender.put_row(body, numbers)
            # After a row, it ends the reader also where its last message was lost.
            last = {"probe": PROBE, "start": START, "row": numbers.stop}[told]
            sender.put({"n": last, "p": program})


def _read(connection: Connection, system: str, url: str, programs: int, numbers: range) -> None:
    with READERS[system](url) as reader:
        _await(reader, PROBE, programs)
        connection.send("reached")
        _await(reader, START, programs)
        connection.send("ready")
        tallies, wanted = [Tally() for _ in range(programs)], [numbers.start] * programs
        left, stop, get = programs, numbers.stop, reader.get
        while left:
            body = get()
            number, program = body["n"], body["p"]
            if number == stop:
                left -= 1
            # The last one tells what is missing before it.
            if number == wanted[program]:
                wanted[program] = number + 1
            else:
                wanted[program] = tallies[program].judge(number, wanted[program])
        connection.send(worst([tally.counted() for tally in tallies]))
        connection.recv()


def _await(reader: Reader, number: int, programs: int) -> None:
    """Take all that comes until this number has come from each program."""
    waiting = set(range(programs))
    while waiting:
        body = reader.get()
        if body["n"] == number:
            waiting.discard(body["p"])
