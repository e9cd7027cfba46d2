"""Replies on their way to the platform, each as one or more messages. Sent at least once, and never more than twice.

Before a message is posted a row says so, on disk. When nobody knows what came of it, because the connection broke or
the program was killed, it is posted once more, marked "(again)"; whatever comes of that, not a third time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from logging import getLogger

from shellbot.clocks import BaseClock
from shellbot.errors import ChannelNotFound, MessageRefused, OutcomeUnknown, SpaceError
from shellbot.events import File, Reply
from shellbot.spaces.webex import ledger
from shellbot.spaces.webex.cards import adaptive, has_buttons, worded
from shellbot.spaces.webex.client import Client
from shellbot.spaces.webex.events import Json
from shellbot.spaces.webex.later import TooSoon, earliest
from shellbot.spaces.webex.ledger import Kind, Part
from shellbot.spaces.webex.text import MARK, ROOM_BYTES, calm, fenced, split, with_mark, without_tables
from shellbot.stores.base import Store

logger = getLogger(__name__)

MOST_EDITS = 10  # that Webex takes of one message


@dataclass(frozen=True, slots=True)
class Draft:
    """One message as it should stand there: text, with a card or a file, not both."""

    markdown: str
    card: Json | None = None
    card_again: Json | None = None  # the same, marked
    file: File | None = None

    @property
    def kind(self) -> Kind:
        return "card" if self.card is not None else "file" if self.file is not None else "text"

    @property
    def digest(self) -> str:
        """Equal where what people see is equal."""
        shown = json.dumps([self.markdown, self.card, self.file.id if self.file else ""], sort_keys=True)
        return hashlib.sha256(shown.encode()).hexdigest()[:32]

    def again(self) -> Draft:
        """With the mark at its end."""
        return replace(self, markdown=with_mark(self.markdown), card=self.card_again)


def drafts(reply: Reply, placed: Callable[[File], File], can_press: bool) -> list[Draft]:
    """The messages that show a reply, in order. Pure, but for where ``placed`` says that files are."""
    words = partial(worded, can_press=can_press)
    fixed = fenced(reply.fixed) if reply.fixed else ""
    files = [placed(file) for file in reply.files]
    found: list[Draft] = []
    if has_buttons(reply.card):
        markdown = _shown(words(reply))
        if fixed or len(markdown.encode()) > ROOM_BYTES:
            found = [Draft(piece) for piece in split(_shown(_joined(reply.text, fixed)))]
            reply = replace(reply, text="")
            markdown = split(_shown(words(reply)))[0]
        made = partial(adaptive, reply, can_press=can_press)
        found.append(Draft(markdown, made(), made(mark=MARK)))
    else:
        found = [Draft(piece) for piece in split(_shown(_joined(words(reply), fixed)))]
        if files:
            last = found.pop() if found else Draft("")
            found.append(replace(last, file=files.pop(0)))
    return found + [Draft("", file=file) for file in files]


def _joined(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


def _shown(markdown: str) -> str:
    return calm(without_tables(markdown))


class Sender:
    """Shows replies and changes them. One reply of a channel at a time; the caller sees to that.

    Args:
        placed: Gives a file of a reply with its path.
        can_press: Whether it is heard when somebody presses a button.
    """

    def __init__(
        self, store: Store, client: Client, clock: BaseClock, placed: Callable[[File], File], *, can_press: bool
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._placed = placed
        self._can_press = can_press

    async def show(self, channel: str, to: Json, reply: Reply) -> str:
        """Have this reply stand there in this version, unless it does, or a later one.

        Returns:
            Id of the room it stands in; ``''`` where nothing was posted.

        Raises:
            ChannelNotFound, MessageRefused: It cannot be, and repeating does not help.
            SpaceError: Some of it is not there yet; to be repeated.
            TooSoon: It only changes a text that was changed a moment ago, and often before.
        """
        known = await self._store.read(lambda db: ledger.parts(db, channel, reply.id))
        if any(part.version > reply.version for part in known.values()):
            return ""
        wanted = drafts(reply, self._placed, self._can_press)
        self._must_be_late_enough(wanted, known)
        room = ""
        has_moved = False  # what follows would stand above it
        for number, draft in enumerate(wanted):
            before = known.get(number)
            part = await self._have(channel, to, reply, number, draft, before, has_moved)
            has_moved = has_moved or (before is not None and part.message != before.message)
            room = part.room or room
        for number in sorted(known.keys() - set(range(len(wanted)))):
            await self._take_back(known[number])
            self._store.post(partial(ledger.drop_part, channel=channel, reply=reply.id, part=number))
        return room

    def _must_be_late_enough(self, wanted: list[Draft], known: dict[int, Part]) -> None:
        if not any(draft.kind != "text" for draft in wanted) and len(wanted) == len(known):
            changed = [part for draft, part in zip(wanted, known.values(), strict=True) if part.digest != draft.digest]
            if changed and all(part.state == "sent" and part.kind == "text" for part in changed):
                due = max(earliest(part.edits, part.at) for part in changed)
                if due > self._clock.utcnow().timestamp():
                    raise TooSoon(due)

    async def _have(
        self, channel: str, to: Json, reply: Reply, number: int, draft: Draft, part: Part | None, has_moved: bool
    ) -> Part:
        def keep(part: Part) -> Part:
            self._store.post(lambda db: ledger.keep_part(db, channel, reply.id, part))
            return part

        if part is not None and part.state == "again":
            logger.warning("sent twice, and nobody knows what came of it channel=%s reply=%s", channel, reply.id)
            part = keep(replace(part, state="sent"))
        if part is not None and part.state == "sent":
            if part.digest == draft.digest and (not has_moved or draft.file is not None):
                return part if part.version == reply.version else keep(replace(part, version=reply.version))
            if await self._edit(draft, part, has_moved, keep):
                now = self._clock.utcnow().timestamp()
                return keep(replace(part, version=reply.version, digest=draft.digest, edits=part.edits + 1, at=now))
            await self._take_back(part)
            part = None
        return await self._post(channel, to, reply, draft, Part(
            number, reply.version, draft.kind, draft.digest,
            "doubt" if part is not None else "sending", edits=0,
        ))  # fmt: skip

    async def _edit(self, draft: Draft, part: Part, has_moved: bool, keep: Callable[[Part], Part]) -> bool:
        """Change the text of a message where that can be done; False where it has to be posted anew."""
        can_edit = draft.kind == part.kind == "text" and part.message and part.edits < MOST_EDITS and not has_moved
        if not can_edit:
            return False
        try:
            await self._client.edit(part.message, part.room, draft.markdown)
        except (ChannelNotFound, MessageRefused) as error:
            logger.info("a message is posted anew, for it takes no change: %s", error)
            return False
        except OutcomeUnknown:
            keep(replace(part, edits=part.edits + 1))  # it may have counted
            raise
        return True

    async def _take_back(self, part: Part) -> None:
        if part.message:
            try:
                await self._client.delete(part.message)
            except MessageRefused as error:
                logger.warning("a message stays that should be gone: %s", error)

    async def _post(self, channel: str, to: Json, reply: Reply, draft: Draft, part: Part) -> Part:
        is_again = part.state == "doubt"

        async def keep(part: Part) -> None:
            await self._store.write(lambda db: ledger.keep_part(db, channel, reply.id, part))

        if is_again:
            logger.warning("sent once more, for nobody knows whether it came channel=%s reply=%s", channel, reply.id)
        await keep(replace(part, state="again" if is_again else "sending"))
        shown = draft.again() if is_again else draft
        try:
            try:
                posted = await self._client.send(to, shown.markdown, shown.card, shown.file)
            except MessageRefused as error:
                if shown.card is None:
                    raise
                logger.warning("a card is shown as text, for it is refused reply=%s: %s", reply.id, error)
                posted = await self._client.send(to, shown.markdown)
                part = replace(part, kind="text")
        except OutcomeUnknown as error:
            if not is_again:
                await keep(replace(part, state="doubt"))
                raise
            logger.warning("sent twice, and nobody knows what came of it reply=%s: %s", reply.id, error)
            posted = {}
        except SpaceError:  # not there for certain
            if is_again:
                await keep(part)
            else:
                await self._store.write(lambda db: ledger.drop_part(db, channel, reply.id, part.part))
            raise
        message, room = str(posted.get("id") or ""), str(posted.get("roomId") or "")
        part = replace(part, state="sent", message=message, room=room, at=self._clock.utcnow().timestamp())
        # not waited for: the outbox forgets the reply behind it, in the same order
        self._store.post(lambda db: ledger.keep_part(db, channel, reply.id, part))
        return part
