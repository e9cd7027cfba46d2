"""One trial in this process: ``python -m benchmarks.trials MODULE JSON``; prints what it gave as JSON, or why not."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

from benchmarks.figures import NotRun
from benchmarks.others import FOLDER


def main() -> None:
    module, arguments = sys.argv[1:]
    # Nobody but us writes there: other systems greet.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # At the end: what is installed for shellbot itself goes first.
    sys.path.append(str(FOLDER))
    try:
        found: dict[str, float] | str = import_module(f"benchmarks.trials.{module}").run(**json.loads(arguments))
    except NotRun as error:
        found = str(error)
    with result:
        json.dump(found, result)


if __name__ == "__main__":
    main()
