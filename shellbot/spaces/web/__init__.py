"""The web space: group rooms and a direct channel with each person in them, kept in the store.

What is shown in a browser is the business of ``shellbot.server``; this knows rooms, people, posts and their numbers.
"""

from shellbot.spaces.web.ledger import Member, Post
from shellbot.spaces.web.rooms import Room
from shellbot.spaces.web.space import Cursor, Ended, Page, Typing, WebSpace

__all__ = ["Cursor", "Ended", "Member", "Page", "Post", "Room", "Typing", "WebSpace"]
