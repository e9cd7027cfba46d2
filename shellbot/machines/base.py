"""The machine: states, transitions between them, and what is done on the way.

It is pure. An event and the time come in by :meth:`Machine.step`, deeds come out, and the whole state is a JSON value,
so whoever runs the machine may keep it and go on with another one made the same way. In 2017 a machine was a process
that looked at itself five times a second, and was gone with it.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from shellbot.errors import MachineError
from shellbot.machines.deeds import Deed, Invite, Say, Settle, Update

Call = Callable[..., Any] | str


@dataclass(frozen=True, slots=True)
class State:
    """One state. ``during`` is called at each step in it, ``on_enter`` and ``on_exit`` when a transition does that."""

    name: str
    during: Call | None = None
    on_enter: Call | None = None
    on_exit: Call | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A way from one state to another.

    Taken when its ``event`` comes; or, as a time-out, ``after`` so many seconds in the source; or at once where it
    names neither of these and no ``condition``. A condition has to be true besides; alone, it is looked at whenever
    something happens.
    """

    source: str
    target: str
    event: str | None = None
    after: float | None = None
    condition: Call | None = None
    action: Call | None = None
    say: str = ""

    @property
    def is_timed(self) -> bool:
        """Whether it waits for nothing but time."""
        return self.after is not None or (self.event is None and self.condition is None)


