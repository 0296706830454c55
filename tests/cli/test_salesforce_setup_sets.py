"""`connector salesforce setup` for mapping sets: deploys the fields of used sets, and nothing of unused ones."""

import shutil

import pytest
from flow.world import ROOT

from connector.crm.salesforce.setup.package import shipped
from connector.sandbox.salesforce.app import build

SETS = {
    "npsp": {"npe03__Recurring_Donation__c", "npe01__OppPayment__c"},
    "nonprofit-cloud": {"Account", "GiftCommitment", "GiftCommitmentSchedule", "GiftTransaction", "SMS_Event__c"},
}
LABELS = {"npsp": "CRM Connector NPSP", "nonprofit-cloud": "CRM Connector Nonprofit Cloud"}


@pytest.fixture(params=sorted(SETS))
def used(request, threaded, home, monkeypatch):
    """A home whose mappings are a set, and an org of that kind that nobody has set up yet."""
    with threaded(build(preset=request.param, bare=True)) as url:
        text = home.config.read_text().replace("https://acme.my.salesforce.com", url)
        text = text.replace("client_id: app", "client_id: sandbox")
        if request.param == "nonprofit-cloud":
            text = text.replace("Contact:", "Account:").replace("phone: MobilePhone", "phone: PersonMobilePhone")
        home.config.write_text(text)
        for file in (ROOT / "mappings" / request.param).glob("*.yaml"):
            shutil.copy(file, home.mappings)
        for name in ("SCENE_STREX_SECRET", "SCENE_STREX_KEY"):
            monkeypatch.setenv(name, "made-up-secret")
        monkeypatch.setenv("SCENE_SF_SECRET", "sandbox")
        yield request.param


def test_the_setup_creates_all_fields_of_a_set(home, used):
    assert home.json("check", "--live", code=1)["errors"] > 0
    said = home.json("salesforce", "setup", "--yes", "--assign")
    assert (said["ok"], said["state"], said["lacks"]) == (True, "Succeeded", [])
    assert [one["name"] for one in said["permission_sets"]] == ["CRM Connector", LABELS[used]]
    objects = {one["name"].partition(".")[0] for one in said["parts"] if "." in one["name"]}
    assert objects == {"Contact", "Opportunity", "SMS_Event__c"} | SETS[used]
    live = home.json("check", "--live")
    assert (live["ok"], live["problems"]) == (True, [])
    assert home.json("salesforce", "setup", "--yes", "--assign")["changed"] is False


def test_the_package_of_the_plain_mappings_has_no_field_of_the_sets():
    assert {one.object for one in shipped().fields} == {"Contact", "Opportunity", "SMS_Event__c"}
    assert [one.label for one in shipped().permission_sets] == ["CRM Connector"]


@pytest.mark.parametrize("name", SETS)
def test_the_permission_set_of_a_set_allows_exactly_its_own_fields(name):
    plain = shipped()
    whole = shipped(
        {"npsp": ["npe01__OppPayment__c.SMS_Transaction__c"]}.get(name, ["GiftTransaction.SMS_Transaction__c"])
    )
    own = {one.full_name for one in whole.fields} - {one.full_name for one in plain.fields}
    (added,) = (one for one in whole.permission_sets if one.label == LABELS[name])
    assert set(added.fields) == own
    assert set(added.objects) == SETS[name] - {"SMS_Event__c"}
    assert {(one.read, one.create, one.edit) for one in added.objects.values()} == {(True, True, True)}
    keys = {one.full_name for one in whole.fields if one.unique and one.external_id and one.type == "Text"}
    assert {
        one for one in own if one.partition(".")[2] in {"SMS_Key__c", "SMS_Subscription__c", "SMS_Transaction__c"}
    } <= keys
