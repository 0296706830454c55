"""Tells people of alarms: one message when an alarm is raised, and one when its cause no longer exists."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from connector.alarms.policy import Message, ended_message, is_quiet, raised_message
from connector.config.notify_settings import NotifySettings, Severity
from connector.model.errors import StoreUnavailable
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Cleared, Emit, Level, Lifecycle, LogEvent

AGAIN = timedelta(minutes=1)  # between two tries to send a message
GIVE_UP = timedelta(hours=6)  # after which a message that cannot be sent is dropped
OPEN_AGAIN = timedelta(minutes=15)  # after a start: what was not raised again by then has ended meanwhile
STEP_PAUSE = 5.0  # seconds between two steps, unless an alarm wakes the messenger

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
        self._log_events: deque[Alarm | Cleared] = deque()
        self._outgoing: list[_Outgoing] = []
        self._woken = asyncio.Event()
        self._raised: set[tuple[str, str]] = set()  # since this start
        self._started: datetime | None = None
        self.emit: Emit = lambda _log_event: None  # reports what could not be sent

    def __call__(self, log_event: LogEvent) -> None:
        """Note an alarm, or its end, for run()."""
        if self._targets and isinstance(log_event, Alarm | Cleared):
            self._log_events.append(log_event)
            self._woken.set()

    async def run(self, store: Store) -> None:
        """Send what is to be sent, until it is cancelled."""
        while True:
            await self.step(store)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), STEP_PAUSE)
            self._woken.clear()

    async def step(self, store: Store) -> None:
        """Send what is due now."""
        now = self._now()
        self._started = self._started or now
        while self._log_events:
            await self._handle(self._log_events.popleft(), store, now)
        if now - self._started >= OPEN_AGAIN:
            for kind, about, message in store.sent_alarms.all():
                if (kind, about) not in self._raised:
                    await self._end_alarm(kind, about, message, store, now)
        quiet = is_quiet(self._settings.quiet, now.astimezone(self._zone))
        due = [outgoing for outgoing in self._outgoing if outgoing.due <= now]
        for outgoing in due:
            if outgoing.message.at_once or not quiet:
                await self._send_one(outgoing, now)

    async def send_to_all(self, message: Message, *, digest: bool = False) -> list[tuple[Target, bool]]:
        """Send a message to every recipient at once, also in quiet hours; returns each with whether it was sent."""
        targets = [target for target in self._targets if target.digest or not digest]
        return [(target, await self._send(target.address, message)) for target in targets]

    async def _handle(self, log_event: Alarm | Cleared, store: Store, now: datetime) -> None:
        key = log_event.kind, log_event.about
        known = {(kind, about): message for kind, about, message in store.sent_alarms.all()}
        if isinstance(log_event, Cleared):
            if key in known:
                await self._end_alarm(*key, known[key], store, now)
            return
        self._raised.add(key)
        if key in known:
            return
        if log_event.lasts:
            with suppress(StoreUnavailable):  # without this, a restart tells people of it once more
                await store.sent_alarms.add(*key, log_event.message, now)
        self._queue(raised_message(log_event), now, key)

    async def _end_alarm(self, kind: str, about: str, message: str, store: Store, now: datetime) -> None:
        with suppress(StoreUnavailable):
            await store.sent_alarms.remove(kind, about)
        waiting = [outgoing for outgoing in self._outgoing if outgoing.key == (kind, about)]
        # Whoever was not told of the alarm before it ended is not told of its end either.
        self._outgoing = [outgoing for outgoing in self._outgoing if outgoing.key != (kind, about)]
        not_told = {outgoing.target.number for outgoing in waiting}
        self._queue(ended_message(kind, about, message), now, None, without=not_told)

    def _queue(
        self,
        message: Message,
        now: datetime,
        key: tuple[str, str] | None,
        *,
        without: set[int] | frozenset[int] = frozenset(),
    ) -> None:
        self._outgoing += [
            _Outgoing(target=target, message=message, since=now, due=now, key=key)
            for target in self._targets
            if target.takes(message) and target.number not in without
        ]

    async def _send_one(self, outgoing: _Outgoing, now: datetime) -> None:
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
