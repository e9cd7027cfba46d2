"""Fixtures of the scenarios, for the faults of servers and votes."""

from tests.scenarios.conftest import clock, party

__all__ = ["clock", "party"]
