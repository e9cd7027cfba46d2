"""Pages come in one go: nothing waits for the other side to confirm what was sent before it."""

from __future__ import annotations

import socket

import pytest
from web_room import browsers, serving

from shellbot.server.serving import _Protocol


async def test_head_and_body_of_a_page_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # else 40 ms a page for every browser that keeps its connection; told by the option, as no test looks at a time
    seen: list[int] = []
    made = _Protocol.connection_made

    def connection_made(self, transport):
        made(self, transport)
        seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(_Protocol, "connection_made", connection_made)

    async with serving() as (server, _, _), browsers(server.url, "Person A"):
        pass

    assert seen
    assert all(seen)
