"""For what looks at a server's folder: people in one group of an engine, and its clock."""

from tests.scenarios.conftest import clock, party

__all__ = ["clock", "party"]