class Machine:
    """States and transitions as data.

    Functions get by name what the step was given (``event``, ``now`` and more), as far as they ask for it; instead of
    one the name of a method may stand. They are plain, and speak by :meth:`say`: what else they do is done again when
    the step is. Anything that has to last is kept by :meth:`set`.

    Args:
        bot: For the machine's own functions; kept as ``machine.bot``, and nothing is done with it here.
        states, transitions, initial, during, on_enter, on_exit: As of :meth:`build`.
        kwargs: For :meth:`on_init` of your own class.
    """

    _state: str
    _now: float
    _entered: float  # when it came into the state
    _looked: float | None  # until when the time-outs of the state have been looked at
    _is_running: bool
    _is_over: bool
    _is_cancelled: bool
    _values: dict[str, Any]

    def __init__(
        self,
        bot: Any = None,
        states: Iterable[str] | None = None,
        transitions: Iterable[Mapping[str, Any]] | None = None,
        initial: str | None = None,
        during: Mapping[str, Call] | None = None,
        on_enter: Mapping[str, Call] | None = None,
        on_exit: Mapping[str, Call] | None = None,
        **kwargs: Any,
    ) -> None:
        self.bot = bot
        self._states: dict[str, State] = {}
        self._transitions: dict[str, list[Transition]] = {}
        self._initial = ""
        self._deeds: list[Deed] = []
        self._until = 0.0  # the time of the running step; ``now`` follows it from due time to due time
        self._clear(0.0)
        self.on_init(**kwargs)
        if states is not None:
            self.build(states, transitions or (), initial, during, on_enter, on_exit)

    # --- for classes of your own

    def on_init(self, **kwargs: Any) -> None:
        """Called by the constructor with what it does not know itself; a good place for :meth:`build`."""
        if kwargs:
            raise MachineError(f"{type(self).__name__} has no setting named {', '.join(sorted(kwargs))}")

    def on_start(self) -> None:
        """Called when it starts."""

    def on_stop(self) -> None:
        """Called when it is over, however that came."""

    def on_reset(self) -> None:
        """Called when it goes back to its beginning."""

    # --- how it is made

    def build(
        self,
        states: Iterable[str],
        transitions: Iterable[Mapping[str, Any]],
        initial: str | None = None,
        during: Mapping[str, Call] | None = None,
        on_enter: Mapping[str, Call] | None = None,
        on_exit: Mapping[str, Call] | None = None,
    ) -> None:
        """Give it its states and transitions.

        Args:
            transitions: Each an object with the fields of :class:`Transition`. Of those of a state the first that can
                be taken is. Its order: ``during``, ``condition``, ``action``, what it says, ``on_exit``, the change,
                ``on_enter``.
            initial: The first state, if that is not where it begins. A state that nothing leaves is an end.
            during, on_enter, on_exit: Functions by state.

        Raises:
            MachineError: Something in it does not fit; the text names it.
        """
        self._states = {}
        for name in states:
            calls = {field: (given or {}).get(name) for field, given in _by_field(during, on_enter, on_exit)}
            self._states[name] = State(name, **calls)
        if not self._states:
            raise MachineError("a machine needs at least one state")
        for field, given in _by_field(during, on_enter, on_exit):
            self._check_names(given or {}, f"{field} is for")
        self._initial = initial if initial is not None else next(iter(self._states))
        self._check_names([self._initial], "the initial state is")
        self._transitions = {name: [] for name in self._states}
        for given in transitions:
            transition = _transition(given)
            self._check_names([transition.source, transition.target], "a transition names")
            self._transitions[transition.source].append(transition)
        for call in self._calls():
            if inspect.iscoroutinefunction(getattr(self, call, None) if isinstance(call, str) else call):
                raise MachineError(f"{call!r} of a machine is async; its functions are plain and wait for nothing")
            if isinstance(call, str) and not callable(getattr(self, call, None)):
                raise MachineError(f"a machine names its method {call!r}, which {type(self).__name__} does not have")
        self._clear(self._now)

    def _calls(self) -> list[Call]:
        found: list[Call | None] = []
        for state in self._states.values():
            found += [state.during, state.on_enter, state.on_exit]
        for transitions in self._transitions.values():
            for transition in transitions:
                found += [transition.condition, transition.action]
        return [call for call in found if call is not None]

    def _check_names(self, names: Iterable[str], what: str) -> None:
        for name in names:
            if name not in self._states:
                raise MachineError(f"{what} {name!r}, which is none of its states: {', '.join(self._states)}")

    # --- how it stands

    @property
    def current_state(self) -> str:
        """Name of the state it is in."""
        return self._state

    def state(self, name: str | None = None) -> State:
        """A state by name; the present one without."""
        found = self._states.get(self._state if name is None else name)
        if found is None:
            raise MachineError(f"no state {name!r}; there are {', '.join(self._states)}")
        return found

    @property
    def now(self) -> float:
        """The time it has reached: that of the running step, or the due time of the time-out being dealt with."""
        return self._now

    @property
    def elapsed(self) -> float:
        """Seconds since it came into its present state."""
        return self._now - self._entered

    @property
    def due(self) -> float | None:
        """When it wants to be stepped next if nothing happens before; None if it waits for ever."""
        if self.is_over:
            return None
        waiting = (self._entered + (t.after or 0.0) for t in self._transitions.get(self._state, ()) if t.is_timed)
        return min((when for when in waiting if self._looked is None or when > self._looked), default=None)

    @property
    def is_listening(self) -> bool:
        """Whether something may come of it that somebody says now."""
        return not self.is_over and any(
            way.event == "input" or (way.event is None and way.condition is not None)
            for way in self._transitions.get(self._state, ())
        )

    @property
    def is_running(self) -> bool:
        """Whether it has started and is not over."""
        return self._is_running

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, was stopped or cancelled. It takes no more steps."""
        return self._is_over

    @property
    def is_cancelled(self) -> bool:
        """Whether it ended without doing what it is for."""
        return self._is_cancelled

    @property
    def answers(self) -> dict[str, Any]:
        """What it has gathered, by key."""
        found: dict[str, Any] = self.get("answers", {})
        return dict(found)

    def get(self, key: str, default: Any = None) -> Any:
        """What was kept in it under ``key``."""
        return self._values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON value in it."""
        try:
            self._values[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise MachineError(f"a machine keeps JSON values only; {key!r} is {value!r}: {error}") from error

    # --- what it does

    def say(self, text: str, content: str = "", *, choices: Iterable[str] = ()) -> None:
        """Say something, from a function of the machine; nothing without a text."""
        if text or content:
            self._deeds.append(Say(text, content, tuple(choices)))

    def settle(self, choice: str = "") -> None:
        """The choices that were said last are answered."""
        self._deeds.append(Settle(choice))

    def update(self, key: str, label: str, item: Any) -> None:
        """Have the bot remember this for its channel."""
        self._deeds.append(Update(key, label, item))

    def invite(self, participants: Iterable[str]) -> None:
        """Have these people brought into the channel."""
        self._deeds.append(Invite(tuple(participants)))

    def answer(self, key: str, value: Any) -> None:
        """Gather this; also for what is known before it starts."""
        self.set("answers", {**self.answers, key: value})

    # --- life

    def start(self, now: float | None = None) -> list[Deed]:
        """Begin, unless it has begun.

        Args:
            now: Seconds, e.g. since 1970. They do not go back; without, no time has passed.

        Returns:
            What to do.
        """
        return self._gather(now, lambda: None)

    def step(self, event: str = "tick", *, now: float | None = None, **kwargs: Any) -> list[Deed]:
        """Let something happen, after what fell due before ``now``; starts it if need be.

        At most one transition is taken for the event itself.

        Args:
            event: ``tick``: time only; ``input``: somebody said ``text``; ``next``, ``cancel`` or a word of your own.
            kwargs: For the functions of the machine.
        """
        return self._gather(now, lambda: self._take({"event": event, **kwargs}))

    def tick(self, now: float) -> list[Deed]:
        """Let time pass; what fell due is done in its order, each at its due time."""
        return self.step("tick", now=now)

    def cancel(self, now: float | None = None) -> list[Deed]:
        """End it before its time, at somebody's wish; a machine may insist, and go on."""
        return self._gather(now, self._cancel)

    def stop(self) -> None:
        """End it."""
        if not self._is_over:
            self._is_running, self._is_over = False, True
            self.on_stop()

    def reset(self) -> bool:
        """Back to its beginning, with nothing kept; False, and nothing done, while it runs."""
        if self._is_running:
            return False
        self._clear(self._now)
        self.on_reset()
        return True

    def restart(self, now: float | None = None) -> list[Deed]:
        """Stop, reset and start."""
        self.stop()
        self.reset()
        return self.start(now)

    # --- as a value

    def to_state(self) -> dict[str, Any]:
        """All that a machine made the same way needs to go on, as a JSON value of its own."""
        return {
            "state": self._state,
            "now": self._now,
            "entered": self._entered,
            "looked": self._looked,
            "running": self._is_running,
            "over": self._is_over,
            "cancelled": self._is_cancelled,
            "values": json.loads(json.dumps(self._values)),
        }

    def from_state(self, kept: Mapping[str, Any]) -> Self:
        """Go on where :meth:`to_state` was called.

        Raises:
            MachineError: It is of a machine made otherwise.
        """
        try:
            if kept["state"] not in (self._states.keys() or [""]):
                raise MachineError(f"what was kept is in the state {kept['state']!r}, which this machine does not have")
            self._state = kept["state"]
            self._now, self._entered, self._looked = kept["now"], kept["entered"], kept["looked"]
            self._is_running, self._is_over, self._is_cancelled = kept["running"], kept["over"], kept["cancelled"]
            self._values = json.loads(json.dumps(kept["values"]))
        except (KeyError, TypeError) as error:
            raise MachineError(f"this is no state of a machine: {error!r}") from error
        return self

    # --- within

    def _gather(self, now: float | None, work: Callable[[], None]) -> list[Deed]:
        if now is not None and not math.isfinite(now):
            raise MachineError(f"the time must be a number of seconds, not {now!r}")
        self._deeds = []
        if self._is_over:
            return []
        self._until = self._now if now is None else max(now, self._now)
        if not self._is_running:
            if not self._begin():
                raise MachineError(f"{type(self).__name__} has no states; call build()")
            self._now = self._entered = self._until
            self._is_running = True
            self.on_start()
        self._settle_down()
        if not self._is_over:
            self._now = self._until
            work()
            self._settle_down()
        deeds, self._deeds = self._deeds, []
        return deeds

    def _begin(self) -> bool:
        """Whether there is something to begin with."""
        return bool(self._states)

    def _clear(self, now: float) -> None:
        self._state = self._initial
        self._now = self._entered = now
        self._looked = None
        self._is_running = self._is_over = self._is_cancelled = False
        self._values = {}

    def _settle_down(self) -> None:
        """Do what is due up to the time of the step, in order.

        A state is passed once: a machine that slept through many rounds of a circle makes one, and its clock begins
        anew. So is a circle without any time in it.
        """
        passed: set[str] = set()
        while not self._is_over and (due := self.due) is not None and due <= self._until:
            if self._state in passed:
                self._entered = self._looked = self._until
                break
            passed.add(self._state)
            self._now = max(due, self._now)
            self._take({"event": "tick"})
        if not self._is_over and not self._transitions.get(self._state, True):
            self.stop()

    def _take(self, given: dict[str, Any]) -> None:
        """One look at the present state: the first transition that can be taken is."""
        state = self.state()
        self._looked = self._now
        given = {**given, "now": self._now}
        self._call(state.during, given)
        for transition in self._transitions[state.name]:
            if self._is_over:
                return
            if self._fits(transition, given):
                self._go(state, transition, given)
                return

    def _fits(self, transition: Transition, given: dict[str, Any]) -> bool:
        if transition.event is not None and transition.event != given["event"]:
            return False
        if transition.after is not None and self._entered + transition.after > self._now:
            return False
        return transition.condition is None or bool(self._call(transition.condition, given))

    def _go(self, state: State, transition: Transition, given: dict[str, Any]) -> None:
        self._call(transition.action, given)
        if transition.say:
            self.say(transition.say)
        self._call(state.on_exit, given)
        self._state, self._entered, self._looked = transition.target, self._now, None
        self._call(self.state().on_enter, given)

    def _cancel(self) -> None:
        self._is_cancelled = True
        self.settle()
        self.stop()

    def _call(self, call: Call | None, given: dict[str, Any]) -> Any:
        """Call a function with as much of what is given as it asks for; ``lambda **z: ...`` of 2017 asks for all."""
        if call is None:
            return None
        function = getattr(self, call) if isinstance(call, str) else call
        parameters = inspect.signature(function).parameters.values()
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return function(**given)
        return function(**{p.name: given[p.name] for p in parameters if p.name in given})


def _by_field(
    during: Mapping[str, Call] | None, on_enter: Mapping[str, Call] | None, on_exit: Mapping[str, Call] | None
) -> tuple[tuple[str, Mapping[str, Call] | None], ...]:
    return ("during", during), ("on_enter", on_enter), ("on_exit", on_exit)


def _transition(given: Mapping[str, Any]) -> Transition:
    try:
        transition = Transition(**given)
    except TypeError as error:
        known = "source, target, event, after, condition, action, say"
        raise MachineError(f"{dict(given)!r} is no transition: {error}; it has {known}") from error
    if transition.event is not None and transition.after is not None:
        raise MachineError(f"{dict(given)!r} waits for an event and for time; write two transitions")
    if transition.after is not None and not 0 <= transition.after < math.inf:
        raise MachineError(f"{dict(given)!r}: 'after' is a number of seconds, 0 or more")
    return transition
