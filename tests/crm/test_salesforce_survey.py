"""Which parts of the package an org already has, and what is in the way; run against the sandbox."""

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest
from crm.conftest import an_org

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.setup import permissions
from connector.crm.salesforce.setup.metadata import MetadataApi
from connector.crm.salesforce.setup.package import NAMESPACE, PLACES, shipped
from connector.crm.salesforce.setup.survey import PartState, survey
from connector.model.errors import ConnectorError, PeerUnavailable

pytestmark = pytest.mark.slow

API = Api(version="62.0", client="tests")


@pytest.fixture
async def bare():
    async with an_org(bare=True) as org:
        yield org


def altered(tmp_path, path, *changes):
    """The package with one file changed."""
    root = tmp_path / "salesforce"
    shutil.copytree(PLACES[1], root)
    file = root / "force-app/main/default" / path
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return shipped(places=[root])


@asynccontextmanager
async def metadata(org):
    with MetadataApi(org.base, {"Authorization": f"Bearer {org._token}"}, version="62.0", client="tests") as api:
        yield api


async def deploy(org, package, *, check_only=False):
    async with metadata(org) as api:
        deployment = await asyncio.to_thread(api.deploy, package.archive(), check_only=check_only)
        states = []
        while True:
            progress = await asyncio.to_thread(api.progress, deployment)
            states.append(progress.state)
            if progress.ended:
                return progress, states


async def install(org, package):
    """Deploy, and let the user who asks see it."""
    progress, _ = await deploy(org, package)
    assert progress.succeeded
    user = await permissions.user_id(RestClient(API, org))
    for one in package.permission_sets:
        now = await permissions.granted(RestClient(API, org), one.name, user)
        if not now.assigned:
            await permissions.assign(RestClient(API, org), now.id, user, label=one.label)


async def look(org, package=None):
    return await survey(RestClient(API, org), package or shipped(), await permissions.user_id(RestClient(API, org)))


def of(found, name):
    return next(one for one in found.findings if one.name == name)


async def test_a_deployment_is_polled_to_its_end(bare):
    progress, states = await deploy(bare, shipped())
    assert states == ["InProgress", "Succeeded"]
    assert (progress.done, progress.total) == (27, 27)


async def test_only_missing_components_are_deployed(bare, tmp_path):
    first = shipped().only({one.full_name for one in shipped().fields if one.object == "Contact"})
    await deploy(bare, first)
    found = await look(bare)
    # Nobody may see them yet, so nothing tells that they are there; to deploy them again does no harm.
    assert {one.name for one in found.to_do} == {one.name for one in found.findings}
    await install(bare, shipped())
    found = await look(bare)
    assert found.to_do == ()
    assert found.wanted.fields == ()
    assert {one.standing for one in found.findings} == {PartState.THERE}


async def test_a_field_of_tasks_is_created_on_activities(bare):
    package = shipped(["Task.SMS_Key__c"])
    await install(bare, package)
    assert (await look(bare, package)).to_do == ()
    ids = await bare.load("Task", [{"Subject": "Call", "SMS_Key__c": "k1"}], key="SMS_Key__c")
    assert len(ids) == 1


async def test_a_shorter_field_is_lengthened_and_a_longer_one_stays(bare, tmp_path):
    path = "objects/Contact/fields/SMS_Keywords__c.field-meta.xml"
    await install(bare, altered(tmp_path / "a", path, ("<length>255<", "<length>40<")))
    found = await look(bare)
    assert of(found, "Contact.SMS_Keywords__c").detail == "grows from 40 to 255 characters"
    assert [one.name for one in found.to_do] == ["Contact.SMS_Keywords__c"]
    await deploy(bare, found.wanted)
    assert (await look(bare)).to_do == ()
    assert (await look(bare, altered(tmp_path / "b", path, ("<length>255<", "<length>40<")))).to_do == ()


