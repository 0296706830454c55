"""Sumotext end to end: every example of its document, with a Salesforce sandbox."""

import shutil

import pytest
from flow.world import ROOT, SECRETS, a_world
from providers.sumotext_requests import sample
from yarl import URL

from connector.sandbox.serve import serving
from connector.sandbox.sumotext import app as sumotext

CONFIG = """
store: {{path: c.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: 0}}
admin: {{port: 0}}
mappings: {mappings}
timezone: America/New_York
default_region: US
providers:
  sumotext:
    path_secrets: [{{env: HOOK_SECRET}}]
    short_number: "84700"
    start_words: [SOMEKEY]
crm:
  salesforce:
    url: {salesforce}
    sign_in: {{client_id: sandbox, client_secret: {{env: SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""
DONOR = "+12125551212"


class Callbacks:
    """Sumotext's side of the world."""

    def __init__(self, world, sandbox):
        self.world, self.sandbox = world, sandbox

    async def example(self, endpoint, name):
        """Send a document's example byte for byte."""
        url = f"{self.world.app.url}/hooks/sumotext/{endpoint}/{SECRETS['HOOK_SECRET']}?{sample(name)}"
        async with self.world.http.get(URL(url, encoded=True)) as response:
            assert (response.status, await response.text()) == (200, "OK")
        await self.world.settled()

    async def send(self, kind, method="get", times=1, **fields):
        body = {"kind": kind, "method": method, "times": times, "fields": fields}
        sent = await self.world.post(f"{self.sandbox}/_sandbox/send", body)
        assert (sent["status"], sent["answer"]) == (200, "OK")
        await self.world.settled()

    async def member(self):
        (member,) = await self.world.records("CampaignMember")
        return member


