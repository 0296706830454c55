"""Sign-in: both flows, one shared sign-in, and rejections with advice."""

import asyncio
import tracemalloc
import zlib
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from crm.conftest import an_org
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.credentials import SalesforceCredentials, token
from connector.crm.salesforce.client.oauth import (
    ClientCredentials,
    JwtBearer,
    SignInFailed,
    SignInUnavailable,
    TokenSession,
    refusal,
    trusted_base,
    user_of,
)
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.delivery.http_client import Transport
from connector.model.errors import PeerMoved
from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered
from connector.ports import Task
from connector.sandbox.salesforce.login_refusals import LOGIN_REFUSALS
from connector.sandbox.salesforce.org import INTEGRATION_USER
from connector.sandbox.serve import serving

pytestmark = pytest.mark.slow

CLIENT = ClientCredentials(client_id="sandbox", client_secret=SecretStr("sandbox"))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def at_once(seconds):
    assert seconds < 5


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def bearer(key):
    return JwtBearer(client_id="sandbox", username="sync@example.org", private_key=SecretStr(pem(key)))


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@asynccontextmanager
async def token_service(*answers):
    """Answers token requests one after another, the last one for ever; yields its address and what was asked."""
    asked = []

    async def answer(request):
        asked.append((request.headers.get("Authorization"), dict(await request.post())))
        status, body = answers[min(len(asked), len(answers)) - 1]
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_post("/services/oauth2/token", answer)
    async with serving(app) as base:
        yield base, asked


def contact(number):
    fields = {"LastName": "Ås"}
    return Task(RecordWrite(sink="crm", object="Contact", key_field="SMS_Key__c", key=f"k{number}", set=fields))


async def logins(org):
    return (await org.control("GET", "stats"))["logins"]


async def test_client_credentials_sign_in(org):
    credentials = SalesforceCredentials(org.base, CLIENT)
    base, headers = await credentials.authorization()
    assert base == org.base
    assert headers["Authorization"].startswith("Bearer 00D")
    assert await credentials.authorization() == (base, headers)
    assert credentials.logins == 1
    assert credentials.user_id == INTEGRATION_USER


@pytest.mark.parametrize(
    ("identity", "user"),
    [
        ("https://login.salesforce.com/id/00D5f000003sANDEAM/0055f0000041pGMAAY", "0055f0000041pGMAAY"),
        ("https://test.salesforce.com/id/00D5f000003sAND/0055f0000041pGM", "0055f0000041pGM"),
        ("https://login.salesforce.com/id/", None),
        ("0055f", None),
        (None, None),
        (7, None),
    ],
)
def test_our_user_is_read_from_the_identity_url(identity, user):
    assert user_of(identity) == user


async def test_a_signed_assertion_signs_in_only_with_the_right_key(key):
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    async with an_org(public_key=public) as org:
        base, _ = await SalesforceCredentials(org.base, bearer(key)).authorization()
        assert base == org.base
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        with pytest.raises(SignInFailed, match="private_key: must belong to the certificate"):
            await SalesforceCredentials(org.base, bearer(stranger)).authorization()


async def test_an_expired_token_in_twenty_calls_is_renewed_once(org):
    credentials = SalesforceCredentials(org.base, CLIENT)
    async with Transport() as transport:
        client = transport.client(credentials, parallel=20)
        sink = SalesforceSink("crm", api=Api(version="62.0", client="tests"))
        await sink.write(client, [contact(0)])
        before = await logins(org)
        await org.fault("expired_session")
        answers = await asyncio.gather(*(sink.write(client, [contact(n)]) for n in range(20)))
    assert all(isinstance(outcome, Delivered) for outcomes in answers for outcome in outcomes)
    assert await logins(org) == before + 1


async def test_twenty_simultaneous_first_calls_sign_in_once(org):
    credentials = SalesforceCredentials(org.base, CLIENT)
    before = await logins(org)
    answers = await asyncio.gather(*(credentials.authorization() for _ in range(20)))
    assert len({headers["Authorization"] for _, headers in answers}) == 1
    assert await logins(org) == before + 1


async def test_headers_that_were_renewed_since_are_not_renewed_again(org):
    credentials = SalesforceCredentials(org.base, CLIENT)
    _, first = await credentials.authorization()
    await credentials.refresh(first)
    _, second = await credentials.authorization()
    await credentials.refresh(first)
    assert (await credentials.authorization())[1] == second != first


