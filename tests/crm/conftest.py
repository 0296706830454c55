"""A local Salesforce org, which is an `Http` for the parts under test.

`ORG_LANGUAGE=fr pytest tests/crm` runs all of these tests against an org whose users do not speak English.
"""

import os
from collections.abc import Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from signed_in import SignedIn

from connector.sandbox.salesforce.app import build
from connector.sandbox.serve import serving

LANGUAGE = os.environ.get("ORG_LANGUAGE", "en")


class Org(SignedIn):
    """The sandbox, its control interface, and an `Http` that is signed in."""

    async def sign_in(self):
        form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
        async with self._session.post(f"{self.base}/services/oauth2/token", data=form) as response:
            self._token = (await response.json())["access_token"]

    async def control(self, method: str, path: str, **options):
        async with self._session.request(method, f"{self.base}/_sandbox/{path}", **options) as response:
            body = await response.json()
            assert response.status == 200, body
            return body

    async def fault(self, name: str, **options):
        await self.control("POST", "faults", json={"fault": name, **options})

    async def calm(self):
        await self.control("DELETE", "faults")

    async def load(self, object_name: str, records: Sequence[dict], **options) -> list[str]:
        return (await self.control("POST", f"records/{object_name}", json={"records": records, **options}))["ids"]

    async def records(self, object_name: str) -> list[dict]:
        return (await self.control("GET", f"records/{object_name}"))["records"]

    async def api_calls(self) -> int:
        return (await self.control("GET", "stats"))["api_calls"]


@asynccontextmanager
async def an_org(**how):
    async with serving(build(**{"language": LANGUAGE, **how})) as base, aiohttp.ClientSession() as session:
        org = Org(base, session)
        await org.sign_in()
        yield org


@pytest.fixture
async def org():
    async with an_org() as org:
        yield org
