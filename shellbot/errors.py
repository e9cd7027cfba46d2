"""Every exception of shellbot.

::

    ShellbotError
      ConfigError (ValueError)
      BusError
        InvalidChannel (ValueError, AssertionError)
        InvalidMessage (ValueError, AssertionError)
          NotSerializable
          NotFinite
          TooDeep
          MessageTooLarge
        BadAddress (ValueError)
        AddressInUse (OSError)
        QueueFull (queue.Full)
        NotRunning
        BusClosed
        BusTimeout (TimeoutError)
        BusUnavailable
        GuaranteeUnavailable
        AuthenticationFailed (PermissionError)
        StorageFull (OSError)
        StorageCorrupt
      AgentError
        UnknownAgent (LookupError)
        AgentStopped
        CallTimeout (TimeoutError)
        RemoteError
      SpaceError
        RateLimited
        OutcomeUnknown
        SpaceUnauthorized (PermissionError)
        MessageRefused (ValueError)
        LinkRefused (PermissionError)
        ChannelNotFound (LookupError)
        FileRefused (ValueError)
        SignatureInvalid (PermissionError)
      StoreError
      CommandError
        UsageError
        NotAllowed (PermissionError)
      MachineError
      PollError
        PollClosed
        NotEligible
        UnknownChoice (LookupError)

The text of each says what to do about it. Those that carry fields name them in their docstring.
"""

from __future__ import annotations

import queue


class ShellbotError(Exception):
    """Base of all errors that shellbot raises on purpose."""


class ConfigError(ShellbotError, ValueError):
    """A setting is unknown, missing or of the wrong kind.

    Attributes:
        key: Dotted key of the setting, or ``''`` where the whole file is meant.
    """

    def __init__(self, text: str, *, key: str = "") -> None:
        super().__init__(text)
        self.key = key


class BusError(ShellbotError):
    """Base of what the bus raises."""


class InvalidChannel(BusError, ValueError, AssertionError):
    """A channel name is missing or cannot travel on the wire. Also an AssertionError, as in 2017.

    Attributes:
        channel: The value that was refused.
    """

    def __init__(self, text: str, *, channel: object = None) -> None:
        super().__init__(text)
        self.channel = channel


class InvalidMessage(BusError, ValueError, AssertionError):
    """A message is missing or cannot travel on the wire. Also an AssertionError, as in 2017.

    Attributes:
        path: Where in the message the offending value is, e.g. ``$.choices[2]``.
    """

    def __init__(self, text: str, *, path: str = "$") -> None:
        super().__init__(text)
        self.path = path


class NotSerializable(InvalidMessage):
    """A value, or the key of an object, has no JSON form."""


class NotFinite(InvalidMessage):
    """NaN or infinity, which JSON cannot say."""


class TooDeep(InvalidMessage):
    """More than 64 lists and objects inside each other, or a cycle."""


