"""Sign-in to the Salesforce sandbox; other tests of the sandbox start with `signed_in`."""

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from connector.sandbox.salesforce.app import build
from connector.sandbox.serve import serving

V = "/services/data/v62.0"
CLIENT = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = float(int(time.time()))

    def __call__(self):
        return self.now


@dataclass
class Org:
    url: str
    http: aiohttp.ClientSession
    clock: Clock
    token: str = ""

    async def call(self, method, path, body=None, **headers):
        """Status and JSON of a data call; `path` is below the version."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, self.url + V + path, json=body, headers={"Authorization": f"Bearer {self.token}", **named}
        ) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if text else None

    async def soql(self, query, resource="query"):
        async with self.http.get(
            f"{self.url}{V}/{resource}", params={"q": query}, headers={"Authorization": f"Bearer {self.token}"}
        ) as answer:
            return answer.status, await answer.json()

    async def control(self, method, path, body=None):
        async with self.http.request(method, f"{self.url}/_sandbox/{path}", json=body) as answer:
            return answer.status, await answer.json()

    async def load(self, name, *records, **more):
        status, body = await self.control("POST", f"records/{name}", {"records": list(records), **more})
        assert status == 200, body
        return body["ids"]

    async def rows(self, name):
        _, body = await self.control("GET", f"records/{name}")
        return body["records"]

    async def upsert(self, name, key, *records, **more):
        """The results of a collection upsert, with the type filled in."""
        whole = [{"attributes": {"type": name}, **record} for record in records]
        return await self.call("PATCH", f"/composite/sobjects/{name}/{key}", {"records": whole, **more})

    async def sign_in(self):
        async with self.http.post(f"{self.url}/services/oauth2/token", data=CLIENT) as answer:
            self.token = (await answer.json())["access_token"]


@asynccontextmanager
async def signed_in(database=":memory:", **options):
    clock = options.setdefault("clock", Clock())
    async with serving(build(database, **options)) as url, aiohttp.ClientSession() as http:
        org = Org(url, http, clock)
        await org.sign_in()
        yield org


async def token_request(org, **request):
    async with org.http.post(f"{org.url}/services/oauth2/token", **request) as answer:
        return answer.status, await answer.json()


async def test_client_credentials_are_taken_from_a_basic_header_and_from_the_body():
    async with signed_in() as org:
        basic = aiohttp.encode_basic_auth("sandbox", "sandbox")
        status, by_header = await token_request(
            org, data={"grant_type": "client_credentials"}, headers={"Authorization": basic}
        )
        assert status == 200
        assert by_header["instance_url"] == org.url
        assert by_header["token_type"] == "Bearer"
        assert by_header["id"].startswith(f"{org.url}/id/00D")
        assert (await token_request(org, data=CLIENT))[0] == 200


async def test_a_chunked_token_request_is_read():
    async def body():
        yield b"grant_type=client_credentials&client_id=sandbox"
        yield b"&client_secret=sandbox"

    async with signed_in() as org:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await token_request(org, data=body(), headers=headers))[0] == 200


async def test_a_refused_login_has_the_oauth_form():
    async with signed_in() as org:
        wrong = {**CLIENT, "client_secret": "other"}
        assert await token_request(org, data=wrong) == (
            400,
            {"error": "invalid_client", "error_description": "invalid client credentials"},
        )
        status, body = await token_request(org, data={**CLIENT, "client_id": "other"})
        assert (status, body["error"]) == (400, "invalid_client_id")
        status, body = await token_request(org, data={"grant_type": "password"})
        assert (status, body["error"]) == (400, "unsupported_grant_type")


def pem_pair():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def test_a_jwt_needs_the_right_signature_audience_and_expiry():
    private, public = pem_pair()
    async with signed_in(public_key=public) as org:
        right = {
            "iss": "sandbox",
            "sub": "integration@sandbox.example",
            "aud": "https://login.salesforce.com",
            "exp": org.clock.now + 180,
        }

        async def ask(key=private, **changed):
            assertion = jwt.encode({**right, **changed}, key, algorithm="RS256")
            status, body = await token_request(org, data={"grant_type": JWT_GRANT, "assertion": assertion})
            return status, body.get("error_description")

        assert await ask() == (200, None)
        assert await ask(aud=org.url) == (200, None)
        assert await ask(key=pem_pair()[0]) == (400, "invalid assertion")
        assert await ask(aud="https://elsewhere.example") == (400, "audience is invalid")
        assert await ask(exp=org.clock.now - 120) == (400, "assertion is not within validity period")
        assert await ask(iss="other") == (400, "client identifier invalid")
        status, body = await token_request(org, data={"grant_type": JWT_GRANT, "assertion": "no.jwt"})
        assert (status, body["error"]) == (400, "invalid_grant")


async def test_without_a_public_key_any_well_formed_jwt_opens_a_session():
    async with signed_in() as org:
        claims = {
            "iss": "sandbox",
            "sub": "x@y.example",
            "aud": "https://test.salesforce.com",
            "exp": org.clock.now + 60,
        }
        assertion = jwt.encode(claims, pem_pair()[0], algorithm="RS256")
        assert (await token_request(org, data={"grant_type": JWT_GRANT, "assertion": assertion}))[0] == 200


async def test_an_expired_token_is_answered_with_401():
    async with signed_in(session_seconds=60) as org:
        org.clock.now += 59
        assert (await org.call("GET", "/limits"))[0] == 200
        org.clock.now += 1
        assert await org.call("GET", "/limits") == (
            401,
            [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
        )


async def test_versions_need_no_session_and_the_user_does():
    async with signed_in() as org:
        async with org.http.get(f"{org.url}/services/data/") as answer:
            assert {"label": "Version 62", "url": V, "version": "62.0"} in await answer.json()
        userinfo = f"{org.url}/services/oauth2/userinfo"
        async with org.http.get(userinfo, headers={"Authorization": f"Bearer {org.token}"}) as answer:
            assert len((await answer.json())["organization_id"]) == 18
        async with org.http.get(userinfo) as answer:
            assert answer.status == 403


async def test_retired_and_unknown_api_versions_are_refused():
    async with signed_in() as org:
        headers = {"Authorization": f"Bearer {org.token}"}
        async with org.http.get(f"{org.url}/services/data/v30.0/limits", headers=headers) as answer:
            assert answer.status == 410
        async with org.http.get(f"{org.url}/services/data/v99.0/limits", headers=headers) as answer:
            assert answer.status == 404
