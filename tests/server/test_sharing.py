"""Links to results: they count for thirty days, for one vote of one room, until its links are ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import LinkRefused
from shellbot.server.links import DAY, Links
from shellbot.server.sharing import MONTH, Sharing

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000.0


class House:
    """Two rooms at some time; the links of one of them may be ended."""

    def __init__(self) -> None:
        self.seconds = NOW
        self.generations = {"group": 0, "room-1": 0}
        links = Links(SECRET, "results", seconds=MONTH, now=lambda: self.seconds)
        self.sharing = Sharing(links, self.generations.get)

    def made(self, number: int = 7) -> str:
        return self.sharing.path("group", number).split("/")[2]

    def refusal(self, token: str, room: str = "group") -> str:
        with pytest.raises(LinkRefused) as refused:
            self.sharing.read(token, room)
        return f"{refused.value.reason}: {refused.value}"


@given(st.integers(1, 999_999_999), st.integers(0, 60 * DAY))
def test_it_counts_for_thirty_days(number, later):
    house = House()
    token = house.made(number)
    house.seconds += later
    if later <= 30 * DAY:
        assert house.sharing.read(token, "group") == number
    else:
        assert house.refusal(token).startswith("expired: This link is too old: it counted for 30 days.")


def test_it_ends_with_the_links_of_its_room_alone():
    house = House()
    token = house.made()
    house.generations["room-1"] = 1
    assert house.sharing.read(token, "group") == 7
    house.generations["group"] = 1
    assert house.refusal(token).startswith("revoked: ")
    assert house.sharing.read(house.made(), "group") == 7


@pytest.mark.parametrize("room", ["room-1", "room-2", ""])
def test_it_is_nothing_in_another_room(room):
    house = House()
    assert house.refusal(house.made(), room).startswith("room: ")


def test_a_link_into_the_room_shows_no_result():
    house = House()
    fields = {"room": "group", "person": "", "nonce": "x", "generation": 0}
    assert house.refusal(Links(SECRET, "join").make(fields)).startswith("damaged: ")
