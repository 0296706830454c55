"""Stop words at every endpoint over HTTP, and questions about unclear texts, answered by admin commands."""

import json
import shutil
from datetime import timedelta
from itertools import count
from urllib.parse import quote

import pytest
from flow.world import ROOT, SECRETS, a_world
from yarl import URL

from connector.telemetry.log_events import Alarm

CONFIG = """
store: {{path: c.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: 0}}
admin: {{port: 0}}
mappings: {mappings}
timezone: Europe/Oslo
default_region: "NO"
consent: {{stop_words: [Basta]}}
providers:
  strex:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{url: {strex}, key: {{env: STREX_KEY}}}}
    subscriptions: [{{short_number: "2002", keyword: KATT}}, {{short_number: "2002", keyword: HUND}}]
  sumotext: {{path_secrets: [{{env: HOOK_SECRET}}], short_number: "84700"}}
  messagecloud: {{path_secrets: [{{env: HOOK_SECRET}}], keywords: [KATT]}}
  onlinefundraising: {{path_secrets: [{{env: HOOK_SECRET}}], keywords: [KATT]}}
crm:
  salesforce:
    url: {salesforce}
    sign_in: {{client_id: sandbox, client_secret: {{env: SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""
STOPS = [
    "STOP",
    "STOP 😢",
    "S\u00adTOP\ufe0f",
    "STOP\x07",
    "«Stop»!",
    "OPT-OUT",
    "opt_out",
    "Stop. Thank you",
    "please stop texting me",
    "stopp nå takk",
    "KATT, STOP",
    "STOP: KATT",
    "katt 😢 stopp!",
    "Vennligst avslutt abonnementet mitt",
    "BASTA!",
]
SENTENCES = ["don't stop", "stop by on Friday", "endelig", "unstoppable", "we must stop this bill", "ikke stopp"]
UNCLEAR = "Stopp denne krigen"


class Texts:
    """Sends a donor's text to one endpoint, each from a number of its own."""

    def __init__(self, world, endpoint):
        self.world, self.endpoint = world, endpoint
        self.numbers = count(1)

    async def send(self, text, keyword="KATT"):
        """The number of the donor who sent it."""
        national = f"{next(self.numbers):04d}"
        id_ = f"t-{national}"
        norwegian, american = f"+479000{national}", f"+1212555{national}"
        written = quote(text, safe="")
        query = f"mobile={american[2:]}&carrier=V&shortcode=84700&key={quote(keyword)}"
        match self.endpoint:
            case "strex/mo":
                body = {"transactionId": id_, "sender": norwegian, "recipient": "2002", "content": text}
            case "onlinefundraising/sms":
                body = [
                    {
                        "messageGuid": id_,
                        "channel": "1217",
                        "keyword": keyword,
                        "receivedText": text,
                        "msisdn": norwegian[1:],
                    }
                ]
            case "messagecloud/mo":
                body = f"id={id_}&number={norwegian[1:]}&shortcode=2172&message={written}"
            case "sumotext/crm":
                query += f"&msg={written}"
            case "sumotext/crm field":
                query += f"&Name=Ann&Email={written}"
            case "sumotext/poll":
                query += f"&reply={written}&label=x"
            case "sumotext/text4info":
                query = f"lead={quote(keyword)}&&mobile={american[2:]}&msg={written}"
            case "sumotext/mo":
                query += f"&smsid={id_}&msg={written}"
        if self.endpoint.startswith("sumotext"):
            await self.call("GET", query=query)
            return american
        await self.call("POST", data=body.encode() if isinstance(body, str) else json.dumps(body).encode())
        return norwegian

    async def call(self, method, *, query="", data=None):
        endpoint = self.endpoint.partition(" ")[0]
        url = URL(f"{self.world.app.url}/hooks/{endpoint}/{SECRETS['HOOK_SECRET']}?{query}", encoded=True)
        async with self.world.http.request(method, url, data=data) as response:
            assert response.status == 200

    async def flags(self):
        await self.world.settled()
        return {one["SMS_Key__c"]: one["SMS_Opt_Out__c"] for one in await self.world.records()}


ENDPOINTS = [
    "strex/mo",
    "onlinefundraising/sms",
    "messagecloud/mo",
    "sumotext/crm",
    "sumotext/crm field",
    "sumotext/poll",
    "sumotext/text4info",
    "sumotext/mo",
]


