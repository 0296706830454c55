"""Responses recorded from real orgs, decoded; recorded_answers.yaml has the bodies and their meaning."""

import html
from pathlib import Path

import orjson
import pytest
import yaml

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.read.fields import read_field
from connector.crm.salesforce.setup import backfill
from connector.crm.salesforce.write import duplicate_values, duplicates
from connector.crm.salesforce.write.existence import was_wrong
from connector.crm.salesforce.write.requests import Item
from connector.crm.salesforce.write.writes import Write, WrongAssumption
from connector.model.http import HttpReply
from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Retry
from connector.ports import Task

CORPUS = yaml.safe_load((Path(__file__).parent / "recorded_answers.yaml").read_text())
KEY = "SMS_Key__c"


def meaning(outcome):
    if isinstance(outcome, Delivered):
        return "created" if outcome.created else "delivered"
    return f"{'retry' if isinstance(outcome, Retry) else 'refused'} {outcome.reason}"


def read(recorded, *, escaped=False):
    text = recorded["message"]
    error = {
        "statusCode": recorded["code"],
        "message": html.escape(text).replace("&#x27;", "&#39;") if escaped else text,
        "fields": recorded.get("fields", []),
    }
    part = Answer(status=200, body=[{"success": False, "errors": [error]}], escaped=escaped)
    (outcome,) = responses.records(part, 1, key_field=KEY)
    return outcome


def a_record(recorded):
    outcome = read(recorded)
    assert meaning(outcome) == recorded["means"]
    assert read(recorded, escaped=True) == outcome
    if "field" in recorded:
        assert outcome.field == recorded["field"]
    if "insert" in recorded:
        found = duplicate_values.holder(outcome.detail, KEY, "Contact")
        assert (found and comparable(found)) == recorded.get("holder")
        # A record that was taken for new: it is known which one it is, or looked up at once.
        record = RecordWrite(sink="crm", object="Contact", key_field=KEY, key="k")
        one = Write(task=Task(record), original=record, index=0)
        new = Item(index=0, stage=0, object="Contact", key_field=KEY, fields={}, body=b"{}", insert=True)
        assert was_wrong(one, new, outcome)
        assert (one.wrong is WrongAssumption.EXISTING) == (recorded["insert"] == "found")
        assert (one.wrong is WrongAssumption.DOUBTED) == (recorded["insert"] == "asked")


def results(recorded):
    outcomes = responses.records(Answer(status=200, body=recorded["body"]), len(recorded["means"]), key_field=KEY)
    assert [meaning(one) for one in outcomes] == recorded["means"]


def a_request(recorded):
    body = recorded["body"]
    raw = body.encode() if isinstance(body, str) else orjson.dumps(body)
    answer = responses.answer(HttpReply(status=recorded["status"], headers={}, body=raw))
    with pytest.raises(RequestFailed) as raised:
        responses.records(answer, 1, key_field=KEY)
    failed = raised.value
    assert meaning(failed.outcome) == recorded["means"]
    if "spoiled" in recorded:
        assert failed.spoiled is recorded["spoiled"]


def a_bulk_row(recorded):
    result = backfill.result_of_error(recorded["error"])
    assert [*result, backfill.exceeds_trigger_limit(recorded["error"])] == recorded["means"]


def usage(recorded):
    emitted = responses.usage({"sforce-limit-info": recorded["header"]})
    assert [emitted.used, emitted.maximum] == recorded["means"]


def duplicate_matches(recorded):
    assert list(duplicates.matches(recorded["body"], "Contact").record_ids) == recorded["means"]


def described(recorded):
    fields = [read_field({"name": name, **flags, "defaultedOnCreate": flags.get("defaultedOnCreate", False)})
              for name, flags in recorded["fields"].items()]  # fmt: skip
    assert [field.name for field in fields if field.required] == recorded["means"]


CHECKS = {
    "records": a_record,
    "results": results,
    "requests": a_request,
    "bulk_rows": a_bulk_row,
    "usage": usage,
    "duplicate_matches": duplicate_matches,
    "described": described,
}


@pytest.mark.parametrize(
    ("kind", "recorded"),
    [
        pytest.param(kind, one, id=f"{kind}: {one.get('code', '')} {one['source']}")
        for kind, recorded in CORPUS.items()
        for one in recorded
    ],
)
def test_a_recorded_reply_is_read_with_its_meaning(kind, recorded):
    CHECKS[kind](recorded)
