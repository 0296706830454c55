"""A client of the console without a browser: for what a browser would never send."""

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import aiohttp
from console.harness import one_time_link

OWN_SITE = {"Sec-Fetch-Site": "same-origin"}
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class Reply:
    """What the console answered."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def to(self) -> str:
        """The address that it redirects to."""
        return self.headers.get("Location", "")

    @property
    def is_sign_in(self) -> bool:
        return self.status == 303 and self.to.startswith("/console/sign-in")


@dataclass
class Client:
    """Keeps the cookie by itself, so that a test may steal it."""

    http: aiohttp.ClientSession
    base: str
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> Reply:
        return await self._ask("GET", path, headers)

    async def post(
        self, path: str, fields: dict[str, str] | None = None, *, csrf: str | None = None, **headers: str
    ) -> Reply:
        form = {"csrf": self.csrf if csrf is None else csrf, **(fields or {})}
        return await self._ask("POST", path, {**OWN_SITE, **headers}, data=form)

    async def _ask(self, method: str, path: str, headers: dict[str, str], **body) -> Reply:
        sent = {**self.headers, **({"Cookie": self.cookie} if self.cookie else {}), **headers}
        named = {name.replace("_", "-"): value for name, value in sent.items() if value != ""}
        async with self.http.request(method, f"{self.base}{path}", headers=named, allow_redirects=False, **body) as got:
            reply = Reply(got.status, await got.text(), dict(got.headers))
        if set_cookie := reply.headers.get("Set-Cookie"):
            self.cookie = set_cookie.partition(";")[0]
        return reply

    async def begin(self) -> None:
        """Read the token of the session's forms."""
        self.csrf = CSRF.search((await self.get("/console/now")).text)[1]


@asynccontextmanager
async def client(world, role=None, *, user="tester", **headers):
    """A client of the console, signed in by a one-time link if a role is given."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        made = Client(http, world.app.admin_url, headers=headers)
        if role is not None:
            link = link_of(await one_time_link(world, role, user))
            assert (await made.post("/console/sign-in", {"link": link})).status == 303
            await made.begin()
        yield made


def link_of(url: str) -> str:
    """The secret in a one-time link."""
    return parse_qs(urlsplit(url).query)["link"][0]


def audit_of(world, limit=100) -> list[tuple[str, str, str]]:
    """Who did what, and about what, the newest first."""
    return [(one.who, one.action, one.about) for one in world.app.store.audit.listing(limit=limit)]


def ahead(world, **span) -> None:
    """Set the daemon's clock forward."""
    world.clock.ahead += timedelta(**span)