class MessageTooLarge(InvalidMessage):
    """The encoded message exceeds the limit.

    Attributes:
        size_bytes: Its size; limit_bytes: what is allowed.
    """

    def __init__(self, text: str, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(text)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class BadAddress(BusError, ValueError):
    """The address of a bus cannot be used.

    Attributes:
        address: As it was given.
    """

    def __init__(self, text: str, *, address: object) -> None:
        super().__init__(text)
        self.address = address


class AddressInUse(BusError, OSError):
    """Somebody else already publishes on this address.

    Attributes:
        address: The address that is taken.
    """

    def __init__(self, text: str, *, address: str) -> None:
        super().__init__(text)
        self.address = address


class QueueFull(BusError, queue.Full):
    """The publisher took nothing for ``bus.put_timeout`` seconds.

    Attributes:
        sent: Channels of this put that were queued before, in order.
    """

    def __init__(self, text: str, *, sent: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.sent = sent


class NotRunning(BusError):
    """The publisher process has ended, so nothing more can be put.

    Attributes:
        sent: Channels of this put that were queued before, in order.
    """

    def __init__(self, text: str, *, sent: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.sent = sent


class BusClosed(BusError):
    """This end was closed with ``close()``."""


class BusTimeout(BusError, TimeoutError):
    """What was waited for did not come in time."""


class BusUnavailable(BusError):
    """A library or server that this address needs is not there; the text names it."""


class GuaranteeUnavailable(BusError):
    """This bus cannot promise what was asked for.

    Attributes:
        asked: The level asked for; offered: the highest that this bus keeps.
    """

    def __init__(self, text: str, *, asked: str, offered: str) -> None:
        super().__init__(text)
        self.asked = asked
        self.offered = offered


class AuthenticationFailed(BusError, PermissionError):
    """The other side did not show the key it should have."""


class StorageFull(BusError, OSError):
    """There is no room left where the bus keeps its files."""


class StorageCorrupt(BusError):
    """A file of the bus does not hold what was written to it."""


class AgentError(ShellbotError):
    """Base of what agents raise."""


class UnknownAgent(AgentError, LookupError):
    """No agent of this name lives here."""


class AgentStopped(AgentError):
    """The agent has stopped, or stopped while somebody waited for it."""


class CallTimeout(AgentError, TimeoutError):
    """No reply in time, or a turn took longer than it may; it may still have acted."""


class RemoteError(AgentError):
    """The method raised on the other side.

    Attributes:
        kind: Name of the exception's class there; trace: its traceback as text.
    """

    def __init__(self, text: str, *, kind: str = "", trace: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.trace = trace


class SpaceError(ShellbotError):
    """Base of what a chat platform answers."""


class RateLimited(SpaceError):
    """The platform asks to wait.

    Attributes:
        retry_after: Seconds to wait.
    """

    def __init__(self, text: str, *, retry_after: float) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class OutcomeUnknown(SpaceError):
    """The connection broke after the platform was asked, so that it may have done it or not."""


class SpaceUnauthorized(SpaceError, PermissionError):
    """The platform does not know the bot's token any more. Nothing is tried again until the next start."""


class MessageRefused(SpaceError, ValueError):
    """The platform does not take this, and would not take it again: it is malformed, too long, a wrong kind of file."""


class LinkRefused(SpaceError, PermissionError):
    """A signed link that does not count, or not any more.

    Attributes:
        reason: ``damaged``, ``expired``, ``used``, ``revoked`` or ``room``.
    """

    def __init__(self, text: str, *, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class ChannelNotFound(SpaceError, LookupError):
    """No such channel, or the person cannot be reached there."""


class FileRefused(SpaceError, ValueError):
    """A file cannot be taken or sent: too large, too many, not there, no plain file. The text can be said to people.

    Attributes:
        path: Where the bot wanted to read it; '' for a file of somebody else.
    """

    def __init__(self, text: str, *, path: str = "") -> None:
        super().__init__(text)
        self.path = path


class SignatureInvalid(SpaceError, PermissionError):
    """A delivery does not carry the platform's signature."""


class StoreError(ShellbotError):
    """The store cannot be read or written; the text names the file and the remedy."""


class InstanceInUse(StoreError):
    """Another process serves the folder of this instance.

    Attributes:
        holder: Number of that process, or ``unknown``.
    """

    def __init__(self, text: str, *, holder: str) -> None:
        super().__init__(text)
        self.holder = holder


class CommandError(ShellbotError):
    """Base of what a command may raise; its text is said in the channel."""


class UsageError(CommandError):
    """A command was not used as it should be; the text says how."""


class NotAllowed(CommandError, PermissionError):
    """This person may not do this."""


class MachineError(ShellbotError):
    """A state machine was asked for a step it does not have."""


class PollError(CommandError):
    """Base of what a poll answers to those who use it; its text is said in the channel."""


class PollClosed(PollError):
    """The poll takes no more votes."""


class NotEligible(PollError):
    """This person is not on the roll of the poll."""


class UnknownChoice(PollError, LookupError):
    """No choice of the poll is named so."""