async def test_a_key_that_is_not_unique_is_made_unique_and_keeps_its_length(bare, tmp_path):
    path = "objects/Contact/fields/SMS_Key__c.field-meta.xml"
    changes = [
        ("<length>80<", "<length>200<"),
        ("<unique>true<", "<unique>false<"),
        ("<externalId>true<", "<externalId>false<"),
    ]
    loose = altered(tmp_path, path, *changes)
    await install(bare, loose)
    await bare.load("Contact", [{"LastName": "Ås", "SMS_Key__c": "+4790000001"}])
    found = await look(bare)
    assert of(found, "Contact.SMS_Key__c").detail == "becomes an external ID, becomes unique"
    (field,) = found.wanted.fields
    assert field.element.findtext(f"{{{NAMESPACE}}}length") == "200"
    await deploy(bare, found.wanted)
    assert of(await look(bare), "Contact.SMS_Key__c").standing is PartState.THERE
    ids = await bare.load("Contact", [{"LastName": "Bø", "SMS_Key__c": "+4790000001"}], key="SMS_Key__c")
    assert len(ids) == len(await bare.records("Contact")) == 1


async def test_a_field_of_another_type_is_reported_as_in_the_way(bare, tmp_path):
    path = "objects/Contact/fields/SMS_Opt_Out_Source__c.field-meta.xml"
    other = altered(tmp_path, path, ("<type>Text</type>", "<type>LongTextArea</type><visibleLines>3</visibleLines>"))
    await install(bare, other)
    found = await look(bare)
    (finding,) = found.in_the_way
    assert (finding.name, finding.standing) == ("Contact.SMS_Opt_Out_Source__c", PartState.IN_THE_WAY)
    assert "is of type textarea, and string is needed" in finding.detail
    progress, _ = await deploy(bare, shipped())
    assert not progress.succeeded
    (failure,) = progress.failures
    assert failure.file == "objects/Contact.object"
    assert "another type" in failure.cure


async def test_a_permission_set_that_allows_too_little_is_deployed_again(bare, tmp_path):
    path = "permissionsets/CRM_Connector.permissionset-meta.xml"
    old = "<editable>true</editable>\n        <field>Contact.SMS_Key__c</field>"
    await install(bare, altered(tmp_path, path, (old, old.replace("true", "false"))))
    found = await look(bare)
    assert of(found, "CRM_Connector").detail == "allows Contact.SMS_Key__c too"
    assert [one.name for one in found.to_do] == ["CRM_Connector"]


async def test_one_invalid_component_stops_the_deployment_and_is_reported_with_the_cure(bare, tmp_path):
    path = "permissionsets/CRM_Connector.permissionset-meta.xml"
    bad = altered(tmp_path, path, ("<object>Account</object>", "<object>SMS_Event__c</object>"))
    progress, states = await deploy(bare, bad)
    assert states == ["InProgress", "Failed"]
    (failure,) = progress.failures
    assert failure.message == "Permission Read Contact depends on permission(s): Read Account"
    assert failure.cure.startswith("give the permission set that permission")
    assert await bare.records("PermissionSet") == []


async def test_an_unavailable_org_is_not_reported_as_lacking_everything(bare):
    await bare.fault("unavailable")
    with pytest.raises(PeerUnavailable):
        await look(bare)


async def test_an_expired_session_is_reported(bare):
    async with metadata(bare) as api:
        await bare.fault("expired_session")
        with pytest.raises(ConnectorError, match="get a new one"):
            await asyncio.to_thread(api.deploy, shipped().archive(), check_only=True)


async def test_a_case_insensitive_key_is_made_case_sensitive(bare, tmp_path):
    path = "objects/Opportunity/fields/SMS_Transaction__c.field-meta.xml"
    await install(bare, altered(tmp_path, path, ("<caseSensitive>true<", "<caseSensitive>false<")))
    await bare.load(
        "Opportunity", [{"Name": "x", "StageName": "Posted", "CloseDate": "2026-01-01", "SMS_Transaction__c": "Ab"}]
    )
    found = await look(bare)
    assert of(found, "Opportunity.SMS_Transaction__c").detail == "becomes case sensitive"
    await deploy(bare, found.wanted)
    assert of(await look(bare), "Opportunity.SMS_Transaction__c").standing is PartState.THERE
    await bare.load(
        "Opportunity",
        [{"Name": "y", "StageName": "Posted", "CloseDate": "2026-01-01", "SMS_Transaction__c": "aB"}],
        key="SMS_Transaction__c",
    )
    assert len(await bare.records("Opportunity")) == 2
