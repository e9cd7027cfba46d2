"""The one place where it is asked who may do what, and where that is written down."""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger

from shellbot.commands.access import OWNER, Access
from shellbot.errors import NotAllowed
from shellbot.events import Channel, Person
from shellbot.trail import Attempt, Trail, Use

logger = getLogger(__name__)


class Guard:
    """Asks the rules of one engine, and writes its log: what is refused, what administers, what is to be noted."""

    def __init__(self, access: Access, trail: Trail) -> None:
        self.access = access
        self._trail = trail

    def is_admin(self, person: Person) -> bool:
        """Whether this is an admin."""
        return self.access.is_admin(person)

    def may(self, person: Person, channel: Channel, keyword: str, use: Use) -> bool:
        """Whether this would be allowed; nothing is written."""
        return self.access.decide(person, channel, keyword, use.right).is_allowed

    def refusal(self, person: Person, channel: Channel) -> str:
        """What to tell who may not use the bot there at all; ``""`` where that is allowed."""
        refused = self.access.refuses(person, channel)
        return refused.text if refused is not None else ""

    def check(self, attempt: Attempt, refusal: str = "") -> None:
        """Let it pass, or refuse it. Call this before anything is done, so that the log has it first.

        Args:
            refusal: What to tell who is not the owner.

        Raises:
            NotAllowed: This person may not; the text says why.
            StoreError: It cannot be written down; then it is not to be done either.
        """
        decision = self.access.judge(attempt)
        if not decision.is_allowed or attempt.use.is_noted or attempt.use.right == "administer":
            self._trail.add(attempt, decision.rule, is_allowed=decision.is_allowed)
        if not decision.is_allowed:
            person, channel = attempt.person.id, attempt.channel.id
            logger.info(
                "refused person=%s channel=%s deed=%s rule=%s", person, channel, attempt.use.deed, decision.rule
            )
            raise NotAllowed(refusal if refusal and decision.rule == OWNER else decision.text)

    def described(self) -> Iterator[str]:
        """The rules in words, a line each; plain text."""
        return self.access.described()
