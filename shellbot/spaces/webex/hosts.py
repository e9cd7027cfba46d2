"""Which addresses are Webex's, so that the bot's token may go there. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
INNER = (".wbx2.com", ".ciscospark.com", ".webex.com")  # where the services behind the API are
# Narrower than what addresses may be, for libraries differ in how they read the odd ones.
_ADDRESS = re.compile(
    r"(?:http|ws)(s?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[::1\])(:[0-9]{1,5})?(?:/[!-~]*)?", re.IGNORECASE
)


def is_of_webex(url: str, api_url: str) -> bool:
    """Whether this is an address of Webex, by encrypted HTTP or websocket: the API's host, or one of its inner ones.

    With an API on this machine, as in tests, only what answers at the API's own host and port is.
    """
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return False
    host, port = found[2].lower().strip("[]"), found[3] or ""
    home = urlsplit(api_url)
    if home.hostname in LOOPBACK:
        return host == home.hostname and port == (f":{home.port}" if home.port else "")
    return bool(found[1]) and (host == home.hostname or host.endswith(INNER))
