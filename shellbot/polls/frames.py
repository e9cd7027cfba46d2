"""What the group's side says of a poll to the direct channels, made of the state of the poll. Pure."""

from __future__ import annotations

from typing import Any

from shellbot.polls.records import Round


def due(round: Round) -> list[tuple[str, str, set[str]]]:
    """What there is to say now: the instruction, its id, and the channels that have not reported on it.

    The first opening and the first close have the ids they had before polls could be reopened.
    """
    match round.state:
        case "open":
            later = "reopen" if round.reopened else "extend"
            return [
                ("open", f"{round.id}/open", set() if round.halt == "stopped" else round.unseen),
                (later, f"{round.id}/{later}/{round.version}", round.untold),
                ("remind", f"{round.id}/remind/{round.reminders}", round.unreminded - round.untold),
            ]
        case "closing" | "closed":
            again = f"/{round.reopened}" if round.reopened else ""
            return [("close", f"{round.id}/close{again}", round.unclosed)]
        case "cancelled":
            return [("cancel", f"{round.id}/cancel", round.unclosed)]
    return []


def message(round: Round, op: str) -> dict[str, Any]:
    """The instruction itself. What is as in a plain poll is left out, so that it reads as it always did."""
    body: dict[str, Any] = {"do": "poll", "op": op, "poll": round.id}
    if op in ("open", "extend", "reopen"):
        body |= {
            "number": round.number,
            "question": round.spec.question,
            "choices": list(round.spec.choices),
            "closes_at": round.closes_at.timestamp() if round.closes_at else None,
        }
        more = {"rules": round.spec.rules, "version": round.version, "seal": round.urn.public if round.urn else ""}
        more |= {"halt": round.halt if op == "extend" else ""}
    else:
        more = {"reopened": round.reopened, "reminder": round.reminders if op == "remind" else 0}
    return body | {name: value for name, value in more.items() if value}


def note(round: Round) -> dict[str, Any]:
    """What is only for who opened it."""
    return {"do": "poll", "op": "note", "poll": round.id, "number": round.number, **(round.note or {})}
