"""Votes as pictures: whatever people write is drawn, and a server without the library says what to install."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from werkzeug.exceptions import NotImplemented as NotThere

from shellbot.polls.spec import MAX_CHOICE, MAX_CHOICES, MAX_QUESTION
from shellbot.polls.standing import Standing
from shellbot.polls.tally import Result
from shellbot.server import picture as drawing
from shellbot.server.picture import FULL, WINNER, picture
from shellbot.server.results import as_png

LUNCH = Result("Lunch?", {"Pizza": 3, "Sushi": 1}, "Pizza", 4, 5)


def standing(result: Result) -> Standing:
    return Standing(1, result.question, "Person A", "Closed.", result.answered, result.asked, True, result)


def seen(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_the_verdict_is_drawn_under_the_state():
    bars = [("Pizza", "3   75 %", 100.0), ("Sushi", "1   25 %", 33.3)]
    told = "Closed. 4 of 5 voted. Pizza has the most votes."
    assert as_png(standing(LUNCH)).get_data() == picture("Lunch?", told, bars, "Pizza")


def test_bars_are_as_long_as_their_votes():
    image = seen(as_png(standing(LUNCH)).get_data())
    found = {f"#{r:02x}{g:02x}{b:02x}": count for count, (r, g, b) in image.getcolors(100_000)}
    assert found[WINNER] == pytest.approx(3 * found[FULL], rel=0.02)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=MAX_QUESTION), st.lists(st.text(min_size=1, max_size=MAX_CHOICE), min_size=1, max_size=4))
def test_any_words_are_drawn(question, choices):
    assert seen(picture(question, "Open.", [(choice, "1   50 %", 50.0) for choice in choices])).width == 1000


def test_the_longest_poll_is_drawn_in_one_picture():
    bars = [("W" * MAX_CHOICE, "1,000   100 %", 100.0)] * MAX_CHOICES
    data = picture("W" * MAX_QUESTION, "Closed.", bars)
    assert seen(data).height < 12_000
    assert len(data) < 1_000_000


def test_a_machine_without_fonts_draws_letters_that_are_nearest(monkeypatch):
    monkeypatch.setattr(drawing, "_font_file", lambda: "")
    accented, plain = (picture(text, "Closed.", []) for text in ("Caf\u00e9 \u65e5?", "Cafe ??"))
    assert accented == plain


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "shellbot.server.picture", None)
    with pytest.raises(NotThere, match=r"pip install 'shellbot\[png\]'"):
        as_png(standing(LUNCH))
