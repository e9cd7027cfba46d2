"""Stores: one writer thread over one SQLite database, on disk or in memory."""

from shellbot.stores.base import Store
from shellbot.stores.memory import MemoryStore
from shellbot.stores.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore", "Store"]
