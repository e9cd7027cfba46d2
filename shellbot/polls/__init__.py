"""Votes: asked by a group, answered in the direct channels, over the bus both ways."""

from shellbot.polls.commands import PollCommand
from shellbot.polls.poll import Poll, Reach
from shellbot.polls.tally import Result

__all__ = ["Poll", "PollCommand", "Reach", "Result"]
