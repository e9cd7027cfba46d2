"""Steps that a group goes through, one at each ``next``: an escalation, say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shellbot.errors import MachineError
from shellbot.machines.base import Machine
from shellbot.machines.sequence import Composed


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        label: Its name; message: what is said when it begins; content: the same as markdown.
        participants: Whom to bring in: one or several, as the space knows them.
        machine: What runs in this step, from its beginning.
        after: Seconds until the next step begins by itself, if the machine is over then, else when it is; None: never.
    """

    label: str = ""
    message: str = ""
    content: str = ""
    participants: str | Iterable[str] = ()
    machine: Machine | None = None
    after: float | None = None


class Steps(Composed):
    """Says the first step when it starts, and the next one at each event ``next`` or time-out; over with the last one.

    A step whose machine still runs is not left; that says so. A machine that was given up does not end the steps.
    In 2017 a step could also hold a file.

    Args:
        steps: At least one :class:`Step`, or object with its fields.
    """

    BUSY_MESSAGE = "This step is not over yet."

    def __init__(self, steps: Iterable[Step | Mapping[str, Any]] = (), bot: Any = None, **kwargs: Any) -> None:
        self.steps = tuple(step if isinstance(step, Step) else _step(step) for step in steps)
        if not self.steps:
            raise MachineError("there must be at least one step")
        for step in self.steps:
            if step.after is not None and not 0 <= step.after < math.inf:
                raise MachineError(f"'after' of a step is a number of seconds, 0 or more, not {step.after!r}")
        super().__init__((step.machine for step in self.steps), bot, **kwargs)

    @property
    def due(self) -> float | None:
        """When the machine of the step wants to be stepped, or the next step begins by itself."""
        if self.is_over:
            return None
        machine = self.current_machine
        if machine is not None and not machine.is_over:
            return machine.due
        after = self.steps[self._at].after
        return None if after is None else self._entered + after

    @property
    def current_step(self) -> Step | None:
        """The step it is in, from the start on."""
        return self.steps[self._at] if self.is_running or self.is_over else None

    @property
    def current_state(self) -> str:
        """``begin``, the label of the step (``step 2`` where it has none), or ``end``."""
        if self.is_over:
            return "end"
        return self.steps[self._at].label or f"step {self._at + 1}" if self.is_running else "begin"

    def on_start(self) -> None:
        """Begin with the first step."""
        self._enter()

    def _settle_down(self) -> None:
        while not self._is_over:
            machine = self.current_machine
            if machine is not None:
                self._run(machine)
                if not machine.is_over:
                    return
            if self._at == len(self.steps) - 1:
                self.stop()
            elif (due := self.due) is not None and due <= self._until:
                self._now = max(due, machine.now if machine is not None else due)
                self._go_on()
            else:
                return

    def _take(self, given: dict[str, Any]) -> None:
        if given["event"] != "next":
            super()._take(given)
        elif self.current_machine is not None and not self.current_machine.is_over:
            self.say(self.BUSY_MESSAGE)
        else:
            self._go_on()

    def _go_on(self) -> None:
        self._at += 1
        self._entered = self._now
        self._enter()

    def _enter(self) -> None:
        step = self.steps[self._at]
        text = ": ".join(filter(None, [step.label, step.message]))
        content = step.content or ": ".join(filter(None, [step.label and f"**{step.label}**", step.message]))
        self.say(text, content)
        if step.participants:
            self.invite([step.participants] if isinstance(step.participants, str) else step.participants)

    def _cancel(self) -> None:
        machine = self.current_machine
        if machine is not None and not machine.is_over:
            self._deeds += machine.cancel(self._until)
        else:
            super()._cancel()


def _step(given: Mapping[str, Any]) -> Step:
    try:
        return Step(**given)
    except TypeError as error:
        known = "label, message, content, participants, machine, after"
        raise MachineError(f"{dict(given)!r} is no step: {error}; it has {known}") from error
