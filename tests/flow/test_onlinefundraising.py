"""OnlineFundraising end to end: its webhooks and its API, with a Salesforce sandbox."""

import json
import shutil
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from flow.world import ROOT, SECRETS, a_world

from connector.sandbox.onlinefundraising import app as onlinefundraising
from connector.sandbox.serve import serving
from connector.telemetry.log_events import Alarm, CallbackReceived, ChannelPaused, FeedPolled

SAMPLES = Path(__file__).parents[1] / "samples" / "onlinefundraising"
CONFIG = """
store: {{path: c.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: 0}}
admin: {{port: 0}}
mappings: {mappings}
timezone: Europe/Copenhagen
default_region: DK
providers:
  onlinefundraising:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{url: PROVIDER, key: {{env: STREX_KEY}}}}
    catch_up: {{page_size: 3}}
    LOCK
crm:
  salesforce:
    url: {salesforce}
    sign_in: {{client_id: sandbox, client_secret: {{env: SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""
DONOR, OTHER = "+4790000001", "+4790000002"
QUARTER = timedelta(minutes=15)


def sample(name):
    return (SAMPLES / f"{name}.json").read_bytes()


def numbered(number=DONOR):
    """The document's webhook, whose number is made unreadable there, with one that can be read."""
    return sample("webhook").replace(b"4540xxxxxx", number.removeprefix("+").encode())


class Account:
    """OnlineFundraising's side of the world."""

    def __init__(self, world, url):
        self.world, self.url = world, url

    async def put(self, what, body):
        return await self.world.post(f"{self.url}/_sandbox/{what}", body, method="PUT")

    async def point_here(self):
        hook = f"{self.world.app.url}/hooks/onlinefundraising/sms/{SECRETS['HOOK_SECRET']}"
        await self.put("config", {"webhook_url": hook, "compress": 1e6})

    async def post(self, body, secret=SECRETS["HOOK_SECRET"]):
        url = f"{self.world.app.url}/hooks/onlinefundraising/sms/{secret}"
        async with self.world.http.post(url, data=body) as response:
            return response.status, await response.text()

    async def hook(self, body):
        """Post a webhook's body as it is, and let it take effect."""
        assert await self.post(body) == (200, "OK")
        await self.world.settled()

    async def phone(self, text, number=DONOR, **more):
        """A donor sends a text message; its webhook, if one goes out, has arrived."""
        message = await self.world.post(f"{self.url}/_sandbox/phone", {"from": number, "text": text, **more})
        await self.world.get(f"{self.url}/_sandbox/webhooks?wait=1")
        return message

    async def calls(self, path):
        return [one for one in await self.world.get(f"{self.url}/_sandbox/calls") if f" {path}" in one]

    def rounds(self, what):
        return len([one for one in self.world.emitted(FeedPolled) if one.feed == f"onlinefundraising.{what}"])

    async def looks(self, what, *, after=QUARTER):
        """Time passes, and the list is looked at once more."""
        before = self.rounds(what)
        self.world.clock.ahead += after
        self.world.app.wake(f"onlinefundraising.{what}")
        await self.world.until(lambda: self.rounds(what) > before)
        await self.world.settled()

    async def first_look(self):
        await self.world.until(lambda: self.rounds("messages") and self.rounds("keywords"))
        await self.world.settled()


