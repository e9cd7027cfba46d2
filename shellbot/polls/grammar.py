"""From ``"Lunch?" Pizza, Sushi in 10m`` to what is asked, by which rules, and from when to when. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal, NoReturn, cast

from shellbot.errors import UsageError
from shellbot.markup import one_line
from shellbot.polls.almost import almost_rule, almost_time
from shellbot.polls.spec import USAGE, Kind, Showing, Spec, make
from shellbot.polls.when import DAY, FARTHEST, HOUR, ISO, SPAN, TIME, duration, is_span, moment

SHORTEST = timedelta(seconds=1)  # that a poll may be open
LONGEST_TEXT = 20_000  # characters

TIMES = ("opens", "closes")
Term = Literal["opens", "closes", "results", "quorum", "threshold", "remind", "anonymous", "roll"]
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'"}
_KINDS: dict[str, Kind] = {"yesno": "yesno", "yes/no": "yesno", "multiple": "multiple", "rating": "rating"}
_KIND = re.compile(r"([a-z/]+)(?:\s+(?:up\s+to\s+|1\s*(?:-|to\s)\s*)?(\d{1,4}))?\s*(?=(.?))", re.IGNORECASE)
_WHEN = rf"(?:{SPAN}|{DAY}\s+(?:(?:at\s+)?{TIME}|at\s+{HOUR})|at\s+{TIME}|{ISO})"
_BARE = re.compile(rf"(?:\A|(?<=[\s,;])){_WHEN}\s*\Z", re.IGNORECASE)
_BEFORE = re.compile(r"(?:\A|(?<=[\s,;]))(opens|closes|until|till|by)\s*\Z", re.IGNORECASE)
_ON = re.compile(r"(?<=[^\s,;])\s+on\s*\Z", re.IGNORECASE)  # `off, on friday 17:00`: a choice
_ANYWHERE = re.compile(rf"\b(?:(?:opens|closes|until|till|by|on)\s+)?{_WHEN}", re.IGNORECASE)
OPENERS = ("create", "start", "new", "open", "make")
_OPENER = re.compile(rf"({'|'.join(OPENERS)})\b[\s:,]*(.*)\Z", re.IGNORECASE | re.DOTALL)
_ANONYMOUS_KIND = re.compile(
    r"((?:yesno|yes/no|multiple|rating)(?:\s+(?:up\s+to\s+|1\s*(?:-|to\s)\s*)?\d{1,4})?(?=\s))?\s*"
    r"anonymous(?:ly)?(?:[\s:,]+|\Z)(.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_WHICH = (
    'Write `poll anonymous "Lunch?" ...` for an anonymous vote, with quotes; a question or a choice that begins with '
    'this word goes into quotes, too: `poll "Anonymous lunch?" ...`.'
)
_ANONYMOUS = re.compile(r"(?:\A|(?<=[\s,;]))anonymous(?:ly)?\s*\Z", re.IGNORECASE)
_LINK = re.compile(r"(?:\A|(?<=[\s,;]))(?:and|with(?:\s+an?)?)[\s,;]*\Z", re.IGNORECASE)  # `Tea, Coffee with quorum 2`
_ROLL = re.compile(r"(?:\A|(?<=[\s,;]))(?:to|for)\s+(?:the\s+)?roll\s+(\w[\w.-]*)\s*\Z", re.IGNORECASE)
_NAMED = re.compile(
    r"(?:.*[\s,;]|\A)(opens|closes|until|results|quorum|threshold|remind)\s+([^,;\"“”„«»]+)\Z",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A poll as somebody asked for it. ``closes_at`` is None: until all have voted, or it is closed."""

    spec: Spec
    opens_at: datetime | None = None
    closes_at: datetime | None = None


