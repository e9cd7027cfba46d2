"""Publisher: put messages to channels from any thread and process of a family; a background process sends them."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from os import write
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import orjson

from shellbot.bus import transports
from shellbot.bus.counters import counted_of_publisher
from shellbot.bus.fan import Fan
from shellbot.bus.frames import topic, topics
from shellbot.bus.hub.life import Life
from shellbot.bus.hub.local import run_with_socket
from shellbot.bus.hub.process import Process
from shellbot.bus.keeper import Keeper
from shellbot.bus.lifeline import ProcessWatch, Waker, interrupts_held
from shellbot.bus.many import put_foreign, put_many
from shellbot.bus.options import BusOptions, ContextFace
from shellbot.bus.readiness import wait_covered
from shellbot.bus.records import RECORD_BYTES
from shellbot.bus.report import Report
from shellbot.cells import process_tag
from shellbot.codecs import MAX_BYTES, OPTIONS, SHALLOW_BYTES, encode, examine
from shellbot.errors import BusClosed, BusError, InvalidMessage, NotRunning, QueueFull

logger = logging.getLogger(__name__)

_START_TIMEOUT = 60.0
_KNOWN_TOPICS = 200_000
# With the longest name this fits into one record.
_SHORT_BYTES = RECORD_BYTES - 258
_EMPTY = (b"null", b'""')
_EMPTY_BYTES = len(b"null\n")
_NOTHING = "there is no message; put a JSON value other than None and ''"
_LINE = OPTIONS | orjson.OPT_APPEND_NEWLINE

_dumps = orjson.dumps


class Publisher(multiprocessing.Process):
    """Sends what is put, in order, to whoever subscribed. Start it once; ``with`` starts, drains and closes.

    Args:
        context: Settings, or only the address, e.g. ``"tcp://127.0.0.1:5555"``.

    Attributes:
        fan: The queue to the process, :class:`shellbot.bus.fan.Fan`; it takes texts ``channel SP json`` and may be
            passed to other processes, or be replaced before start() by a multiprocessing.Queue.
        on_restart: Called, in a thread of its own, when the process had died and another has taken its place.
        socket: None until run(); may be given something with ``send_string`` and ``close``.

    Raises:
        BadAddress, ConfigError, GuaranteeUnavailable: The settings cannot be used.

    Runs in: any thread; put() also in processes forked from this one. start(), close() and join() where it was made.
    Source: shellbot 2017, whose names it keeps.
    """

    # Names of 2017. Nothing waits for them any more.
    DEFER_DURATION = 0.3
    EMPTY_DELAY = 0.005

    def __init__(self, context: ContextFace | str) -> None:
        super().__init__(name="publisher", daemon=True)
        if isinstance(context, str):
            from shellbot.context import Context

            context = Context({"bus": {"address": context}})
        self.context = context
        self.options = BusOptions.read(context)
        self.fan: Any = Fan(self.options.put_timeout)
        self.socket: Any = None
        self._topics: dict[Any, bytes] = {}
        # The same while it is certain that our own queue is read, or will be; else put() has to look after it.
        self._trusted: dict[Any, bytes] = {}
        self._is_closed = False
        self._owner = os.getpid()
        self._thread: threading.Thread | None = None
        self._keeper: Keeper | None = None
        self._is_again = False
        self.on_restart: Callable[[], object] | None = None
        self._changing = threading.Lock()
        self._at_exit: Finalize | None = None
        self._report: Report | None = None
        self._parent_tag = 0
        self._asking, self._asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    # -- putting ----------------------------------------------------------------------------------------------------

    def put(self, channels: str | Iterable[str], message: Any) -> None:
        """Publish a message to one channel or several; it is encoded once.

        Everything is checked before anything is queued. When put() returns, the message is out of this program's
        hands; it waits up to ``bus.put_timeout`` seconds when the queue is full. Before start() it is kept.

        Args:
            channels: A name, or a list, tuple or set of up to 10,000 names.
            message: A JSON value, at most 1 MiB encoded, e.g. ``{"poll": "lunch"}``; not None and not ``''``.

        Raises:
            InvalidChannel, InvalidMessage: ValueErrors; nothing was queued.
            QueueFull: Nobody took anything; ``sent`` has the channels already queued.
            NotRunning: The process has ended; ``sent`` as above.
            BusClosed: After close().
        """
        # The path of one ordinary message, without a call more than it needs; what is odd goes the long way.
        try:
            head = self._trusted[channels]
            line = _dumps(message, None, _LINE)
        except (KeyError, TypeError):
            self._put(channels, message, None)
            return
        size = len(line)
        if size <= SHALLOW_BYTES:
            if line.rfind(b"null") >= 0:
                examine(message, line)
        elif type(message) is dict and size < MAX_BYTES:
            for value in message.values():
                kind = type(value)
                if kind is not str and kind is not int:
                    examine(message, line)
                    break
        else:
            examine(message, line if size <= MAX_BYTES else line[:-1])
        if size < _SHORT_BYTES:
            if size <= _EMPTY_BYTES and line[:-1] in _EMPTY:
                raise InvalidMessage(_NOTHING)
            try:
                write(self.fan.writing, head + line)
                return
            except OSError:
                # Full, or closed: that is the queue's to handle.
                pass
        self.fan.put_text(head, memoryview(line)[:-1])

    def put_nowait(self, channels: str | Iterable[str], message: Any) -> None:
        """As put(), but QueueFull at once. See fileno() for when it fits again."""
        self._put(channels, message, 0.0)

    def encoded(self, channel: str, message: Any) -> bytes:
        """What put() would queue for one channel, checked; for :meth:`put_encoded`.

        Raises:
            InvalidChannel, InvalidMessage: As put().
        """
        body = encode(message)
        if body in _EMPTY:
            raise InvalidMessage(_NOTHING)
        return self._learn(channel) + body

    def addressed(self, channel: str, text: bytes) -> bytes:
        """The same for a message that is encoded, by :func:`shellbot.codecs.encode`, and not empty."""
        return self._learn(channel) + text

    def put_encoded(self, texts: Sequence[bytes]) -> int:
        """Queue several at once without waiting, in order, those that are short in one write.

        Returns:
            How many were queued, from the first on.

        Raises:
            QueueFull, NotRunning, BusClosed: As put(); none was queued.
        """
        if type(self.fan) is Fan:
            return self.fan.put_texts(texts)
        for count, text in enumerate(texts):
            head, _, body = text.partition(b" ")
            try:
                self._put_foreign([head + b" "], body, 0.0)
            except (QueueFull, NotRunning):
                if not count:
                    raise
                return count
        return len(texts)

    def _put(self, channels: str | Iterable[str], message: Any, timeout: float | None) -> None:
        heads = [self._learn(channels)] if isinstance(channels, str) else topics(channels)
        body = encode(message)
        if body in _EMPTY:
            raise InvalidMessage(_NOTHING)
        fan = self.fan
        if type(fan) is not Fan:
            self._put_foreign(heads, body, timeout)
        elif len(heads) == 1:
            fan.put_text(heads[0], body, timeout)
        else:
            put_many(fan, heads, body, timeout)

    def _put_foreign(self, heads: list[bytes], body: bytes, timeout: float | None) -> None:
        if self._is_closed:
            raise BusClosed("this publisher was closed; make a new one with bus.publish()")
        put_foreign(self.fan, heads, body, timeout, lambda: self.pid is None or self.is_alive())

    def _learn(self, channel: str) -> bytes:
        """Check a name once."""
        head = self._topics.get(channel) or topic(channel)
        if len(self._topics) >= _KNOWN_TOPICS:
            self._topics.clear()
        self._topics[channel] = head
        return head

    def fileno(self) -> int:
        """The writing end of the queue: writable when put_nowait() fits, for ``loop.add_writer()``."""
        number: int = self.fan.fileno()
        return number

    def wait_ready(self, channels: str | Iterable[str], timeout: float | None = 5.0) -> None:
        """Return when each channel has at least one subscriber; what is put from then on reaches it.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            BusTimeout: Not in time; perhaps start() was not called.
            NotRunning: The process has ended.
        """
        if self._is_closed:
            raise BusClosed("this publisher was closed; make a new one with bus.publish()")
        wait_covered(self._asking, topics(channels), timeout, self._is_served)

    def _is_served(self) -> bool:
        """Whether somebody answers, now or once the process is started again."""
        if self._thread is not None:
            return self._thread.is_alive()
        return self.pid is None or self._keeper is None or not self._keeper.has_ended()

    # -- living -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process; returns when it listens.

        Raises:
            AddressInUse: Somebody publishes there already.
            BadAddress: The address cannot be listened on.
            BusUnavailable: A library is missing.
        """
        self.options = BusOptions.read(self.context)
        where = self.options.address
        _ = where.to_bind
        if transports.load(where).IN_PROCESS:
            if self._thread is not None:
                raise AssertionError("cannot start a process twice")
            self._report = Report()
            self._life = Life(self.context, self.options.linger)
            arguments = (self._life, self._report)
            self._thread = threading.Thread(target=self._run_in_thread, args=arguments, name=self.name, daemon=True)
            self._thread.start()
        else:
            self._fork()
        try:
            self._await_begun()
        except BaseException:
            self.close()
            raise
        if type(self.fan) is Fan:
            self._trusted = self._topics
            _started.publishers.add(self)
        if self._thread is None:
            if type(self.fan) is Fan:
                self.fan.page.keep()
            self._keeper = Keeper(self, self._start_again, self._tell_over)
            self._keeper.start()
        elif not self._thread.is_alive():
            self.distrust()
        self._at_exit = Finalize(None, _close_forgotten, args=(weakref.ref(self),), exitpriority=10)

    def _fork(self) -> None:
        """Start the process, which will report."""
        self._report = Report()
        self._parent_tag = process_tag()
        with interrupts_held():
            super().start()
        self._report.only_hear()

    def distrust(self) -> None:
        """Let each put() make sure that somebody reads: here, nobody tells it."""
        self._trusted = {}

    def _tell_over(self) -> None:
        self.distrust()
        if type(self.fan) is Fan:
            self.fan.page.end_reading(is_final=True)

    def _start_again(self) -> None:
        """Another process in the place of the one that died, with the same queue. In the keeper's thread."""
        self._is_again = True
        with self._changing:
            if self._keeper is not None and not self._keeper.is_wanted:
                # Killed meanwhile.
                return
            # multiprocessing starts the process of an object once only: it shall not know of the one before.
            self.__dict__ |= {"_popen": None, "_target": None, "_args": (), "_kwargs": {}}
            self._fork()
        self._await_begun()
        if self.on_restart is not None:
            self.on_restart()

    def _await_begun(self) -> None:
        report, self._report = self._report, None
        assert report is not None
        try:
            report.hear()
        except BaseException as error:
            if self._thread is None:
                if not isinstance(error, BusError | EOFError) or isinstance(error, NotRunning):
                    # It may be anywhere.
                    super().kill()
                super().join(5.0)
            if isinstance(error, EOFError):
                text = f"the publisher ended before it listened, exit code {self.exitcode}; see its log"
                raise NotRunning(text) from error
            raise

    def _bootstrap(self, parent_sentinel: int | None = None) -> int:
        """The first that multiprocessing does in the process."""
        # It would close this, and wait for ever where another thread of the parent was reading from it as we forked.
        vars(sys)["stdin"] = None
        bootstrap: Callable[..., int] = vars(BaseProcess)["_bootstrap"]
        return bootstrap(self, parent_sentinel=parent_sentinel)

    def run(self) -> None:
        """Send until the end; in the process, or called in line."""
        if multiprocessing.current_process() is self:
            self._run_as_child()
        else:
            self._run(Life(self.context, self.options.linger), None, is_final=False)

    def process(self, item: str) -> None:
        """Send one text. A class of yours may do something else with it."""
        self.socket.send_string(item)

    def _run_as_child(self) -> None:
        # The parent handles Ctrl-C and drains us; we were started with it held back.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        stopping = Waker()
        signal.set_wakeup_fd(stopping.writing, warn_on_full_buffer=False)
        life = Life(self.context, self.options.linger, ProcessWatch(self._owner, self._parent_tag), stopping)

        def stop(number: int, frame: object) -> None:
            life.is_stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGHUP, stop)
        if type(self.fan) is Fan:
            # Then the end of all who put is seen as the end of the queue.
            self.fan.only_read()
        self._run(life, self._report, is_final=True)

    def _run_in_thread(self, life: Life, report: Report) -> None:
        try:
            self._run(life, report, is_final=True)
        except Exception:
            logger.exception("the publisher ended")
        finally:
            self.distrust()

    def _run(self, life: Life, report: Report | None, *, is_final: bool) -> None:
        if self.socket is not None:
            run_with_socket(self.fan, self.process, self.socket, life, self.context)
            self.socket = None
            return

        def expose(socket: Any) -> None:
            self.socket = socket

        try:
            Process(
                self.options,
                self.context,
                self.fan,
                self._asked,
                life,
                process=None if type(self).process is Publisher.process else self.process,
                is_again=self._is_again,
                expose=expose,
                begun=lambda: report and report.tell(),
            ).run()
        except BusError as error:
            if report is None or not report.tell(error):
                raise
        else:
            # Killed otherwise: another process will read on.
            if type(self.fan) is Fan:
                self.fan.page.end_reading(is_final)

    # -- ending -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what was put before, and end the process. The second time, and in forked processes, it does little.

        It takes as long as subscribers take messages, and ``bus.linger`` seconds more.
        """
        is_first = not self._is_closed
        self._is_closed = True
        self.distrust()
        if self._owner != os.getpid():
            if type(self.fan) is Fan:
                self.fan.close()
            return
        if self._at_exit:
            self._at_exit.cancel()
        if is_first and self._has_begun():
            self._end_process()
        if type(self.fan) is Fan:
            self.fan.close()
        self._asking.close()
        self._asked.close()

    def _end_process(self) -> None:
        linger = self.options.linger
        if type(self.fan) is Fan:
            self.fan.page.is_closing = True
        if self._keeper is not None:
            self._keeper.hurry()
        before = -1
        while self._progress() != before:
            # It goes on as long as somebody takes messages.
            before = self._progress()
            try:
                self.fan.put(None, True, linger)
                break
            except queue.Full:
                pass
            except (BusError, ValueError):
                break
        while not self._wait_ended(linger):
            before, seen = self._progress(), before
            if before == seen:
                self._stop_process()
                break

    def _stop_process(self) -> None:
        """It does not end by itself."""
        if self._keeper is not None:
            self._keeper.let_end()
        self.terminate()
        if not self._wait_ended(1.0):
            logger.error("the publisher process does not end, killed pid=%s", self.pid)
            self.kill()
            self._wait_ended(5.0)

    def _progress(self) -> int:
        return self.fan.page.progress if type(self.fan) is Fan else 0

    def _wait_ended(self, timeout: float | None) -> bool:
        """Whether the process, or the thread in its place, has ended for good within this time."""
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        if self._keeper is not None:
            return self._keeper.wait(timeout)
        super().join(timeout)
        return self.exitcode is not None

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the process; one that dies is started again, so it is waited for too."""
        if self._thread is None and self._keeper is None:
            super().join(timeout)
        else:
            self._wait_ended(timeout)
        if type(self.fan) is Fan:
            self.fan.look_now()

    def _has_begun(self) -> bool:
        """Whether it was started. There is no pid while a process that died is started again."""
        return self.pid is not None or self._thread is not None or self._keeper is not None

    def is_alive(self) -> bool:
        """Whether there is a process, or will be again."""
        if self._thread is not None:
            return self._thread.is_alive()
        return not self._keeper.has_ended() if self._keeper is not None else super().is_alive()

    @property
    def restarts(self) -> int:
        """How often the process had to be started again."""
        return self._keeper.restarts if self._keeper is not None else 0

    @property
    def counters(self) -> dict[str, int]:
        """What was put by all who put here, and what became of it; see :meth:`shellbot.bus.bus.Bus.counters`."""
        return counted_of_publisher(self.fan, self.context, self.restarts)

    def terminate(self) -> None:
        """Ask the process to end after what is queued."""
        if self._thread is not None:
            self._life.is_stopping = True
            # One that is full wakes it, too.
            with contextlib.suppress(queue.Full, BusError):
                self.fan.put(None, False)
            return
        with self._changing:
            if self.pid is not None:
                super().terminate()

    def kill(self) -> None:
        """End the process at once and for good; what is queued is lost."""
        if self._thread is not None or not self._has_begun():
            return
        if self._keeper is not None:
            self._keeper.let_end()
        with self._changing:
            if self.pid is not None:
                super().kill()

    def __enter__(self) -> Self:
        if not self._has_begun():
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """What the process gets under spawn and forkserver: settings of the bus only, and our ends of the queues."""
        only = getattr(self.context, "only", None)
        context = only("bus", "general") if only else self.context
        none = dict.fromkeys(("_asking", "_keeper", "on_restart", "_changing", "_at_exit", "_thread"))
        return self.__dict__ | {"context": context, "_topics": {}, "_trusted": {}} | none

    def __del__(self) -> None:
        for end in (self.__dict__.get("_asking"), self.__dict__.get("_asked")):
            if end is not None:
                end.close()


class _Started:
    """Publishers that were started in this process. In a child that is forked nobody tells when one ends."""

    def __init__(self) -> None:
        self.publishers: WeakSet[Publisher] = WeakSet()
        os.register_at_fork(after_in_child=self._distrust)

    def _distrust(self) -> None:
        for publisher in self.publishers:
            publisher.distrust()
        self.publishers = WeakSet()


_started = _Started()


def _close_forgotten(reference: weakref.ref[Publisher]) -> None:
    """At exit, before multiprocessing ends its children and waits for them without limit."""
    publisher = reference()
    if publisher is not None:
        publisher.close()
