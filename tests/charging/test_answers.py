"""What each answer to a charge means for the money: pure, without a server."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import orjson
import pytest
from charging.scene import DONOR, KEYWORD, NAME, SERVICE, SHORT, rules
from scripted_http import ScriptedHttp

from connector.model.charge import Agreement, Charge, ChargeState, Verdict
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.phone import Phone
from connector.providers.messagecloud.charges import DobCharger
from connector.providers.messagecloud.oneclick import Account

NOW = datetime(2026, 3, 1, 11, tzinfo=UTC)
AGREEMENT = Agreement(
    id=1,
    provider=NAME,
    phone=Phone(DONOR),
    service_id=SERVICE,
    short_number=SHORT,
    keyword=KEYWORD,
    subscription_id="window-1",
    amount=Decimal(100),
    event_id=1,
    began_at=NOW,
)
CHARGE = Charge(
    id=1,
    agreement=AGREEMENT,
    period="2026-03",
    reference="r",
    state=ChargeState.SENDING,
    due_day=date(2026, 3, 1),
    last_day=date(2026, 3, 8),
    attempt=1,
    amount=Decimal(100),
    sent_at=NOW,
    changed_at=NOW,
)
DATA = {
    "price": 100,
    "shortNumber": SHORT,
    "recipient": DONOR.lstrip("+"),
    "transactionId": "t-1",
    "statusCode": "DELIVERED",
    "detailedStatusCode": "Delivered",
    "created": "2026-03-01T11:00:00+00:00",
    "lastModified": "2026-03-01T11:00:01+00:00",
}
TAKEN, FAILED, PENDING, NOT_SENT, IN_DOUBT = Verdict
WITHOUT = object()


def envelope(http=200, *, status=True, code=0, message="Success", **changed):
    data = {name: value for name, value in (DATA | changed).items() if value is not WITHOUT}
    return reply(http, {"requestId": "q", "status": status, "code": code, "message": message, "data": data})


def error(code, http=200, **more):
    return reply(http, {"requestId": "q", "status": False, "code": code, "message": "no", "data": {}} | more)


def reply(status, body=b"", **headers):
    return HttpReply(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body if isinstance(body, bytes) else orjson.dumps(body),
    )


def charger():
    return DobCharger(provider=NAME, account=Account(campaign_name="c", api_key="k"), rules=rules())


async def sent(answer):
    http = ScriptedHttp(answer)
    result = await charger().send(http, CHARGE)
    assert len(http.calls) == 1, "one call, whatever the answer is"
    assert not http.calls[0].repeatable
    return result


ANSWERS = [
    (envelope(), TAKEN),
    (envelope(statusCode=" delivered "), TAKEN),
    (envelope(price="100.00"), TAKEN),
    (envelope(price="100,00"), TAKEN),
    (envelope(price=100.0), TAKEN),
    (envelope(price=None), TAKEN),
    (envelope(price=WITHOUT), TAKEN),
    (envelope(recipient=int(DONOR.lstrip("+"))), TAKEN),
    (envelope(recipient=DONOR), TAKEN),
    (envelope(recipient="00" + DONOR.lstrip("+")), TAKEN),
    (envelope(recipient=WITHOUT), TAKEN),
    (envelope(transactionId=WITHOUT), TAKEN),
    (envelope(transactionId=WITHOUT, transaction_id="t-2"), TAKEN),
    (envelope(code="0"), TAKEN),
    (reply(200, b"\xef\xbb\xbf" + orjson.dumps({"status": True, "code": 0, "data": DATA})), TAKEN),
    (envelope(statusCode="NO_CREDIT"), FAILED),
    (envelope(statusCode="REJECTED"), FAILED),
    (envelope(statusCode="INVALID_MSISDN"), FAILED),
    (envelope(statusCode="VALIDITY_EXPIRED"), FAILED),
    (envelope(statusCode="FAILED"), FAILED),
    (envelope(statusCode="ACKNOWLEDGED"), PENDING),
    (envelope(statusCode="UNKNOWN"), PENDING),
    (envelope(statusCode="ACCEPTED"), PENDING),
    (envelope(statusCode="BILLED_TWICE"), PENDING),
    # Another amount or another person proves nothing about this charge.
    (envelope(price=10000), IN_DOUBT),
    (envelope(price=0), IN_DOUBT),
    (envelope(price=-100), IN_DOUBT),
    (envelope(price="100.50"), IN_DOUBT),
    (envelope(statusCode="NO_CREDIT", price=50), IN_DOUBT),
    (envelope(recipient="4790000002"), IN_DOUBT),
    # Not in the documented form.
    (envelope(statusCode=WITHOUT), IN_DOUBT),
    (envelope(statusCode=None), IN_DOUBT),
    (envelope(statusCode=7), PENDING),
    (envelope(status="true"), TAKEN),
    (envelope(status=None), IN_DOUBT),
    (envelope(code=None), IN_DOUBT),
    (envelope(code=True), IN_DOUBT),
    (envelope(status=False), IN_DOUBT),
    (reply(200, {"status": True, "code": 0}), IN_DOUBT),
    (reply(200, {"status": True, "code": 0, "data": []}), IN_DOUBT),
    (reply(200), IN_DOUBT),
    (reply(204), IN_DOUBT),
    (reply(200, b"null"), IN_DOUBT),
    (reply(200, b"[]"), IN_DOUBT),
    (reply(200, b"OK"), IN_DOUBT),
    (reply(200, orjson.dumps({"status": True, "code": 0, "data": DATA})[:-20]), IN_DOUBT),
    (reply(200, b"<html>Service maintenance</html>"), IN_DOUBT),
    # The error codes.
    (error(1), NOT_SENT),
    (error("1"), NOT_SENT),
    (error(1, 400), NOT_SENT),
    (error(2), NOT_SENT),
    (error(2, 401), NOT_SENT),
    (error(3), IN_DOUBT),
    (error(4), NOT_SENT),
    (error(0), IN_DOUBT),
    (error(5), IN_DOUBT),
    (error(-1), IN_DOUBT),
    (error(2.0), IN_DOUBT),
    # An error that names a transaction contradicts itself.
    (envelope(code=1), IN_DOUBT),
    (envelope(code=4, status=False), IN_DOUBT),
    (envelope(code=2, status=False), IN_DOUBT),
    (envelope(code=1, status=False, statusCode=WITHOUT), IN_DOUBT),
    (envelope(429), IN_DOUBT),
    (envelope(401), IN_DOUBT),
    (error(1, status=True), IN_DOUBT),
    # HTTP statuses without an envelope.
    (reply(301), IN_DOUBT),
    (reply(302), IN_DOUBT),
    (reply(400), IN_DOUBT),
    (reply(401), NOT_SENT),
    (reply(403, b"<html>no</html>"), NOT_SENT),
    (reply(404), IN_DOUBT),
    (reply(408), IN_DOUBT),
    (reply(409), IN_DOUBT),
    (reply(418), IN_DOUBT),
    (reply(429), NOT_SENT),
    (reply(500), IN_DOUBT),
    (reply(502), IN_DOUBT),
    (reply(503), IN_DOUBT),
    (reply(504), IN_DOUBT),
    # No answer.
    (HttpError(Failure.REFUSED, "no connection"), NOT_SENT),
    (HttpError(Failure.TIMEOUT, "time-out"), IN_DOUBT),
    (HttpError(Failure.LOST, "closed"), IN_DOUBT),
    (HttpError(Failure.UNREADABLE, "no HTTP"), IN_DOUBT),
]


@pytest.mark.parametrize(("answer", "verdict"), ANSWERS, ids=range(len(ANSWERS)))
async def test_only_a_documented_answer_settles_a_charge(answer, verdict):
    assert (await sent(answer)).verdict == verdict


@pytest.mark.parametrize("answer", [reply(429, retry_after="600"), reply(401)], ids=["429", "401"])
async def test_a_pause_is_as_long_as_the_provider_asks(answer):
    wait = timedelta(minutes=10) if answer.headers else None
    assert (await sent(answer)).wait == wait


async def test_a_question_waits_as_long_as_the_provider_asks():
    answer = await charger().ask(ScriptedHttp(reply(503, retry_after="120")), CHARGE)
    assert (answer.verdict, answer.wait) == (PENDING, timedelta(minutes=2))