@pytest.fixture
async def world(tmp_path, secrets):
    """The daemon with Sumotext's mappings; its first look at Salesforce is over."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    for path in (ROOT / "mappings" / "more").glob("*sumotext.yaml"):
        shutil.copy(path, mappings)
    async with a_world(tmp_path, mappings=mappings, config=CONFIG) as made, made.running():
        await made.poll()
        yield made


@pytest.fixture
async def callbacks(world):
    app = sumotext.build(hooks=f"{world.app.url}/hooks/sumotext", secret=SECRETS["HOOK_SECRET"])
    async with serving(app) as sandbox:
        yield Callbacks(world, sandbox)


async def test_the_documented_web_form_fills_in_the_contact(world, callbacks):
    await callbacks.example("crm", "web-form")
    (contact,) = await world.records()
    assert (contact["SMS_Key__c"], contact["MobilePhone"]) == (DONOR, DONOR)
    assert (contact["FirstName"], contact["LastName"]) == ("Bill", "Unknown")
    assert (contact["Birthdate"], contact["MailingPostalCode"]) == ("2000-01-01", "10024")
    assert contact["SMS_Opt_Out__c"] is False
    assert world.counts() == {"delivered": 1}


async def test_a_form_with_an_unreadable_date_makes_its_contact(world, callbacks):
    await callbacks.send("crm", Name="Bill Hart", DOB="13/1/2000", Email="bill@example.org")
    contact = await world.contact(DONOR)
    assert (contact["FirstName"], contact["LastName"], contact["Email"]) == ("Bill", "Hart", "bill@example.org")
    assert contact["Birthdate"] is None
    assert world.counts() == {"delivered": 1}
    (note,) = world.app.store.notes.of(1)
    assert (note.operation, note.field, note.why) == ("upsert Contact", "Birthdate", "a date was expected")


async def test_the_documented_poll_makes_a_campaign_member(world, callbacks):
    await callbacks.example("poll", "poll")
    (contact,) = await world.records()
    (campaign,) = await world.records("Campaign")
    assert (campaign["SMS_Key__c"], campaign["Name"], campaign["IsActive"]) == ("FB1", "SMS poll FB1", True)
    member = await callbacks.member()
    assert (member["CampaignId"], member["ContactId"]) == (campaign["Id"], contact["Id"])
    assert (member["SMS_Reply__c"], member["SMS_Label__c"], member["Status"]) == ("A", "Tampa", "Responded")
    assert (contact["SMS_Key__c"], member["SMS_Key__c"]) == (DONOR, f"FB1-{DONOR}")
    assert world.counts() == {"delivered": 1}


async def test_the_documented_text_4_info_is_recorded_on_the_contact(world, callbacks):
    await callbacks.example("text4info", "text-4-info")
    (contact,) = await world.records()
    (kept,) = await world.records("SMS_Event__c")
    assert (kept["Contact__c"], contact["SMS_Key__c"]) == (contact["Id"], DONOR)
    assert (kept["Text__c"], kept["Keyword__c"], kept["Short_Number__c"]) == ("ServerMsg", "keyword", "84700")
    assert world.counts() == {"delivered": 1}


async def test_all_documented_examples_of_one_phone_make_one_contact(world, callbacks):
    examples = (("crm", "web-form"), ("poll", "poll"), ("text4info", "text-4-info"))
    for endpoint, name in examples:
        await callbacks.example(endpoint, name)
        before = await world.history()
        await callbacks.example(endpoint, name)
        assert await world.history() == before
    (contact,) = await world.records()
    assert (contact["FirstName"], contact["SMS_Key__c"]) == ("Bill", DONOR)
    assert world.counts() == {"delivered": 3}
    assert world.balanced()


async def test_a_voter_who_votes_again_is_one_member_with_the_last_vote(world, callbacks):
    for reply, label in (("A", "Tampa"), ("B", "Miami"), ("A", "Tampa")):
        await callbacks.send("poll", reply=reply, label=label)
    member = await callbacks.member()
    assert (member["SMS_Reply__c"], member["SMS_Label__c"]) == ("A", "Tampa")
    assert world.counts() == {"delivered": 3}


async def test_two_equal_votes_of_one_phone_at_once_count_once(world, callbacks):
    await callbacks.send("poll", times=5)
    assert world.counts() == {"delivered": 1}


@pytest.mark.parametrize("method", ["form", "json"])
async def test_callbacks_by_post_are_read_like_those_by_get(world, callbacks, method):
    await callbacks.send("crm", method=method, Name="Bill van der Berg", DOB="12/31/1999")
    contact = await world.contact(DONOR)
    assert (contact["FirstName"], contact["LastName"]) == ("Bill", "van der Berg")
    assert contact["Birthdate"] == "1999-12-31"


async def test_a_form_names_a_contact_that_a_vote_created(world, callbacks):
    await callbacks.send("poll")
    assert (await world.contact(DONOR))["LastName"] == "Unknown"
    await callbacks.send("crm", Name="Bill Smith")
    assert (await world.contact(DONOR))["LastName"] == "Smith"


@pytest.mark.parametrize("endpoint", ["crm", "text4info", "mo"])
async def test_stop_opts_out_and_start_opts_in_again_at_every_endpoint_with_texts(world, callbacks, endpoint):
    await callbacks.send("crm", msg="SOMEKEY")
    assert (await world.contact(DONOR))["SMS_Keywords__c"] == "SOMEKEY"
    own = {"smsid": "2"} if endpoint == "mo" else {}
    await callbacks.send(endpoint, msg="Stop", **own)
    contact = await world.contact(DONOR)
    assert contact["SMS_Opt_Out__c"] is True
    assert contact["SMS_Opt_Out_Source__c"].startswith("Sumotext ")
    assert contact["SMS_Opt_Out_At__c"] is not None
    own = {"smsid": "3"} if endpoint == "mo" else {}
    await callbacks.send(endpoint, msg="START", **own)
    assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is False


async def test_a_stop_of_one_keyword_leaves_the_flag_and_stop_all_sets_it(world, callbacks):
    await callbacks.send("crm", msg="START")
    await callbacks.send("crm", key="OTHERKEY", msg="START")
    await callbacks.send("crm", msg="STOP")
    contact = await world.contact(DONOR)
    assert contact["SMS_Opt_Out__c"] is False
    (trace,) = await world.records("SMS_Event__c")
    assert (trace["Contact__c"], trace["Action__c"], trace["Text__c"]) == (contact["Id"], "STOP", "STOP")
    await callbacks.send("crm", msg="START", Name="Bill")
    await callbacks.send("crm", msg="STOP ALL")
    assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True


async def test_an_opt_out_in_salesforce_makes_one_task(world, callbacks):
    await callbacks.send("crm", msg="START")
    await world.poll()
    contact = await world.contact(DONOR)
    await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
    await world.poll()
    await world.poll()
    (task,) = await world.records("Task")
    assert (task["WhoId"], task["Subject"]) == (contact["Id"], "Opt this number out at sumotext.com")


async def test_an_opt_out_by_sms_sends_no_command_to_sumotext(world, callbacks):
    await callbacks.send("crm", msg="STOP")
    await world.poll()
    assert await world.records("Task") == []


async def test_an_unreadable_callback_is_stored_and_answered(world, callbacks):
    await callbacks.send("crm", mobile=None)
    await callbacks.send("dlr", sumoid=None)
    assert world.counts() == {"unreadable": 2}
    assert world.app.store.inbox.raw(1).startswith(b"country=USA&shortcode=84700&key=SOMEKEY&carrierId")


async def test_an_event_that_needs_a_person_waits(world, callbacks):
    await callbacks.send("poll", mobile="90000001", country="NOWHERE")
    assert world.counts() == {"dead": 1}


async def test_an_unreadable_date_is_left_out_with_a_note(world, callbacks):
    await callbacks.send("crm", DOB="in spring")
    assert world.counts() == {"delivered": 1}
    assert world.app.store.notes.events() == 1


async def test_a_delivery_report_is_stored_and_ignored(world, callbacks):
    await callbacks.send("dlr")
    assert world.counts() == {"ignored": 1}


async def test_an_unknown_caller_is_refused(world):
    url = f"{world.app.url}/hooks/sumotext/crm/wrong?{sample('web-form')}"
    async with world.http.get(URL(url, encoded=True)) as response:
        assert response.status == 401
    assert world.counts() == {}
