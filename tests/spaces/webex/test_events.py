"""What Webex tells, as events: mentions taken out, people and bots told apart, buttons read."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import SpaceError
from shellbot.events import Button, Card, Channel, Person, Reply
from shellbot.spaces.webex.cards import CHOICE, MOST_ACTIONS, adaptive, pressed, worded
from shellbot.spaces.webex.events import is_heard, message_of, notice_of, time_of

ME, OTHER = "Y2lzY29z-me", "Y2lzY29z-other"
GROUP, ANN = Channel("room", "Team"), Person("p", "Person A")


def mention(who: str, name: str) -> str:
    return f'<spark-mention data-object-type="person" data-object-id="{who}">{escape(name)}</spark-mention>'


def said(html: str | None, text: str = "", mentioned: tuple[str, ...] = (ME,)) -> str:
    message = {
        "id": "m",
        "text": text,
        "mentionedPeople": list(mentioned),
        "created": "2026-11-29T20:00:00.123Z",
    }
    if html is not None:
        message["html"] = html
    return message_of(message, GROUP, ANN, ME).text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (f"<p>{mention(ME, 'Shelly the Bot')} help</p>", "help"),
        (f"{mention(ME, 'Shelly')}, help", "help"),
        (f"{mention(ME, 'Shelly')}: poll &quot;A &lt; B?&quot; Yes, No", 'poll "A < B?" Yes, No'),
        (f"please {mention(ME, 'Shelly')} help", "please help"),
        (f"{mention(ME, 'help')} help", "help"),
        (f"{mention(ME, 'Shelly')} ask {mention(OTHER, 'Person B')} first", "ask Person B first"),
        (f"<p>{mention(ME, 'S')} one<br>two</p><p>three</p>", "one\ntwo\nthree"),
        (f"<p>{mention(ME, 'S')} <strong>bold</strong> and <code>code</code></p>", "bold and code"),
        (f"{mention(ME, 'S')}<pre><code>a\n  b</code></pre>", "a\n  b"),
        (f"<ul><li>{mention(ME, 'S')} a</li><li>b</li></ul>", "a\nb"),
        (f"{mention(ME, 'S')} a<script>alert(1)</script>b", "ab"),
        (f"{mention(ME, 'S')}", ""),
        (f"{mention(ME, 'S')} {mention(ME, 'S')} twice", "twice"),
        (f"<p>{mention(ME, 'never closed').removesuffix('</spark-mention>')}", ""),
    ],
)
def test_the_mention_of_the_bot_is_taken_out_wherever_it_is_and_nothing_else(html, text):
    assert said(html) == text


def test_without_a_mention_the_text_is_as_it_was_written():
    assert said(None, "Shelly help", ()) == "Shelly help"
    assert said("<p>Shelly <b>help</b></p>", "Shelly help", ()) == "Shelly help"
    assert not message_of({"id": "m", "text": "x", "created": "2026-11-29T20:00:00Z"}, GROUP, ANN, ME).is_called


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1), st.text())
def test_words_behind_a_mention_come_through_whatever_the_bot_is_called(words, name):
    assert said(f"<p>{mention(ME, name)} {escape(words)}</p>") == (words.lstrip(",: \u00a0") if words else words)


@given(st.text())
def test_no_html_breaks_the_reading(html):
    assert isinstance(said(html), str)


@pytest.mark.parametrize(
    ("person", "address", "bots", "heard"),
    [
        ("p", "a@example.com", (), True),
        (ME, "shelly@webex.bot", (ME,), False),
        ("b", "other@webex.bot", (), False),
        ("b", "other@sparkbot.io", (), False),
        ("b", "other@webex.bot", ("b",), True),
        ("b", "Other@webex.bot", ("other@WEBEX.bot",), True),
    ],
)
def test_the_bot_does_not_hear_itself_and_other_bots_only_where_named(person, address, bots, heard):
    assert is_heard(person, address, ME, bots) is heard


def test_times_are_read_in_utc():
    assert time_of("2026-11-29T20:00:00.123Z") == datetime(2026, 11, 29, 20, 0, 0, 123000, UTC)
    assert time_of("2026-11-29T21:00:00+01:00") == datetime(2026, 11, 29, 20, tzinfo=UTC)
    for text in (None, "", "soon", 7):
        with pytest.raises(SpaceError):
            time_of(text)


DATA = {"id": "x", "roomId": "r", "personId": "p", "created": "2026-11-29T20:00:00.000Z"}


@pytest.mark.parametrize(
    ("resource", "event", "more", "id_"),
    [
        ("messages", "created", {}, "webex-message-x"),
        ("memberships", "created", {}, "webex-member-x@2026-11-29T20:00:00.000Z"),
        ("memberships", "deleted", {}, "webex-gone-x@2026-11-29T20:00:00.000Z"),
        ("attachmentActions", "created", {}, "webex-action-x"),
        ("memberships", "created", {"roomType": "direct"}, None),
        ("messages", "updated", {}, None),
        ("messages", "deleted", {}, None),
        ("rooms", "created", {}, None),
    ],
)
def test_a_delivery_is_known_by_what_it_is_about(resource, event, more, id_):
    notice = notice_of({"resource": resource, "event": event, "data": DATA | more})
    assert (notice and notice.id) == id_


def card(count: int, **more) -> Reply:
    buttons = tuple(Button(f"v{n}, {n}", f"Choice {n}") for n in range(1, count + 1))
    return Reply(id="r", text="Vote", card=Card(id="c", title="Lunch?", buttons=buttons, **more))


@given(st.integers(1, 120), st.data())
def test_every_button_of_a_card_comes_back_as_its_value(count, data):
    reply = card(count)
    number = data.draw(st.integers(0, count - 1))
    shown = adaptive(reply)
    assert len(shown["actions"]) <= MOST_ACTIONS
    if count <= MOST_ACTIONS:
        inputs = shown["actions"][number]["data"]
    else:
        [choices] = [block["choices"] for block in shown["body"] if block["type"] == "Input.ChoiceSet"]
        assert all("," not in choice["value"] for choice in choices)
        inputs = shown["actions"][0]["data"] | {CHOICE: choices[number]["value"]}
    assert pressed(inputs) == ("c", reply.card.buttons[number].value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["card", "value", "values", CHOICE]), JSON) | JSON)
def test_whatever_is_in_the_inputs_it_is_a_button_or_nothing(inputs):
    found = pressed(inputs)
    assert found is None or all(isinstance(each, str) for each in found)


@pytest.mark.parametrize("choice", ["-1", "7", "1e1", "١", "00000000001", None, 1, ""])
def test_a_line_that_is_not_in_the_card_is_nothing(choice):
    assert pressed({"card": "c", "values": ["a", "b"], CHOICE: choice}) is None


def test_where_choices_are_numbers_their_words_are_typed():
    rating = Card(id="c", title="How?", buttons=tuple(Button(str(n), str(n)) for n in range(1, 6)))
    text = worded(Reply(id="r", text="", card=rating))
    assert "- 1\n- 2" in text
    assert text.endswith("Press a button; or type the words.")


def test_what_people_wrote_means_nothing_on_a_card():
    hostile = Card(id="c", title="**<@all>** [x](http://a)", buttons=(Button("1", "<@all>\n# big"),), note="*n*")
    shown = adaptive(Reply(id="r", text="", card=hostile))
    title, _, note = [block["text"] for block in shown["body"]]
    assert title == "**\\*\\*\\<\u200b@all\\>\\*\\* \\[x\\](http://a)**"
    assert note == "\\*n\\*"
    assert shown["actions"][0]["title"] == "<@all> # big"
