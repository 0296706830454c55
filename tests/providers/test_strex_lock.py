import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scripted_http import ask

from connector.model.errors import HttpRejected
from connector.model.http import Failure, HttpError, HttpReply, HttpRequest
from connector.ports import AuthResult
from connector.providers.strex.public_keys import MAX_KEYS, MAX_UNKNOWN, PublicKeys
from connector.providers.strex.signature import Signature, signed_text

# A throw-away key and a signature that were verified with three other libraries.
KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExfzOhhEkTk6doYQOHzchyOm3qx5gb5pQR/PgKj3JJVZfhimDwPP4XsGJvILjphhH3X7CYtJg1xK6DBZjmjk3LA=="
NAME = "2023-11-01"
NONCE = "85029f0d-a036-4c8d-88a7-9b0fbae5a279"
STAMP = 1767323045
SIGNATURE = "6GdnERvGNgIQveoCWrkhf3P4luWHZNnUFjkaIeqwet/CEOJ0XAjUFt61+QMbtg/FsDC0DKkTDtJH4NXuZrXe6A=="
DER = "MEYCIQDoZ2cRG8Y2AhC96gJauSF/c/iW5Ydk2dQWORoh6rB63wIhAMIQ4nRcCNQW3rX5Axu2D8WwMLQMqRMO0kfg1e5mtd7o"
GET_SIGNATURE = "G6JUhUDjorScsWCC1d98Jt0hYzYEYN6Ivo22HNk0znj3Dy2WH+WLn0liZmhJnQUEXhWw8IW/MNBm5tsfpIaAvA=="
BODY = (
    b'{"transactionId":"00568c6b-7baf-4869-b083-d22afc163059","keywordId":"12345678","sender":"+4798079008",'
    b'"recipient":"2002","content":"KATT STOPP","isStopMessage":true,"processAttempts":1,'
    b'"created":"2026-01-02T03:04:05+00:00","properties":{"ServiceId":"1234"}}'
)
THEN = datetime.fromtimestamp(STAMP, UTC)
HEADER = f"{NAME}:{STAMP}:{NONCE}:{SIGNATURE}"


def request(
    header=HEADER, *, body=BODY, at=THEN, method="POST", url="https://Hooks.Example.org/Strex/MO?Tenant=Acme%2BCo"
):
    return HttpRequest(
        method=method,
        instance="strex",
        endpoint="mo",
        secret=None,
        url=url,
        query="",
        headers={} if header is None else {"x-ecdsa-signature": header},
        body=body,
        peer="192.0.2.7",
        received_at=at,
    )


def key_reply(**changes):
    value = {"accountId": 1, "name": NAME, "publicKeyString": KEY, "signAlgo": "ECDsaP256", "hashAlgo": "SHA256"}
    value |= {"notUsableBefore": "2023-11-01T00:00:00+00:00", "expiry": "2027-01-01T00:00:00Z"} | changes
    return HttpReply(status=200, headers={}, body=json.dumps(value).encode())


NOT_FOUND = HttpReply(status=404, headers={}, body=b"")


def drive(question, *replies):
    """The question's result, and the paths it asked for."""
    result, http = ask(question, *replies)
    return result, [call.path for call in http.calls]


def lock(*, required=True, keys=None, **more):
    return Signature(keys=keys or PublicKeys(), required=required, **more)


def refused(question, *replies):
    with pytest.raises(HttpRejected) as caught:
        drive(question, *replies)
    return caught.value.status, caught.value.why


def test_the_test_vector_of_the_document_verifies():
    auth, asked = drive(lambda http: lock().authenticate(http, request()), key_reply())
    assert auth == AuthResult(nonce=f"strex:{NAME}:{NONCE}")
    assert asked == [f"/api/server/public-keys/{NAME}"]


def test_the_signed_text_equals_the_test_vector():
    text = b"posthttps://hooks.example.org/strex/mo?tenant=acme%2bco1767323045" + NONCE.encode()
    assert signed_text(request(), str(STAMP), NONCE) == text + b"qMtPx47KVvmxt5f6BQls0fybsIHHwoLpyt7WM6Yt3f0="


