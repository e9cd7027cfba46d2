"""Machines made of machines; and the plain one, that runs them one after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from shellbot.errors import MachineError
from shellbot.machines.base import Machine


class Composed(Machine):
    """What machines have in common that let others run, one at a time.

    Args:
        parts: The others, in order; None where there is nothing to run.
    """

    def __init__(self, parts: Iterable[Machine | None], bot: Any = None, **kwargs: Any) -> None:
        self.parts = tuple(parts)
        self._at = 0  # which of them runs
        super().__init__(bot, **kwargs)

    @property
    def current_machine(self) -> Machine | None:
        """The one that runs, or ran last."""
        return self.parts[self._at]

    @property
    def due(self) -> float | None:
        """When the machine that runs wants to be stepped."""
        return None if self.is_over or self.current_machine is None else self.current_machine.due

    @property
    def is_listening(self) -> bool:
        """Whether the machine that runs takes what is said."""
        return not self.is_over and self.current_machine is not None and self.current_machine.is_listening

    @property
    def answers(self) -> dict[str, Any]:
        """What all of them have gathered, and what was known before."""
        found = super().answers
        for part in self.parts:
            found |= part.answers if part is not None else {}
        return found

    def to_state(self) -> dict[str, Any]:
        return {**super().to_state(), "at": self._at, "parts": [part and part.to_state() for part in self.parts]}

    def from_state(self, kept: Mapping[str, Any]) -> Self:
        super().from_state(kept)
        try:
            shape = [state is not None for state in kept["parts"]]
            if shape != [part is not None for part in self.parts] or not 0 <= kept["at"] < len(shape):
                raise MachineError(f"what was kept has {len(shape)} parts, and they are not those of this machine")
            self._at = kept["at"]
            for part, state in zip(self.parts, kept["parts"], strict=True):
                if part is not None:
                    part.from_state(state)
        except (KeyError, TypeError) as error:
            raise MachineError(f"this is no state of a {type(self).__name__}: {error!r}") from error
        return self

    def _begin(self) -> bool:
        return True

    def _clear(self, now: float) -> None:
        super()._clear(now)
        self._at = 0
        for part in self.parts:
            if part is not None:
                part._clear(now)

    def _take(self, given: dict[str, Any]) -> None:
        if (machine := self.current_machine) is not None:
            self._deeds += machine.step(given.pop("event"), now=self._until, **given)

    def _run(self, machine: Machine) -> None:
        """Let the time of the step come to a machine, which starts if need be."""
        if not machine.is_running and not machine.is_over:
            self._deeds += machine.start(self._now)
        self._deeds += machine.tick(self._until)


class Sequence(Composed):
    """Runs each machine until it is over, then the next; over when the last one is.

    It gathers the answers of all. One that is cancelled ends the sequence as cancelled, for who does not answer the
    first question is not asked the second; in 2017 the next one began. The time-outs of a machine count from its own
    beginning.

    Args:
        machines: At least one.
    """

    def __init__(self, machines: Iterable[Machine] = (), bot: Any = None, **kwargs: Any) -> None:
        self.machines = tuple(machines)
        if not self.machines:
            raise MachineError("a sequence needs at least one machine")
        super().__init__(self.machines, bot, **kwargs)

    @property
    def current_state(self) -> str:
        """The state of the machine that runs."""
        return self.machines[self._at].current_state

    def _settle_down(self) -> None:
        while not self._is_over:
            machine = self.machines[self._at]
            self._run(machine)
            if not machine.is_over:
                return
            self._now = machine.now  # when it was over; the next one begins then, also if that was long ago
            if machine.is_cancelled or machine is self.machines[-1]:
                self._is_cancelled = machine.is_cancelled
                self.stop()
            else:
                self._at += 1

    def _cancel(self) -> None:
        self._deeds += self.machines[self._at].cancel(self._until)
