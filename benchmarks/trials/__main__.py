"""One trial in this process: ``python -m benchmarks.trials MODULE JSON``; prints what it gave as JSON."""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main() -> None:
    module, arguments = sys.argv[1:]
    result = import_module(f"benchmarks.trials.{module}").run(**json.loads(arguments))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