@asynccontextmanager
async def an_account(tmp_path, lock=""):
    """A world with OnlineFundraising in it; the daemon is not up yet."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    shutil.copy(ROOT / "mappings" / "more" / "onlinefundraising.yaml", mappings)
    async with serving(onlinefundraising.build()) as url:
        config = CONFIG.replace("PROVIDER", url).replace("LOCK", lock.replace("PROVIDER", url))
        async with a_world(tmp_path, mappings=mappings, config=config) as world:
            yield Account(world, url)


@pytest.fixture
async def account(tmp_path, secrets):
    """The daemon is up, and has looked at the lists for the first time."""
    async with an_account(tmp_path) as made, made.world.running():
        await made.first_look()
        await made.point_here()
        yield made


async def kept(world):
    return {one["Transaction__c"]: one for one in await world.records("SMS_Event__c")}


async def test_the_documented_webhook_without_a_valid_number_is_stored(account):
    await account.hook(sample("webhook"))
    (event,) = await account.world.records("SMS_Event__c")
    assert (event["Text__c"], event["Keyword__c"], event["Short_Number__c"]) == ("Støt", "STØT", "1217")
    assert (event["Contact__c"], event["Status__c"], event["Result__c"]) == (None, "Processed", "ok")
    assert event["Occurred_At__c"].startswith("2021-02-10T12:33:23")
    assert await account.world.records() == []
    assert account.world.counts() == {"delivered": 1}


async def test_the_documented_webhook_with_a_number_makes_a_contact(account):
    await account.hook(numbered())
    contact = await account.world.contact(DONOR)
    (event,) = await account.world.records("SMS_Event__c")
    assert (contact["MobilePhone"], contact["SMS_Opt_Out__c"]) == (DONOR, False)
    assert (event["Contact__c"], event["Text__c"]) == (contact["Id"], "Støt")
    before = await account.world.history()
    await account.hook(numbered())
    await account.hook(json.dumps(json.loads(numbered())[0]).encode())  # an object instead of an array
    assert await account.world.history() == before
    assert account.world.counts() == {"delivered": 1}


async def test_the_keyword_stop_sets_the_flag_and_a_later_gift_does_not_clear_it(account):
    await account.phone("TIFO 100")
    await account.phone("TIFO STOP")
    await account.world.settled()
    contact = await account.world.contact(DONOR)
    assert (contact["SMS_Opt_Out__c"], contact["SMS_Opt_Out_Source__c"]) == (True, "OnlineFundraising TIFO")
    await account.phone("TIFO 50")
    await account.world.settled()
    assert (await account.world.contact(DONOR))["SMS_Opt_Out__c"] is True
    assert [one["Text__c"] for one in await account.world.records("SMS_Event__c")] == [
        "TIFO 100",
        "TIFO STOP",
        "TIFO 50",
    ]


async def test_one_unreadable_message_does_not_stop_the_others(account):
    first = json.loads(numbered())[0]
    second = {**first, "messageGuid": "m-2", "msisdn": OTHER.removeprefix("+")}
    body = f'[{json.dumps(first)},{{"msisdn":"4790000003"}}, {json.dumps(second)}, {{"messageGuid":"m-3","messageGuid":"m-4"}}]'
    await account.hook(body.encode())
    assert {one["SMS_Key__c"] for one in await account.world.records()} == {DONOR, OTHER}
    assert account.world.counts() == {"delivered": 2, "unreadable": 2}
    app = account.world.app
    unread = [one for one in account.world.emitted(CallbackReceived) if one.unreadable]
    assert [one.unreadable for one in unread] == ["no messageGuid", "a name occurs twice"]
    raws = [app.store.inbox.raw(app.store.inbox.get(one.event).id) for one in unread]
    assert raws == [b'{"msisdn":"4790000003"}', b'{"messageGuid":"m-3","messageGuid":"m-4"}']
    await account.hook(body.encode())
    assert account.world.counts() == {"delivered": 2, "unreadable": 2}
    assert account.world.balanced()


@pytest.mark.parametrize("body", [b"", b"[]", b"[{}", b"nonsense", b'["x"]', b"[[1],[2]]", b"\xff\xfe", b"null"])
async def test_a_body_without_messages_is_stored_and_answered_with_200(account, body):
    await account.hook(body)
    assert account.world.counts() == {"unreadable": 1}
    (unread,) = [one for one in account.world.emitted(CallbackReceived) if one.unreadable]
    inbox = account.world.app.store.inbox
    assert inbox.raw(inbox.get(unread.event).id) == body


async def test_a_webhook_without_the_secret_is_refused(account):
    assert (await account.post(numbered(), secret="guess"))[0] == 401
    assert account.world.counts() == {}


@pytest.mark.parametrize("newest_first", [True, False])
async def test_messages_sent_during_downtime_are_polled_once_and_in_order(tmp_path, secrets, newest_first):
    async with an_account(tmp_path) as account:
        world = account.world
        await account.put("config", {"newest_first": newest_first})
        await account.phone("TIFO old", OTHER, createdTs="2021-02-10 13:33:23 +0100")
        async with world.running():
            await account.first_look()
            await account.point_here()
            known = await account.phone("TIFO 1")
        await account.put("config", {"silent": True})
        start = world.clock.now()
        texts = [f"TIFO {number}" for number in range(2, 9)] + ["TIFO STOP"]
        for number, text in enumerate(texts):
            made = (start + timedelta(seconds=number + 1)).strftime("%Y-%m-%d %H:%M:%S +0000")
            await account.phone(text, createdTs=made)
        world.clock.ahead += timedelta(minutes=1)  # the downtime: no message is from the future when it is listed
        before = account.rounds("messages")
        async with world.running():
            await world.until(lambda: account.rounds("messages") > before)
            await world.settled()
            inbox = world.app.store.inbox
            stored = inbox.of_phone(DONOR)
            assert [one.event.text for one in stored] == ["TIFO 1", *texts]
            assert stored[0].event.transaction_id == known["messageGuid"]
            assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
            assert await world.contact(OTHER) is None  # it was there before the connector
            history = await world.history()
            await account.looks("messages")
            assert await world.history() == history
            assert world.emitted(FeedPolled)[-1].changes == 0
            assert world.balanced()


async def test_an_unreadable_message_in_the_list_does_not_stop_the_others(account):
    await account.put("config", {"silent": True})
    await account.phone("TIFO 1", messageGuid=None)
    await account.phone("TIFO \ud800", OTHER)
    await account.phone("TIFO 3")
    await account.looks("messages")
    assert account.world.counts() == {"unreadable": 1, "delivered": 2}
    await account.looks("messages")
    assert account.world.counts() == {"unreadable": 1, "delivered": 2}


async def test_an_unreadable_list_is_polled_again_and_loses_no_message(account):
    await account.put("config", {"silent": True})
    for number in range(8):
        await account.phone(f"TIFO {number}")
    world = account.world
    for turn, fault in enumerate((503, 500, 429, "dropped", "garbage"), start=1):
        # A call that was dropped is repeated twice at once; the fault is on the second page, in the middle of a round.
        times = 3 if fault == "dropped" else 1
        body = {"fault": fault, "path": "/SmsMO?pageNumber=2", "times": times}
        await world.post(f"{account.url}/_sandbox/faults", body)
        world.clock.ahead += timedelta(hours=2)
        world.app.wake("onlinefundraising.messages")
        await world.until(lambda turn=turn: len(world.emitted(ChannelPaused)) == turn)
        assert world.counts() == {}
    await account.looks("messages", after=timedelta(hours=2))
    assert world.counts() == {"delivered": 8}
    assert len(await account.calls("/SmsMO?pageNumber=1&")) == 1  # the round went on where it was


async def test_a_wrong_key_raises_an_alarm_until_it_works_again(account):
    world = account.world
    await account.put("config", {"api_key": "another"})
    world.clock.ahead += QUARTER
    world.app.wake("onlinefundraising.messages")
    await world.until(lambda: any(one.about == "onlinefundraising.messages" for one in world.emitted(Alarm)))
    await account.put("config", {"api_key": SECRETS["STREX_KEY"]})
    await account.looks("messages")
    assert world.cleared("credentials")


async def test_keywords_become_campaigns_and_their_changes_follow(tmp_path, secrets):
    async with an_account(tmp_path) as account:
        world = account.world
        keyword, (sub,) = json.loads(sample("keyword")), json.loads(sample("keywords"))
        await account.put("keywords", [keyword, sub])
        async with world.running():
            await account.first_look()
            campaigns = {one["SMS_Key__c"]: one for one in await world.records("Campaign")}
            top = campaigns[keyword["campaignGuid"]]
            own = campaigns[keyword["keywordGuid"]]
            assert (top["Name"], own["Name"], own["ParentId"]) == ("OnlineFundraising tifo", "SMS tifo", top["Id"])
            assert (own["StartDate"], own["EndDate"], own["IsActive"]) == ("2019-10-01", "2019-10-31", True)
            assert campaigns[sub["keywordGuid"]]["Name"] == "SMS tifo 100"
            assert world.counts() == {"delivered": 2}
            hour = timedelta(hours=1)
            for turn, active in enumerate((False, True), start=1):
                await account.put("keywords", [{**sub, "active": active}])
                await account.looks("keywords", after=hour)
                campaigns = {one["SMS_Key__c"]: one for one in await world.records("Campaign")}
                assert campaigns[sub["keywordGuid"]]["IsActive"] is active
                assert world.counts() == {"delivered": 2 + turn}
            calls = len(await account.calls("/keyword/"))
            await account.looks("keywords", after=hour)
            assert world.counts() == {"delivered": 4}
            assert len(await account.calls("/keyword/")) - calls in {0, 2}  # two when it was a new day
            # Only a keyword's own page tells of its campaign; it is read again once a day.
            await account.put("keywords", [{**sub, "campaignGuid": keyword["campaignGuid"]}])
            await account.looks("keywords", after=timedelta(days=1))
            (changed,) = [one for one in await world.records("Campaign") if one["SMS_Key__c"] == sub["keywordGuid"]]
            assert changed["ParentId"] == top["Id"]
            secret = "enb64ilxmkaj8wr"
            inbox = world.app.store.inbox
            events = [inbox.get(number) for number in range(1, 6)]
            assert all(secret not in str(one.event) and secret.encode() not in inbox.raw(one.id) for one in events)


async def test_keywords_are_not_polled_without_a_mapping_for_them(tmp_path, secrets):
    async with an_account(tmp_path) as account:
        path = tmp_path / "mappings" / "onlinefundraising.yaml"
        text = path.read_text().replace(", onlinefundraising.keyword]", "]")
        rules, _, tests = text.partition("tests:\n")
        head, _, _ = rules.partition("  # A keyword that is new")
        path.write_text(head + "tests:\n" + tests.partition("  - name: a keyword becomes")[0])
        async with account.world.running():
            await account.world.until(lambda: account.rounds("messages"))
            await account.looks("messages")
            assert await account.calls("/keywords") == []


LISTED = "address_list: {{url: PROVIDER/webhooks.json, refresh: 1d}}"


async def test_published_addresses_are_checked_with_the_last_valid_list(tmp_path, secrets):
    async with an_account(tmp_path, LISTED) as account, account.world.running():
        world = account.world
        await account.first_look()
        assert (await account.post(numbered()))[0] == 200
        await account.post(numbered())
        assert len(await account.calls("/webhooks.json")) == 1
        # Another list counts once the old one is a day old; a list that cannot be read, or names nobody, does not count.
        await account.put("config", {"address_list": {"addresses": [{"ip": "192.0.2.7"}]}})
        assert (await account.post(numbered()))[0] == 200
        world.clock.ahead += timedelta(days=1)
        assert (await account.post(numbered()))[0] == 403
        await account.put("config", {"address_list": ["127.0.0.0/30"]})
        assert (await account.post(numbered()))[0] == 403
        world.clock.ahead += timedelta(minutes=10)
        assert (await account.post(numbered()))[0] == 200
        await account.put("config", {"address_list": {"moved": "to another page"}})
        world.clock.ahead += timedelta(days=2)
        assert (await account.post(numbered()))[0] == 200
        await world.post(f"{account.url}/_sandbox/faults", {"fault": 503, "path": "/webhooks.json", "times": 9})
        world.clock.ahead += timedelta(days=2)
        assert (await account.post(numbered()))[0] == 200


async def test_without_an_address_list_a_webhook_gets_503(tmp_path, secrets):
    async with an_account(tmp_path, LISTED) as account, account.world.running():
        await account.first_look()
        await account.put("config", {"address_list": []})
        assert (await account.post(numbered()))[0] == 503
        await account.put("config", {"address_list": ["127.0.0.1"]})
        account.world.clock.ahead += timedelta(minutes=1)
        assert (await account.post(numbered()))[0] == 200


async def test_the_api_key_is_not_sent_to_the_address_list(tmp_path, secrets):
    async with serving(onlinefundraising.build()) as elsewhere:
        lock = f"address_list: {{{{url: {elsewhere}/keywords}}}}"  # a page that asks for the same key, to see that none comes
        async with an_account(tmp_path, lock) as account, account.world.running():
            assert (await account.post(numbered()))[0] == 503
            assert await account.world.get(f"{elsewhere}/_sandbox/calls") == ["GET /keywords 401"]
