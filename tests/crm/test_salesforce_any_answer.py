"""Any response of Salesforce or a proxy: one outcome per task, no exception, and it terminates."""

import asyncio

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_http import AnsweringHttp

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.read.describe import Describer
from connector.crm.salesforce.read.feed import SalesforceFeed
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.delivery.retry import POLICIES
from connector.model.consent_fields import ConsentFields
from connector.model.crm_schema import ObjectSchema
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.operation import Parent, RecordWrite
from connector.model.outcome import Delivered, Rejected, Retry
from connector.ports import Page, Task

API = Api(version="62.0", client="tests")
TASKS = [
    Task(
        RecordWrite(
            sink="crm",
            object=f"Thing{n % 3}__c",
            key_field="Key__c",
            key=f"k{n}",
            set={"A__c": "x", "Flag__c": False} | ({"Up__r": Parent("Key__c", f"k{n - 1}")} if n % 4 == 3 else {}),
            create={"B__c": 1} if n % 5 == 0 else {},
            may_create=n % 7 != 0,
            consent=("Flag__c",),
            clears_flag=n % 6 == 0,
        ),
        record_id="a00000000000001" if n % 4 == 0 else None,
    )
    for n in range(24)
]
CONSENT = {f"Thing{n}__c": ConsentFields(object=f"Thing{n}__c", flag="Flag__c") for n in range(3)}
STATUS = st.sampled_from([200, 200, 200, 201, 300, 400, 400, 400, 401, 403, 404, 405, 410, 429, 500, 503])
STAMP = "2026-11-22T04:00:00.000+0000"
CODES = [
    "JSON_PARSER_ERROR",
    "INVALID_FIELD",
    "NOT_FOUND",
    "UNABLE_TO_LOCK_ROW",
    "DUPLICATE_VALUE",
    "REQUIRED_FIELD_MISSING",
    "NEVER_MET",
    "MALFORMED_QUERY",
    "",
    None,
]
ERROR = st.builds(
    lambda code, message: {"errorCode": code, "statusCode": code, "message": message},
    st.sampled_from(CODES),
    st.sampled_from(
        [
            "",
            "No such column 'A__c' on sobject of type Thing1__c",
            "Foreign key external ID: k1 not found",
            "duplicate value found: Key__c duplicates value on record with id: a00000000000001",
            7,
        ]
    ),
)
RESULT = st.one_of(
    st.just({"id": "a00", "success": True, "errors": [], "created": True}),
    ERROR.map(lambda error: {"success": False, "errors": [error]}),
    st.sampled_from([{}, None, 1, {"success": True, "id": 7}, {"success": False, "errors": 5}, {"errors": [None]}]),
)
WORDS = st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda some: st.lists(some) | st.dictionaries(WORDS, some),
    max_leaves=5,
)
KEYS = st.sampled_from([f"K{n}" for n in range(24)] + [None, 5])
ROW = KEYS.map(lambda key: {"Id": "a00", "Key__c": key, "Flag__c": True, "SystemModstamp": STAMP})
ROWS = st.builds(
    lambda rows, done: {"done": done, "records": rows}, st.lists(ROW), st.sampled_from([True, True, False, None])
)


DESCRIPTION = st.booleans().map(lambda unique: {"fields": [{"name": "Key__c", "unique": unique}]})


@st.composite
def answers(draw, call):
    """An answer that fits the question more or less."""
    kind = draw(st.sampled_from(["fitting"] * 6 + ["failure", "nonsense", "bytes", "lost"]))
    if kind == "lost":
        return HttpError(draw(st.sampled_from(list(Failure))))
    if kind == "bytes":
        return HttpReply(status=draw(STATUS), headers={}, body=draw(st.binary(max_size=9)))
    if kind == "nonsense":
        return HttpReply(status=draw(STATUS), headers={}, body=orjson.dumps(draw(JSON)))
    if kind == "failure":
        return HttpReply(status=draw(STATUS), headers={}, body=orjson.dumps([draw(ERROR)]))
    asked = orjson.loads(call.body or b"{}")
    parts = asked.get("compositeRequest")
    body = draw(inner(asked)) if parts is None else {"compositeResponse": [draw(part_of(part)) for part in parts]}
    return HttpReply(status=200, headers={"date": "Sun, 22 Nov 2026 04:00:00 GMT"}, body=orjson.dumps(body))


@st.composite
def inner(draw, asked):
    if "records" not in asked:
        return draw(st.one_of(ROWS, DESCRIPTION))
    return [draw(RESULT) for _ in asked["records"]]


@st.composite
def part_of(draw, part):
    status = draw(STATUS)
    fitting = status == 200 and draw(st.integers(0, 9)) > 0
    body = draw(inner(part.get("body", {}))) if fitting else draw(st.one_of(ERROR.map(lambda error: [error]), JSON))
    return {"referenceId": part["referenceId"], "httpStatusCode": status, "body": body}


class AnyHttp(AnsweringHttp):
    """Draws the answer to each call."""

    def __init__(self, data, most):
        super().__init__(lambda call: data.draw(answers(call)))
        self.most = most  # times that calls are sent

    async def call_all(self, calls):
        assert len(self.together) < self.most, "it asks for ever"
        return await super().call_all(calls)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_reply_gives_each_task_one_outcome_of_the_retry_table(data):
    sink = SalesforceSink("crm", api=API, consent_fields=CONSENT)
    outcomes = asyncio.run(sink.write(AnyHttp(data, 200), TASKS))
    assert len(outcomes) == len(TASKS)
    for outcome in outcomes:
        assert isinstance(outcome, Delivered | Rejected) or (isinstance(outcome, Retry) and outcome.reason in POLICIES)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_reply_gives_a_feed_a_page_or_a_reason(data):
    feed = SalesforceFeed("crm", "Thing__c", api=API, fields=("A__c",))
    answer = asyncio.run(feed.ask(AnyHttp(data, 50), None))
    assert isinstance(answer, Page) or answer.reason in POLICIES


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_reply_gives_a_description_or_a_reason(data):
    described = asyncio.run(Describer(API).describe(AnyHttp(data, 5), ["Thing__c"]))
    assert isinstance(described["Thing__c"], ObjectSchema | Retry | None)
