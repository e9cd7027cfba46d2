"""What people type after ``poll``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import CommandError, UsageError
from shellbot.polls.grammar import Asked, parse
from shellbot.polls.spec import MAX_CHOICES, Spec, make, restored

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday


def read(typed):
    return parse(typed, NOON, UTC)


def poll_or_help(typed):
    """The poll; None when help was given, in one line."""
    text = ""
    try:
        return read(typed)
    except CommandError as error:
        text = str(error)
    assert text
    assert "\n" not in text
    return None


def asked(question, choices, seconds=None, **rules):
    return Asked(Spec(question, choices, **rules), None, seconds and NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ('"Lunch?" Pizza, Sushi, Salad in 10m', asked("Lunch?", ("Pizza", "Sushi", "Salad"), 600)),
        ("Lunch? Pizza, Sushi", asked("Lunch?", ("Pizza", "Sushi"))),
        ("“Lunch?” Pizza, Sushi in 90 seconds", asked("Lunch?", ("Pizza", "Sushi"), 90)),
        ('"Fish?" "Fish, chips", Pizza in 1h 30m', asked("Fish?", ("Fish, chips", "Pizza"), 5400)),
        ('"When?" in 5 minutes, later', asked("When?", ("in 5 minutes", "later"))),
        ('"Where?" dance in 10 places, home', asked("Where?", ("dance in 10 places", "home"))),
        ('"Where?" home, dance in 10 places', asked("Where?", ("home", "dance in 10 places"))),
        ('"Lunch?" Pizza, Sushi,', asked("Lunch?", ("Pizza", "Sushi"))),
        ('"Lunch?": Pizza, Sushi', asked("Lunch?", ("Pizza", "Sushi"))),
        ('"Lunch?" Pizza, Sushi, in 10m', asked("Lunch?", ("Pizza", "Sushi"), 600)),
        ('"Lunch?" Pizza, Sushi tomorrow 9:00', asked("Lunch?", ("Pizza", "Sushi"), 21 * 3600)),
        ('"Lunch?" Pizza, Sushi, until friday 17:00', asked("Lunch?", ("Pizza", "Sushi"), 5 * 3600)),
        ('"Lunch?" Pizza, Sushi at 14:30', asked("Lunch?", ("Pizza", "Sushi"), 9000)),
        ('"Lunch?" Pizza, Sushi closes 14:30', asked("Lunch?", ("Pizza", "Sushi"), 9000)),
        ('"Lunch?" Pizza, Sushi 2026-11-20T13:00+01:00', asked("Lunch?", ("Pizza", "Sushi"), None)),
        ('"When?" today 17:00, tomorrow 9:00', asked("When?", ("today 17:00", "tomorrow 9:00"))),
        ('"Which?" train at 13:30, train at 14:30', asked("Which?", ("train at 13:30", "train at 14:30"))),
        ('"Which?" bus 14:30, walk', asked("Which?", ("bus 14:30", "walk"))),
        ('"Why?" the shop closes early, it opens late', asked("Why?", ("the shop closes early", "it opens late"))),
        ('yesno "Merge?"', asked("Merge?", ("Yes", "No", "Abstain"), kind="yesno")),
        ("yes/no Merge? in 1h30", asked("Merge?", ("Yes", "No", "Abstain"), 5400, kind="yesno")),
        ('rating "Food?" in 10m', asked("Food?", ("1", "2", "3", "4", "5"), 600, kind="rating")),
        ('rating 1-3 "Food?"', asked("Food?", ("1", "2", "3"), kind="rating")),
        ('multiple 2 "Top?" Ham, Corn, Egg', asked("Top?", ("Ham", "Corn", "Egg"), kind="multiple", most=2)),
        ('multiple up to 2 "Top?" Ham, Corn, Egg', asked("Top?", ("Ham", "Corn", "Egg"), kind="multiple", most=2)),
        ('multiple "Top?" Ham, Corn, Egg', asked("Top?", ("Ham", "Corn", "Egg"), kind="multiple", most=3)),
        ('"Lunch?" Pizza, Sushi tomorrow at 9', asked("Lunch?", ("Pizza", "Sushi"), 21 * 3600)),
        ('"Lunch?" Pizza, Sushi for 10 minutes', asked("Lunch?", ("Pizza", "Sushi"), 600)),
        ('"Lunch?" Pizza, Sushi for 5m', asked("Lunch?", ("Pizza", "Sushi"), 300)),
        ('"Lunch?" Pizza, Sushi in an hour', asked("Lunch?", ("Pizza", "Sushi"), 3600)),
        ('"Lunch?" Pizza, Sushi in half an hour', asked("Lunch?", ("Pizza", "Sushi"), 1800)),
        ('"Lunch?" Pizza, Sushi by friday 17:00', asked("Lunch?", ("Pizza", "Sushi"), 5 * 3600)),
        ('"Lunch?" Pizza, Sushi on friday at 17:00', asked("Lunch?", ("Pizza", "Sushi"), 5 * 3600)),
        ('"Lunch?" Pizza, Sushi tonight 20:00', asked("Lunch?", ("Pizza", "Sushi"), 8 * 3600)),
        ('"Light?" off, on in 10m', asked("Light?", ("off", "on"), 600)),
        ('"Light?" off, switch on at 17:00', asked("Light?", ("off", "switch on"), 5 * 3600)),
        ('create "Lunch?" Pizza, Sushi', asked("Lunch?", ("Pizza", "Sushi"))),
        ('start: "Lunch?" Pizza, Sushi', asked("Lunch?", ("Pizza", "Sushi"))),
        ('new multiple 2 "Top?" a, b, c', asked("Top?", ("a", "b", "c"), kind="multiple", most=2)),
        ("open yesno Merge?", asked("Merge?", ("Yes", "No", "Abstain"), kind="yesno")),
        ("Open the window? yes, no", asked("Open the window?", ("yes", "no"))),
        ('Is "Pizza" right? yes, no', asked('Is "Pizza" right?', ("yes", "no"))),
        ("Multiple choice tests? good, bad", asked("Multiple choice tests?", ("good", "bad"))),
        (
            'yesno "Merge?" quorum 50% threshold 2/3 in 1h',
            asked("Merge?", ("Yes", "No", "Abstain"), 3600, kind="yesno", quorum="50%", threshold="2/3"),
        ),
        (
            'yesno "Merge?" in 1h, quorum 5, threshold 60 %',
            asked("Merge?", ("Yes", "No", "Abstain"), 3600, kind="yesno", quorum="5", threshold="60%"),
        ),
    ],
)
def test_a_poll_is_read_as_it_was_meant(typed, meant):
    if "+01:00" in typed:  # is this very moment
        with pytest.raises(UsageError, match="is past"):
            read(typed)
    else:
        assert read(typed) == meant


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "question"),
        ("Lunch Pizza Sushi", "question"),
        ('"Lunch? Pizza, Sushi', "closing"),
        ('"" Pizza, Sushi', "question"),
        ('"Lunch?"', "two choices"),
        ('"Lunch?" Pizza', "two choices"),
        ('"Lunch?" Pizza,, Sushi', "One of the choices is empty; leave out the comma"),
        ('"Lunch?" Pizza,,', "two choices"),
        ('"Lunch?" Pizza, Tea, pizza', "Two choices are the same, `pizza`"),
        ("yesno Merge", 'where the question ends. Write: `poll yesno "QUESTION" [in 10m]`'),
        ("rating Food", '`poll rating "QUESTION" [in 10m]`'),
        ("multiple 2 Top", '`poll multiple 2 "QUESTION" CHOICE, CHOICE [in 10m]`'),
        ('anonymous yesno "Merge', '`poll anonymous yesno "QUESTION" [in 10m]`'),
        ('in 10m "x?" a, b', 'Did you mean `poll "x?" a, b in 10m`?'),
        ('in 10 minutes multiple 2 "x?" a, b, c', 'Did you mean `poll multiple 2 "x?" a, b, c in 10 minutes`?'),
        ('tomorrow 9:00 anonymous yesno "x?"', 'Did you mean `poll anonymous yesno "x?" tomorrow 9:00`?'),
        ('"Lunch?" Pizza, Sushi in 10x', "duration"),
        ('"Lunch?" Pizza, Sushi in 0m', "zero"),
        ('"Lunch?" Pizza, Sushi in 900000d', "year"),
        ('"Lunch?" Pizza, Sushi in 0.5s', "one second"),
        ('"Lunch?" Pizza, Sushi at 25:00', "no such time of day"),
        ('"Lunch?" Pizza, Sushi at 11:00', "Write `tomorrow 11:00`?"),
        ('"Lunch?" Pizza, Sushi until 2026-02-30 9:00', "no such day"),
        ('"Lunch?" Pizza, Sushi until 2026-11-25', "At what time"),
        ('"Lunch?" Pizza, Sushi until frday 17:00', "no time that I can read"),
        ('"Lunch?" Pizza, Sushi in 5m until 17:00', "two times"),
        ('"Lunch?" Pizza, Sushi quorum 500%', "no share"),
        ('"Lunch?" Pizza, Sushi quorum 5²', "no share"),
        (f'"Lunch?" Pizza, Sushi quorum {"9" * 5000}', "no share"),
        ('"Lunch?" Pizza, Sushi threshold 3/2', "no share"),
        ('"Lunch?" Pizza, Sushi results maybe', "results live"),
        ('rating "Food?" threshold 50%', "no threshold"),
        ('rating 11 "Food?"', "at most 10"),
        ('rating "Food?" good, bad', "brings its choices along"),
        ('yesno "Merge?" perhaps, later', "brings its choices along"),
        ('multiple 4 "Top?" Ham, Corn, Egg', "2 to 3"),
        ('multiple 1 "Top?" Ham, Corn, Egg', "2 to 3"),
        ('multipel 2 "Top?" Ham, Corn, Egg', "Did you mean `poll multiple"),
        ('"Lunch?" Pizza, Sushi tonight at 8', "`today 20:00`"),
        ('multiple choice "x?" a, b', 'Did you mean `poll multiple "x?" a, b`?'),
        ('multiple choice up to 2 "x" a, b, c in 5m', 'Did you mean `poll multiple 2 "x" a, b, c in 5m`?'),
        ('yes/no question "Merge?"', 'Did you mean `poll yesno "Merge?"`?'),
        ("a poll “x?” a, b", "Did you mean `poll “x?” a, b`?"),
        ('What is "this? a, b', "has no end"),
        ("start Lunch? a, b", 'Write `poll "Lunch?" a, b`, without start'),
        ("open the window? yes, no", '`poll "open the window?" ...`'),
        (f'"{"x" * 301}" a, b', "300"),
        (f'"Lunch?" {"x" * 81}, b', "80"),
        ('"Lunch?" ' + ", ".join(map(str, range(MAX_CHOICES + 1))), str(MAX_CHOICES)),
        ("x" * 30_000, "too long"),
    ],
)
def test_what_is_wrong_with_a_poll_is_told_in_one_line(typed, told):
    with pytest.raises(UsageError) as caught:
        read(typed)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


ALMOST = {
    "tomorrow": "tomorrow 9:00",
    "tomorrow morning": "tomorrow 9:00",
    "tomorow 9:00": "tomorrow 9:00",
    "at 9 tomorrow": "tomorrow 9:00",
    "tommorow": "tomorrow 9:00",
    "tonight": "today 20:00",
    "by friday": "friday 9:00",
    "until friday": "friday 9:00",
    "friday evening": "friday 20:00",
    "next week": "tomorrow 9:00",
    "end of day": "tomorrow 9:00",
    "in 5": "in 5m",
    "in 10": "in 10m",
    "10m": "in 10m",
    "in 5 minuts": "in 5 minutes",
    "in 2 horus": "in 2 hours",
    "in a few minutes": "in 30m",
    "at 15": "at 15:00",
    "17:00": "at 17:00",
    "5 pm": "at 5 pm",
    "in -5m": "in 5m",
    "in 2 months": "in 60d",
    "in 13 months": "in 365d",
    "in 1 year": "in 365d",
    "for 2 years": "in 365d",
    "until easter": "tomorrow 9:00",
    "until the end of march": "tomorrow 9:00",
    "closes christmas": "tomorrow 9:00",
}

ALMOST_RULES = {
    "result live": "results live",
    "live results": "results live",
    "results: hidden": "results hidden",
    "quorum half": "quorum 50%",
    "with quorum two thirds": "quorum 50%",
    "threshold half": "threshold 60%",
    "remind an hour before": "remind 1h before",
}


@pytest.mark.parametrize(("words", "instead"), ALMOST.items())
def test_what_looks_like_a_time_and_is_none_is_asked_back_and_no_part_of_a_choice(words, instead):
    with pytest.raises(UsageError) as caught:
        read(f'"Tom?" A, B {words}')
    told = str(caught.value)
    assert f"I cannot read `{words}` as a time. For the close write `{instead}`" in told
    assert f'go into quotes: `"B {words}"`.' in told
    assert "\n" not in told
    read(f'"Tom?" A, B {instead}')  # what it says is one
    assert read(f'"Tom?" A, "B {words}" in 5m').spec.choices == ("A", f"B {words}")
    assert read(f'"Tom?" A, B {words}, C').spec.choices == ("A", f"B {words}", "C")


@pytest.mark.parametrize("words", ["today", "tonight", "in 5", "10m", "by friday", "17:00", "next week"])
def test_a_choice_that_is_only_such_words_or_one_of_several_that_end_so_stays_one(words):
    assert read(f'"When?" never, {words}').spec.choices == ("never", words)
    assert read(f'"When?" A tomorrow, B {words}').spec.choices == ("A tomorrow", f"B {words}")


def test_of_a_kind_that_brings_its_choices_along_such_words_are_told_without_quotes():
    with pytest.raises(UsageError, match="I cannot read `tomorrow` as a time") as caught:
        read('yesno "Merge?" tomorrow')
    assert "quotes" not in str(caught.value)


@pytest.mark.parametrize(("words", "instead"), ALMOST_RULES.items())
@pytest.mark.parametrize("between", [" ", ", "])
def test_what_looks_like_a_rule_and_is_none_is_asked_back_and_no_part_of_a_choice(words, instead, between):
    for end in ("", " in 5m"):
        with pytest.raises(UsageError) as caught:
            read(f'"Tom?" A, B{between}{words}{end}')
        told = str(caught.value)
        assert f"I cannot read `{words}` as a rule of the vote. Write `{instead}`; words of a choice" in told
        assert f'{words}"`.' in told
    read(f'"Tom?" A, B {instead} in 2h')  # what it says is one
    assert read(f'"Tom?" A, "B {words}" in 5m').spec.choices == ("A", f"B {words}")
    assert read(f'"Tom?" A {words}, B {words}').spec.choices == (f"A {words}", f"B {words}")
    with pytest.raises(UsageError, match=f"Write `{instead}`.\\Z"):
        read(f'yesno "Tom?" {words}')


@pytest.mark.parametrize(
    "last",
    [
        "Cinema, Live music",
        "Dinner in Paris, Lunch in Rome",
        "Tea, Coffee with milk",
        "Win, Best results",
        "Wait, Remind a friend",
    ],
)
def test_a_choice_of_words_that_also_stand_in_rules_stays_one(last):
    assert read(f'"Q?" {last} in 5m').spec.choices == tuple(last.split(", "))


@pytest.mark.parametrize(
    ("typed", "rules"),
    [
        ("with quorum 2", {"quorum": "2"}),
        ("quorum 2 and threshold 60%", {"quorum": "2", "threshold": "60%"}),
        ("with results live, and in 5m", {"results": "live"}),
        ("and anonymous", {"anonymous": True}),
    ],
)
def test_the_little_word_before_a_rule_is_no_part_of_a_choice(typed, rules):
    spec = read(f'"Q?" A, B {typed}').spec
    assert (spec.choices, spec.rules) == (("A", "B"), rules)


@given(
    st.sampled_from(["A", "B c", "Fish and chips"]), st.sampled_from(sorted([*ALMOST, *ALMOST_RULES])), st.booleans()
)
def test_no_choice_that_is_last_ever_ends_in_such_words_unless_it_is_quoted(choice, words, is_quoted):
    last = f'"{choice} {words}"' if is_quoted else f"{choice} {words}"
    found = poll_or_help(f'"Tom?" none, {last}')
    assert (found is not None) == is_quoted


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ('anonymous "Lunch?" a, b', "single"),
        ('Anonymous: "Lunch?" a, b in 10m', "single"),
        ('"Lunch?" a, b anonymous', "single"),
        ('"Lunch?" a, b, anonymous', "single"),
        ('"Lunch?" a, b in 10m, results owner, anonymously', "single"),
        ('anonymous yesno "Merge?"', "yesno"),
        ("anonymous yesno Merge?", "yesno"),
        ('yesno anonymous "Merge?"', "yesno"),
        ('Anonymous multiple 2 "?" a, b, c', "multiple"),
        ('multiple up to 2 anonymous "?" a, b, c', "multiple"),
        ('anonymous rating 5 "How was it?" in 10m', "rating"),
    ],
)
def test_an_anonymous_poll_is_asked_for_before_or_behind_the_rest(typed, kind):
    spec = read(typed).spec
    assert (spec.anonymous, spec.kind) == (True, kind)
    assert not any("anonymous" in choice for choice in spec.choices)


@pytest.mark.parametrize(
    "typed",
    ["anonymous Lunch? a, b", "Anonymous tips welcome? yes, no", '"Lunch?" anonymous a, b', '"Lunch?" anonymous: a, b'],
)
def test_what_may_be_meant_as_anonymous_is_asked_back_and_not_opened_with_names(typed):
    with pytest.raises(UsageError, match="Write `poll anonymous"):
        read(typed)


def test_the_word_in_quotes_is_only_a_word():
    spec = read('"Anonymous tips?" welcome, "anonymous", "anonymous or not"').spec
    assert (spec.anonymous, spec.choices) == (False, ("welcome", "anonymous", "anonymous or not"))


def test_an_anonymous_poll_has_no_live_count():
    with pytest.raises(UsageError, match="no live count"):
        read('anonymous "Lunch?" a, b results live')


@given(st.text(max_size=200))
def test_any_text_is_a_poll_or_one_line_of_help(typed):
    found = poll_or_help(typed)
    if found is None:
        return
    spec = found.spec
    assert len(spec.choices) >= 2
    assert all(choice == choice.strip() and "\n" not in choice for choice in spec.choices)


WORDS = (
    '"Q?" a , in 10m yesno rating multiple opens until tomorrow 9:00 quorum 5 % threshold 2/3 results live remind at '
    "with half result easter"
)


@given(st.lists(st.sampled_from([*WORDS.split(), "2026-11-21"]), max_size=14))
def test_any_order_of_our_words_is_a_poll_or_one_line_of_help(words):
    found = poll_or_help(" ".join(words))
    assert found is None or found.closes_at is None or found.closes_at > (found.opens_at or NOON)


@given(
    st.lists(st.text("abcxyz äß日,'", min_size=1, max_size=20), min_size=2, max_size=9),
    st.integers(1, 100),
    st.sampled_from("smhd"),
)
def test_what_is_quoted_comes_back_as_it_was(choices, number, unit):
    try:
        expected = make("What?", choices)
    except UsageError:
        return
    typed = '"What?" ' + ", ".join(f'"{choice}"' for choice in choices) + f" in {number}{unit}"
    assert read(typed).spec.choices == expected.choices


@given(st.sampled_from(["single", "multiple", "yesno", "rating"]), st.sampled_from(["", "5", "50%"]))
def test_the_rules_of_a_poll_come_back_from_where_they_were_kept(kind, quorum):
    choices = ["a", "b", "c"] if kind in ("single", "multiple") else []
    spec = make("What?", choices, kind=kind, quorum=quorum)
    assert restored(spec.question, spec.choices, spec.rules) == spec
    assert restored(spec.question, spec.choices, {**spec.rules, "of a later version": 1}) == spec


def test_a_poll_from_before_there_were_rules_is_a_plain_one():
    assert restored("Lunch?", ("a", "b"), {}) == make("Lunch?", ["a", "b"])


@pytest.mark.parametrize("digits", [7, 12, 400, 6000])
def test_a_duration_that_is_far_too_long_is_refused_and_no_part_of_a_choice(digits):
    with pytest.raises(UsageError, match="between one second and a year"):
        read(f'"Lunch?" Pizza, Sushi in {"9" * digits}d')
