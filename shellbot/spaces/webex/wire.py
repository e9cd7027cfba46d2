"""What lies between an SDK and the network: it sees each request before it goes, and each answer before the SDK does.

The SDK of 2017 ends with a ValueError on the waiting times that Webex sends, and both follow whatever address they are
given, with the token.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from datetime import datetime
from email.message import Message as Headers
from logging import getLogger
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from shellbot.errors import (
    ChannelNotFound,
    FileRefused,
    MessageRefused,
    OutcomeUnknown,
    RateLimited,
    SpaceError,
    SpaceUnauthorized,
)
from shellbot.events import File
from shellbot.files.shelf import PIECE_BYTES, Shelf
from shellbot.markup import one_line
from shellbot.spaces.webex.hosts import is_of_webex
from shellbot.spaces.webex.retry import retry_after

logger = getLogger(__name__)

CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0  # seconds
DOWNLOAD_TIMEOUT = 120.0  # seconds for a whole file
MOST_TOLD_BYTES = 20_000  # of what the platform says about a failure
_EXTENDED = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)


class Wire(HTTPAdapter):
    """All requests of one session. Used in one thread.

    Args:
        url: Where Webex's API is; no request goes elsewhere, and nothing is followed.
        utcnow: What dates in answers are compared with.
        pause: Called with the seconds for which the platform wants no call of this token.

    Attributes:
        has_asked: Whether a request has gone out since this was set to False.
        is_beside: Whether requests go to another host of Webex for now.
    """

    def __init__(self, url: str, utcnow: Callable[[], datetime], pause: Callable[[float], None]) -> None:
        super().__init__()
        self.has_asked = False
        self.is_beside = False
        self._url = url
        self._utcnow = utcnow
        self._pause = pause

    def mount(self, session: requests.Session) -> None:
        """Take over a session."""
        session.mount("https://", self)
        session.mount("http://", self)
        session.auth = _keep  # else a .netrc would put its own word in place of the token

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Raise what the status means, as errors of ours, with a time limit for each request."""
        url = request.url or ""
        if not (
            is_of_webex(url, self._url) if self.is_beside else is_at(self._url, url)
        ):  # as the link to a next page might be
            raise MessageRefused(f"Webex names an address that is not its own: {urlsplit(url).hostname!r}")
        self.has_asked = True
        kwargs["timeout"] = (CONNECT_TIMEOUT, READ_TIMEOUT)
        response = super().send(request, *args, **kwargs)
        try:
            self._look(response)
        except SpaceError:
            response.close()
            raise
        return response

    def _look(self, response: requests.Response) -> None:
        status = response.status_code
        if status < 300:
            return
        told = _told(response)
        if status < 400:
            raise MessageRefused(f"Webex points elsewhere, and that is not followed ({told})")
        if status in (429, 423):
            seconds = retry_after(response.headers.get("Retry-After"), self._utcnow())
            seconds += random.uniform(0, min(5.0, seconds / 4))
            if status == 429:  # the token's; 423 is about one thing only
                self._pause(seconds)
            logger.warning("Webex asks to wait seconds=%.0f status=%d", seconds, status)
            raise RateLimited(f"Webex asks to wait {seconds:.0f} s ({told})", retry_after=seconds)
        if status == 401:
            raise SpaceUnauthorized(
                f"Webex does not know the bot's token ({told}); make a new one at developer.webex.com"
            )
        if status in (403, 404, 410):
            raise ChannelNotFound(f"not there for the bot ({told})")
        if status in (408, 425) or status >= 500:
            raise SpaceError(f"Webex fails ({told})")
        raise MessageRefused(f"Webex refuses it ({told})")


def is_at(url: str, other: str) -> bool:
    """Whether ``other`` is on the same server as ``url``."""
    mine, theirs = urlsplit(url), urlsplit(other)
    return (mine.scheme, mine.netloc) == (theirs.scheme, theirs.netloc)


def session_of(api: Any) -> requests.Session:
    """The session within an SDK's object."""
    session = api._session._req_session
    assert isinstance(session, requests.Session)
    return session


def explained(error: requests.RequestException) -> SpaceError:
    """Whether the platform may have got it. The text of the error names the address, never a header."""
    reason: Any = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    never = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.SSLError, urllib3.exceptions.ProxyError)
    is_unsent = isinstance(error, requests.ConnectTimeout | requests.exceptions.InvalidURL) or isinstance(reason, never)
    what = type(reason if isinstance(reason, Exception) else error).__name__
    if is_unsent:
        return SpaceError(f"Webex cannot be reached ({what})")
    return OutcomeUnknown(f"the connection to Webex broke ({what})")


def download(session: requests.Session, url: str, shelf: Shelf) -> File:
    ends = time.monotonic() + DOWNLOAD_TIMEOUT
    with session.get(url, stream=True, allow_redirects=False) as response:
        name = file_name(response.headers.get("Content-Disposition", ""))
        draft = shelf.new(name, response.headers.get("Content-Type", ""))
        try:
            for piece in response.iter_content(PIECE_BYTES):
                draft.write(piece)
                if time.monotonic() > ends:
                    raise FileRefused(f"{draft.name} takes too long to come.")
            return draft.finish()
        finally:
            draft.close()


def file_name(disposition: str) -> str:
    """What a file is called by its header, in whichever of the ways to write it."""
    if found := _EXTENDED.search(disposition):
        return unquote(found[1], errors="replace")
    headers = Headers()
    headers["Content-Disposition"] = disposition
    name = headers.get_filename() or "file"
    try:
        return name.encode("latin-1").decode()  # as which headers are read, though names in them are UTF-8
    except UnicodeError:
        return name


def _told(response: requests.Response) -> str:
    """What the platform says about a failure, short, with what its support wants to know."""
    try:
        body = json.loads(response.raw.read(MOST_TOLD_BYTES, decode_content=True))
        words = one_line(str(body.get("message") or ""))[:160]
        tracking = one_line(str(body.get("trackingId") or ""))[:80]
    except (ValueError, AttributeError, OSError, RecursionError, urllib3.exceptions.HTTPError):
        words = tracking = ""
    return " ".join(filter(None, [str(response.status_code), words, tracking]))


def _keep(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
