"""A Dynamics sandbox with a signed-in client, for tests of the sandbox."""

from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from connector.sandbox.dynamics.app import build
from connector.sandbox.serve import serving

V = "/api/data/v9.2"
FORM = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}


class Org:
    def __init__(self, http, url, token):
        self.http, self.url, self.token = http, url, token

    async def call(self, method, path, body=None, *, raw=None, **headers):
        own = {
            "Authorization": f"Bearer {self.token}",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        target = path if path.startswith("http") else f"{self.url}{V}/{path}".replace(" ", "%20")
        more = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        async with self.http.request(method, yarl(target), headers=own, **more) as answer:
            kind = answer.headers.get("Content-Type", "")
            content = await answer.json() if "json" in kind else await answer.text()
            return answer.status, content, answer.headers

    async def control(self, method, path, body=None):
        async with self.http.request(method, f"{self.url}/_sandbox/{path}", json=body) as answer:
            return answer.status, await answer.json()


def yarl(target):
    return URL(target, encoded=True)


@asynccontextmanager
async def signed_in(**options):
    async with serving(build(**options)) as url, aiohttp.ClientSession() as http:
        form = {**FORM, "scope": f"{url}/.default"}
        async with http.post(f"{url}/sandbox/oauth2/v2.0/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        yield Org(http, url, token)
