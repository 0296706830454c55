"""A local Dynamics 365 org, which is an `Http` for the parts under test."""

import aiohttp
import pytest
from signed_in import SignedIn
from yarl import URL

from connector.sandbox.dynamics.app import build
from connector.sandbox.serve import serving


class Org(SignedIn):
    """The sandbox, its control interface, and an `Http` that is signed in."""

    async def sign_in(self):
        form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
        form["scope"] = f"{self.base}/.default"
        async with self._session.post(f"{self.base}/sandbox/oauth2/v2.0/token", data=form) as response:
            self._token = (await response.json())["access_token"]

    def address(self, call):
        return URL(self.base + call.path, encoded=True)

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