def test_a_get_without_a_body_verifies():
    header = f"{NAME}:{STAMP}:{NONCE}:{GET_SIGNATURE}"
    url = "https://shared.target365.io/api/lookup?msisdn=%2B4798079008"
    assert drive(lambda http: lock().authenticate(http, request(header, body=b"", method="GET", url=url)), key_reply())[
        0
    ].nonce


def flipped(text, place):
    raw = bytearray(base64.b64decode(text))
    raw[place] ^= 1
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "changed",
    [
        request(body=BODY + b" "),
        request(body=b""),
        request(url="https://hooks.example.org/strex/dlr?tenant=acme%2bco"),
        request(url="http://hooks.example.org/strex/mo?tenant=acme%2bco"),
        request(method="PUT"),
        request(f"{NAME}:{STAMP + 1}:{NONCE}:{SIGNATURE}"),
        request(f"{NAME}:{STAMP}:{NONCE}x:{SIGNATURE}"),
        *(request(f"{NAME}:{STAMP}:{NONCE}:{flipped(SIGNATURE, place)}") for place in (0, 31, 32, 63)),
        request(f"{NAME}:{STAMP}:{NONCE}:{'A' * 86}=="),
    ],
)
def test_a_request_that_was_tampered_with_is_refused(changed):
    assert refused(lambda http: lock().authenticate(http, changed), key_reply()) == (401, "wrong signature")


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"{NAME}:{STAMP}:{NONCE}",
        f"{NAME}:{STAMP}:{NONCE}:{DER}",
        f"{HEADER}:x",
        f"{HEADER}, {HEADER}",
        f"{HEADER}\n",
        f"../../x:{STAMP}:{NONCE}:{SIGNATURE}",
        f"a/b:{STAMP}:{NONCE}:{SIGNATURE}",
        f"{'a' * 65}:{STAMP}:{NONCE}:{SIGNATURE}",
        f"{NAME}:-1:{NONCE}:{SIGNATURE}",
        f"{NAME}:{'9' * 400}:{NONCE}:{SIGNATURE}",
        f"{NAME}:{STAMP}::{SIGNATURE}",
        f"{NAME}:{STAMP}:{NONCE}:{SIGNATURE[:-4]}",
        f"{NAME}:٣:{NONCE}:{SIGNATURE}",
    ],
)
def test_a_malformed_header_is_refused_without_a_key_request(header):
    assert refused(lambda http: lock(required=False).authenticate(http, request(header))) == (
        401,
        "malformed signature",
    )


@pytest.mark.parametrize("seconds", [-301, 301, 10**9])
def test_an_old_or_future_signature_is_refused_without_a_key_request(seconds):
    old = request(at=THEN + timedelta(seconds=seconds))
    assert refused(lambda http: lock().authenticate(http, old)) == (401, "signature too old or too new")


def test_the_allowed_drift_is_a_setting():
    late = request(at=THEN + timedelta(seconds=299))
    assert drive(lambda http: lock().authenticate(http, late), key_reply())[0].nonce
    assert refused(lambda http: lock(drift=timedelta(seconds=10)).authenticate(http, late))[0] == 401


def test_a_missing_signature_is_refused_only_if_it_is_required():
    assert refused(lambda http: lock().authenticate(http, request(None))) == (401, "no signature")
    assert drive(lambda http: lock(required=False).authenticate(http, request(None))) == (AuthResult(), [])


def test_a_key_is_fetched_once_and_again_when_it_expires():
    keys = PublicKeys()
    short = key_reply(expiry=(THEN + timedelta(minutes=3)).isoformat())
    drive(lambda http: lock(keys=keys).authenticate(http, request()), short)
    assert drive(lambda http: lock(keys=keys).authenticate(http, request(at=THEN + timedelta(minutes=2))))[1] == []
    assert (
        drive(lambda http: lock(keys=keys).authenticate(http, request(at=THEN + timedelta(minutes=3))), key_reply())[1]
        != []
    )


