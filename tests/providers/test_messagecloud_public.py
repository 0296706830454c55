"""The public endpoints for donors: a window for an offer, the return from it, and the status query."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs
from providers.messagecloud_requests import NOW, request
from scripted_http import ScriptedHttp, ask

from connector.model.errors import HttpRejected, Unreadable
from connector.model.event import Result, Verdict
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.ports import AuthResult, Enriched, Pending
from connector.providers.messagecloud.oneclick import Account
from connector.providers.messagecloud.rate_limit import MAX_PEERS, RateLimiter
from connector.providers.messagecloud.subscription import Offer, StatusEnricher
from connector.providers.messagecloud.web_endpoints import ReturnEndpoint, SubscribeEndpoint

SAMPLES = Path(__file__).parent.parent / "samples" / "messagecloud"
ACCOUNT = Account(campaign_name="puregaming", api_key="k")
KATT = Offer(
    name="katt",
    service_id="s-1",
    short_number="2002",
    keyword="KATT",
    price=Decimal(100),
    thank_you="https://example.org/thanks?a=b",
    cancelled="https://example.org/another-time",
)
HUND = replace(KATT, name="hund", thank_you="https://example.org/hund")
UNIQUE = "0123456789abcdef" * 2
OWN_ID = f"katt-{UNIQUE}"
WINDOW = HttpReply(status=200, headers={}, body=(SAMPLES / "new-window.json").read_bytes())
ID = "b91c5c08-60dd-4607-b900-54310ad1ea22"


def subscribe_endpoint(**rate_limiter):
    return SubscribeEndpoint(
        provider="messagecloud",
        account=ACCOUNT,
        offers={"katt": KATT},
        rate_limiter=RateLimiter(**{"per_minute": 3, "at_once": 2, **rate_limiter}),
        unique=lambda: UNIQUE,
    )


def visit(**about):
    return request("subscribe", **{"method": "GET", "secret": "katt", **about})


def admitted(endpoint, reply=WINDOW, **about):
    auth, http = ask(lambda http: endpoint.authenticate(http, visit(**about)), reply)
    (call,) = http.calls
    return call, auth


def turned_away(endpoint, **about):
    """The status for a visit that makes no call."""
    with pytest.raises(HttpRejected) as refused:
        ask(lambda http: endpoint.authenticate(http, visit(**about)))
    return refused.value.status


def window_event():
    endpoint = subscribe_endpoint()
    (event,) = endpoint.read(visit(), admitted(endpoint)[1])
    return event


def test_a_visit_creates_a_window_and_begins_a_subscription():
    endpoint = subscribe_endpoint()
    call, auth = admitted(endpoint)
    assert f"id={OWN_ID}" in call.path
    assert "service_id=s-1" in call.path
    (event,) = endpoint.read(visit(), auth)
    assert (event.source, event.action, event.msisdn) == ("messagecloud.subscription", "one-click", None)
    assert (event.verdict, event.result, event.final) == (Verdict.NONE, Result.PENDING, False)
    assert (event.keyword, event.service_id, event.short_number) == ("KATT", "s-1", "2002")
    assert (event.price, event.currency, event.transaction_id) == (Decimal(100), "NOK", ID)
    answer = endpoint.answer(visit(), auth)
    assert (answer.status, answer.headers["Location"]) == (302, f"http://betal.strex.no/service?id={ID}")
    assert answer.headers["Cache-Control"] == "no-store"


def test_each_visit_gets_an_unguessable_id():
    endpoint = replace(subscribe_endpoint(), unique=SubscribeEndpoint.__dataclass_fields__["unique"].default)
    ids = {admitted(endpoint)[1].details["own_id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(one) > 32 for one in ids)


@pytest.mark.parametrize("secret", [None, "", "fugl", "KATT"])
def test_an_unknown_offer_is_not_found(secret):
    assert turned_away(subscribe_endpoint(), secret=secret) == 404


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (HttpError(Failure.TIMEOUT), Reason.TIMEOUT),
        (HttpReply(status=500, headers={}, body=b""), Reason.SERVER_ERROR),
        (HttpReply(status=200, headers={}, body=b'{"status": false, "code": 2}'), Reason.CREDENTIALS),
        (HttpReply(status=200, headers={}, body=b'{"status": false, "code": 4}'), Reason.CONFIGURATION),
    ],
)
def test_the_donor_gets_503_if_no_window_was_created(reply, why):
    with pytest.raises(HttpRejected) as refused:
        admitted(subscribe_endpoint(), reply)
    assert (refused.value.status, refused.value.why) == (503, f"no window: {why}")


def test_the_number_of_windows_a_minute_is_limited_for_each_address():
    endpoint = subscribe_endpoint()
    for _ in range(3):
        admitted(endpoint)
    assert turned_away(endpoint) == 429
    admitted(endpoint, peer="192.0.2.8")
    admitted(endpoint, received_at=NOW + timedelta(minutes=1))


def test_a_clock_that_is_set_back_does_not_extend_the_rate_limit():
    endpoint = subscribe_endpoint()
    for _ in range(3):
        admitted(endpoint)
    admitted(endpoint, received_at=NOW - timedelta(days=1))


def test_ipv6_addresses_of_one_network_share_a_rate_limit():
    endpoint = subscribe_endpoint()
    for number in range(3):
        admitted(endpoint, peer=f"2001:db8::{number}")
    assert turned_away(endpoint, peer="2001:db8::ffff") == 429
    admitted(endpoint, peer="2001:db8:0:1::1")
    admitted(endpoint, peer="::ffff:192.0.2.7")


class SlowHttp(ScriptedHttp):
    """Keeps each call until `lost` is set, and loses it then."""

    def __init__(self):
        super().__init__()
        self.asked, self.lost = asyncio.Event(), asyncio.Event()

    async def call(self, call):
        self.asked.set()
        await self.lost.wait()
        raise HttpError(Failure.LOST)


async def test_the_number_of_simultaneous_windows_is_limited_and_failed_ones_do_not_count():
    endpoint, slow, closed = subscribe_endpoint(per_minute=99), SlowHttp(), SlowHttp()
    fails, stops = (asyncio.create_task(endpoint.authenticate(http, visit())) for http in (slow, closed))
    await slow.asked.wait()
    await closed.asked.wait()
    with pytest.raises(HttpRejected) as refused:
        await endpoint.authenticate(ScriptedHttp(), visit())
    assert refused.value.status == 503
    slow.lost.set()
    with pytest.raises(HttpRejected):
        await fails
    assert await endpoint.authenticate(ScriptedHttp(WINDOW), visit())
    stops.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stops
    assert endpoint.rate_limiter._running == 0


def test_the_rate_limiter_remembers_a_limited_number_of_addresses():
    rate_limiter = RateLimiter(per_minute=1, at_once=MAX_PEERS * 2)
    for number in range(MAX_PEERS + 5):
        rate_limiter.acquire(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOW)
    assert len(rate_limiter._peers) == MAX_PEERS


def test_a_stored_visit_cannot_be_read_again():
    with pytest.raises(Unreadable):
        subscribe_endpoint().read(visit(), AuthResult())


# The way back.


def back(query, *, offers=(KATT, HUND), secret=None):
    endpoint = ReturnEndpoint(provider="messagecloud", offers={one.name: one for one in offers})
    asked = request("return", method="GET", query=query, secret=secret)
    auth, _ = ask(lambda http: endpoint.authenticate(http, asked))
    assert endpoint.read(asked, auth) == ()
    return auth.hint, endpoint.answer(asked, auth)


@pytest.mark.parametrize(
    ("status", "page"),
    [
        ("success", KATT.thank_you),
        ("Success", KATT.thank_you),
        ("cancelled", KATT.cancelled),
        ("", KATT.cancelled),
        ("pending", KATT.cancelled),
    ],
)
def test_a_returning_donor_is_redirected_to_the_page_of_the_offer_and_the_question_is_due(status, page):
    hint, answer = back(f"id={OWN_ID}&status={status}")
    assert (answer.status, answer.headers["Location"]) == (302, page)
    assert hint == window_event().key


@pytest.mark.parametrize("own_id", ["", "katt", ID, "katt-123", f"../{UNIQUE}", "%FF"])
def test_an_id_that_we_did_not_issue_gives_no_hint(own_id):
    hint, answer = back(f"id={own_id}&status=success")
    assert hint is None
    assert answer.status == 200


def test_the_offer_is_found_by_its_path_or_as_the_only_one():
    assert back("status=success", secret="hund")[1].headers["Location"] == HUND.thank_you
    assert back("status=success", offers=[KATT])[1].headers["Location"] == KATT.thank_you
    assert back("status=success", secret="fugl")[1].status == 200


def test_a_donor_is_never_redirected_to_an_address_of_the_query():
    _, answer = back(f"id={OWN_ID}&status=success&url=https://evil.example&id=evil")
    assert answer.headers["Location"] == KATT.thank_you


# The question.


ENRICHER = StatusEnricher(provider="messagecloud", account=ACCOUNT, deadline=timedelta(hours=48))


def asked(data, *, event=None):
    body = json.dumps({"status": True, "code": 0, "data": {"transactionId": ID, **data}}).encode()
    reply = HttpReply(status=200, headers={}, body=body)
    answer, http = ask(lambda http: ENRICHER.ask(http, event or window_event()), reply)
    (call,) = http.calls
    return call, answer


def test_a_completed_subscription_is_an_opt_in_of_the_donor():
    data = json.loads((SAMPLES / "view-status.json").read_bytes())["data"]
    event = window_event()
    call, answer = asked(data, event=event)
    assert f"transaction_id={ID}" in call.path
    assert isinstance(answer, Enriched)
    emitted = answer.event
    assert (emitted.key, emitted.source) == (event.key, event.source)
    assert (emitted.verdict, emitted.result, emitted.final) == (Verdict.OPT_IN, Result.OK, True)
    assert (emitted.msisdn, emitted.subscription_id) == (Phone("+4798888888"), ID)
    assert (emitted.price, emitted.currency, emitted.short_number) == (Decimal(1), "NOK", "2172")
    assert emitted.occurred_at == datetime(2021, 9, 9, 8, 46, 40, tzinfo=UTC)
    assert emitted.properties["lastModified"] == "2021-09-09T08:47:23+00:00"
    assert not ENRICHER.wants(emitted)


@pytest.mark.parametrize("price", [-50, "-50", 1.234])
def test_a_price_that_nobody_can_have_paid_gives_way_to_that_of_the_offer(price):
    data = json.loads((SAMPLES / "view-status.json").read_bytes())["data"]
    _, answer = asked({**data, "price": price}, event=window_event())
    assert (answer.event.verdict, answer.event.price) == (Verdict.OPT_IN, KATT.price)


@pytest.mark.parametrize("status", ["REJECTED", "VALIDITY_EXPIRED", "INVALID_MSISDN", "NO_CREDIT", "FAILED"])
def test_a_failed_subscription_is_final_and_no_opt_in(status):
    _, answer = asked({"statusCode": status})
    assert isinstance(answer, Enriched)
    assert (answer.event.verdict, answer.event.result, answer.event.status) == (Verdict.NONE, Result.FAILED, status)
    assert answer.event.price == KATT.price
    assert not ENRICHER.wants(answer.event)


@pytest.mark.parametrize("status", ["ACKNOWLEDGED", "UNKNOWN", "SOMETHING_NEW"])
def test_a_status_that_is_not_final_is_asked_for_again(status):
    _, answer = asked({"statusCode": status, "recipient": 4798888888})
    assert isinstance(answer, Pending)
    assert answer.problem is None
    assert (answer.event.verdict, answer.event.result) == (Verdict.NONE, Result.PENDING)
    assert ENRICHER.wants(answer.event)


def test_a_failed_question_returns_its_reason_and_no_event():
    answer, _ = ask(lambda http: ENRICHER.ask(http, window_event()), HttpError(Failure.TIMEOUT))
    assert answer.problem.reason is Reason.TIMEOUT
    assert answer.event is None


def test_only_subscription_events_need_enrichment():
    assert ENRICHER.wants(window_event())
    assert not ENRICHER.wants(structs.replace(window_event(), shape="message"))
    assert not ENRICHER.wants(structs.replace(window_event(), transaction_id=None))
