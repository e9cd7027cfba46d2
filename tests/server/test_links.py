"""Signed tokens of links: what was signed comes back for a while, and nothing else ever does."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shellbot.errors import LinkRefused
from shellbot.server.links import DAY, REFUSALS, Links

SECRET = b"0123456789abcdef0123456789abcdef"
FIELDS = st.dictionaries(st.text(max_size=12), st.text(max_size=40) | st.integers(0, 2**53), max_size=5)


class Now:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@given(FIELDS)
def test_what_was_signed_is_read_and_the_token_stands_in_an_address_as_it_is(fields):
    links = Links(SECRET, "join")
    token = links.make(fields)
    assert links.read(token) == fields
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_half_a_character_is_damaged():
    with pytest.raises(LinkRefused, match="not whole"):
        Links(SECRET, "join").read("a\ud800.b.c")


@given(FIELDS, st.data())
def test_a_token_with_one_other_character_is_damaged(fields, data):
    links = Links(SECRET, "join")
    token = links.make(fields)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters())
    assume(other != token[place])
    with pytest.raises(LinkRefused) as refused:
        links.read(token[:place] + other + token[place + 1 :])
    assert refused.value.reason in ("damaged", "expired")


@given(FIELDS, st.data())
def test_a_part_of_a_token_and_any_text_are_damaged(fields, data):
    links = Links(SECRET, "join")
    token = links.make(fields)
    for text in (token[: data.draw(st.integers(0, len(token) - 1))], data.draw(st.text(max_size=80))):
        with pytest.raises(LinkRefused) as refused:
            links.read(text)
        assert refused.value.reason == "damaged"


@given(FIELDS)
def test_another_purpose_or_another_server_reads_nothing(fields):
    token = Links(SECRET, "join").make(fields)
    for stranger in (Links(SECRET, "results"), Links(SECRET[::-1], "join")):
        with pytest.raises(LinkRefused, match="not whole"):
            stranger.read(token)


@given(FIELDS, st.integers(0, 3 * DAY))
def test_it_counts_for_a_day_and_no_longer(fields, later):
    now = Now()
    links = Links(SECRET, "join", now=now)
    token = links.make(fields)
    now.seconds += later
    if later <= DAY:
        assert links.read(token) == fields
    else:
        with pytest.raises(LinkRefused, match="24 hours") as refused:
            links.read(token)
        assert refused.value.reason == "expired"


def test_each_refusal_says_what_to_do():
    links = Links(SECRET, "join")
    for reason in REFUSALS:
        error = links.refused(reason)
        assert error.reason == reason
        assert "new one" in str(error)
