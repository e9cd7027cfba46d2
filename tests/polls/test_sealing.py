"""Sealing a vote: only the urn of its poll opens it, only for its voter, and nobody else learns anything from it."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shellbot.polls.sealing import KEY_BYTES, Urn, seal
from shellbot.polls.spec import Spec, make

names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=80)
secrets = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
places = st.tuples(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))  # poll and channel


@st.composite
def votes(draw) -> tuple[Spec, tuple[str, ...]]:
    """A poll, and a vote that may be given in it."""
    choices = draw(st.lists(names, min_size=2, max_size=50, unique_by=str.casefold))
    kind = draw(st.sampled_from(["single", "multiple"]))
    spec = make("?", choices, kind=kind, anonymous=True)
    if kind == "single":
        return spec, (draw(st.sampled_from(spec.choices)),)
    chosen = draw(st.sets(st.sampled_from(spec.choices), max_size=spec.most))
    return spec, tuple(choice for choice in spec.choices if choice in chosen)


@given(votes(), secrets, places)
def test_the_urn_gives_back_what_was_sealed(voted, secret, place):
    spec, vote = voted
    urn = Urn(secret)
    assert urn.open(seal(vote, spec, urn.public, *place), spec, *place) == vote
    assert Urn(secret).open(seal(vote, spec, urn.public, *place), spec, *place) == vote  # after a restart


@given(votes(), votes(), secrets, places)
def test_sealed_votes_never_look_alike_and_all_have_one_length(one, other, secret, place):
    urn = Urn(secret)
    forms = [seal(vote, spec, urn.public, *place) for spec, vote in (one, one, other)]
    assert len(set(forms)) == 3
    assert len({len(form) for form in forms}) == 1


@given(votes(), secrets, secrets, places, places)
def test_a_sealed_vote_opens_with_no_other_key_for_no_other_voter_and_in_no_other_poll(
    voted, secret, other, place, elsewhere
):
    assume(secret != other and place != elsewhere)
    spec, vote = voted
    form = seal(vote, spec, Urn(secret).public, *place)
    assert Urn(other).open(form, spec, *place) is None
    assert Urn(secret).open(form, spec, *elsewhere) is None


@given(votes(), secrets, places, st.data())
def test_a_sealed_vote_that_was_touched_opens_no_more(voted, secret, place, data):
    spec, vote = voted
    urn = Urn(secret)
    form = bytearray(urlsafe_b64decode(seal(vote, spec, urn.public, *place)))
    form[data.draw(st.integers(0, len(form) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    # one bit of a public key means nothing, and libsodium ignores it
    assert urn.open(urlsafe_b64encode(form).decode(), spec, *place) in (None, vote)
    assert urn.open(urlsafe_b64encode(form[:-1]).decode(), spec, *place) is None


@given(st.one_of(st.text(), st.none(), st.integers(), st.lists(st.text())), secrets)
def test_what_was_never_sealed_is_no_vote(junk, secret):
    spec = make("?", ["a", "b"], anonymous=True)
    assert Urn(secret).open(junk, spec, "poll", "channel") is None


def test_a_sealed_vote_that_the_poll_does_not_allow_is_none():
    two = make("?", ["a", "b", "c"], kind="multiple", most=2, anonymous=True)
    one = make("?", ["a", "b"], anonymous=True)
    urn = Urn(bytes(KEY_BYTES))
    assert urn.open(seal(("a", "b", "c"), two, urn.public, "p", "c"), two, "p", "c") is None
    assert urn.open(seal(("a", "b"), two, urn.public, "p", "c"), one, "p", "c") is None
    assert urn.open(seal((), one, urn.public, "p", "c"), one, "p", "c") is None


@given(st.text(), st.text(), secrets, secrets)
def test_the_name_of_a_voter_is_one_with_one_key_and_another_with_another(channel, other, secret, second):
    assume(channel != other and secret != second)
    assert Urn(secret).voter(channel) == Urn(secret).voter(channel)
    assert len({Urn(secret).voter(channel), Urn(secret).voter(other), Urn(second).voter(channel)}) == 3


def test_a_key_that_is_too_short_is_none():
    with pytest.raises(ValueError, match="32 bytes"):
        Urn(b"short")
