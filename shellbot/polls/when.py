"""When: durations and moments as people write them, read against a now and a zone. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from shellbot.errors import UsageError
from shellbot.markup import one_line

FARTHEST = timedelta(days=366)
EXAMPLES = "`in 2h`, `tomorrow 9:00`, `friday 17:00`, `at 14:30` or `2026-11-21 09:00`"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NUMBER = "one|two|three|four|five|six|seven|eight|nine|ten"
DURATION = r"(?:\d+(?:\.\d+)?\s*[a-z]+\s*)+(?:\d{1,2})?"  # what looks like one; duration() reads it
SPAN = rf"(?:in|for)\s+(?:{DURATION}|(?:(?:half\s+)?an?|{NUMBER})\s+(?:minutes?|hours?|days?|weeks?)|half\s+hour)"
DAY = rf"(?:today|tonight|tomorrow|(?:(?:next|this)\s+)?(?:{'|'.join(DAYS)}|mon|tue|wed|thu|fri|sat|sun))"
TIME = r"(?:\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]m)?|\d{1,2}\s*[ap]m|noon)"
HOUR = r"\d{1,2}"  # a time of day behind a day and `at`
ISO = r"\d{4}-\d{2}-\d{2}(?:[T\s]\s*\d{1,2}:\d{2}(?::\d{2})?\s*(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?"

UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
UNITS |= {"d": 86400, "day": 86400, "w": 604800, "week": 604800}
_WORDS = {"a": 1, "an": 1} | {word: number for number, word in enumerate(NUMBER.split("|"), start=1)}
_WORD = re.compile(rf"\A(half\s+)?(?:({NUMBER}|an?)\s+)?(?=[a-z])", re.IGNORECASE)
_UNTIL = re.compile(r"\A(?:until|till|to|by|closes)\s+", re.IGNORECASE)
_BARE_SPAN = re.compile(r"\d+(?:\.\d+)?\s*[a-z](?!.*(?::|\d\s*[ap]m\b))", re.IGNORECASE | re.DOTALL)
_IN = re.compile(r"\A(?:in|for)\s+", re.IGNORECASE)
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?(?=[\s\d]|\Z)", re.IGNORECASE)
_MINUTES = re.compile(r"(h)\s*(\d{1,2})\s*\Z", re.IGNORECASE)  # of `1h30`
_DAY = re.compile(rf"({DAY})(?:\s+(?:(?:at\s+)?({TIME})|at\s+({HOUR})))?\Z", re.IGNORECASE)
_CLOCK = re.compile(rf"(?:at\s+)?({TIME})\Z", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*([ap]m)?\Z", re.IGNORECASE)
_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T\s]\s*(\d{1,2}:\d{2}(?::\d{2})?)\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?\Z", re.IGNORECASE
)


def duration(text: str) -> float:
    """Seconds of ``10m``, ``in 1h 30m``, ``1h30``, ``for 90 seconds``, ``half an hour``.

    Raises:
        UsageError: It is no duration.
    """
    rest = _WORD.sub(_number, _IN.sub("", text.strip()))
    rest = _MINUTES.sub(r"\1 \2m", rest)
    total, end = 0.0, 0
    while end < len(rest):
        part = _PART.match(rest, end)
        unit = UNITS.get(part[2].casefold()) if part else None
        if part is None or unit is None:
            raise UsageError(f"`{_quoted(text)}` is no duration; write e.g. `in 10m`, `in 2h` or `in 1h 30m`.")
        total += float(part[1]) * unit
        end = part.end()
    if not total:
        raise UsageError("A poll needs a duration above zero, e.g. `in 10m`.")
    return total


def is_span(text: str) -> bool:
    """Whether this says how long, and not when: ``in 10m``, ``for 10m``."""
    return _IN.match(text) is not None


def closing_words(text: str) -> str:
    """``10m`` or ``until 17:00``, where only a time can be meant, as :func:`moment` reads it."""
    words = _UNTIL.sub("", text.strip())
    return f"in {words}" if _BARE_SPAN.match(words) else words


def moment(text: str, now: datetime, zone: tzinfo) -> datetime:
    """The moment that ``in 2h``, ``tomorrow 9:00``, ``friday 17:00``, ``at 14:30`` or an ISO date and time names.

    Args:
        now: Aware. What is named lies after it: ``friday`` is the next one, today included while it is not past.
        zone: Where the writer's clock hangs; an offset written there goes before it.

    Returns:
        It, in UTC: two datetimes of one zone with changes of clocks are compared by what its clocks show, a trap.

    Raises:
        UsageError: It is none, is past or more than a year ahead, or the clocks change then, so that it comes twice
            or not at all; the text names the readings to choose from.
    """
    words = " ".join(text.split())
    now, local = now.astimezone(UTC), now.astimezone(zone)
    if is_span(words):
        seconds = duration(words)
        if seconds > FARTHEST.total_seconds():
            raise _too_far(words)
        return now + timedelta(seconds=seconds)
    if found := _ISO.match(words):
        day, clock, offset = _date(found, words), found[4], found[5]
        if clock is None:
            raise UsageError(f"At what time? Write e.g. `{day.isoformat()} 9:00`.")
        wall = _wall(day, _time(clock, words), local, words)
        return (
            _future(wall.replace(tzinfo=_offset(offset, words)), now, zone, words)
            if offset
            else _one(wall, now, zone, words)
        )
    if found := _DAY.match(words):
        name, clock = " ".join(found[1].casefold().split()), found[2] or (found[3] and f"{found[3]}:00")
        if clock is None:
            example = "today 20:00" if name == "tonight" else f"{name} 9:00"
            raise UsageError(f"At what time? Write e.g. `{example}`.")
        at = _time(clock, words)
        if name == "tonight" and at.hour < 12 and clock[-1] not in "mM":
            raise UsageError(f"`{_quoted(words)}`: write the hour of the evening, e.g. `today {at.hour + 12}:{at:%M}`.")
        return _one(_wall(_day(name, at, local), at, local, words), now, zone, words)
    if found := _CLOCK.match(words):
        at = _time(found[1], words)
        return _one(datetime.combine(local.date(), at), now, zone, words, hint=f" Write `tomorrow {at:%H:%M}`?")
    raise _unread(words)


def check_words(text: str) -> None:
    """UsageError when :func:`moment` could not read this at any time."""
    words = " ".join(text.split())
    if is_span(words):
        duration(words)
    elif not any(shape.match(words) for shape in (_ISO, _DAY, _CLOCK)):
        raise _unread(words)


def readings(wall: datetime, zone: tzinfo) -> list[datetime]:
    """The moments at which the clocks of ``zone`` show ``wall`` (naive): one, two, or none, where they jump over it."""
    both = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    real = [moment for moment in both if moment.astimezone(zone).replace(tzinfo=None) == wall]
    return sorted(set(real))


def after_gap(wall: datetime, zone: tzinfo) -> datetime:
    """The first moment behind the jump of the clocks in which ``wall`` (naive) is left out."""
    low = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    high = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return (
        high.replace(microsecond=0) if high.microsecond == 0 else (high + timedelta(seconds=1)).replace(microsecond=0)
    )


def shown(at: datetime, now: datetime, zone: tzinfo) -> str:
    """A moment for reading, with its offset: the date where that is not today, seconds where it is near.

    Else it is cut down to the minute, so that nobody relies on a minute that is not there.
    """
    local, today = at.astimezone(zone), now.astimezone(zone)
    day = "" if local.date() == today.date() else f"{local:%a %d %b} "
    if local.year != today.year:
        day = f"{local:%a %d %b %Y} "
    seconds = ":%S" if at - now < timedelta(minutes=2) else ""
    return f"{day}{local.strftime('%H:%M' + seconds)} {offset_of(local)}"


def offset_of(local: datetime) -> str:
    """``CET (+01:00)``, ``UTC``, or ``+03:00`` where the zone has no letters for itself."""
    offset = local.isoformat()[-6:]
    name = local.tzname() or ""
    if name == "UTC" and offset == "+00:00":
        return "UTC"
    return f"{name} ({offset})" if name.isalpha() else offset


def _number(found: re.Match[str]) -> str:
    """``half an hour`` as ``0.5 hour``, ``two hours`` as ``2 hours``; other words stay."""
    if not found[0]:
        return ""
    return f"{_WORDS[(found[2] or 'a').casefold()] * (0.5 if found[1] else 1)} "


def _one(wall: datetime, now: datetime, zone: tzinfo, words: str, hint: str = "") -> datetime:
    """The one future moment at which the clocks show ``wall``."""
    found = readings(wall, zone)
    ahead = [moment for moment in found if moment > now]
    if len(ahead) > 1:
        choices = " or ".join(f"`{moment.astimezone(zone).isoformat(timespec='minutes')}`" for moment in ahead)
        raise UsageError(f"The clocks go back then, so {wall:%H:%M} comes twice. Which one: {choices}?")
    if not found:
        valid = after_gap(wall, zone)
        if valid > now:
            raise UsageError(
                f"The clocks go forward then, so there is no {wall:%H:%M}. "
                f"The next that there is: `{valid.astimezone(zone).isoformat(timespec='minutes')}`"
            )
        ahead, found = [], [valid]
    return _future(ahead[0] if ahead else found[-1], now, zone, words, hint)


def _future(at: datetime, now: datetime, zone: tzinfo, words: str, hint: str = "") -> datetime:
    if at <= now:
        raise UsageError(f"`{_quoted(words)}` is past: it is {shown(now, now, zone)} now.{hint}")
    if at - now > FARTHEST:
        raise _too_far(words)
    return at.astimezone(UTC)


def _day(name: str, at: time, local: datetime) -> date:
    if name in ("today", "tonight"):
        return local.date()
    if name == "tomorrow":
        return local.date() + timedelta(days=1)
    wanted = next(
        n for n, day in enumerate(DAYS) if day.startswith(name.removeprefix("next").removeprefix("this").strip())
    )
    ahead = (wanted - local.weekday()) % 7
    if ahead == 0 and (name.startswith("next") or at <= local.time()):
        ahead = 7
    return local.date() + timedelta(days=ahead)


def _wall(day: date, at: time, local: datetime, words: str) -> datetime:
    """Both together; what is far away is told here, where no reckoning with offsets can leave the calendar."""
    if day > local.date() + FARTHEST + timedelta(days=2):
        raise _too_far(words)
    if day < local.date() - timedelta(days=2):
        raise UsageError(f"`{_quoted(words)}` is past: it is {local:%Y-%m-%d %H:%M} {offset_of(local)} now.")
    return datetime.combine(day, at)


def _date(found: re.Match[str], words: str) -> date:
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise UsageError(f"`{_quoted(words)}`: the calendar has no such day.") from None


def _time(text: str, words: str) -> time:
    if text.casefold() == "noon":
        return time(12)
    found = _TIME.match(text)
    hour, minute, second = (int(found[n] or 0) for n in (1, 2, 3)) if found else (24, 0, 0)
    if found and found[4]:
        hour = hour % 12 + 12 * (found[4].casefold() == "pm") if 1 <= hour <= 12 else 24
    if hour > 23 or minute > 59 or second > 59:
        raise UsageError(f"`{_quoted(words)}`: there is no such time of day; write e.g. `9:00` or `17:30`.")
    return time(hour, minute, second)


def _offset(text: str, words: str) -> tzinfo:
    if text.upper() in ("Z", "UTC"):
        return UTC
    try:
        return datetime.fromisoformat(f"2000-01-01T00:00:00{text}").tzinfo or UTC
    except ValueError:
        raise UsageError(f"`{_quoted(words)}`: there is no such offset; write e.g. `+01:00`.") from None


def _unread(words: str) -> UsageError:
    return UsageError(f"`{_quoted(words)}` is no time that I can read; write e.g. {EXAMPLES}.")


def _too_far(words: str) -> UsageError:
    return UsageError(f"`{_quoted(words)}` is too far away; a poll is open between one second and a year.")


def _quoted(text: str) -> str:
    return one_line(text)[:40].replace("`", "'")
