import base64
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from connector.model.errors import HttpRejected
from connector.model.http import HttpRequest
from connector.providers.auth import AddressList, BasicAuth, PathSecret


def request(*, secret=None, headers=None, peer="192.0.2.7"):
    return HttpRequest(
        method="POST",
        instance="strex",
        endpoint="mo",
        secret=secret,
        url="https://hooks.example.org/hooks/strex/mo",
        query="",
        headers=headers or {},
        body=b"",
        peer=peer,
        received_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def refusal(lock, asked):
    with pytest.raises(HttpRejected) as caught:
        lock.check(asked)
    return caught.value.status


@pytest.mark.parametrize("secret", ["old", "new-ø"])
def test_both_current_path_secrets_are_accepted(secret):
    PathSecret([b"old", "new-ø".encode()]).check(request(secret=secret))


@pytest.mark.parametrize("secret", [None, "", "ol", "oldd", "OLD", "\ud800", "old\x00"])
def test_other_path_secrets_are_refused(secret):
    assert refusal(PathSecret([b"old", b"new"]), request(secret=secret)) == 401


def basic(text):
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


LOCK = BasicAuth(b"strex", "pä:ss".encode())


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_right_basic_auth_is_accepted(scheme):
    headers = {"authorization": basic("strex:pä:ss")["authorization"].replace("Basic", scheme)}
    LOCK.check(request(headers=headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("strex:wrong"),
        basic("other:pä:ss"),
        basic("strex"),
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic \ud800"},
        {"authorization": "Bearer " + basic("strex:pä:ss")["authorization"][6:]},
        {"authorization": basic("strex:pä:ss")["authorization"] + ", Basic x"},
    ],
)
def test_any_other_basic_auth_is_refused(headers):
    assert refusal(LOCK, request(headers=headers)) == 401


LIST = AddressList([ip_network("192.0.2.0/28"), ip_network("2001:db8::/32")])


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"])
def test_listed_addresses_are_accepted(peer):
    LIST.check(request(peer=peer))


@pytest.mark.parametrize("peer", ["192.0.2.16", "::1", "", "unix", "192.0.2.7, 192.0.2.8"])
def test_unlisted_addresses_are_refused(peer):
    assert refusal(LIST, request(peer=peer)) == 403


def test_secrets_are_not_in_the_repr_of_authenticators():
    assert "old" not in repr(PathSecret([b"old"]))
    assert "pass" not in repr(BasicAuth(b"strex", b"pass"))
