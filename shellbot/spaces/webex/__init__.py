"""The space for Webex."""

from __future__ import annotations

from shellbot.spaces.webex.space import Options, WebexSpace

__all__ = ["Options", "WebexSpace"]
