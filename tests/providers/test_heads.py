"""What each endpoint knows about a caller before the body arrives."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from scripted_http import ask

from connector.crm.salesforce.read.outbound import OutboundEndpoint
from connector.model.errors import HttpRejected
from connector.model.http import HttpReply, HttpRequest
from connector.providers.auth import AddressList, BasicAuth, PathSecret
from connector.providers.form_endpoint import FormEndpoint
from connector.providers.messagecloud.rate_limit import RateLimiter
from connector.providers.messagecloud.web_endpoints import ReturnEndpoint, SubscribeEndpoint
from connector.providers.onlinefundraising.ip_allowlist import PublishedAddresses
from connector.providers.onlinefundraising.webhook import SmsEndpoint
from connector.providers.strex.endpoints import MessageEndpoint, ReportEndpoint
from connector.providers.strex.public_keys import PublicKeys
from connector.providers.strex.signature import Signature

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RIGHT = {"secret": "s", "peer": "192.0.2.7", "headers": {"authorization": "Basic YTpi"}}
LOCKS = [AddressList([ip_network("192.0.2.0/24")]), PathSecret([b"s"]), BasicAuth(b"a", b"b")]
ENDPOINTS = {
    "strex mo": lambda locks: MessageEndpoint(reader=None, authenticators=locks),
    "strex dlr, signed": lambda locks: ReportEndpoint(
        reader=None, authenticators=locks, signature=Signature(keys=PublicKeys(), required=True)
    ),
    "sumotext, messagecloud": lambda locks: FormEndpoint(name="mo", reader=None, authenticators=locks),
    "onlinefundraising": lambda locks: SmsEndpoint(reader=None, authenticators=locks),
}


def head(*, secret=None, peer="198.51.100.1", headers=None, now=NOW):
    return HttpRequest(
        method="POST", instance="one", endpoint="mo", secret=secret, url="https://sms.example.org/hooks/one/mo", query="",
        headers=headers or {}, body=b"", peer=peer, received_at=now,
    )  # fmt: skip


def refused(endpoint, request):
    with pytest.raises(HttpRejected) as caught:
        endpoint.check_head(request)
    return caught.value.status


@pytest.mark.parametrize("name", ENDPOINTS)
def test_authenticators_that_need_no_body_are_checked_before_it_arrives(name):
    endpoint = ENDPOINTS[name](LOCKS)
    assert endpoint.check_head(head(**RIGHT)) is True
    assert refused(endpoint, head(**RIGHT | {"secret": "wrong"})) == 401
    assert refused(endpoint, head(**RIGHT | {"headers": {}})) == 401
    assert refused(endpoint, head(**RIGHT | {"peer": "198.51.100.1"})) == 403


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_caller_of_an_endpoint_without_such_authenticators_is_unknown(name):
    assert ENDPOINTS[name]([]).check_head(head(**RIGHT)) is False


def test_the_secret_of_an_outbound_message_is_checked_before_the_body():
    endpoint = OutboundEndpoint(provider="salesforce", secrets=[b"s", b"t"], organization_id="00D000000000001")
    assert endpoint.check_head(head(secret="t")) is True
    assert refused(endpoint, head(secret="wrong")) == 401
    assert refused(endpoint, head()) == 401


def test_published_addresses_are_checked_without_a_request_for_the_list():
    published = PublishedAddresses(
        url="https://example.org/l", refresh=timedelta(hours=1), besides=[ip_network("203.0.113.1")]
    )
    endpoint = SmsEndpoint(reader=None, published=published)
    assert endpoint.check_head(head(peer="203.0.113.1")) is True
    assert endpoint.check_head(head()) is False
    listed = HttpReply(status=200, headers={}, body=b'["198.51.100.1"]')
    ask(lambda http: published.authenticate(http, head()), listed)
    assert endpoint.check_head(head()) is True
    assert refused(endpoint, head(peer="198.51.100.2")) == 403
    # A list that is not quite new may have changed: the whole request may have it read again.
    assert endpoint.check_head(head(peer="198.51.100.2", now=NOW + timedelta(minutes=10))) is False


def test_donors_count_as_unknown_callers():
    offers = {"s": object()}
    subscribe = SubscribeEndpoint(
        provider="mc", account=None, offers=offers, rate_limiter=RateLimiter(per_minute=1, at_once=1)
    )
    assert subscribe.check_head(head(secret="s")) is False
    assert refused(subscribe, head(secret="wrong")) == 404
    assert ReturnEndpoint(provider="mc", offers=offers).check_head(head(secret="s")) is False
