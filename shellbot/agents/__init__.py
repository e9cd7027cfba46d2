"""Agents: each has a mailbox and does one thing at a time; a container is where they live."""

from shellbot.agents.agent import Agent
from shellbot.agents.container import Container

__all__ = ["Agent", "Container"]
