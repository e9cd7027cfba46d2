"""A server on a Webex of its own: what ``shellbot run --space webex --fake`` sets up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shellbot.context import Context
from shellbot.errors import ConfigError


@contextmanager
def stage(context: Context) -> Iterator[str]:
    """Start a Webex in a process of its own, and set the settings so that a server goes there.

    Yields:
        The address of the page on which the people are played.

    Raises:
        ConfigError: It could not be started.
    """
    port = context.check("server.port")
    command = [sys.executable, "-m", "shellbot.testing.fakewebex", "--port", str(8080 if port is None else port)]
    for option, key in (("--bot", "bot.name"), ("--room", "space.title")):
        if value := context.check(key):
            command += [option, str(value)]
    # In a session of its own: Ctrl-C is for the server, which then says its last.
    process = subprocess.Popen(  # noqa: S603 - this very interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise ConfigError("the Webex to be played could not be started; see above", key="server.port")
            facts = json.loads(line)
            context.apply(
                {
                    "space.token": facts["token"],
                    "webex.api_url": facts["url"],
                    "webex.way": "webhook",
                    # The page has the port that people know; deliveries come to any.
                    "server.port": 0,
                }
            )
            yield facts["page"]
        finally:
            process.stdin.close()
