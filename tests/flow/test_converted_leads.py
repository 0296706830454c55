"""The opt-out of a person whose lead was converted is written to the contact and confirmed; a person decides the rest."""

import shutil

import pytest
from flow.test_not_held_up import confirmed, letters, open_opt_outs, report
from flow.world import CONFIG, ROOT, a_world

from connector.model.consent import Phase

DONOR = "+4790000001"
LEADS = """
on: strex.delivery_report
rules:
  - name: out
    when: {action: Unsubscribe}
    do:
      - update: Lead
        key: {SMS_Key__c: "{msisdn}"}
        set:
          FirstName: "{properties.first}"
          SMS_Opt_Out__c: true
    consent: opt_out
"""
CHANGES = """
on: salesforce.change
feed: {object: Lead, fields: [MobilePhone, SMS_Opt_Out__c]}
rules:
  - name: opted out in Salesforce
    when: {record.SMS_Opt_Out__c: true}
    do:
      - {command: unsubscribe, provider: strex, phone: "{record.MobilePhone}", to: active_subscriptions, if_missing: skip}
    consent: opt_out
  - {name: anything else, ignore: true}
"""
DECLARED = CONFIG + "      Lead: {{flag: SMS_Opt_Out__c, phone: MobilePhone}}\n"


@pytest.fixture
async def world(tmp_path, secrets):
    directory = tmp_path / "mappings"
    directory.mkdir()
    (directory / "leads.yaml").write_text(LEADS)
    for name in ("strex-messages.yaml", "salesforce-to-strex.yaml"):
        shutil.copy(ROOT / "mappings" / name, directory)
    (directory / "leads-to-strex.yaml").write_text(CHANGES)
    async with a_world(tmp_path, mappings=directory, config=DECLARED) as made, made.running():
        await made.poll()
        yield made


async def test_an_opt_out_of_a_converted_lead_is_written_to_its_contact(world):
    lead = await world.person("Lead", LastName="Ås", Company="x", SMS_Key__c=DONOR, MobilePhone=DONOR)
    made = await world.post(f"{world.salesforce}/_sandbox/convert", {"lead": lead})
    await report(world, DONOR, "Unsubscribe", first="Kari")
    await world.until(lambda: world.counts() == {"dead": 1})
    assert await world.flag(made["contact"])
    assert open_opt_outs(world) == []
    assert "salesforce" in confirmed(world, DONOR)
    (letter,) = letters(world)
    assert made["contact"] in letter.detail
    assert "the consent fields went out without the rest" in letter.detail


async def test_an_opt_out_of_a_lead_holds_when_the_contact_s_is_taken_back(world):
    await world.person("Lead", LastName="Ås", Company="x", MobilePhone=DONOR, SMS_Opt_Out__c=True)
    contact = await world.person(LastName="Ås", MobilePhone=DONOR, SMS_Opt_Out__c=True)
    world.app.wake("salesforce.Lead")
    await world.poll()
    await world.until(lambda: len(decisions(world)) == 2)
    await world.person(Id=contact, SMS_Opt_Out__c=False)
    await world.poll()
    assert decisions(world) == ["opt_out", "opt_out"]


def decisions(world):
    return [one.decision.word for one in world.app.store.consents.of(DONOR) if one.phase is Phase.DECIDED]
