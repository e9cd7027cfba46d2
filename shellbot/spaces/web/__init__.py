"""The web space: one group room and a direct channel with each person in it, kept in the store.

What is shown in a browser is the business of ``shellbot.server``; this room knows people, posts and their numbers.
"""

from shellbot.spaces.web.ledger import Member, Post
from shellbot.spaces.web.space import Cursor, Page, Typing, WebSpace

__all__ = ["Cursor", "Member", "Page", "Post", "Typing", "WebSpace"]
