"""A Webex on this machine: the API over HTTP, webhooks, people to play, and what can go wrong with all of it."""

from shellbot.testing.fakewebex.asked import Asked
from shellbot.testing.fakewebex.deliveries import Delivery
from shellbot.testing.fakewebex.fake import FakeWebex
from shellbot.testing.fakewebex.faults import Fault, Faults
from shellbot.testing.fakewebex.humans import Bot, Person
from shellbot.testing.fakewebex.rules import Refused
from shellbot.testing.fakewebex.state import Action, File, Message, Room, Webhook

__all__ = [
    "Action",
    "Asked",
    "Bot",
    "Delivery",
    "FakeWebex",
    "Fault",
    "Faults",
    "File",
    "Message",
    "Person",
    "Refused",
    "Room",
    "Webhook",
]