async def test_a_refused_sign_in_is_not_repeated_at_once():
    clock = Clock()
    body = {"error": "invalid_client", "error_description": "invalid client credentials"}
    token = {"access_token": "00D!x", "instance_url": "https://127.0.0.1"}
    async with token_service((400, body), (400, body), (200, token)) as (base, asked):
        credentials = SalesforceCredentials(base, CLIENT, clock=clock, sleep=at_once)
        refusals = await asyncio.gather(*(credentials.authorization() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(refused, SignInFailed) for refused in refusals)
        assert len(asked) == 1
        clock.now += 2
        with pytest.raises(SignInFailed):
            await credentials.authorization()
        clock.now += 2
        with pytest.raises(SignInFailed):
            await credentials.authorization()
        assert len(asked) == 2  # the second pause is longer than the first
        clock.now += 2
        await credentials.authorization()
        assert len(asked) == 3


async def test_an_unavailable_sign_in_service_is_tried_again_within_seconds():
    token = {"access_token": "00D!x", "instance_url": "https://127.0.0.1"}
    async with token_service((503, "<html>"), (503, "<html>"), (200, token)) as (base, asked):
        _, headers = await SalesforceCredentials(base, CLIENT, sleep=at_once).authorization()
    assert headers == {"Authorization": "Bearer 00D!x"}
    assert len(asked) == 3


async def test_a_lasting_outage_of_the_sign_in_service_is_not_reported_as_wrong_credentials():
    async with token_service((503, "<html>")) as (base, asked):
        with pytest.raises(SignInUnavailable):
            await SalesforceCredentials(base, CLIENT, sleep=at_once).authorization()
    assert len(asked) == 3
    with pytest.raises(SignInUnavailable):  # nobody listens there any more
        await SalesforceCredentials(base, CLIENT, sleep=at_once).authorization()


@pytest.mark.parametrize(
    ("status", "body", "cure"),
    [
        (400, {"error": "invalid_grant", "error_description": "no client credentials user enabled"}, "Run As user"),
        (400, {"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}, "admin-approved"),
        (400, {"error": "invalid_client_id", "error_description": "client identifier invalid"}, "Consumer Key"),
        (400, {"error": "invalid_client", "error_description": "invalid client credentials"}, "Consumer Secret"),
        (400, {"error": "never_met"}, "Login History"),
        (200, {"access_token": "x"}, "not a Salesforce sign-in"),
        (200, {"instance_url": "https://acme.my.salesforce.com"}, "not a Salesforce sign-in"),
        (200, ["x"], "not a Salesforce sign-in"),
        (200, "<html>portal</html>", "not a Salesforce sign-in"),
        (302, "", "not a Salesforce sign-in"),
        (200, {"access_token": "x", "instance_url": "https://evil.example"}, "not Salesforce's"),
    ],
)
async def test_a_refused_sign_in_is_reported_with_the_cure(status, body, cure):
    async with token_service((status, body)) as (base, asked):
        with pytest.raises(SignInFailed, match=cure) as failed:
            await SalesforceCredentials(base, CLIENT, sleep=at_once).authorization()
    assert len(asked) == 1
    assert "<html" not in str(failed.value)


async def test_an_assertion_is_not_sent_to_the_target_of_a_redirect(key):
    carried = []

    async def redirect(request):
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async def elsewhere(request):
        carried.append(await request.post())
        return web.json_response({"access_token": "x", "instance_url": "https://127.0.0.1"})

    app = web.Application()
    app.router.add_post("/services/oauth2/token", redirect)
    app.router.add_post("/elsewhere", elsewhere)
    async with serving(app) as base:
        with pytest.raises(SignInFailed, match="HTTP 307"):
            await SalesforceCredentials(base, bearer(key)).authorization()
    assert carried == []


@pytest.mark.parametrize(
    ("location", "cure"),
    [
        ("https://new.my.salesforce.com/services/oauth2/token", "write https://new.my.salesforce.com as url:"),
        ("https://elsewhere.example/services/oauth2/token", "write the org's My Domain address as url:"),
        ("/here", "write the org's My Domain address as url:"),
    ],
)
async def test_a_moved_sign_in_service_names_the_new_address_only_within_salesforce(location, cure):
    async def redirect(request):
        return web.Response(status=301, headers={"Location": location})

    app = web.Application()
    app.router.add_post("/services/oauth2/token", redirect)
    async with serving(app) as base:
        with pytest.raises(PeerMoved, match="HTTP 301") as moved:
            await SalesforceCredentials(base, CLIENT).authorization()
    assert cure in str(moved.value)
    assert "elsewhere" not in str(moved.value).replace("is sent elsewhere", "")


@pytest.mark.parametrize("text", ["", "nonsense", pem(ec.generate_private_key(ec.SECP256R1()))])
async def test_an_unusable_private_key_is_reported(org, text):
    sign_in = JwtBearer(client_id="sandbox", username="sync@example.org", private_key=SecretStr(text))
    with pytest.raises(SignInFailed, match="RSA key in PEM form") as failed:
        await SalesforceCredentials(org.base, sign_in).authorization()
    assert text == "" or text not in str(failed.value)


def test_secrets_are_not_in_the_repr_of_sign_ins(key):
    assert "sandbox')" not in repr(CLIENT)
    assert "PRIVATE" not in repr(bearer(key))


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with TokenSession("https://acme.my.salesforce.com") as session:
        settings = session.merge_environment_settings("https://acme.my.salesforce.com", {}, None, None, None)
    assert settings["proxies"] == {}


@pytest.mark.parametrize(
    ("instance", "base"),
    [
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com/x?y", "https://acme.my.salesforce.com"),
        ("eu99.force.com", "https://eu99.force.com"),
    ],
)
def test_an_instance_of_salesforce_is_trusted(instance, base):
    assert trusted_base(instance, "https://acme.my.salesforce.com") == base


@pytest.mark.parametrize(
    "instance",
    [
        "evil.example",
        "salesforce.com.evil.example",
        "evilsalesforce.com",
        "acme.my.salesforce.com@evil.example",
        "x:y@acme.my.salesforce.com",
        "acme.my.salesforce.com:8443",
        "127.0.0.1",
        "169.254.169.254",
        "",
        "[",
    ],
)
def test_an_instance_elsewhere_is_refused(instance):
    with pytest.raises(SignInFailed):
        trusted_base(instance, "https://acme.my.salesforce.com")


def test_an_unknown_refusal_still_says_where_to_look():
    assert "Login History" in str(refusal("new_error", ""))


PASSING = ("already_processed", "retry_your_request")
UNEXPLAINED = ("authentication_failure",)  # Salesforce itself does not say more


@pytest.mark.parametrize("name", LOGIN_REFUSALS)
async def test_each_known_refusal_has_its_own_cure_or_is_temporary(org, name):
    await org.fault("login_refused", refusal=name, times=100)
    with pytest.raises(SignInFailed) as failed:
        await SalesforceCredentials(org.base, CLIENT, sleep=at_once).authorization()
    assert isinstance(failed.value, SignInUnavailable) == (name in PASSING)
    assert ("Login History in Setup" in str(failed.value)) == (name in UNEXPLAINED)
    assert LOGIN_REFUSALS[name][2] in str(failed.value)


CURES = {
    "wrong_domain": "My Domain",
    "inactive_user_code": "activate the integration user",
    "inactive_org_code": "the org is locked or deleted",
    "rate_limit": "too often",
    "maximum_logins": "too often",
    "audience_validation": ".sandbox.my",
    "no_valid_scopes": "OAuth Scopes",
    "expired_password": "new password",
    "login_hours": "Hours out",
    "consumer_key": "ten minutes",
}


@pytest.mark.parametrize("name", CURES)
async def test_the_error_has_the_cure_of_its_refusal(org, name):
    await org.fault("login_refused", refusal=name)
    with pytest.raises(SignInFailed) as failed:
        await SalesforceCredentials(org.base, CLIENT, sleep=at_once).authorization()
    assert CURES[name] in str(failed.value)


async def test_a_temporary_refusal_is_tried_again_within_seconds(org):
    await org.fault("login_refused", refusal="already_processed", times=2)
    _, headers = await SalesforceCredentials(org.base, CLIENT, sleep=at_once).authorization()
    assert headers["Authorization"].startswith("Bearer ")


async def test_a_compression_bomb_instead_of_a_token_uses_no_memory():
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([pack.compress(b" " * 2**20) for _ in range(100)] + [pack.flush()])

    async def answer(_):
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with serving(app) as url:
        tracemalloc.start()
        try:
            with pytest.raises(SignInFailed, match="check url:"):
                await asyncio.to_thread(token, url, ClientCredentials(client_id="a", client_secret=SecretStr("b")))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 30 * 2**20
