"""Plays a conversation written as text with a real server, and says which line did not come true."""

from __future__ import annotations

from dataclasses import dataclass

from shellbot.errors import ShellbotError
from shellbot.testing.conversation import Scene, Step
from shellbot.testing.dialogue import Dialogue
from shellbot.testing.pages import Shown
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.servers import ServerEnded


@dataclass(frozen=True, slots=True)
class Failure:
    """The first line that did not come true, and what was heard instead, or what went wrong."""

    line: int
    text: str


class Rehearsal:
    """One scene. A message that was heard is used up by the next deed: what is said twice needs two answers.

    Args:
        dialogue: Not used before.
    """

    def __init__(self, dialogue: Dialogue, scene: Scene) -> None:
        self._dialogue = dialogue
        self._scene = scene
        # By who reads and where: index of the message in what that person was shown.
        self._from: dict[tuple[str, str], int] = {}
        self._heard: set[tuple[str, str]] = set()
        self._at_deed: dict[str, int] = {}
        self._gone: dict[str, ScriptedPerson] = {}  # in their browsers, in which the name is theirs

    async def play(self) -> Failure | None:
        """Play all of it; None when all came true."""
        line = self._scene.line
        try:
            await self._dialogue.group(*self._scene.people)
            for step in self._scene.steps:
                line = step.line
                if step.do in ("hears", "hears not"):
                    await self._listen(step)
                else:
                    await self._act(step)
        except (ShellbotError, ServerEnded, LookupError, OSError) as error:  # TimeoutError is an OSError
            return Failure(line, str(error) or type(error).__name__)
        return None

    # --- deeds

    async def _act(self, step: Step) -> None:
        await self._begin_deed()
        dialogue = self._dialogue
        if step.do == "comes" and step.who in self._gone:
            await self._return(step.who)
        group = await dialogue.group(*([step.who] if step.do == "comes" else []))
        match step.do:
            case "says" if step.side == "group":
                await group.say(step.who, step.text)
            case "says":
                await dialogue.direct(step.who).say(step.text)
            case "presses" if step.side == "group":
                await group.press(step.who, step.text)
            case "presses":
                await dialogue.direct(step.who).press(step.text)
            case "wait":
                await dialogue.clock.advance(step.seconds)
            case "restart" | "kill":
                await dialogue.restart(kill=step.do == "kill")
            case "leaves":
                await self._leave(step.who)
        await self._catch_up()

    async def _begin_deed(self) -> None:
        for key in self._heard:
            self._from[key] += 1
        self._heard.clear()
        people = self._gone | self._dialogue.people
        self._at_deed = {name: len(person.shown) for name, person in people.items()}

    async def _leave(self, name: str) -> None:
        is_reader = self._dialogue.person(name) is self._reader("")
        person = self._gone[name] = self._dialogue.people.pop(name)
        await person.leave()
        await self._dialogue.clock.settle()
        if is_reader and self._dialogue.people:  # somebody else listens to the group from now on
            reader = self._reader("")
            self._from[reader.name, "group"] = len(reader.shown)

    async def _return(self, name: str) -> None:
        person = self._dialogue.people[name] = self._gone.pop(name)
        await person.join()
        await self._dialogue.clock.settle()

    async def _catch_up(self) -> None:
        for person in self._dialogue.people.values():
            await person.catch_up()

    # --- what is heard

    def _reader(self, name: str) -> ScriptedPerson:
        if name:
            return self._dialogue.person(name)
        for person in self._dialogue.people.values():
            return person
        raise LookupError("everybody has left; nobody hears what is said in the group")

    async def _listen(self, step: Step) -> None:
        reader = self._reader(step.who)
        where = f"by {step.who} alone" if step.who else "in the group"
        if step.do == "hears not":
            await self._catch_up()
            heard = [post for post in reader.shown[self._at_deed.get(reader.name, 0) :] if _is_it(post, step)]
            if heard:
                told = repr(step.text) if step.text else "anything"
                raise _Untrue(f"{told} was not to be heard {where}, but:{_quoted(heard)}")
            return
        key = (reader.name, step.side)
        begin = self._from.setdefault(key, 0)

        def look() -> int | None:
            return next((at for at in range(begin, len(reader.shown)) if _is_it(reader.shown[at], step)), None)

        try:
            self._from[key] = await reader.until(look)
        except TimeoutError:
            heard = [post for post in reader.shown[begin:] if post.is_bot and post.side == step.side]
            raise _Untrue(f"{step.text!r} was not heard {where}, but:{_quoted(heard)}") from None
        self._heard.add(key)


class _Untrue(LookupError):
    """A line did not come true."""


def _is_it(post: Shown, step: Step) -> bool:
    """Line ends and repeated blanks make no difference."""
    return post.is_bot and post.side == step.side and " ".join(step.text.split()) in " ".join(post.text.split())


def _quoted(posts: list[Shown]) -> str:
    lines = [line for post in posts[-5:] for line in post.text.split("\n")]
    return "".join(f"\n    {line}" for line in lines) if lines else " nothing"
