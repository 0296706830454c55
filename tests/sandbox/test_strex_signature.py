"""The signature of forwards, checked by code that shares nothing with the sandbox, and the public-key endpoint."""

import base64
import hashlib

import aiohttp
import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from yarl import URL

from connector.sandbox.serve import serving
from connector.sandbox.strex.app import build
from connector.sandbox.strex.signing import to_absolute_uri

QUERY = "?Tenant=Acme%2BCo"

VECTOR = {
    "public_key_string": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExfzOhhEkTk6doYQOHzchyOm3qx5gb5pQR/PgKj3JJVZfhimDwPP4XsGJ"
    "vILjphhH3X7CYtJg1xK6DBZjmjk3LA==",
    "method": "POST",
    "url": "https://Hooks.Example.org/Strex/MO?Tenant=Acme%2BCo",
    "header": "2023-11-01:1767323045:85029f0d-a036-4c8d-88a7-9b0fbae5a279:"
    "6GdnERvGNgIQveoCWrkhf3P4luWHZNnUFjkaIeqwet/CEOJ0XAjUFt61+QMbtg/FsDC0DKkTDtJH4NXuZrXe6A==",
    "body": b'{"transactionId":"00568c6b-7baf-4869-b083-d22afc163059","keywordId":"12345678","sender":"+4798079008",'
    b'"recipient":"2002","content":"KATT STOPP","isStopMessage":true,"processAttempts":1,'
    b'"created":"2026-01-02T03:04:05+00:00","properties":{"ServiceId":"1234"}}',
}
DER_SIGNATURE = "MEYCIQDoZ2cRG8Y2AhC96gJauSF/c/iW5Ydk2dQWORoh6rB63wIhAMIQ4nRcCNQW3rX5Axu2D8WwMLQMqRMO0kfg1e5mtd7o"


def verify(public_key_string, method, url, header, body):
    """The check as in the Target365 SDKs, in lines of its own; raises InvalidSignature."""
    name, timestamp, nonce, signature = header.split(":")
    content = base64.b64encode(hashlib.sha256(body).digest()).decode() if body else ""
    signed = (method.lower() + url.lower() + timestamp + nonce + content).encode()
    raw = base64.b64decode(signature)
    if len(raw) != 64:
        raise InvalidSignature
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    load_der_public_key(base64.b64decode(public_key_string)).verify(der, signed, ec.ECDSA(hashes.SHA256()))
    return name


@pytest.fixture
async def receiver():
    """Yields its URL and the list of what it got: path and query, signature header, body."""
    got = []

    async def take(request):
        got.append((request.path_qs, request.headers["X-ECDSA-Signature"], await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{tail:.*}", take)
    async with serving(app) as url:
        yield url, got


@pytest.fixture
async def strex(receiver):
    url, _ = receiver
    app = build(mo_url=f"{url}/hooks/MO{QUERY}", dlr_url=f"{url}/hooks/DLR{QUERY}", clock=lambda: 1_767_323_045.0)
    async with serving(app) as base, aiohttp.ClientSession(base) as client:
        yield client


async def texted(strex, text):
    """Send a text and wait for its forwards."""
    async with strex.post("/_sandbox/phone", json={"from": "+4798079008", "text": text}) as answer:
        assert answer.status == 200
    async with strex.get("/_sandbox/forwards?wait=1") as answer:
        assert {forward["state"] for forward in await answer.json()} == {"delivered"}


async def public_key(strex, name, path="server/public-keys"):
    async with strex.get(f"/api/{path}/{name}") as answer:
        return await answer.json() if answer.status == 200 else answer.status


def test_the_known_vectors_pass_this_check_and_spoilt_ones_fail():
    assert verify(*VECTOR.values()) == "2023-11-01"
    stem = VECTOR["header"].rpartition(":")[0]
    no_body = "G6JUhUDjorScsWCC1d98Jt0hYzYEYN6Ivo22HNk0znj3Dy2WH+WLn0liZmhJnQUEXhWw8IW/MNBm5tsfpIaAvA=="
    lookup = {"method": "GET", "url": "https://shared.target365.io/api/lookup?msisdn=%2B4798079008", "body": b""}
    verify(*(VECTOR | lookup | {"header": f"{stem}:{no_body}"}).values())
    for spoilt in (
        {"body": VECTOR["body"] + b" "},
        {"url": "https://example.org/"},
        {"header": f"{stem}:{DER_SIGNATURE}"},
    ):
        with pytest.raises(InvalidSignature):
            verify(*(VECTOR | spoilt).values())


async def test_every_forward_is_signed_with_the_published_key(strex, receiver):
    url, got = receiver
    await texted(strex, "KATT")
    key = (await public_key(strex, "2026-01-01"))["publicKeyString"]
    assert [path for path, _, _ in got] == [f"/hooks/MO{QUERY}", f"/hooks/DLR{QUERY}"]
    for path, header, body in got:
        assert verify(key, "POST", url + path, header, body) == "2026-01-01"
        assert header.split(":")[1] == "1767323045"
        with pytest.raises(InvalidSignature):
            verify(key, "POST", url + path, header, body + b" ")


async def test_a_new_key_signs_from_then_on_and_the_old_one_stays_published(strex, receiver):
    url, got = receiver
    await texted(strex, "hello")
    async with strex.post("/_sandbox/keys", json={"name": "2026-02-01", "seconds": 60}) as answer:
        assert (await answer.json())["expiry"] == "2026-01-02T03:05:05+00:00"
    await texted(strex, "hello")
    used = []
    for path, header, body in got:
        key = await public_key(strex, header.partition(":")[0])
        used.append(verify(key["publicKeyString"], "POST", url + path, header, body))
    assert used == ["2026-01-01", "2026-02-01"]


async def test_the_key_is_described_at_both_addresses_and_an_unknown_one_is_404(strex):
    key = await public_key(strex, "2026-01-01")
    assert await public_key(strex, "2026-01-01", "public-key") == key
    assert await public_key(strex, "2025-01-01") == 404
    assert len(base64.b64decode(key.pop("publicKeyString"))) == 91
    assert key == {
        "accountId": 4828,
        "name": "2026-01-01",
        "signAlgo": "ECDsaP256",
        "hashAlgo": "SHA256",
        "created": "2026-01-02T03:04:05+00:00",
        "lastModified": "2026-01-02T03:04:05+00:00",
        "notUsableBefore": "2026-01-01T03:04:05+00:00",
        "expiry": "2027-01-02T03:04:05+00:00",
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.org:443", "https://example.org/"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("http://example.org:8080/a?b=%2B", "http://example.org:8080/a?b=%2B"),
        ("https://user:secret@example.org/a#part", "https://example.org/a"),
    ],
)
def test_the_signed_url_has_the_form_of_absolute_uri(url, expected):
    assert to_absolute_uri(URL(url)) == expected
