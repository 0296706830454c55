"""Tells people of alarms: one message when an alarm is raised, and one when its cause no longer exists."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from connector.alarms.policy import Message, begins, ends, is_quiet
from connector.config.notify_settings import NotifySettings, Severity
from connector.model.errors import StoreUnavailable
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Cleared, Emit, Level, Lifecycle, LogEvent

AGAIN = timedelta(minutes=1)  # between two tries to send a message
GIVE_UP = timedelta(hours=6)  # after which a message that cannot be sent is dropped
OPEN_AGAIN = timedelta(minutes=15)  # after a start: what was not raised again by then has ended meanwhile
LOOK = 5.0  # seconds between two looks, unless an alarm wakes it

Send = Callable[[str, Message], Awaitable[bool]]


class Target(Struct, frozen=True, kw_only=True):
    """A recipient, with the address itself."""

    number: int  # its place in the config, from 1
    address: str
    severity: Severity
    digest: bool

    @property
    def service(self) -> str:
        """What kind of address it is; the rest is a secret."""
        return self.address.partition(":")[0]

    def takes(self, message: Message) -> bool:
        """Whether the message is severe enough for it."""
        return message.severity == "critical" or self.severity == "warning"


class _Outgoing(Struct, kw_only=True):
    target: Target
    message: Message
    since: datetime
    due: datetime
    key: tuple[str, str] | None = None  # of an alarm: kind and about


class Messenger:
    """An Emit that collects alarms; run() sends what people are to know."""

    def __init__(
        self,
        settings: NotifySettings,
        targets: Sequence[Target],
        *,
        timezone: str,
        send: Send,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._targets = tuple(targets)
        self._zone = ZoneInfo(timezone)
        self._send = send
        self._now = now
        self._facts: deque[Alarm | Cleared] = deque()
        self._outgoing: list[_Outgoing] = []
        self._woken = asyncio.Event()
        self._raised: set[tuple[str, str]] = set()  # since this start
        self._started: datetime | None = None
        self.emit: Emit = lambda _fact: None  # of what could not be sent

    def __call__(self, fact: LogEvent) -> None:
        """Take note of an alarm, or of its end."""
        if self._targets and isinstance(fact, Alarm | Cleared):
            self._facts.append(fact)
            self._woken.set()

    async def run(self, store: Store) -> None:
        """Send what is to be sent, until it is cancelled."""
        while True:
            await self.step(store)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK)
            self._woken.clear()

    async def step(self, store: Store) -> None:
        """Send what is due now."""
        now = self._now()
        self._started = self._started or now
        while self._facts:
            await self._take(self._facts.popleft(), store, now)
        if now - self._started >= OPEN_AGAIN:
            for kind, about, message in store.sent_alarms.all():
                if (kind, about) not in self._raised:
                    await self._end(kind, about, message, store, now)
        quiet = is_quiet(self._settings.quiet, now.astimezone(self._zone))
        for one in [one for one in self._outgoing if one.due <= now and (one.message.at_once or not quiet)]:
            await self._try(one, now)

    async def tell_all(self, message: Message, *, digest: bool = False) -> list[tuple[Target, bool]]:
        """Send a message to every recipient at once, as a test or as the digest does; to whom it was sent."""
        targets = [one for one in self._targets if one.digest or not digest]
        return [(one, await self._send(one.address, message)) for one in targets]

    async def _take(self, fact: Alarm | Cleared, store: Store, now: datetime) -> None:
        key = fact.kind, fact.about
        known = {(kind, about): message for kind, about, message in store.sent_alarms.all()}
        if isinstance(fact, Cleared):
            if key in known:
                await self._end(*key, known[key], store, now)
            return
        self._raised.add(key)
        if key in known:
            return
        if fact.lasts:
            with suppress(StoreUnavailable):  # then a restart tells of it once more
                await store.sent_alarms.add(*key, fact.message, now)
        self._queue(begins(fact), now, key)

    async def _end(self, kind: str, about: str, message: str, store: Store, now: datetime) -> None:
        with suppress(StoreUnavailable):
            await store.sent_alarms.remove(kind, about)
        waiting = [one for one in self._outgoing if one.key == (kind, about)]
        # Of an alarm that nobody was told of before it ended, nobody is told.
        self._outgoing = [one for one in self._outgoing if one.key != (kind, about)]
        untold = {one.target.number for one in waiting}
        self._queue(ends(kind, about, message), now, None, but=untold)

    def _queue(
        self,
        message: Message,
        now: datetime,
        key: tuple[str, str] | None,
        *,
        but: set[int] | frozenset[int] = frozenset(),
    ) -> None:
        self._outgoing += [
            _Outgoing(target=one, message=message, since=now, due=now, key=key)
            for one in self._targets
            if one.takes(message) and one.number not in but
        ]

    async def _try(self, outgoing: _Outgoing, now: datetime) -> None:
        if await self._send(outgoing.target.address, outgoing.message):
            self._outgoing.remove(outgoing)
            return
        where = f"recipient {outgoing.target.number} of notify ({outgoing.target.service})"
        if outgoing.due == outgoing.since:
            text = f"could not send a message to {where}; trying again each minute"
            self.emit(Lifecycle(message=text, level=Level.WARNING))
        outgoing.due = now + AGAIN
        if now - outgoing.since >= GIVE_UP:
            self._outgoing.remove(outgoing)
            text = f"gave up a message to {where}: see `connector notify test`"
            self.emit(Lifecycle(message=text, level=Level.ERROR))
