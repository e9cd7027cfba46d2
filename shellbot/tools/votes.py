"""``shellbot poll list``, ``show`` and ``export``: the votes that a server keeps, while it runs or when it does not."""

from __future__ import annotations

import os
import sys
from datetime import tzinfo
from pathlib import Path
from typing import Literal

import click
import orjson

from shellbot.clocks import AsyncioClock
from shellbot.context import Context
from shellbot.errors import PollError, StoreError
from shellbot.markup import one_line, unescape
from shellbot.polls import archive
from shellbot.polls.acquaintances import rooms
from shellbot.polls.export import counts_sheet, facts, people, people_sheet
from shellbot.polls.numbers import forgotten
from shellbot.polls.standing import standing
from shellbot.polls.tally import bars
from shellbot.polls.texts import choices_of
from shellbot.polls.zone import read_zone
from shellbot.tools.places import folder_of, instance_option, reading

MARK = "\ufeff"  # of the encoding, without which spreadsheets take it for another


@click.command("list")
@instance_option
def list_(instance: str | None) -> None:
    """Print all votes, the oldest first, and where there are several rooms of which one each is."""
    with reading(folder_of(instance)) as db:
        rounds, gone = archive.rounds(db), forgotten(db)
        titles = {id_: one_line(title) for id_, title in rooms(db).items()}
    width = max(map(len, titles.values()), default=0)
    lines = {number: f"#{number:<4} forgotten  {at.astimezone(_zone()):%Y-%m-%d %H:%M}" for number, at in gone.items()}
    for round in rounds:
        room = f"{titles.get(round.group, round.group):<{width}}  " if len(titles) > 1 else ""
        voted = round.result.answered if round.result else sum(seat.has_voted for seat in round.seats.values())
        counted = f"{voted} of {round.asked} voted"
        when = f"{round.opened_at.astimezone(_zone()):%Y-%m-%d %H:%M}"
        question = one_line(round.spec.question)
        lines[round.number] = f"#{round.number:<4} {round.state:<9}  {when}  {counted:<20}  {room}{question}"
    click.echo("\n".join(lines[number] for number in sorted(lines)) or "No vote was held here yet.")


@click.command()
@instance_option
@click.argument("name", metavar="ID")
def show(instance: str | None, name: str) -> None:
    """Print all about the vote ID (its number, or the id in the store) but who voted what."""
    with reading(folder_of(instance)) as db:
        round = archive.load(db, name)
        result = archive.result(db, round)
    spec, now = round.spec, AsyncioClock().utcnow()
    shown = sum(seat.reached == "shown" for seat in round.seats.values())
    click.echo(f"Vote #{round.number}: {one_line(spec.question)}")
    click.echo(f"Choices: {unescape(choices_of(spec))}")
    rules = [f"{key} {value}" for key, value in spec.rules.items() if not isinstance(value, bool)]
    rules += [key for key, value in spec.rules.items() if value is True]
    if rules:
        click.echo(f"Rules: {', '.join(rules)}")
    click.echo(f"Opened by {one_line(round.opener.name)}, {round.opened_at.astimezone(_zone()):%Y-%m-%d %H:%M}")
    told = standing(round, now, _zone(), result)
    click.echo(told.state)
    voted = result.answered if result else sum(seat.has_voted for seat in round.seats.values())
    click.echo(f"{shown} of {round.asked} have a ballot; {voted} voted")
    missed = result.unreachable if result and round.is_over else [person.name for person in round.unreachable()]
    if missed and round.state != "planned":
        click.echo(f"Not reached ({len(missed)}):")
        for person in missed:
            click.echo(f"  {one_line(person)}")
    if result is not None:
        click.echo(bars(result))
        click.echo(told.verdict)
        if result.silent:
            click.echo(f"Did not confirm the close: {', '.join(map(one_line, result.silent))}")


@click.command()
@instance_option
@click.option("--format", "kind", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--counts", "is_counts", is_flag=True, help="As CSV a row for each choice, not for each person.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write, for this user only.")
@click.argument("name", metavar="ID")
def export(instance: str | None, kind: Literal["csv", "json"], is_counts: bool, output: Path | None, name: str) -> None:
    """Write down the vote ID: a row for each person on its roll; of an anonymous vote the counts only."""
    with reading(folder_of(instance)) as db:
        round = archive.load(db, name)
        result = archive.result(db, round)
        voters = archive.voters(db, round)
    told = standing(round, AsyncioClock().utcnow(), _zone(), result)
    if kind == "json":
        more = {"id": round.id, "rules": round.spec.rules, "opened_at": round.opened_at.isoformat()}
        closes = {"closes_at": round.closes_at.isoformat() if round.closes_at else None}
        roll = {} if round.spec.anonymous else {"people": people(voters)}
        text = orjson.dumps(facts(told) | more | closes | roll, option=orjson.OPT_INDENT_2).decode() + "\n"
    elif not is_counts and not round.spec.anonymous:
        text = people_sheet(voters)
    elif result is None:
        raise PollError(f"there are no counts to be seen of vote #{round.number}; it is {round.state}")
    else:
        text = counts_sheet(result, told.verdict)
    _write(text if kind == "json" or output is None else MARK + text, output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(text.encode())
    except OSError as error:
        raise StoreError(f"cannot write {output}: {error.strerror}; name another file with --output") from error
    click.echo(f"Written: {output}")


def _zone() -> tzinfo:
    context = Context()
    context.apply_environment()
    return read_zone(context)
