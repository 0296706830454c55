"""Checks of an org: the findings for given responses."""

from datetime import UTC, datetime

import orjson
import pytest
from scripted_http import ScriptedHttp

from connector.crm.crm import Needs
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.doctor import diagnose
from connector.crm.salesforce.write.send import Composite
from connector.model.finding import Level
from connector.model.http import Failure, HttpError, HttpReply

API = Api(version="62.0", client="tests")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
NEEDS = [
    Needs(object="SMS_Event__c", key_fields=("Event_Key__c",)),
    Needs(object="Contact", key_fields=("SMS_Key__c",)),
]
VERSIONS = [{"version": f"{number}.0"} for number in range(31, 69)]


def said(body, status=200, **headers):
    return HttpReply(status=status, headers={"date": DATE, **headers}, body=orjson.dumps(body))


async def run(*replies, composite=Composite.UNTRIED):
    http = ScriptedHttp(*replies)
    findings = await diagnose(RestClient(API, http), NEEDS, composite, lambda: NOW)
    return {one.area: one for one in findings}, http.calls


def subanswer(status, body):
    return said({"compositeResponse": [{"referenceId": "r0", "httpStatusCode": status, "body": body}]})


WORKS = subanswer(200, [{"success": False, "errors": [{"statusCode": "MISSING_ARGUMENT", "message": "not specified"}]}])


@pytest.mark.parametrize(
    ("used", "level"), [("10/100", Level.OK), ("80/100", Level.WARN), ("98/100", Level.FAIL), ("120/100", Level.FAIL)]
)
async def test_the_calls_left_decide_the_level_of_the_finding(used, level):
    root = said({}, **{"sforce-limit-info": f"api-usage={used}"})
    finding = (await run(root, said(VERSIONS), WORKS))[0]["calls"]
    assert (finding.level, bool(finding.cure)) == (level, level is not Level.OK)
    assert "-" not in finding.text.partition(" of ")[0]


async def test_a_reply_without_usage_or_date_makes_no_finding():
    root = HttpReply(status=200, headers={}, body=b"{}")
    assert set((await run(root, said(VERSIONS), WORKS))[0]) == {"sign-in", "version", "composite"}


async def test_the_probe_names_a_standard_object_and_an_empty_key():
    _, sent = await run(said({}), said(VERSIONS), WORKS)
    (part,) = orjson.loads(sent[-1].body)["compositeRequest"]
    assert part["url"].endswith("/composite/sobjects/Contact/SMS_Key__c")
    assert part["body"]["records"] == [{"attributes": {"type": "Contact"}, "SMS_Key__c": ""}]


async def test_composites_that_are_turned_off_are_not_probed():
    assert "composite" not in (await run(said({}), said(VERSIONS), composite=Composite.REFUSED))[0]


@pytest.mark.parametrize("answer", [said([], 503), HttpError(Failure.TIMEOUT), subanswer(500, [])])
async def test_a_probe_with_an_unclear_reply_makes_no_finding(answer):
    assert "composite" not in (await run(said({}), said(VERSIONS), answer))[0]


MISSING = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]


async def test_a_missing_key_field_is_distinguished_from_a_refused_composite():
    assert "composite" not in (await run(said({}), said(VERSIONS), subanswer(404, MISSING), said(MISSING, 404)))[0]
    findings, _ = await run(said({}), said(VERSIONS), subanswer(404, MISSING), said([{"success": False}]))
    assert findings["composite"].level is Level.WARN


async def test_a_failed_sign_in_is_the_only_finding():
    shut = HttpError(Failure.CREDENTIALS, "no: do this")
    findings, _ = await run(shut, shut)
    assert set(findings) == {"sign-in"}
    assert (findings["sign-in"].level, findings["sign-in"].text) == (Level.FAIL, "no: do this")


async def test_an_org_that_is_down_is_a_failure():
    findings, _ = await run(said("<html>", 503), said("<html>", 503))
    assert {one.level for one in findings.values() if one.area != "clock"} == {Level.FAIL}


ROOT = {"identity": "https://login.salesforce.com/id/00D5f000003sANDEAM/0055f0000041pGMAAY"}


def licensed(name):
    return said({"records": [{"Profile": {"Name": "x", "UserLicense": {"Name": name}}}], "done": True})


async def test_a_user_that_a_person_may_sign_in_as_is_a_warning():
    findings, sent = await run(said(ROOT), said(VERSIONS), WORKS, licensed("Salesforce"))
    assert "0055f0000041pGMAAY" in sent[-1].path
    assert (findings["user"].level, "licence Salesforce:" in findings["user"].text) == (Level.WARN, True)
    findings, _ = await run(said(ROOT), said(VERSIONS), WORKS, licensed("Salesforce Integration"))
    assert findings["user"].level is Level.OK


@pytest.mark.parametrize(
    "answer", [said([], 403), said({"records": [], "done": True}), said({"records": [{"Profile": None}]})]
)
async def test_an_unreadable_licence_of_the_user_makes_no_finding(answer):
    assert "user" not in (await run(said(ROOT), said(VERSIONS), WORKS, answer))[0]


@pytest.mark.parametrize(
    ("language", "level"), [("en_US", Level.OK), ("en_GB", Level.OK), ("fr", Level.WARN), ("no", Level.WARN)]
)
async def test_an_integration_user_with_another_language_than_english_is_a_warning(language, level):
    row = {"LanguageLocaleKey": language, "Profile": None}
    findings, sent = await run(said(ROOT), said(VERSIONS), WORKS, said({"records": [row], "done": True}))
    assert "LanguageLocaleKey" in sent[-1].path
    assert findings["language"].level is level
    assert ("set the Language" in findings["language"].cure) == (level is Level.WARN)
