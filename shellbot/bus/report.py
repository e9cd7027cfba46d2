"""How a process tells the one that started it that it has begun, or why it could not."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

import orjson

from shellbot import errors
from shellbot.errors import BusError, NotRunning

_PATIENCE = 60.0


class Report:
    """Both ends of one report. The side that tells may be another process."""

    def __init__(self) -> None:
        self._receiving: Connection | None
        self._telling: Connection | None
        self._receiving, self._telling = multiprocessing.Pipe(duplex=False)

    def __getstate__(self) -> dict[str, Connection | None]:
        return {"_receiving": None, "_telling": self._telling}

    def tell(self, error: BusError | None = None) -> bool:
        """Nothing is wrong, or this; False where something was told before."""
        telling, self._telling = self._telling, None
        if telling is None:
            return False
        told = {} if error is None else {"kind": type(error).__name__, "text": error.args[-1], "fields": vars(error)}
        try:
            telling.send_bytes(orjson.dumps(told) if told else b"")
        except OSError:
            # Whoever waited has gone; that is seen elsewhere.
            pass
        telling.close()
        return True

    def only_hear(self) -> None:
        """The other process has its end now."""
        if self._telling is not None:
            self._telling.close()
            self._telling = None

    def hear(self) -> None:
        """Wait until it has begun.

        Raises:
            BusError: What it told.
            NotRunning: It does not tell anything.
            EOFError: It has ended before.
        """
        receiving, self._receiving = self._receiving, None
        assert receiving is not None
        with receiving:
            if not receiving.poll(_PATIENCE):
                raise NotRunning(f"the publisher does not answer after {_PATIENCE:g} s; see its log")
            data = receiving.recv_bytes()
        if data:
            told = orjson.loads(data)
            kind = getattr(errors, told["kind"], BusError)
            raise kind(told["text"], **told["fields"])
