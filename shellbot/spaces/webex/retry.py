"""How long Webex asks to wait. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 1.0, 300.0  # seconds
UNTOLD = 5.0  # where it asks to wait and does not say how long
# What Webex sends in truth at times: wait 30 s, and up to 30 more by chance
_RAND = re.compile(r"\s*rand\((\d{1,9})\)\s*,\s*add\((\d{1,9})\)\s*\Z")


def retry_after(text: str | None, now: datetime) -> float:
    """Seconds to wait by the header ``Retry-After``, whatever stands in it: 1 at least, 300 at most.

    Args:
        now: Aware, for headers that name a time.
    """
    return min(LONGEST, max(SHORTEST, _seconds(text or "", now)))


def _seconds(text: str, now: datetime) -> float:
    if found := _RAND.match(text):
        return float(found[1]) + float(found[2])
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return UNTOLD if math.isnan(seconds) else seconds
    try:
        when = parsedate_to_datetime(text)
        return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return UNTOLD
