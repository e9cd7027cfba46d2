"""``shellbot poll roll`` and ``shellbot poll check``: who is to be asked, before anybody is."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shellbot.errors import PollError
from shellbot.polls.acquaintances import acquaintances, room, rooms
from shellbot.polls.roll import Mistake, Roll, doubles, match, problems, read
from shellbot.polls.rolls import Rolls
from shellbot.tools.places import folder_of, instance_option, reading

MOST_SHOWN = 200  # mistakes; the rest is a number


@click.group("roll")
def roll() -> None:
    """Keep rolls: lists of those who are asked in a vote, whether in the room or not."""


@roll.command("import")
@instance_option
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(instance: str | None, name: str, file: Path) -> None:
    """Keep the people in the CSV file FILE as the roll NAME, in place of one of this name.

    Its columns are id, address and name, or some of them. Then: poll "Question?" Yes, No to roll NAME
    """
    found = _read(file)
    if found.mistakes:
        _tell(str(file), found.mistakes)
        raise PollError(f"{file} is not kept; correct these lines first, or look at all with: shellbot poll check")
    first = doubles(found.entries)
    for line, before in first.items():
        click.echo(f"{file}, line {line}: the same person as in line {before}; kept once")
    kept = Roll(tuple(entry for entry in found.entries if entry.line not in first))
    Rolls(folder_of(instance)).put(name, kept)
    click.echo(f"Roll {name.casefold()}: {_people(len(kept.entries))}.")


@roll.command("list")
@instance_option
def list_(instance: str | None) -> None:
    """Print the rolls that are kept."""
    kept = Rolls(folder_of(instance)).all()
    for each in kept:
        click.echo(f"{each.name}: {_people(each.count)}, of {each.at.astimezone():%Y-%m-%d %H:%M}")
    if not kept:
        click.echo("There is none yet; put one there with: shellbot poll roll import NAME FILE.csv")


@roll.command()
@instance_option
@click.argument("name")
def show(instance: str | None, name: str) -> None:
    """Print who is on the roll NAME."""
    for entry in Rolls(folder_of(instance)).read(name).entries:
        click.echo(str(entry))


@roll.command()
@instance_option
@click.argument("name")
def remove(instance: str | None, name: str) -> None:
    """Take the roll NAME away. Votes that are open go on with whom they asked."""
    Rolls(folder_of(instance)).remove(name)
    click.echo(f"Roll {name.casefold()} is removed.")


@click.command()
@instance_option
@click.option("--room", "room_name", metavar="ROOM", help="Also tell who is not in this room (its title or id).")
@click.argument("name", metavar="FILE")
def check(instance: str | None, room_name: str | None, name: str) -> None:
    """Check a roll before a vote: the CSV file FILE, or a roll of this name that is kept.

    Exit code 0: everybody can be asked. 1: somebody is unknown, on it twice, or cannot be reached; each line says what
    to do.
    """
    folder = folder_of(instance)
    found = _read(Path(name)) if Path(name).exists() else Rolls(folder).read(name)
    with reading(folder) as db:
        known = acquaintances(db)
        place = room(db, room_name) if room_name else None
        if room_name and place is None:
            raise PollError(f"there is no room {room_name}; there are: {', '.join(rooms(db).values()) or 'none yet'}")
    matches = match(found.entries, known)
    wrong = [*found.mistakes, *problems(matches)]
    _tell(name, wrong)
    if place is not None:
        away = [each for each in matches if each.known is not None and place[0] not in each.known.rooms]
        for each in away[:MOST_SHOWN]:
            click.echo(
                f"{name}, line {each.entry.line}: {each.entry} is not in {place[1]}; asked in the direct channel"
            )
    good = len(found.entries) - len({mistake.line for mistake in problems(matches)})
    click.echo(f"{name}: {_people(len(found.entries))}, {good} can be asked, {len(wrong)} lines to look at.")
    if wrong:
        sys.exit(1)


def _read(file: Path) -> Roll:
    try:
        return read(file.read_bytes())
    except OSError as error:
        raise PollError(f"{file} cannot be read: {error.strerror}") from error


def _tell(name: str, mistakes: list[Mistake] | tuple[Mistake, ...]) -> None:
    for mistake in sorted(mistakes, key=lambda mistake: mistake.line)[:MOST_SHOWN]:
        where = f", line {mistake.line}" if mistake.line else ""
        click.echo(f"{name}{where}: {mistake.text}")
    if len(mistakes) > MOST_SHOWN:
        click.echo(f"{name}: and {len(mistakes) - MOST_SHOWN} more")


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
