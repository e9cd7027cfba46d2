"""State machines as of 2017, made pure: events and time come in, things to say come out, the state is a JSON value."""

from shellbot.machines.base import Machine, State, Transition
from shellbot.machines.deeds import Deed, Invite, Say, Settle, Update
from shellbot.machines.factory import MachineFactory
from shellbot.machines.input import Input
from shellbot.machines.menu import Menu
from shellbot.machines.sequence import Sequence
from shellbot.machines.steps import Step, Steps

__all__ = [
    "Deed",
    "Input",
    "Invite",
    "Machine",
    "MachineFactory",
    "Menu",
    "Say",
    "Sequence",
    "Settle",
    "State",
    "Step",
    "Steps",
    "Transition",
    "Update",
]
