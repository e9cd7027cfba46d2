"""FakeWebex: the platform, its HTTP server and its people in one process."""

from __future__ import annotations

import asyncio
import re
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property
from secrets import token_urlsafe
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from shellbot.errors import NotRunning
from shellbot.testing.fakewebex.api import PREFIX, Api, refusal
from shellbot.testing.fakewebex.asked import Asked
from shellbot.testing.fakewebex.deliveries import Deliveries, Delivery
from shellbot.testing.fakewebex.door import Door, Request, Reset, Response
from shellbot.testing.fakewebex.endpoints import APP_ID, ENDPOINTS
from shellbot.testing.fakewebex.faults import Fault, Faults
from shellbot.testing.fakewebex.humans import Bot, Person
from shellbot.testing.fakewebex.mercury import CATALOG, PREFIXES, Mercury
from shellbot.testing.fakewebex.platform import Happened, Platform
from shellbot.testing.fakewebex.state import Account, Action, Message, Room, State, SystemWall, Wall, Webhook

if TYPE_CHECKING:
    from shellbot.testing.fakewebex.page import Page

MAX_REQUESTS = 100_000  # that are kept to be looked at
T = TypeVar("T")
Place = Room | tuple[Account, Account]


class FakeWebex:
    """A Webex of one's own on 127.0.0.1: ``with FakeWebex() as fake: WebexTeamsAPI(token, base_url=fake.url)``.

    All of it may be used from any thread, and from asyncio; what waits there is in ``fake.aio``. What it knows is in
    memory, and outlives the server of the bot as the platform does.

    Args:
        port: Where to listen; 0 takes any.
        clock: Something with ``utcnow()``; this machine's without.
        max_failures: After so many failed deliveries in a row a webhook becomes inactive.

    Attributes:
        faults: What is to go wrong.
        latency: Seconds that are added to each answer.
        mercury: The websocket way, with sockets to drop and registrations to forget.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, *, port: int = 0, clock: Wall | None = None, max_failures: int = 100) -> None:
        self.faults = Faults()
        self.latency = 0.0
        self.aio = Waiting(self)
        self._state = State(clock or SystemWall())
        self._deliveries = Deliveries(self._state, self.faults, APP_ID, max_failures)
        self._platform = Platform(self._state, lambda: self.url, self._happened)
        self.mercury = Mercury(self._platform, lambda: self.page)
        self._api = Api(self._platform, ENDPOINTS)
        self._port = port
        self._door: Door | None = None
        self._closing = threading.Event()
        self._requests: deque[Asked] = deque(maxlen=MAX_REQUESTS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen; ``with`` does it."""
        assert self._door is None, "a fake is started once"
        self._door = Door(self._port, self._answer)
        self._door.start()

    def close(self) -> None:
        """End all connections and threads. Again does nothing."""
        self._closing.set()
        self._state.wake()
        self.faults.clear()
        self._deliveries.close()
        self.mercury.close()
        if self._door is not None:
            self._door.close()

    @property
    def url(self) -> str:
        """What the SDK takes as ``base_url``."""
        if self._door is None:
            raise NotRunning("the fake has not been started; use it inside: with FakeWebex() as fake")
        return f"http://127.0.0.1:{self._door.port}{PREFIX}"

    @property
    def page(self) -> str:
        """Address of the page on which somebody plays all the people, in a browser on this machine."""
        return self.url.removesuffix(PREFIX.removeprefix("/"))

    @property
    def catalog(self) -> str:
        """Address of the catalog, where the websocket way begins."""
        return f"{self.page}{CATALOG}?format=hostmap"

    # --- who and what is there

    def bot(self, name: str) -> Bot:
        """The bot of this name, made at first use."""
        with self._state.lock:
            found = self._named(name, is_bot=True)
            if not isinstance(found, Bot):
                email = self._free_email(name, "webex.bot")
                found = Bot(self._platform, name=name, email=email, created=self._state.now(), is_bot=True)
                self._let_in(found)
            return found

    def person(self, name: str) -> Person:
        """The person who has this name now, made at first use."""
        with self._state.lock:
            found = self._named(name, is_bot=False)
            if not isinstance(found, Person):
                email = self._free_email(name, "example.com")
                found = Person(self._platform, name=name, email=email, created=self._state.now())
                self._let_in(found)
            return found

    def people(self) -> list[Person]:
        """All of them, without the bots, as they came."""
        with self._state.lock:
            return [one for one in self._state.accounts.values() if isinstance(one, Person) and not one.is_bot]

    def bots(self) -> list[Bot]:
        with self._state.lock:
            return [one for one in self._state.accounts.values() if isinstance(one, Bot)]

    def room(self, title: str, people: Iterable[Account] = (), *, bots: Iterable[Account] = ()) -> Room:
        """A new group room with these in it, made by the first of them."""
        members = [*people, *bots]
        if not members:
            raise ValueError("a room has somebody in it")
        return self._platform.create_room(members[0], title, members)

    def rooms(self) -> list[Room]:
        """All of them, as they were made."""
        with self._state.lock:
            return list(self._state.rooms.values())

    def direct(self, one: Account, other: Account) -> Room | None:
        """The room of these two, once something was said in it."""
        with self._state.lock:
            return self._state.direct_room(one, other)

    def messages(self, place: Place) -> list[Message]:
        """All that was said there, the oldest first, as it stands now; what was deleted says so."""
        with self._state.lock:
            room = place if isinstance(place, Room) else self._state.direct_room(*place)
            return [] if room is None else list(room.messages)

    def actions(self, account: Account) -> list[Action]:
        """The buttons that this one pressed, as they were pressed."""
        with self._state.lock:
            return [action for action in self._state.actions.values() if action.person is account]

    def webhooks(self) -> list[Webhook]:
        """Those that are registered now, of all bots."""
        with self._state.lock:
            return list(self._state.webhooks.values())

    @property
    def requests(self) -> list[Asked]:
        """What was asked and answered so far, the latest 100,000."""
        with self._state.lock:
            return list(self._requests)

    @property
    def deliveries(self) -> list[Delivery]:
        """What was sent to webhooks so far, the latest 100,000, as each was done with; also what was lost."""
        return self._deliveries.done

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Send the same bytes with the same headers once more; returns what became of it. Blocks."""
        return self._deliveries.send_again(delivery)

    def wait_delivered(self, timeout: float = 10.0) -> None:
        """Return once no delivery is under way.

        Raises:
            TimeoutError: There still was one.
        """
        self._wait(lambda: self._deliveries.is_idle or None, timeout, lambda: "deliveries are still under way")

    # --- what goes wrong with somebody

    def revoke(self, account: Account) -> None:
        """Let its token be no longer good: 401 from now on."""
        with self._state.lock:
            self._state.tokens.pop(account.token, None)
            self._state.changed()

    def renew(self, account: Account) -> str:
        """Give it a new token, which is the only good one from now on."""
        with self._state.lock:
            self.revoke(account)
            account.token = token_urlsafe(48)
            self._state.tokens[account.token] = account
            return account.token

    def unreachable(self, account: Account, is_unreachable: bool = True) -> None:
        """Let sends to this one fail as Webex fails them, with 404; or reach them again."""
        with self._state.lock:
            account.is_unreachable = is_unreachable
            self._state.changed()

    # --- waiting

    def wait_for(self, place: Place, condition: Callable[[Message], object], timeout: float = 10.0) -> Message:
        """The first message there of which this is true, at once or as soon as there is one.

        Args:
            place: A room, or a pair for their direct room, also before it is there.

        Raises:
            TimeoutError: There was none; it names the last that were said.
        """
        return self._wait(lambda: self._find(place, condition), timeout, lambda: self._told(place))

    def wait_until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        """Return once this is true; it is asked again after each change, request and delivery.

        Raises:
            TimeoutError: It did not become true.
        """
        self._wait(lambda: condition() or None, timeout, lambda: "it did not become true")

    def _wait(self, look: Callable[[], T | None], timeout: float, tell: Callable[[], str]) -> T:
        deadline = time.monotonic() + timeout
        with self._state.condition:
            while (found := look()) is None:
                if not self._state.condition.wait(max(deadline - time.monotonic(), 0)) and look() is None:
                    raise TimeoutError(f"within {timeout} s: {tell()}")
            return found

    def _find(self, place: Place, condition: Callable[[Message], object]) -> Message | None:
        return next((one for one in self.messages(place) if not one.is_deleted and condition(one)), None)

    def _told(self, place: Place) -> str:
        said = [f"{one.person.name}: {one.text[:200]}" for one in self.messages(place)[-10:]]
        return "no such message, but\n" + "\n".join(said) if said else "no message at all"

    # --- what comes over HTTP

    def _answer(self, request: Request) -> Response:
        is_inner = request.path.startswith(PREFIXES)
        if not request.path.startswith(PREFIX) and not is_inner:
            return self._page.answer(request)
        path = request.path.removeprefix("/" if is_inner else PREFIX)
        who = self._api.who(request)
        fault = self.faults.take(request.method, path, who)
        if self.latency > 0:
            self._closing.wait(self.latency)
        status = 0
        try:
            response = None
            if fault is not None and fault.when == "before":
                response = self._go_wrong(fault)
            if response is None:
                response = self.mercury.handle(request, who) if is_inner else self._api.handle(request, path, who)
            if fault is not None and fault.when == "after":
                response = self._go_wrong(fault) or response
            status = response.status
            return response
        finally:
            with self._state.lock:
                self._requests.append(Asked(request.method, path, status, who))
                self._state.wake()

    def _happened(self, happened: Happened) -> None:
        self._deliveries.tell(happened)
        self.mercury.tell(happened)

    @cached_property
    def _page(self) -> Page:
        # Flask is loaded by whoever opens the page; tests need none of it.
        from shellbot.testing.fakewebex.page import Page

        assert self._door is not None
        return Page(self._platform, port=self._door.port, person=self.person, wait=self._wait_other)

    def _wait_other(self, version: int, seconds: float) -> None:
        """For the page: return when the state is another one, after a while, or when all ends."""
        with self._state.condition:
            self._state.condition.wait_for(lambda: self._state.version != version or self._closing.is_set(), seconds)

    def _go_wrong(self, fault: Fault) -> Response | None:
        fault.reached()
        if isinstance(fault.kind, int):
            response = refusal(fault.kind, f"The platform answers {fault.kind}, as it was told.")
            response.headers += fault.headers.items()
            if fault.body is not None:
                response.body = fault.body
                response.headers = [("Content-Type", "text/html"), *fault.headers.items()]
            return response
        if fault.kind == "reset":
            raise Reset
        if fault.kind == "hold":
            fault.wait_released()
        else:
            self._closing.wait(fault.seconds)
        return None

    # --- accounts

    def _named(self, name: str, *, is_bot: bool) -> Account | None:
        return next((one for one in self._state.accounts.values() if one.name == name and one.is_bot == is_bot), None)

    def _free_email(self, name: str, domain: str) -> str:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        local = re.sub(r"[^a-z0-9]+", ".", plain).strip(".") or "somebody"
        email, number = f"{local}@{domain}", 1
        while self._state.account_of(email) is not None:
            number += 1
            email = f"{local}-{number}@{domain}"
        return email

    def _let_in(self, account: Account) -> None:
        self._state.accounts[account.id] = self._state.emails[account.email.lower()] = account
        self.renew(account)
        self._state.changed()


class Waiting:
    """The same waits, for asyncio: the event loop goes on meanwhile."""

    def __init__(self, fake: FakeWebex) -> None:
        self._fake = fake

    async def wait_for(self, place: Place, condition: Callable[[Message], object], timeout: float = 10.0) -> Message:
        """As :meth:`FakeWebex.wait_for`."""
        fake = self._fake
        return await self._wait(lambda: fake._find(place, condition), timeout, lambda: fake._told(place))

    async def wait_until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        """As :meth:`FakeWebex.wait_until`."""
        await self._wait(lambda: condition() or None, timeout, lambda: "it did not become true")

    async def wait_delivered(self, timeout: float = 10.0) -> None:
        """As :meth:`FakeWebex.wait_delivered`."""
        deliveries = self._fake._deliveries
        await self._wait(lambda: deliveries.is_idle or None, timeout, lambda: "deliveries are still under way")

    async def redeliver(self, delivery: Delivery) -> Delivery:
        """As :meth:`FakeWebex.redeliver`."""
        return await asyncio.to_thread(self._fake.redeliver, delivery)

    async def _wait(self, look: Callable[[], T | None], timeout: float, tell: Callable[[], str]) -> T:
        state, loop, changed = self._fake._state, asyncio.get_running_loop(), asyncio.Event()
        end = state.watch(lambda: loop.call_soon_threadsafe(changed.set))
        try:
            async with asyncio.timeout(timeout):
                while True:
                    changed.clear()
                    with state.lock:
                        if (found := look()) is not None:
                            return found
                    await changed.wait()
        except TimeoutError:
            raise TimeoutError(f"within {timeout} s: {tell()}") from None
        finally:
            end()