def parse(text: str, now: datetime, zone: tzinfo) -> Asked:
    """Read what stands after ``poll``.

    Args:
        now: When it was said, aware. ``zone``: where the writer's clock hangs.

    Raises:
        UsageError: It says what is missing and how to write it.
    """
    if len(text) > LONGEST_TEXT:
        raise UsageError("That is too long for a poll.")
    is_anonymous, rest = _cut_anonymous(cut_opener(text))
    kind, most, rest = _cut_kind(rest)
    head = [
        *(["anonymous"] if is_anonymous else []),
        *([kind] if kind != "single" else []),
        *([str(most)] if most else []),
    ]
    question, rest = _cut_question(rest, head)
    rest, terms = _cut_terms(rest)
    if _ANONYMOUS_KIND.match(rest.lstrip(" :,;")):
        raise UsageError(_WHICH)
    choices = _split(rest)
    _check_last(rest, choices, kind)
    spec = make(
        question,
        choices,
        kind=kind,
        most=most,
        results=cast(Showing, terms.get("results", "hidden").casefold()),
        quorum=terms.get("quorum", "").replace(" ", ""),
        threshold=terms.get("threshold", "").replace(" ", ""),
        remind=duration(re.sub(r"\s+before\Z", "", terms["remind"])) if "remind" in terms else 0.0,
        anonymous=is_anonymous or "anonymous" in terms,
        roll=terms.get("roll", ""),
    )
    opens_at, closes_at = span(terms.get("opens"), terms.get("closes"), spec, now, zone)
    return Asked(spec, opens_at, closes_at)


def span(
    opens: str | datetime | None, closes: str | float | datetime | None, spec: Spec, now: datetime, zone: tzinfo
) -> tuple[datetime | None, datetime | None]:
    """From when to when a poll is open. How long it is, in words or seconds, counts from its opening.

    Raises:
        UsageError: It could not be, or its reminder could not come.
    """
    opens_at = moment(opens, now, zone) if isinstance(opens, str) else opens
    start = opens_at or now
    match closes:
        case str() as words:
            closes_at: datetime | None = moment(words, start if is_span(words) else now, zone)
        case int() | float() as seconds:
            closes_at = start + timedelta(seconds=seconds)
        case at:
            closes_at = at
    if closes_at is not None:
        check_span(start, closes_at)
    if spec.remind and (closes_at is None or closes_at - timedelta(seconds=spec.remind) <= start):
        raise UsageError("A reminder needs a close that lies further ahead than the reminder before it.")
    return opens_at, closes_at


def check_span(start: datetime, end: datetime) -> None:
    """UsageError unless a poll may be open from ``start`` to ``end``."""
    if end <= start:
        raise UsageError("It would close before it opens.")
    if not SHORTEST <= end - start <= FARTHEST:
        raise UsageError("A poll is open between one second and a year, e.g. `in 10m`.")


def cut_opener(text: str) -> str:
    """What stands behind ``create``, ``start``, ``new`` or ``open``, which opens a poll as no word at all does.

    Raises:
        UsageError: The word may as well belong to a question without quotes.
    """
    found = _OPENER.match(text.strip())
    if found is None:
        return text.strip()
    word, rest = found[1], found[2]
    kind = rest.split(None, 1)[0].casefold() if rest else ""
    if not rest or rest[0] in _QUOTES or kind in _KINDS or kind == "anonymous":
        return rest
    if word[0].isupper() or "?" not in rest:
        return text.strip()  # `Open the window? yes, no`
    question, choices = _cut_question(rest)
    raise UsageError(
        f'Write `poll "{_short(question)}"{_short(choices.rstrip(), " ")}`, without {word}; '
        f'a question that begins with this word goes into quotes: `poll "{_short(f"{word} {question}")}" ...`.'
    )


def _cut_anonymous(text: str) -> tuple[bool, str]:
    """Whether it begins with the word, before or behind the kind, and what stands there without it.

    Raises:
        UsageError: It begins with the word, and might be a question that does.
    """
    found = _ANONYMOUS_KIND.match(text)
    if found is None:
        return False, text
    kind, rest = found[1] or "", found[2]
    following = rest.split(None, 1)[0].casefold() if rest else ""
    if kind or rest[:1] in _QUOTES or following in _KINDS:
        return True, f"{kind} {rest}".strip()
    raise UsageError(_WHICH)


