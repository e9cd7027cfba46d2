"""ChatServer: the chat in a browser for one WebSpace, started and stopped on a running loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import cast
from urllib.parse import urlsplit

from a2wsgi.wsgi_typing import WSGIApp

from shellbot.errors import ConfigError
from shellbot.files.shelf import NO_FILES
from shellbot.server.app import create_app
from shellbot.server.asgi import Scope, header
from shellbot.server.bridge import Bridge
from shellbot.server.desk import Desk
from shellbot.server.downloads import Downloads
from shellbot.server.entrance import Rules
from shellbot.server.front import Answering, Front
from shellbot.server.hosts import LOOPBACK, Hosts, open_to_all
from shellbot.server.invitations import Invitations
from shellbot.server.limits import Limits
from shellbot.server.links import Links
from shellbot.server.results import Polls
from shellbot.server.serving import Serving
from shellbot.server.stream import Events
from shellbot.server.transfers import Transfers
from shellbot.server.uploads import Uploads
from shellbot.server.visits import session_reader
from shellbot.spaces.web import WebSpace

logger = logging.getLogger(__name__)

THREADS = 8


class ChatServer:
    """Serves a WebSpace on one port: Flask for pages and forms in a few threads, ``/events`` on the loop itself.

    Args:
        space: The rooms; its owner starts and closes it.
        host: Interface. One that others reach needs ``public_url`` and ``private``.
        port: First port to try; when it is taken the next free one is used and :attr:`url` tells. 0 takes any.
        secret: Key that signs cookies and links, at least 16 bytes.
        public_hosts: Further host names under which pages may ask.
        public_url: Address under which others reach this server, for links; its host may ask, too.
        demo: Whether ``?as=NAME`` links let demo people in.
        private: Whether one comes into the first room, too, by a join link only.
        new_rooms: Whether people may make further rooms.
        polls: What the pages of votes show, by id of the room; without it there are none.
        hint: Stands in the group as long as nothing was said there.
        limits: Bounds for people, addresses and streams.
        heartbeat: Seconds between signs of life on a stream.
    """

    def __init__(
        self,
        *,
        space: WebSpace,
        secret: bytes,
        host: str = "127.0.0.1",
        port: int = 8080,
        public_hosts: Iterable[str] = (),
        public_url: str = "",
        demo: bool = False,
        private: bool = False,
        new_rooms: bool = True,
        polls: Callable[[str], Polls | None] | None = None,
        hint: str = 'Ask everybody: poll "Lunch?" Pizza, Sushi in 10m. Or type help.',
        limits: Limits | None = None,
        heartbeat: float = 15.0,
    ) -> None:
        if problem := open_to_all(host, public_url, private):
            raise ConfigError(problem, key="server.address")
        if host not in LOOPBACK and not public_url.startswith("https://"):
            logger.warning("what people write to %s can be read on the way there; put it behind https", public_url)
        if private and demo:
            raise ConfigError(
                "demo people come in without a link; leave out --demo, or server.private", key="server.private"
            )
        if len(secret) < 16:
            raise ConfigError("the key that signs cookies needs at least 16 random bytes", key="server.secret")
        self.events: Events | None = None
        self.url = ""
        self._space = space
        self._secret = secret
        self._host = host
        self._port = port
        self._public_hosts = (*public_hosts, *filter(None, [urlsplit(public_url).netloc]))
        self._rules = Rules(public_url=public_url, is_demo=demo, is_private=private, has_new_rooms=new_rooms)
        self._invitations = Invitations(Links(secret, "join"), space)
        self._polls = polls
        self._hint = hint
        self._limits = limits or Limits()
        self._heartbeat = heartbeat
        self._desk: Desk | None = None
        self._bridge: Bridge | None = None
        self._serving: Serving | None = None

    async def start(self) -> None:
        """Listen; returns once pages are answered. The space must have been started.

        Raises:
            ConfigError: No port is free.
        """
        self._serving = serving = Serving(self._host, self._port, self._limits.header_timeout)
        hosts = Hosts(serving.port, self._public_hosts)
        self._desk = Desk(self._space, self._limits, asyncio.get_running_loop())
        app = create_app(
            desk=self._desk,
            secret=self._secret,
            port=serving.port,
            hosts=hosts,
            bot=self._space.bot,
            invitations=self._invitations,
            rules=self._rules,
            hint=self._hint,
            polls=self._polls,
            files=self._space.shelf.limits if self._space.shelf is not None else NO_FILES,
        )
        session, transfers = session_reader(app, self._space.group.id), Transfers(self._limits)

        def who(scope: Scope) -> str | None:
            room = scope["root_path"].strip("/") or self._space.group.id
            member = self._space.member(session(header(scope, b"cookie") or "", room) or "")
            return member.person.id if member is not None and member.room == room else None

        answering = Answering()
        self.events = Events(
            space=self._space,
            render=app.extensions["shellbot"].render,
            session=session,
            hosts=hosts,
            limits=self._limits,
            is_answering=lambda: answering.count > 0,
            heartbeat=self._heartbeat,
        )
        self._bridge = Bridge(cast(WSGIApp, app), THREADS)
        front = Front(
            pages=self._bridge,
            events=self.events,
            files=Downloads(space=self._space, who=who, hosts=hosts, limits=self._limits, transfers=transfers),
            uploads=Uploads(
                shelf=self._space.shelf,
                who=who,
                hosts=hosts,
                limits=self._limits,
                transfers=transfers,
            ),
            hosts=hosts,
            limits=self._limits,
            answering=answering,
        )
        await serving.start(front)
        self.url = serving.url
        self.events.start()

    def link(self, person_id: str = "", *, is_named: bool = False) -> str:
        """Give a new join link, which counts for a day.

        Args:
            person_id: Who wants it, for the room that this person is in; by default it is for the first room.
            is_named: Another browser is to be this person by it, and it counts once. Else it lets anybody in.
        """
        room = self._space.room_of(f"direct-{person_id}") if person_id else self._space.group.id
        path = self._invitations.path(room, person_id if is_named else "")
        return (self._rules.public_url or self.url).rstrip("/") + path

    async def revoke_links(self, person_id: str) -> None:
        """End all links to the room that this person is in."""
        await self._space.revoke(self._space.room_of(f"direct-{person_id}"))

    async def stop(self) -> None:
        """Take no more connections, tell open pages to come back, end; within 2 s also when readers are stuck."""
        if self._serving is None or self.events is None or self._bridge is None:
            return
        await self._serving.refuse_more()
        await self.events.stop()
        await self._serving.stop()
        if self._desk is not None:
            self._desk.close()
        # Threads must be gone before the loop is: one that waits for a closed loop would wait for ever.
        await asyncio.to_thread(self._bridge.close)
        self._serving = None
