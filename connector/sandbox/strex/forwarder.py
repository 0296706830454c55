"""Sends forwards in the background until the receiver responds with 200, as often as the schedule allows.

The first attempts for one phone are made in order; retries are not ordered, as in the real service.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
from yarl import URL

from connector.sandbox.strex.envelopes import Draft
from connector.sandbox.strex.schedule import Kind, waits
from connector.sandbox.strex.settings import Settings
from connector.sandbox.strex.signing import HEADER, KeyRing

ATTEMPT_SECONDS = 30  # timeout of an attempt; the real one is not documented
SUCCESS = 200  # Target365 REST user guide: only 200; another 2xx is retried like a failure


class State(StrEnum):
    """The state of a forward."""

    UNDER_WAY = "under_way"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    NO_URL = "no_url"
    STOPPED = "stopped"


@dataclass(slots=True, kw_only=True)
class Forward:
    """One forward and its attempts; `attempted_at` holds the Unix time of each."""

    number: int
    draft: Draft
    state: State = State.UNDER_WAY
    attempted_at: list[float] = field(default_factory=list)
    last_status: int | None = None
    last_error: str | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        body = self.draft.body
        return {
            "number": self.number,
            "kind": self.draft.kind,
            "phone": self.draft.phone,
            "transaction_id": body.get("transactionId") if isinstance(body, dict) else None,
            "state": self.state,
            "attempts": len(self.attempted_at),
            "attempted_at": self.attempted_at,
            "last_status": self.last_status,
            "last_error": self.last_error,
            "body": body,
        }


class Forwarder:
    """All forwards since the start or the last reset. Call `start` before the first one and `stop` at the end."""

    def __init__(self, settings: Callable[[], Settings], keys: KeyRing, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._forwards: list[Forward] = []
        self._tasks: dict[asyncio.Task[None], Forward] = {}
        self._last_of_phone: dict[str, Forward] = {}
        self._numbers = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Open the HTTP client; needs the running loop."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def stop(self) -> None:
        """Cancel running forwards and close the HTTP client; later forwards are only recorded."""
        session, self._session = self._session, None
        await self._cancel_running()
        if session:
            await session.close()

    async def clear(self) -> None:
        """Cancel running forwards and delete all records."""
        self._forwards.clear()
        self._last_of_phone.clear()
        await self._cancel_running()

    def send(self, drafts: Iterable[Draft]) -> list[int]:
        """Forward these in the background; returns their numbers."""
        return [self._begin(draft).number for draft in drafts]

    async def wait(self) -> None:
        """Wait until no forward is running; one that waits for its next attempt is running."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def as_json(self) -> list[dict[str, Any]]:
        """Every forward, oldest first."""
        return [forward.as_json() for forward in self._forwards]

    def _begin(self, draft: Draft) -> Forward:
        forward = Forward(number=next(self._numbers), draft=draft)
        self._forwards.append(forward)
        before = None
        if draft.phone is not None:
            before = self._last_of_phone.get(draft.phone)
            self._last_of_phone[draft.phone] = forward
        if self._session is None:
            forward.state = State.STOPPED
            forward.tried.set()
            return forward
        task = asyncio.create_task(self._send_until_accepted(forward, self._session, before))
        self._tasks[task] = forward
        task.add_done_callback(self._tasks.pop)
        return forward

    async def _send_until_accepted(
        self, forward: Forward, session: aiohttp.ClientSession, before: Forward | None
    ) -> None:
        try:
            if before:
                await before.tried.wait()
            for wait in (0.0, *waits(forward.draft.kind)):
                await asyncio.sleep(wait / self._settings().compress)
                forward.state = await self._attempt(forward, session)
                forward.tried.set()
                if forward.state is not State.UNDER_WAY:
                    return
            forward.state = State.GIVEN_UP
        finally:
            forward.tried.set()

    async def _attempt(self, forward: Forward, session: aiohttp.ClientSession) -> State:
        settings = self._settings()
        target = settings.mo_url if forward.draft.kind is Kind.MESSAGE else settings.dlr_url
        if target is None:
            return State.NO_URL
        now = self._clock()
        forward.attempted_at.append(now)
        content = forward.draft.content(len(forward.attempted_at))
        url = URL(target)
        headers = {"Content-Type": "application/json"}
        if settings.basic_auth:
            user, _, password = settings.basic_auth.partition(":")
            headers["Authorization"] = aiohttp.encode_basic_auth(user, password)
        if settings.sign:
            headers[HEADER] = self._keys.newest.sign("POST", url, content, now=now)
        forward.last_status = forward.last_error = None
        try:
            async with session.post(url, data=content, headers=headers, allow_redirects=False) as response:
                forward.last_status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            forward.last_error = type(error).__name__
        return State.DELIVERED if forward.last_status == SUCCESS else State.UNDER_WAY

    async def _cancel_running(self) -> None:
        tasks = dict(self._tasks)
        for task, forward in tasks.items():
            task.cancel()
            forward.state = State.STOPPED
            # A task that never ran cannot record this itself.
            forward.tried.set()
        await asyncio.gather(*tasks, return_exceptions=True)
