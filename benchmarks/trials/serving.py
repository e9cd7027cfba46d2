"""How long ``shellbot run`` takes from the command to the first page it gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import monotonic
from urllib.request import urlopen

_LINE = "shellbot: http"


def run() -> dict[str, float]:
    with TemporaryDirectory(prefix="sb-") as folder:
        command = [sys.executable, "-m", "shellbot", "run", "--instance", os.path.join(folder, "one")]
        started = monotonic()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            line = next((line for line in server.stdout if line.startswith(_LINE)), None)
            if line is None:
                raise RuntimeError("shellbot run ended before it said where it serves")
            with urlopen(line.removeprefix("shellbot: ").strip(), timeout=30) as page:
                page.read()
            passed = monotonic() - started
            server.send_signal(signal.SIGTERM)
    return {"s": passed}
