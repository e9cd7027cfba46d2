"""The plugin as its users get it by its entry point."""

from shellbot.testing.plugin import dialogue, dialogue_options, pytest_pyfunc_call

__all__ = ["dialogue", "dialogue_options", "pytest_pyfunc_call"]
