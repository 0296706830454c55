"""An org's objects as our schemas."""

from scripted_http import ScriptedHttp

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.read.describe import Describer
from connector.model.crm_schema import FieldKind, FieldSchema, ObjectSchema
from connector.model.http import HttpReply
from connector.model.outcome import Reason, Retry

API = Api(version="62.0", client="tests")


async def test_an_object_is_described_with_its_fields(org):
    emitted = await Describer(API).describe(org, ["contact", "Task"])
    contact, task = emitted["contact"], emitted["Task"]
    assert (contact.name, contact.label) == ("Contact", "Contact")
    assert contact.field("SMS_Key__c") == FieldSchema(
        name="SMS_Key__c",
        label="SMS Key",
        length=80,
        createable=True,
        updateable=True,
        unique=True,
        external_id=True,
        case_sensitive=False,
        id_lookup=True,
    )
    assert contact.field("Gift_Interest__c").choices == ("Children", "Climate", "Other")
    assert contact.field("Gift_Interest__c").restricted
    assert contact.field("LastName").required
    assert not contact.field("SMS_Opt_Out__c").required
    assert not contact.field("Name").createable
    kinds = {name: contact.field(name).kind for name in ("SMS_Opt_Out__c", "SMS_Monthly_Amount__c", "Birthdate", "Id")}
    assert kinds == {
        "SMS_Opt_Out__c": FieldKind.BOOLEAN,
        "SMS_Monthly_Amount__c": FieldKind.NUMBER,
        "Birthdate": FieldKind.DATE,
        "Id": FieldKind.ID,
    }
    assert task.related("Who").parents == ("Contact", "Lead")


async def test_a_missing_object_is_distinguished_from_an_unavailable_org(org):
    assert await Describer(API).describe(org, ["Nonsense__c"]) == {"Nonsense__c": None}
    await org.fault("unavailable")
    emitted = await Describer(API).describe(org, ["Contact"])
    assert isinstance(emitted["Contact"], Retry)
    assert emitted["Contact"].reason is Reason.UNAVAILABLE


async def test_a_second_description_reads_only_changed_objects(org):
    describer = Describer(API)
    first = await describer.describe(org, ["Contact", "Task"])
    assert await describer.describe(org, ["Contact", "Task"]) == first
    assert all("If-Modified-Since" in call.headers for call in org.sent[2:])
    await org.control("PATCH", "fields/Contact/FirstName", json={"length": 20})
    changed = await describer.describe(org, ["Contact", "Task"])
    assert changed["Contact"].field("FirstName").length == 20
    assert changed["Task"] == first["Task"]
    await org.control("PATCH", "fields/Contact/FirstName", json={"length": 21})
    assert (await describer.describe(org, ["Contact"]))["Contact"].field("FirstName").length == 21


async def test_describing_no_objects_makes_no_request(org):
    assert await Describer(API).describe(org, []) == {}
    assert org.sent == []


async def answered(body, status=200, **headers):
    http = ScriptedHttp(HttpReply(status=status, headers=headers, body=body))
    return (await Describer(API).describe(http, ["Account"]))["Account"]


async def test_a_person_account_needs_no_name():
    fields = '{"name": "Name", "type": "string", "nillable": false, "createable": true, "defaultedOnCreate": false}'
    person = '{"name": "PersonEmail", "type": "email"}'
    plain = await answered(f'{{"name": "Account", "fields": [{fields}]}}'.encode())
    assert isinstance(plain, ObjectSchema)
    assert plain.field("Name").required
    assert (
        not (await answered(f'{{"name": "Account", "fields": [{fields}, {person}]}}'.encode())).field("Name").required
    )


async def test_an_invalid_description_is_an_error():
    for body in (b"", b"[]", b"{}", b'{"fields": 1}', b"<html>"):
        assert isinstance(await answered(body), Retry)
    assert isinstance(await answered(b"", 304), Retry), "a 304 that nobody asked for"
    assert await answered(b'[{"errorCode": "NOT_FOUND", "message": "x"}]', 404) is None
    odd = await answered(b'{"fields": [1, {"name": "A", "type": "martian", "picklistValues": 3, "referenceTo": "x"}]}')
    assert odd.field("A").kind is FieldKind.OTHER