def test_the_older_path_is_tried_second():
    _, asked = drive(lambda http: lock().authenticate(http, request()), NOT_FOUND, key_reply())
    assert asked == [f"/api/server/public-keys/{NAME}", f"/api/public-key/{NAME}"]


def test_an_unknown_key_is_not_fetched_again_for_a_minute():
    keys = PublicKeys()
    assert refused(lambda http: lock(keys=keys).authenticate(http, request()), NOT_FOUND, NOT_FOUND) == (
        401,
        "unknown signing key",
    )
    assert refused(lambda http: lock(keys=keys).authenticate(http, request(at=THEN + timedelta(seconds=59)))) == (
        401,
        "unknown signing key",
    )
    assert drive(
        lambda http: lock(keys=keys).authenticate(http, request(at=THEN + timedelta(seconds=60))), key_reply()
    )[0].nonce


@pytest.mark.parametrize(
    "reply",
    [
        HttpError(Failure.TIMEOUT),
        HttpError(Failure.REFUSED),
        HttpReply(status=500, headers={}, body=b""),
        HttpReply(status=401, headers={}, body=b""),
    ],
)
def test_a_failed_key_request_gives_503_and_not_401(reply):
    keys = PublicKeys()
    assert refused(lambda http: lock(keys=keys).authenticate(http, request()), reply) == (
        503,
        "no answer about a signing key",
    )
    assert refused(lambda http: lock(keys=keys).authenticate(http, request()))[0] == 503
    assert drive(lambda http: lock(keys=keys).authenticate(http, request(at=THEN + timedelta(seconds=5))), key_reply())[
        0
    ].nonce


P384 = base64.b64encode(
    ec.derive_private_key(7, ec.SECP384R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"signAlgo": "RSA"},
        {"signAlgo": None},
        {"publicKeyString": "AAAA"},
        {"publicKeyString": "!"},
        {"publicKeyString": None},
        {"publicKeyString": P384},
        {"expiry": "soon"},
    ],
)
def test_an_unusable_key_is_refused(changes):
    assert refused(lambda http: lock().authenticate(http, request()), key_reply(**changes)) == (
        401,
        "unusable signing key",
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{}", b"<html>"])
def test_a_reply_that_is_no_key_is_refused(body):
    assert (
        refused(lambda http: lock().authenticate(http, request()), HttpReply(status=200, headers={}, body=body))[0]
        == 401
    )


@pytest.mark.parametrize("changes", [{"notUsableBefore": "2026-01-03T00:00:00Z"}, {"expiry": "2026-01-01T00:00:00"}])
def test_a_key_is_valid_only_within_its_dates(changes):
    keys = PublicKeys()
    assert refused(lambda http: lock(keys=keys).authenticate(http, request()), key_reply(**changes)) == (
        401,
        "signing key not in use",
    )
    assert refused(lambda http: lock(keys=keys).authenticate(http, request())) == (401, "signing key not in use")


def test_the_number_of_key_requests_is_limited():
    keys = PublicKeys()
    names = [f"{NAME}-{number}" for number in range(MAX_UNKNOWN)]
    for name in names:
        signed = request(HEADER.replace(NAME, name))
        refused(lambda http, signed=signed: lock(keys=keys).authenticate(http, signed), NOT_FOUND, NOT_FOUND)
    assert refused(lambda http: lock(keys=keys).authenticate(http, request())) == (503, "too many unknown signing keys")


def test_the_cache_of_keys_is_bounded():
    keys = PublicKeys()
    for number in range(MAX_KEYS + 1):
        drive(lambda http, number=number: keys.find(http, f"{NAME}-{number}", THEN), key_reply())
    assert drive(lambda http: keys.find(http, f"{NAME}-{MAX_KEYS}", THEN))[1] == []
    assert drive(lambda http: keys.find(http, f"{NAME}-0", THEN), key_reply())[1] != []
