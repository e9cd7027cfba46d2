"""Buttons as adaptive cards, for clients that show them, and as words for all others. Pure.

A client that shows the card shows nothing else of its message, so all of it is in there twice.
"""

from __future__ import annotations

from typing import Any

from shellbot.events import Button, Card, Reply
from shellbot.markup import one_line, plain
from shellbot.spaces.webex.text import calm

VERSION = "1.2"
MOST_ACTIONS = 5  # that Webex takes on one card
MOST_LABEL = 80  # characters on a button
CHOICE = "choice"  # id of the input, where there are more buttons than that
SEND = "Send"
CHOSEN = "\u2714"
_SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"

Json = dict[str, Any]


def has_buttons(card: Card | None) -> bool:
    """Whether there is anything to press on it: only then it is sent as a card, which can never be edited."""
    return card is not None and card.is_open and bool(card.buttons)


def adaptive(reply: Reply, *, mark: str = "", can_press: bool = True) -> Json:
    """The card of a reply that :func:`has_buttons`, with its text; ``mark`` comes at its end."""
    card = reply.card
    assert card is not None
    body = [_block(f"**{plain(card.title)}**", size="Medium")] if card.title else []
    if reply.text:
        body.append(_block(reply.text))
    if len(card.buttons) <= MOST_ACTIONS:
        actions = [_submit(_label(card, button), {"card": card.id, "value": button.value}) for button in card.buttons]
    else:
        values = [button.value for button in card.buttons]
        body.append(
            {
                "type": "Input.ChoiceSet",
                "id": CHOICE,
                "style": "expanded",
                # by number: several would come joined with commas, which may stand in a value, too
                "choices": [
                    {"title": _label(card, button), "value": str(number)} for number, button in enumerate(card.buttons)
                ],
                **({"value": str(values.index(card.chosen))} if card.chosen in values else {}),
            }
        )
        actions = [_submit(SEND, {"card": card.id, "values": values})]
    body += [_block(text, isSubtle=True) for text in (hint(card, can_press), plain(card.note), mark) if text]
    return {"$schema": _SCHEMA, "type": "AdaptiveCard", "version": VERSION, "body": body, "actions": actions}


def worded(reply: Reply, *, can_press: bool = True) -> str:
    """The same as markdown: with what to type where there are buttons, and how it ended where there are none left."""
    card = reply.card
    if card is None:
        return reply.text
    lines = [f"**{plain(card.title)}**" if card.title else "", reply.text]
    if has_buttons(card):
        lines += ["\n".join(_choices(card)), hint(card, can_press)]
    elif card.buttons:
        pressed = [button for button in card.buttons if card.is_pressed(button)]
        lines.append("\n".join(f"{CHOSEN} {plain(button.label)}" for button in pressed))
    lines.append(plain(card.note))
    return "\n\n".join(filter(None, lines))


def hint(card: Card, can_press: bool) -> str:
    """What one may do: press, where that is heard, or type."""
    many = "1, 2 ..." if len(card.buttons) > 2 else " or ".join(str(n) for n in range(1, len(card.buttons) + 1))
    typed = "the words" if _has_numbers(card) else many
    if not can_press:
        return f"Please type {typed}: buttons do nothing here."
    press = "Press a button" if len(card.buttons) <= MOST_ACTIONS else f"Choose, and press {SEND}"
    return f"{press}; or type {typed}."


def pressed(inputs: object) -> tuple[str, str] | None:
    """The card and the value that the inputs of an attachment action tell, or None where they tell no such thing.

    Whatever is in them may be made up; whether this person may press that is for the bots to say.
    """
    if not isinstance(inputs, dict):
        return None
    card, value, values = inputs.get("card"), inputs.get("value"), inputs.get("values")
    if value is None and isinstance(values, list):
        number = inputs.get(CHOICE)
        is_number = isinstance(number, str) and number.isascii() and number.isdigit() and len(number) <= 4
        if is_number and int(str(number)) < len(values):
            value = values[int(str(number))]
    return (card, value) if isinstance(card, str) and isinstance(value, str) and card else None


def _has_numbers(card: Card) -> bool:
    # Where a choice is a number itself, a number means the choice.
    return any(button.label.strip().isdigit() for button in card.buttons)


def _choices(card: Card) -> list[str]:
    dash = _has_numbers(card)
    return [
        f"{'-' if dash else f'{number}.'} {plain(button.label)}{f' {CHOSEN}' if card.is_pressed(button) else ''}"
        for number, button in enumerate(card.buttons, 1)
    ]


def _label(card: Card, button: Button) -> str:
    label = one_line(button.label)
    label = label if len(label) <= MOST_LABEL else f"{label[: MOST_LABEL - 1]}…"
    return f"{CHOSEN} {label}" if card.is_pressed(button) else label


def _submit(title: str, data: Json) -> Json:
    return {"type": "Action.Submit", "title": title, "data": data}


def _block(text: str, **more: Any) -> Json:
    return {"type": "TextBlock", "text": calm(text), "wrap": True, **more}
