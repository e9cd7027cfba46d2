"""How long an import takes in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = "from time import perf_counter as now; since = now(); {}; print(now() - since)"


def run(statement: str) -> dict[str, float]:
    command = [sys.executable, "-c", _PROGRAM.format(statement)]
    return {"ms": float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1e3}