def _cut_kind(text: str) -> tuple[Kind, int | None, str]:
    found = _KIND.match(text)
    if found is None:
        return "single", None, text
    word, number, rest = found[1].casefold(), found[2], text[found.end() :]
    is_kind_word = found[3] in _QUOTES or number is not None
    if word in _KINDS and (is_kind_word or _KINDS[word] == "yesno"):
        kind = _KINDS[word]
        if kind == "yesno" and number is not None:
            return "single", None, text
        return kind, int(number) if number else None, rest
    near = difflib.get_close_matches(word, [*_KINDS, "anonymous"], n=1, cutoff=0.75)
    if near and is_kind_word:
        raise UsageError(
            "There are polls of the kind yesno, multiple and rating, each also anonymous. "
            f'Did you mean `poll {near[0]} "..."`?'
        )
    return "single", None, text


def _cut_question(text: str, head: Sequence[str] = ()) -> tuple[str, str]:
    """The question and what stands behind it; ``head``: the words that were cut before it."""
    end = _QUOTES.get(text[:1])
    if end is not None:
        closing = text.find(end, 1)
        if closing < 0:
            raise UsageError(f"The question has no closing {end} after it. Write: `{_usage(text, head)}`")
        return text[1:closing], text[closing + 1 :]
    mark = text.find("?")
    if (quote := re.search(r'["“„«]', text if mark < 0 else text[:mark])) and (
        mark < 0 or _QUOTES[quote[0]] not in text[quote.end() : mark]
    ):
        if text.find(_QUOTES[quote[0]], quote.end()) < 0:
            raise UsageError(f"A quote in the question has no end. Write: `{_usage(text, head)}`")
        raise UsageError(f"The question begins at its quote. Did you mean `{_meant(text, quote.start(), head)}`?")
    if mark < 0:
        usage = _usage(text, head)
        told = "the question from the choices" if "CHOICE" in usage else "where the question ends"
        raise UsageError(f"I cannot tell {told}. Write: `{usage}`")
    return text[: mark + 1], text[mark + 1 :]


def _usage(text: str, head: Sequence[str]) -> str:
    """How a poll of the kind is written that was cut as ``head``, or that the text begins with."""
    words = [*head] or [word.casefold() for word in text.split(None, 1)[:1] if word.casefold() in _KINDS]
    has_own_choices = any(_KINDS.get(word) in ("yesno", "rating") for word in words)
    usage = USAGE.replace(" CHOICE, CHOICE", "") if has_own_choices else USAGE
    return usage.replace("poll", " ".join(["poll", *words]), 1)


def _cut_terms(text: str) -> tuple[str, dict[Term, str]]:
    """Take what is no choice from the end, one term after the other."""
    terms: dict[Term, str] = {}
    while (cut := _cut_word(text) or _cut_roll(text) or _cut_time(text) or _cut_named(text)) is not None:
        text, term, words = cut
        text = _LINK.sub("", text).rstrip(" \t\n,;")
        if term in terms:
            raise UsageError(
                f"I read two times when it {term}." if term in ("opens", "closes") else f"Two times {term}."
            )
        terms[term] = words
    return text, terms


def _cut_time(text: str) -> tuple[str, Term, str] | None:
    """A time without a word before it is that of the close."""
    found = _BARE.search(text)
    if found is None:
        return None
    words, before = found[0].strip(), text[: found.start()]
    if named := _BEFORE.search(before):
        return before[: named.start()].rstrip(" \t\n,;"), _term(named[1]), words
    if (on := _ON.search(before)) and re.match(
        r"\d|next|(?!tod|tom|ton)[a-z]{3,6}day|[mtwfs][a-z]{2,3}\b", words, re.IGNORECASE
    ):
        before = before[: on.start()]
    is_long = is_span(words)
    if before.rstrip().endswith((",", ";")) and not is_long:
        return None  # a choice of its own
    if any(_BARE.search(part) for part in before.split(",")[:-1]):
        return None  # other choices end with a time, too
    if is_long:
        try:
            duration(words)
        except UsageError:
            unit = re.search(r"[a-z]+", words[3:], re.IGNORECASE)
            if not unit or len(unit[0]) > 3 or words[:2].casefold() != "in":
                return None
            raise
    return before.rstrip(" \t\n,;"), "closes", words


