"""``python -m shellbot``: the same as the command ``shellbot``."""

from __future__ import annotations

from shellbot.cli import main

if __name__ == "__main__":
    main()