@pytest.fixture
async def world(tmp_path, secrets):
    """All providers with their shipped mappings."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    shipped = ROOT / "mappings"
    more = [shipped / "more" / f"{name}.yaml" for name in ("messagecloud", "onlinefundraising", "sumotext")]
    for path in (*shipped.glob("*.yaml"), *more):
        shutil.copy(path, mappings)
    async with a_world(tmp_path, mappings=mappings, config=CONFIG) as made, made.running():
        await made.poll()
        yield made


async def admin(world, command, **payload):
    """A command, as the CLI sends it to the daemon."""
    token = (world.base / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with world.http.post(f"{world.app.admin_url}/admin/{command}", json=payload, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


def alarms(world):
    return [alarm for alarm in world.emitted(Alarm) if alarm.kind == "maybe_stop"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_stop_in_any_decoration_opts_out_and_no_sentence_does(world, endpoint):
    texts = Texts(world, endpoint)
    out = {await texts.send(text) for text in STOPS}
    inside = {await texts.send(text) for text in SENTENCES}
    flags = await texts.flags()
    assert {number for number in out if not flags.get(number)} == set()
    assert {number for number in inside if flags.get(number)} == set()
    assert not alarms(world)
    assert len(await world.records("CampaignMember")) == (len(SENTENCES) if endpoint == "sumotext/poll" else 0)


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one != "sumotext/crm field"])
@pytest.mark.parametrize("answer", ["was", "was-not"])
async def test_a_text_that_may_be_a_stop_waits_for_a_person_whose_answer_applies_to_all(world, endpoint, answer):
    texts = Texts(world, endpoint)
    first, second = await texts.send(UNCLEAR), await texts.send(f"{UNCLEAR.upper()} 😢")
    assert await texts.flags() == {}
    (question,) = (await admin(world, "parked_list"))["questions"]
    assert (question["count"], question["text"]) == (2, UNCLEAR)
    (alarm,) = alarms(world)
    assert question["answers"][answer] in alarm.cure
    assert f"event {question['event']} " in alarm.message
    assert world.counts() == {"dead": 2}
    await admin(world, "parked_answer", id=question["event"], answer=answer)
    world.app.wake("plan")
    third = await texts.send(f"{UNCLEAR}!")
    flags = await texts.flags()
    wanted = answer == "was"
    assert {number: bool(flags.get(number)) for number in (first, second, third)} == dict.fromkeys(
        (first, second, third), wanted
    )
    assert len(alarms(world)) == 1
    assert "dead" not in world.counts()
    assert world.balanced()


async def test_a_waiting_question_does_not_delay_later_events_of_the_donor(world):
    donor = "+4790000777"
    await world.phone(donor, "KATT")
    await world.settled()
    strex = {"transactionId": "m-1", "sender": donor, "recipient": "2002", "content": "stopp ulven"}
    assert await world.callback("mo", strex) == 200
    await world.until(lambda: world.counts().get("dead") == 1)
    world.clock.ahead += timedelta(minutes=5)
    await world.phone(donor, "HUND")
    await world.settled()
    assert world.counts()["dead"] == 1
    (question,) = (await admin(world, "parked_list"))["questions"]
    await admin(world, "parked_answer", id=question["event"], answer="was")
    world.app.wake("plan")
    await world.settled()
    standing = await admin(world, "consents_show", phone=donor)
    assert {one["words"].partition(" ")[0]: one["active"] for one in standing["subscriptions"]} == {
        "KATT": False,
        "HUND": True,
    }
    assert (await world.contact(donor))["SMS_Opt_Out__c"] is False  # another subscription of the donor runs


async def test_a_question_survives_a_restart(tmp_path, secrets):
    async with a_world(tmp_path) as world:
        async with world.running():
            strex = {"transactionId": "m-1", "sender": "+4790000001", "recipient": "2002", "content": "stopp ulven"}
            await world.callback("mo", strex)
            await world.until(lambda: len(alarms(world)) == 1)
        async with world.running():
            assert len(alarms(world)) == 2
            (question,) = (await admin(world, "parked_list"))["questions"]
            await admin(world, "parked_answer", id=question["event"], answer="was")
            await world.settled()
        async with world.running():
            assert len(alarms(world)) == 2
        assert (await world.contact("+4790000001"))["SMS_Opt_Out__c"] is True


async def test_an_undocumented_action_that_sounds_like_an_opt_out_is_asked_with_its_name(world):
    donor = "+4790000778"
    await world.phone(donor, "KATT")
    await world.settled()
    report = {"sender": "2002", "recipient": donor, "properties": {"Keyword": "KATT", "SystemAction": "OptedOut"}}
    for status in ("Sent", "Ok"):
        assert await world.callback("dlr", {"transactionId": "r-1", "statusCode": status, **report}) == 200
    await world.until(lambda: world.counts().get("dead") == 2)
    (question,) = (await admin(world, "parked_list"))["questions"]
    assert (question["count"], question["text"]) == (2, "OptedOut")
    assert len(alarms(world)) == 1
    await admin(world, "parked_answer", id=question["event"], answer="was")
    world.app.wake("plan")
    await world.settled()
    assert (await world.contact(donor))["SMS_Opt_Out__c"] is True
    assert "dead" not in world.counts()
