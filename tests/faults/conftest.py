"""Fixtures of the scenarios, for the faults of servers and votes, and of the platform."""

from tests.scenarios.conftest import clock, party
from tests.spaces.webex.conftest import fake

__all__ = ["clock", "fake", "party"]
