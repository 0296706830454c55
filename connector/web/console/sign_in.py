"""How people prove who they are: one-time links, passwords, and the header of a trusted proxy."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from connector.config.console_settings import ConsoleUser, Role
from connector.config.passwords import NOBODY, is_password
from connector.web.console.sessions import SECRET_BYTES, secret_hash

LINK_VALID = timedelta(minutes=5)
FREE_ATTEMPTS = 4  # failures before the next attempt has to wait
LONGEST_WAIT = 30.0  # seconds: a delay, so that nobody can lock another person out
FORGOTTEN = 900.0  # seconds after which failures no longer count
MOST_KEYS = 1000  # addresses and users whose failures are remembered
AT_ONCE = 2  # passwords that are checked at once: each takes 32 MiB


@dataclass(frozen=True, slots=True)
class Link:
    """What a one-time link gives."""

    user: str
    role: Role
    until: float  # monotonic seconds


class OneTimeLinks:
    """Links that sign a person in once. They are kept in memory: a restart ends them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._links: dict[str, Link] = {}  # by the hash of the secret

    def make(self, user: str, role: Role) -> str:
        """The secret of a new link."""
        now = self._monotonic()
        self._links = {name: one for name, one in self._links.items() if one.until > now}
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._links[secret_hash(secret)] = Link(user, role, now + LINK_VALID.total_seconds())
        return secret

    def use(self, secret: str) -> Link | None:
        """What the link gives; None if it is unknown, was used, or is too old."""
        link = self._links.pop(secret_hash(secret), None)
        return link if link is not None and link.until > self._monotonic() else None


class Attempts:
    """Counts failed passwords by address and by user. After four, each makes the next one wait longer, up to 30 s."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures: dict[str, tuple[int, float]] = {}  # how many, and when the last one was

    def wait(self, *keys: str) -> float:
        """Seconds until the next attempt is allowed."""
        now = self._monotonic()
        return max((self._wait(key, now) for key in keys), default=0.0)

    def _wait(self, key: str, now: float) -> float:
        count, last = self._failures.get(key, (0, now))
        if count <= FREE_ATTEMPTS or now - last > FORGOTTEN:
            return 0.0
        return max(0.0, last + min(2.0 ** (count - FREE_ATTEMPTS), LONGEST_WAIT) - now)

    def fail(self, *keys: str) -> None:
        """An attempt failed."""
        now = self._monotonic()
        for key in keys:
            count, last = self._failures.pop(key, (0, now))
            self._failures[key] = (1 if now - last > FORGOTTEN else count + 1, now)
        while len(self._failures) > MOST_KEYS:
            del self._failures[next(iter(self._failures))]

    def succeed(self, *keys: str) -> None:
        """An attempt succeeded."""
        for key in keys:
            self._failures.pop(key, None)


class Passwords:
    """Checks passwords, few at once, in threads."""

    def __init__(self, users: Mapping[str, ConsoleUser]) -> None:
        self._users = users
        self._few = asyncio.Semaphore(AT_ONCE)

    async def check(self, user: str, password: str) -> bool:
        """Whether this is the user's password. It takes as long for an unknown user."""
        known = self._users.get(user)
        stored = known.password_hash if known is not None else None
        async with self._few:
            right = await asyncio.to_thread(is_password, password, stored or NOBODY)
        return right and stored is not None
