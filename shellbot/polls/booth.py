"""The direct side of a poll: it shows the ballot when the frame arrives, keeps the vote, hands it over until confirmed.

It knows the group only by what comes over the bus. A vote is kept here before the click is answered; the person's
receipt appears when the group's receipt has come back.
"""

from __future__ import annotations

import sqlite3
from datetime import tzinfo
from logging import getLogger
from sys import intern
from typing import Any

from msgspec.structs import replace

from shellbot.bot import ShellBot
from shellbot.commands.base import Said
from shellbot.errors import PollClosed, UnknownChoice
from shellbot.events import CardAction, Message, Reply
from shellbot.inbox import finish
from shellbot.markup import plain
from shellbot.outbox import insert as keep_reply
from shellbot.polls import ballot, marking
from shellbot.polls.ballot import DONE
from shellbot.polls.handing import Handing, Queues, wire
from shellbot.polls.invitation import Printer, receipt, reminding, still_open, too_late
from shellbot.polls.papers import Paper, Papers
from shellbot.polls.texts import TOO_LATE
from shellbot.polls.veiling import unveiled, veiled_line, veiled_press
from shellbot.turns import current_topic

logger = getLogger(__name__)


class Booth:
    """The ballots of one direct channel. Used only in the turns of its bot.

    ``zone`` is that of the times it says; ``queues`` and ``printer`` are of all direct channels of the process.
    """

    def __init__(self, bot: ShellBot, zone: tzinfo, queues: Queues, printer: Printer) -> None:
        self._printer = printer
        self._bot = bot
        self._zone = zone
        self._store = bot.desk.store
        self._papers: dict[str, Paper] = {}
        self._stored = Papers(bot.desk.store, bot.id)
        self._handing = Handing(bot, queues)

    async def resume(self) -> None:
        """Read the papers of an earlier run and put again what was not confirmed."""
        for paper in await self._stored.unfinished():
            self._papers[paper.poll] = paper
            if not paper.is_confirmed:
                self._handing.begin(paper)

    # --- what the group says

    async def open(self, message: dict[str, Any]) -> None:
        """Show the ballot and report whether the person could be reached."""
        topic = current_topic.get()
        if topic is None or topic.instruction is None:
            return
        paper = self._papers.get(message["poll"])
        if paper is None:
            paper = Paper(
                poll=intern(message["poll"]),
                number=self._free_number(message["number"]),
                group=intern(topic.instruction.group),
                instruction=intern(topic.instruction.id),
                spec=self._printer.spec(message),
                closes_at=message["closes_at"],
                told=message.get("version", 0),
                seal=message.get("seal", ""),
                is_reopened=message.get("op") == "reopen",
            )
        if paper.spec.anonymous and not paper.seal:
            logger.error("an anonymous ballot without a seal is not shown poll=%s channel=%s", paper.poll, self._bot.id)
            if await self._bot.take(_nothing):
                self._bot.report({"op": "unreachable", "poll": paper.poll, "version": message.get("version", 0)})
            return
        reply = self._invitation(paper)

        def keep(db: sqlite3.Connection) -> None:
            self._stored.insert(db, paper)
            keep_reply(db, self._bot.id, reply)

        if not await self._bot.take(keep):
            return
        self._papers[paper.poll] = paper
        is_shown = await self._bot.wait(self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True))
        op = "shown" if is_shown else "unreachable"
        self._bot.report({"op": op, "poll": paper.poll, "version": message.get("version", 0)})

    async def extend(self, message: dict[str, Any]) -> None:
        """Take votes until another time, also where it was closed; a version that is not newer changes nothing."""
        paper = self._papers.get(message["poll"]) or await self._stored.find(message["poll"])
        if paper is None:
            await self.open(message)
            return
        self._papers[paper.poll] = paper
        version = message["version"]
        if version > paper.told and not paper.is_cancelled:
            was_open, paper.is_open, paper.problem = paper.is_open, True, ""
            paper.told, paper.closes_at = version, message["closes_at"]
            paper.is_reopened = paper.is_reopened or message.get("op") == "reopen"
            halt = message.get("halt", "")
            text = still_open(paper, self._when(paper), was_open=was_open, halt=halt)
            is_seen = was_open and self._can_edit and not halt  # on the card
            await self._show(paper, "" if is_seen else text, f"{paper.poll}/told/{version}")
        self._bot.report({"op": "extended", "poll": paper.poll, "version": version})

    async def remind(self, message: dict[str, Any]) -> None:
        """Remind the person of a vote that is open and not cast."""
        paper, reminder = self._papers.get(message["poll"]), message["reminder"]
        if paper is not None and paper.is_open and not paper.has_voted:
            text = reminding(paper, self._when(paper))
            await self._say(Reply(id=f"{paper.poll}/remind/{reminder}", text=text))
        self._bot.report({"op": "reminded", "poll": message["poll"], "reminder": reminder})

    async def cancel(self, message: dict[str, Any]) -> None:
        """Take no more votes: there will be no result."""
        paper = self._papers.get(message["poll"])
        if paper is not None and not paper.is_cancelled:
            self._handing.stop(paper)
            paper.is_open, paper.is_cancelled, paper.is_confirmed, paper.sealed = False, True, True, ""
            text = f"Vote #{paper.number} is cancelled: {plain(paper.spec.question)}"
            await self._show(paper, "" if self._can_edit else text, f"{paper.poll}/cancelled")
        self._bot.report({"op": "closed", "poll": message["poll"]})

    async def note(self, message: dict[str, Any]) -> None:
        """Tell the person something that is for nobody else."""
        text, fixed, version = message["text"], message["fixed"], message.get("version", 1)
        await self._say(Reply(id=message["id"], text=text, fixed=fixed, version=version))
        self._bot.report({"op": "noted", "poll": message["poll"], "note": message["id"]})

    async def close(self, message: dict[str, Any]) -> None:
        """Take no more votes, hand over one that is not confirmed, report that it is closed."""
        paper = self._papers.get(message["poll"])
        body: dict[str, Any] = {"op": "closed", "poll": message["poll"]}
        if reopened := message.get("reopened"):
            body["reopened"] = reopened
        if paper is not None and not paper.is_confirmed:
            body["ballot"] = wire(paper)
        if paper is not None and paper.is_open:
            problem = TOO_LATE if paper.problem == TOO_LATE else ""  # what else one could do is over
            closed = replace(paper, is_open=False, sealed="" if paper.is_confirmed else paper.sealed, problem=problem)
            if not await self._show(closed, done=body):
                return
            paper.is_open, paper.sealed, paper.version = False, closed.sealed, closed.version
            paper.problem = problem
        elif not await self._bot.take(_nothing, body):
            return
        self._bot.report(body)

    async def confirm(self, message: dict[str, Any]) -> None:
        """Give the person the receipt, if it is for the vote that stands."""
        paper = self._papers.get(message["poll"])
        if paper is None or paper.is_confirmed or message.get("n") != paper.n:
            return
        self._handing.confirm(paper)
        paper.is_confirmed = True
        if not paper.is_open:
            paper.sealed = ""
        if message.get("is_counted") is True:
            text = receipt(paper)
            await self._show(paper, text if paper.is_typed or not self._can_edit else "")
        else:
            late, stands = paper.vote, message.get("stands")
            paper.vote, paper.sealed = ballot.from_wire(stands, paper.spec) or (), ""
            paper.is_cast = paper.spec.anonymous and stands is True
            if message.get("version", paper.told) >= paper.told:  # else it was opened again since
                paper.is_open = False
            if not paper.is_typed:
                paper.problem = TOO_LATE
            await self._show(paper, too_late(paper, late))
        if paper.spec.anonymous and not paper.is_open:
            self._store.post(lambda db: self._stored.forget_ballot(db, paper))

    async def drop(self, poll: str) -> None:
        """Know nothing more of a poll that was forgotten, unless it has come again since."""
        if (paper := self._papers.get(poll)) is not None and await self._stored.find(poll) is None:
            self._papers.pop(poll, None)
            self._handing.stop(paper)

    async def paper_of(self, number: int) -> Paper | None:
        """The latest paper with this number, closed ones too."""
        for paper in self._papers.values():
            if paper.number == number:
                return paper
        return await self._stored.numbered(number)

    # --- what the person says

    @property
    def is_asking(self) -> bool:
        """Whether a ballot is open here."""
        return any(paper.is_open for paper in self._papers.values())

    def is_named_in(self, text: str) -> bool:
        """Whether this begins with the number of a ballot that is here."""
        number, _ = ballot.split_number(text)
        return number is not None and any(paper.number == number for paper in self._papers.values())

    async def veil(self, event: Said) -> Said:
        """What the person says as it may be kept: a vote in an anonymous poll is sealed."""
        await self._stored.drop_forgotten(self._papers, "" if isinstance(event, Message) else event.card)
        if isinstance(event, Message):
            return veiled_line(event, list(self._papers.values()))
        paper = self._papers.get(event.card) or await self._stored.find(event.card)
        return veiled_press(event, paper) if paper is not None and paper.spec.anonymous else event

    async def typed(self, message: Message) -> bool:
        """Take a typed vote; False if it is none.

        Raises:
            PollClosed, UnknownChoice: Their text says what to do.
        """
        found = marking.typed(message.text, self._papers.values())
        if found is None:
            return False
        paper, vote = found
        self._must_have_names(paper)
        await self._vote(paper, message, vote=vote, is_done=True)
        return True

    async def pressed(self, action: CardAction) -> bool:
        """Take a pressed button; False if the card is none of ours.

        Raises:
            PollClosed, UnknownChoice: Their text says what to do.
        """
        paper = self._papers.get(action.card) or await self._stored.find(action.card)
        if paper is None:
            return False
        self._must_have_names(paper)
        await self._must_be_open(paper, action)
        try:
            vote = ballot.press(action.value, paper.vote, paper.spec)
        except UnknownChoice as error:
            if not self._can_edit:
                raise
            paper.problem = str(error)  # told where it was pressed
            await self._show(paper)
            return True
        await self._vote(paper, action, vote=vote, is_done=action.value == DONE or ballot.is_complete(vote, paper.spec))
        return True

    async def unveil(self, event: Said) -> bool:
        """Take a vote that was sealed at the door, or say what hindered it; False if it is none of ours.

        Raises:
            PollClosed, UnknownChoice: Their text says what to do.
        """
        veiled = unveiled(event)
        if veiled.problem:
            raise UnknownChoice(veiled.problem)
        paper = self._papers.get(veiled.poll) or await self._stored.find(veiled.poll)
        if paper is None:
            return False
        await self._vote(paper, event, sealed=veiled.vote, is_cast=veiled.is_cast)
        return True

    def _must_have_names(self, paper: Paper) -> None:
        """The ballot of an anonymous poll came between the door and the turn, so that this vote was kept as it is."""
        if paper.spec.anonymous and paper.is_open:
            raise UnknownChoice(
                f"Vote #{paper.number} is anonymous, and its ballot came just as you wrote. Please answer once more."
            )

    async def _must_be_open(self, paper: Paper, event: Said) -> None:
        """Said is why it is not; of a press also at its ballot, which may be far above."""
        if paper.is_open and (paper.closes_at is None or event.time.timestamp() < paper.closes_at):
            return
        if isinstance(event, CardAction) and self._can_edit:
            paper.problem = TOO_LATE
            await self._show(paper)
        raise PollClosed(marking.closed(paper))

    async def _vote(self, paper: Paper, event: Said, **vote: Any) -> None:
        """Keep a vote before it is answered, and hand it over. ``vote`` is what changes on the paper."""
        await self._must_be_open(paper, event)
        at = event.time.timestamp()
        if self._is_overtaken(paper, at):
            logger.info("a vote came after one that was cast later, and is let be channel=%s", self._bot.id)
            await self._store.write(lambda db: finish(db, event.id))
            return
        vote |= {"n": self._bot.instructions.next_number(), "at": at, "is_confirmed": False}
        vote |= {"is_typed": isinstance(event, Message), "problem": ""}
        voted = replace(paper, **vote)

        def keep(db: sqlite3.Connection) -> None:
            self._stored.put_vote(db, voted)
            finish(db, event.id)

        await self._store.write(keep)
        if (topic := current_topic.get()) is not None and topic.id == event.id:
            topic.is_noted = True
        for name, value in vote.items():
            setattr(paper, name, value)
        self._handing.begin(paper)

    def _is_overtaken(self, paper: Paper, at: float) -> bool:
        """Whether the vote that stands was cast after this one. Of several choices each press says something else."""
        return self._bot.desk.capabilities.stamps and paper.spec.kind != "multiple" and at < paper.at

    # --- what the person sees

    @property
    def _can_edit(self) -> bool:
        return self._bot.desk.capabilities.cards and self._bot.desk.capabilities.edit

    async def _say(self, reply: Reply) -> None:
        """Say it once, whatever is repeated."""
        await self._store.write(lambda db: keep_reply(db, self._bot.id, reply))
        self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)

    async def _show(self, paper: Paper, text: str = "", id: str = "", *, done: dict[str, Any] | None = None) -> bool:
        """Keep the paper and show it as it stands now: on its card where that can be edited, and in ``text``.

        With ``done``, a report, the instruction of this turn is carried out by it; gives False where it was before.
        """
        paper.version += 1
        replies = (
            [self._printer.invitation(paper, self._when(paper), self._bot.desk.capabilities)] if self._can_edit else []
        )
        if text:
            replies.append(Reply(id=id or f"{paper.poll}/{paper.n}/receipt", text=text))
        now = self._bot.clock.utcnow().timestamp()

        def keep(db: sqlite3.Connection) -> None:
            self._stored.update(db, paper, now)
            for reply in replies:
                keep_reply(db, self._bot.id, reply)

        if done is None:
            await self._store.write(keep)
        elif not await self._bot.take(keep, done):
            return False
        for reply in replies:
            self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)
        return True

    def _invitation(self, paper: Paper) -> Reply:
        return self._printer.invitation(paper, self._when(paper), self._bot.desk.capabilities)

    def _when(self, paper: Paper) -> str:
        return self._printer.when(paper, self._bot.clock.utcnow(), self._zone)

    def _free_number(self, number: int) -> int:
        """The group's number for the poll, unless another open one here has it."""
        taken = {paper.number for paper in self._papers.values() if paper.is_open}
        return number if number not in taken else max(taken) + 1


def _nothing(db: sqlite3.Connection) -> None:
    """What is stored with an instruction that changes nothing."""
