"""The endpoint for Outbound Messages: authentication, parsing and rejections."""

import asyncio

import pytest
from scripted_http import ScriptedHttp

from connector.crm.salesforce.read.outbound import ACK, NotAMessage, OutboundEndpoint, read_message
from connector.model.errors import HttpRejected
from connector.model.http import HttpRequest
from connector.ports import Notice

ORG = "00D5f000003sANDEAM"
NOTE = """<Notification><Id>04l5f00000000{number:02}AAA</Id><sObject xsi:type="sf:{object}"
 xmlns:sf="urn:sobject.enterprise.soap.sforce.com">{fields}</sObject></Notification>"""
MESSAGE = """<?xml version="1.0" encoding="UTF-8"?>{doctype}
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>{org}</OrganizationId>
 <ActionId>04k000000000001AAA</ActionId><SessionId xsi:nil="true"/>{notes}</notifications></soapenv:Body></soapenv:Envelope>"""


def note(number=1, about="Contact", record="0035f0000000001AAA", more=""):
    return NOTE.format(number=number, object=about, fields=f"<sf:Id>{record}</sf:Id>{more}")


def message(*notes, org=ORG, doctype=""):
    return MESSAGE.format(org=org, notes="".join(notes), doctype=doctype).encode()


def request(body, secret="s1"):
    return HttpRequest(
        method="POST",
        instance="salesforce",
        endpoint="outbound",
        secret=secret,
        url="",
        query="",
        headers={},
        body=body,
        peer="192.0.2.1",
        received_at=None,
    )


def admit(body, secret="s1", org=ORG):
    endpoint = OutboundEndpoint(provider="salesforce", secrets=[b"s1", b"s2"], organization_id=org)
    return asyncio.run(endpoint.authenticate(ScriptedHttp(), request(body, secret)))


def test_only_the_ids_of_a_message_are_read():
    more = "<sf:SMS_Opt_Out__c>true</sf:SMS_Opt_Out__c><sf:Owner><sf:Id>0055f0000000001AAA</sf:Id></sf:Owner>"
    emitted = read_message(message(note(1, more=more), note(2, about="My__c", record="a005f0000000001AAA")))
    assert emitted.organization_id == ORG
    assert emitted.notices == (
        Notice(id="04l5f0000000001", object="Contact", record_id="0035f0000000001AAA"),
        Notice(id="04l5f0000000002", object="My__c", record_id="a005f0000000001AAA"),
    )


@pytest.mark.parametrize(
    "odd",
    [b"p\xe5 BL\xc5", b"100\x80", "blåbær ".encode() + b"\xf0\x9f\x98", b"a\x00b\x0b", b"&#0;", b"&#x1F;", b"&#xD800;"],
)
def test_a_message_with_characters_that_xml_forbids_is_read(odd):
    emitted = read_message(message(note(1, more="<sf:Name>X</sf:Name>")).replace(b"X<", odd + b"<"))
    assert [notice.record_id for notice in emitted.notices] == ["0035f0000000001AAA"]


def test_a_message_may_have_at_most_a_hundred_notices():
    assert len(read_message(message(*(note(number) for number in range(100)))).notices) == 100
    with pytest.raises(NotAMessage, match="too many"):
        read_message(message(*(note(number % 100) for number in range(101))))


BOMB = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
REMOTE = '<!DOCTYPE l SYSTEM "http://192.0.2.1/evil.dtd">'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<a>",
        b"<a/>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="klingon"?><a/>',
        b"<a>" * 20_000,
        message(org=""),
        message(note(record="<x/>")),
        message(note(record="003")),
        message(note(about="a b")),
        message(NOTE.format(number=1, object="Contact", fields="")),
        message(note()).replace(b"<Id>04l", b"<Id>!!!"),
        message(note()).replace(b"outbound", b"elsewhere"),
        message(note(), doctype="<!DOCTYPE l>"),
        message(note(), doctype=BOMB).replace(b"04k000", b"&b;"),
        message(note(more="<sf:Name>\u00e5</sf:Name>"), doctype=BOMB).replace(b"\xc3\xa5", b"\xe5"),
        message(note(), doctype=FILE).replace(b"04k000", b"&a;"),
        message(note(), doctype=REMOTE),
        message(note()).replace(b"04k000", b"&undefined;"),
    ],
)
def test_a_body_that_is_no_message_is_refused(body):
    with pytest.raises(NotAMessage):
        read_message(body)
    with pytest.raises(HttpRejected) as refused:
        admit(body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("secret", "why"), [(None, "no path secret"), ("", "no path secret"), ("s3", "wrong path secret")]
)
def test_a_message_without_the_secret_is_refused(secret, why):
    with pytest.raises(HttpRejected) as refused:
        admit(b"<a>", secret)
    assert (refused.value.status, refused.value.why) == (401, why)


def test_both_secrets_are_accepted_while_one_is_replaced():
    assert admit(message(note()), "s1") == admit(message(note()), "s2")


@pytest.mark.parametrize(("emitted", "ours"), [(ORG, ORG[:15]), (ORG[:15], ORG), (ORG, ORG)])
def test_the_org_is_recognised_by_its_id_in_both_lengths(emitted, ours):
    assert len(admit(message(note(), org=emitted), org=ours).notices) == 1


def test_an_org_id_that_differs_in_letter_case_is_refused():
    with pytest.raises(HttpRejected) as refused:
        admit(message(note(), org=ORG.replace("sAND", "sAnD")))
    assert refused.value.status == 403


def test_the_reply_acknowledges_the_message():
    assert b"<Ack>true</Ack>" in ACK.body
    assert ACK.content_type.startswith("text/xml")
