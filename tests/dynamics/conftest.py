"""A local Dynamics 365 org, which is an `Http` for the parts under test."""

from collections.abc import Awaitable, Sequence

import aiohttp
import pytest
from yarl import URL

from connector.model.http import Failure, HttpCall, HttpError, HttpReply
from connector.sandbox.dynamics import build
from connector.sandbox.serve import serving


class Org:
    """The sandbox, its control interface, and an `Http` that is signed in."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.sent: list[HttpCall] = []
        self.between: Awaitable[None] | None = None  # what happens in the org behind the first call
        self._session = session
        self._token = ""

    async def sign_in(self):
        form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
        form["scope"] = f"{self.base}/.default"
        async with self._session.post(f"{self.base}/sandbox/oauth2/v2.0/token", data=form) as response:
            self._token = (await response.json())["access_token"]

    async def call(self, call: HttpCall) -> HttpReply:
        """Send one call. `between` is awaited once, behind the first call."""
        self.sent.append(call)
        headers = {**call.headers, "Authorization": f"Bearer {self._token}"}
        try:
            url = URL(self.base + call.path, encoded=True)
            async with self._session.request(call.method, url, data=call.body, headers=headers) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                reply = HttpReply(status=response.status, headers=names, body=await response.read())
        except aiohttp.ClientError:
            raise HttpError(Failure.LOST) from None
        if self.between is not None:
            between, self.between = self.between, None
            await between
        return reply

    async def call_all(self, calls: Sequence[HttpCall]) -> Sequence[HttpReply | HttpError]:
        results: list[HttpReply | HttpError] = []
        for call in calls:
            try:
                results.append(await self.call(call))
            except HttpError as error:
                results.append(error)
        return results

    async def control(self, method: str, path: str, body=None):
        async with self._session.request(method, f"{self.base}/_sandbox/{path}", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def fault(self, name: str, **options):
        await self.control("POST", "faults", {"fault": name, **options})

    async def load(self, table: str, *records: dict, **options) -> list[str]:
        return (await self.control("POST", f"records/{table}", {"records": records, **options}))["ids"]

    async def records(self, table: str) -> list[dict]:
        return (await self.control("GET", f"records/{table}"))["records"]

    async def api_calls(self) -> int:
        return (await self.control("GET", "stats"))["api_calls"]


@pytest.fixture
async def org(request):
    """An org; `@pytest.mark.parametrize("org", [{"bare": True}], indirect=True)` gives options to it."""
    options = getattr(request, "param", {})
    async with serving(build(**options)) as base, aiohttp.ClientSession() as session:
        one = Org(base, session)
        await one.sign_in()
        yield one
