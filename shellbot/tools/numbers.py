"""Numbers on the command line: what is none is told in plain words."""

from __future__ import annotations

import math
from collections.abc import Callable

import click


def number_of(
    kind: type[int] | type[float], least: float = -math.inf, most: float = math.inf
) -> Callable[[str], int | float]:
    """The type of an option that takes a number within these bounds; a whole one where ``kind`` is int."""
    wanted = "a whole number" if kind is int else "a number"
    if math.isfinite(least):
        wanted += f" from {least:g}"
    if math.isfinite(most):
        wanted += f" to {most:g}"

    def number(text: str) -> int | float:  # by this name it stands in the help
        try:
            found = kind(text)
        except ValueError:
            found = math.nan
        if not least <= found <= most:
            raise click.BadParameter(f"takes {wanted}, and {str(text)!r} is none")
        return found

    return number
