"""What the doctor finds in an org, and how its tables are described."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from connector.crm.crm import Needs
from connector.crm.dynamics.client import api
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.crm.dynamics.read.describe import Describer
from connector.crm.dynamics.read.doctor import diagnose
from connector.model.crm_schema import FieldKind
from connector.model.finding import SIGN_IN, Level
from connector.model.outcome import Reason, Retry

CONTACT = Needs(
    object="contact",
    key_fields=("crmc_smskey",),
    written=("lastname", "crmc_smsoptout"),
    read=("mobilephone", "crmc_smsoptout"),
)


async def found(org, *needs, ahead=timedelta(), certificate=None):
    """The findings by area: their levels and texts."""
    now = lambda: datetime.now(UTC) + ahead  # noqa: E731 - a clock.
    areas = {}
    for one in await diagnose(WebApi(org, Gate()), needs or (CONTACT,), now, certificate):
        areas.setdefault(one.area, []).append(one)
    return areas


async def test_an_org_that_is_set_up_has_nothing_to_do(org):
    areas = await found(org)
    assert {one.level for several in areas.values() for one in several} == {Level.OK}
    assert areas.keys() == {SIGN_IN, "clock", "limits", "changes", "keys", "rights"}


@pytest.mark.parametrize("org", [{"bare": True}], indirect=True)
async def test_a_missing_key_is_created_by_the_set_up(org):
    (key,) = (await found(org))["keys"]
    assert (key.level, "connector dynamics setup" in key.cure) == (Level.FAIL, True)


@pytest.mark.parametrize("org", [{"bare": True}], indirect=True)
async def test_a_key_that_is_being_built_is_waited_for(org):
    await org.control("PUT", "keys", {"pending": True})
    column = {
        "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "SchemaName": "crmc_SmsKey",
        "MaxLength": 20,
    }
    web = WebApi(org, Gate())
    await web.send(api.post("EntityDefinitions(LogicalName='contact')/Attributes", column))
    key = {"SchemaName": "crmc_SmsKeyKey", "KeyAttributes": ["crmc_smskey"]}
    await web.send(api.post("EntityDefinitions(LogicalName='contact')/Keys", key))
    (finding,) = (await found(org))["keys"]
    assert (finding.level, finding.cure) == (Level.FAIL, "wait until its status is Active")
    await org.load("contact", {"lastname": "A", "crmc_smskey": "1"}, {"lastname": "B", "crmc_smskey": "1"})
    await org.control("PUT", "keys", {"pending": False})
    (finding,) = (await found(org))["keys"]
    assert "two records have the same value" in finding.text


async def test_a_table_without_tracking_is_a_warning_with_what_to_tick(org):
    await org.control("PUT", "tables/contact", {"tracked": False})
    (warning,) = [one for one in (await found(org))["changes"] if one.level is Level.WARN]
    assert "tick Track changes" in warning.cure


async def test_a_table_that_is_not_there_is_named(org):
    (finding,) = (await found(org, Needs(object="crmc_nosuch", key_fields=())))["tables"]
    assert (finding.level, "crmc_nosuch" in finding.text) == (Level.FAIL, True)


async def test_a_wrong_clock_and_an_expiring_certificate_are_reported(org):
    soon = (datetime.now(UTC) + timedelta(days=5)).timestamp()
    areas = await found(org, ahead=timedelta(minutes=10), certificate=soon)
    assert areas["clock"][0].level is Level.FAIL
    # By the wrong clock it ends ten minutes sooner.
    assert (areas["certificate"][0].level, areas["certificate"][0].text) == (
        Level.WARN,
        "the certificate expires in 4 days",
    )


async def test_an_app_without_an_application_user_gets_the_cure(org):
    await org.fault("no_user")
    (finding,) = (await found(org))[SIGN_IN]
    assert (finding.level, "application user" in finding.cure) == (Level.FAIL, True)


async def test_columns_are_described_with_their_kinds_lengths_choices_and_keys(org):
    described = await Describer(Gate()).describe(org, ["contact", "crmc_smsevent", "nosuch"])
    assert described["nosuch"] is None
    contact, event = described["contact"], described["crmc_smsevent"]
    kinds = {name: contact.field(name).kind for name in ("lastname", "mobilephone", "description", "birthdate")}
    assert kinds == {
        "lastname": FieldKind.TEXT,
        "mobilephone": FieldKind.PHONE,
        "description": FieldKind.LONG_TEXT,
        "birthdate": FieldKind.DATE,
    }
    assert (contact.field("lastname").length, contact.field("crmc_smsoptout").kind) == (50, FieldKind.BOOLEAN)
    assert contact.field("preferredcontactmethodcode").choices == ("1", "2", "3", "4", "5")
    key = contact.field("crmc_smskey")
    assert (key.external_id, key.unique, contact.field("lastname").external_id) == (True, True, False)
    donor = event.related("crmc_contactid")
    assert (donor.kind, donor.parents) == (FieldKind.REFERENCE, ("contact",))
    own = event.field("crmc_smseventid")
    assert (own.kind, own.keyed, own.case_sensitive) == (FieldKind.ID, True, True)
    assert [one.name for one in contact.required] == []


async def test_an_org_that_does_not_answer_is_asked_again(org):
    await org.fault("unavailable")
    described = await Describer(Gate()).describe(org, ["contact"])
    assert isinstance(described["contact"], Retry)
    assert described["contact"].reason is Reason.UNAVAILABLE


class Forbidding:
    """An `Http` that forbids to read contacts."""

    def __init__(self, http, message):
        self.http, self.message = http, message

    async def call(self, call):
        reply = await self.http.call(call)
        if "/contacts?" not in call.path:
            return reply
        body = f'{{"error": {{"code": "0x80040220", "message": "{self.message}"}}}}'.encode()
        return replace(reply, status=403, body=body)


@pytest.mark.parametrize("message", ["Principal user (Id=1) is missing prvReadContact privilege", "nei"])
async def test_a_table_that_may_not_be_read_is_reported_with_the_security_role(org, message):
    (finding,) = (await found(Forbidding(org, message)))["rights"]
    assert (finding.level, "security role" in finding.cure) == (Level.FAIL, True)
