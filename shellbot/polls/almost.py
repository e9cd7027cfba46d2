"""Words at the end of a choice that look like a time or a rule and are none, as in ``B tomorrow``. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from shellbot.polls.when import DAY, DAYS, ISO, NUMBER, SPAN, TIME, UNITS

_LONG_DAY = rf"today|tomorrow|tonight|{'|'.join(DAYS)}"
_PART = r"morning|noon|afternoon|evening|night"
_UNIT = r"minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NAMED = r"opens|closes|ends|until|till|by|before"
_FEAST = r"easter|christmas|xmas|new\s+year(?:'?s)?(?:\s+(?:eve|day))?"
_BEFORE = rf"(?:(?:{_NAMED}|on|at|for)\s+)"
_ALMOST = [
    re.compile(rf"(?:\A|(?<=\s))(?:{shape})[\s.!]*\Z", re.IGNORECASE)
    for shape in (
        rf"(?:{_NAMED}|on)\s+{DAY}(?:\s+(?:at\s+)?(?:{_PART}|\d{{1,2}}))?",
        rf"{_BEFORE}?(?:(?:(?:at\s+)?{TIME}|at\s+\d{{1,2}})\s+)?(?:(?:next|this)\s+)?(?:{_LONG_DAY})(?:\s+(?:at\s+)?(?:{_PART}|\d{{1,2}}))?",
        rf"{_BEFORE}?(?:this|next)\s+(?:{_PART}|week|weekend|month)",
        rf"{_BEFORE}?(?:the\s+)?(?:(?:end\s+of\s+(?:the\s+|this\s+)?(?:day|week|month))|eod|midnight|noon)",
        rf"(?:{_NAMED}|on)\s+(?:\d{{1,2}}(?:st|nd|rd|th)?\.?\s+{_MONTH}|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?)",
        rf"(?:{_NAMED}|on)\s+{ISO}",
        rf"(?:{_NAMED})\s+{SPAN}",
        rf"(?:{_BEFORE}|)(?:\d{{1,2}}:\d{{2}}(?:\s*[ap]m)?|\d{{1,2}}\s*[ap]m)",
        r"at\s+\d{1,2}(?:\s+o'?clock)?",
        rf"(?:in|within|after)\s+(?:(?:about|around|the\s+next|a|an|few|some|couple|of|{NUMBER})\s+){{0,4}}(?:{_UNIT})",
        r"(?:in|within)\s+\d{1,3}",
        r"(?:in|for|within)\s+[-+−]\s*\d+(?:\.\d+)?\s*[a-z]*",
        r"(?:in|for|within)\s+\d+(?:\.\d+)?\s*(?:months?|years?)",
        rf"(?:{_NAMED})\s+(?:the\s+)?(?:{_FEAST})",
        r"(?:until|till)(?:\s+[^\s,;\"“”„«»]+){1,4}",  # whatever it is, it is said to be a time
        r"\d+(?:\.\d+)?\s*(?:m|min|mins|minutes?|h|hours?|hrs?)",
    )
]  # fmt: skip
_WRONG_UNIT = re.compile(r"(?:\A|(?<=\s))((?:in|for|within)\s+(\d{1,4})\s*([a-z]{4,9}))[\s.!]*\Z", re.IGNORECASE)
_UNITS = [unit for name in UNITS if len(name) > 2 for unit in (f"{name}s", name)]
_LAST = re.compile(r"(?:\A|(?<=\s))([a-z]+)[\s.!]*\Z", re.IGNORECASE)
_SHARES = rf"(?:an?\s+|the\s+|two\s+|three\s+)?(?:half|thirds?|quarters?|majority|most|all|everybody|{NUMBER})"
_RULES = [
    (re.compile(rf"(?:\A|(?<=\s))(?:(?:with|and)\s+)?(?:{shape})[\s.!]*\Z", re.IGNORECASE), instead)
    for shape, instead in (
        (r"results?:?\s+(?:(?:are|is)\s+)?(?:shown\s+)?(hidden|live|owner)", "results {}"),
        (r"(hidden|live)\s+results?", "results {}"),
        (rf"quorum:?\s+{_SHARES}", "quorum 50%"),
        (rf"threshold:?\s+{_SHARES}", "threshold 60%"),
        (rf"remind\s+(?:half\s+an?|an?|half|{NUMBER})\s+(?:{_UNIT})(?:\s+before)?", "remind 1h before"),
    )
]  # fmt: skip
_HOURS = {"morning": "9:00", "noon": "12:00", "afternoon": "14:00", "evening": "20:00", "night": "20:00"}


@dataclass(frozen=True, slots=True)
class Almost:
    """What looks like a time or a rule, where it begins in the text, and how one like that is written."""

    words: str
    start: int
    instead: str


def almost_time(text: str) -> Almost | None:
    """The words at the end of a text that look like a time and are none."""
    found = [match for shape in _ALMOST if (match := shape.search(text)) is not None]
    if found:
        start = min(match.start() for match in found)
        if (day := _LAST.search(text[:start])) and (
            near := difflib.get_close_matches(day[1].casefold(), ("today", "tomorrow", *DAYS), n=1, cutoff=0.8)
        ):  # `tomorow 9:00`
            return Almost(text[day.start() :].strip(), day.start(), _instead(f"{near[0]} {text[start:].casefold()}"))
        words = text[start:].strip(" \t\n.!")
        return Almost(words, start, _instead(words.casefold()))
    if wrong := _WRONG_UNIT.search(text):
        near = difflib.get_close_matches(wrong[3].casefold(), _UNITS, n=1, cutoff=0.75)  # not `dance in 10 places`
        return Almost(wrong[1], wrong.start(), f"in {wrong[2]} {near[0]}") if near else None
    last = _LAST.search(text)
    if last and difflib.get_close_matches(last[1].casefold(), ["tomorrow"], cutoff=0.85):
        return Almost(last[1], last.start(), "tomorrow 9:00")
    return None


def almost_rule(text: str) -> Almost | None:
    """The words at the end of a text that look like a rule of the vote and are none: ``live results``."""
    for shape, instead in _RULES:
        if found := shape.search(text):
            value = found[1].casefold() if shape.groups else ""
            return Almost(found[0].strip(" \t\n.!"), found.start(), instead.format(value))
    return None


def _instead(words: str) -> str:
    """A time as it can be read, near to what was meant."""
    if clock := re.search(r"(?:\A|\s)(\d{1,2}:\d{2}(?:\s*[ap]m)?|\d{1,2}\s*[ap]m)\b", words):
        at = clock[1]
    elif clock := re.search(r"\bat\s+(\d{1,2})\b", words):
        at = f"{clock[1]}:00"
    else:
        at = next((hour for part, hour in _HOURS.items() if re.search(rf"\b{part}\b", words)), "")
    if day := re.search(rf"(?:next\s+)?\b(?:{_LONG_DAY})\b", words):
        name = day[0].replace("tonight", "today")
        return f"{name} {at or ('20:00' if 'tonight' in words else '9:00')}"
    if at:
        return f"at {at}" if not re.search(r"\bnext\b", words) else f"tomorrow {at}"
    if span := re.search(r"(\d+)\s*(month|year)s?\Z", words):
        days = int(span[1][:4]) * (30 if span[2] == "month" else 365)
        return f"in {max(1, min(days, 365))}d"
    if (number := re.search(r"\d+(?:\.\d+)?\s*([a-z]*)\Z", words)) and not re.search(_MONTH, words):
        return f"in {number[0]}" + ("" if number[1] else "m")
    if re.search(r"min|hour|hrs?\b", words):
        return "in 30m" if "min" in words else "in 2h"
    return "tomorrow 9:00"
