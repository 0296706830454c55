"""Sessions: a random secret in the browser's cookie, its hash in the store, and when each is over."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.config.console_settings import ConsoleUser, Role
from connector.model.errors import StoreUnavailable
from connector.store.console_sessions import ConsoleSessions, StoredSession
from connector.web.console.guards import csrf_token
from connector.web.console.request import Person

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
SEEN_EVERY = timedelta(minutes=1)  # between two notes that a session is in use
REVEAL = timedelta(minutes=10)  # for which numbers are shown after a person asked for it
SECRET_BYTES = 32
LINK, PASSWORD, PROXY = "link", "password", "proxy"
NEVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def secret_hash(secret: str) -> str:
    """What is stored of a secret. It is random, so that a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Session:
    """A session that holds now."""

    stored: StoredSession
    person: Person


class Sessions:
    """Begins, finds and ends sessions. `users` are those of the config: whoever is no longer there is signed out."""

    def __init__(self, store: ConsoleSessions, users: Mapping[str, ConsoleUser], now: Callable[[], datetime]) -> None:
        self._store = store
        self._users = users
        self._now = now

    async def begin(self, user: str, role: Role, how: str) -> str:
        """Sign a person in; returns the new session's secret."""
        secret, now = secrets.token_urlsafe(SECRET_BYTES), self._now()
        stored = StoredSession(
            hash=secret_hash(secret),
            user=user,
            role=role.value,
            how=how,
            created_at=now,
            seen_at=now,
            reveal_until=NEVER,
        )
        await self._store.add(stored, oldest=now - ABSOLUTE)
        return secret

    def find(self, secret: str) -> Session | None:
        """The session of a secret; None if there is none, or it is over."""
        stored, now = self._store.get(secret_hash(secret)), self._now()
        if stored is None or now - stored.seen_at > IDLE or now - stored.created_at > ABSOLUTE:
            return None
        role = self._role(stored)
        if role is None:
            return None
        reveals = role.may(Role.OPERATOR) and now < stored.reveal_until
        return Session(stored, Person(user=stored.user, role=role, csrf=csrf_token(secret), reveals=reveals))

    def _role(self, stored: StoredSession) -> Role | None:
        """The role of now: the config may have changed since the person signed in."""
        if stored.how == LINK:
            return Role(stored.role)
        user = self._users.get(stored.user)
        return None if user is None else user.role

    async def see(self, session: Session) -> None:
        """The session's person did something. A full disk must not hide the page that says so."""
        if self._now() - session.stored.seen_at >= SEEN_EVERY:
            with suppress(StoreUnavailable):
                await self._store.see(session.stored.hash, self._now())

    async def show_numbers(self, session: Session, *, shown: bool) -> None:
        """Show the person unmasked numbers for ten minutes, or mask them again."""
        await self._store.reveal(session.stored.hash, self._now() + REVEAL if shown else NEVER)

    async def end(self, session: Session) -> None:
        """Sign out."""
        await self._store.delete(session.stored.hash)
