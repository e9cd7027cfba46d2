"""Spaces: where people and bots meet. Each is imported from its module, e.g. ``shellbot.spaces.console``."""