def _cut_named(text: str) -> tuple[str, Term, str] | None:
    found = _NAMED.match(text)
    if found is None:
        return None
    term, words = _term(found[1]), found[2].strip()
    if term != "results" and not re.search(r"\d|\bnoon\b", words):
        return None
    if term == "results" and words.casefold() not in ("hidden", "live", "owner"):
        raise UsageError(
            "Write `results hidden`, `results live` or `results owner`; a choice with such words goes into quotes."
        )
    return text[: found.start(1)].rstrip(" \t\n,;"), term, words


def _cut_word(text: str) -> tuple[str, Term, str] | None:
    """``anonymous`` at the end: a vote that was meant so must not open with names. A choice called so is quoted."""
    found = _ANONYMOUS.search(text)
    return (text[: found.start()].rstrip(" \t\n,;"), "anonymous", "yes") if found is not None else None


def _cut_roll(text: str) -> tuple[str, Term, str] | None:
    """``to roll board``: who is asked. With its little word before it: a choice may be a roll of another kind."""
    found = _ROLL.search(text)
    return (text[: found.start()].rstrip(" \t\n,;"), "roll", found[1]) if found is not None else None


def _term(word: str) -> Term:
    return "closes" if word.casefold() in ("until", "till", "by") else cast(Term, word.casefold())


def _check_last(text: str, choices: list[str], kind: Kind) -> None:
    """UsageError where the last choice ends in what looks like a time or a rule and is none, and the others do not."""
    last = text.rpartition(",")[2].strip()
    if last[-1:] in _QUOTES:
        return
    has_own_choices = kind in ("yesno", "rating")
    rule = almost_rule(last)
    if rule is not None and not any(almost_rule(choice) for choice in choices[:-1]):  # behind a comma, too: rules are
        told = f"I cannot read `{_short(rule.words)}` as a rule of the vote. Write `{rule.instead}`"
        _refuse(told, "a rule", last, has_own_choices=has_own_choices)
    found = almost_time(last)
    if found is None or (not found.start and not (has_own_choices and len(choices) == 1)):
        return  # a choice that is only this is one
    if any(almost_time(choice) or _BARE.search(choice) for choice in choices[:-1]):
        return  # other choices end so, too
    another = "tomorrow 9:00" if found.instead.startswith("in ") else "in 10m"
    of_day = "" if found.instead.startswith("in ") else " (a day needs a time of day)"
    told = (
        f"I cannot read `{_short(found.words)}` as a time. "
        f"For the close write `{_short(found.instead)}` or `{another}`{of_day}"
    )
    _refuse(told, "a time", last, has_own_choices=has_own_choices)


def _refuse(told: str, what: str, last: str, *, has_own_choices: bool) -> NoReturn:
    """With the other reading, where there may be one."""
    if has_own_choices:
        raise UsageError(f"{told}.")
    raise UsageError(f'{told}; words of a choice that look like {what} go into quotes: `"{_short(last)}"`.')


def _meant(text: str, quote: int, head: Sequence[str]) -> str:
    """The poll that is likely meant where other words stand before a quoted question."""
    times = [found[0].strip() for found in _ANYWHERE.finditer(text[:quote])]
    words = _ANYWHERE.sub(" ", text[:quote]).casefold().replace(",", " ").split()
    numbers = [word for word in words if re.fullmatch(r"\d{1,4}", word)]
    kinds = [near for word in words for near in difflib.get_close_matches(word, _KINDS, n=1, cutoff=0.75)]
    found = [word for word in words if word == "anonymous"]
    found += [*kinds[:1], *(numbers[:1] if kinds and _KINDS[kinds[0]] != "yesno" else [])]
    return " ".join(["poll", *head, *(found if not head else []), _short(text[quote:].rstrip()), *map(_short, times)])


def _short(text: str, before: str = "") -> str:
    """Words of somebody, to be told back between backticks; with something before them unless they are none."""
    words = one_line(text)
    words = words if len(words) <= 60 else f"{words[:60]} ..."
    return f"{before}{words}".replace("`", "'") if words else ""


def _split(text: str) -> list[str]:
    """Choices between commas; a quoted one may hold a comma."""
    parts = re.findall(r'\s*("[^"]*"|[^,]*)\s*(?:,|\Z)', text.strip(" :"))
    if parts and not parts[-1]:
        parts.pop()  # what the pattern finds empty at the end of the text
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part for part in parts]
