"""False responses from Salesforce and Strex: no false confirmation, and recovery within a minute."""

import json
import tracemalloc
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from flow.lying import LIES, PAGE, always, as_json, http, lying
from flow.world import CONFIG, ROOT, a_world

from connector.telemetry.log_events import Alarm, ChannelPaused

MINUTE = timedelta(minutes=1)
MOST_MEMORY = 200 * 2**20
OTHER_ID = "001000000000009AAA"


@asynccontextmanager
async def a_liars_world(base):
    """Both sandboxes behind peers that can lie, and the daemon, which knows the peers alone."""
    async with (
        a_world(base) as world,
        lying(world.salesforce, world.http) as crm,
        lying(world.strex, world.http) as sms,
    ):
        text = CONFIG.format(salesforce=crm.url, strex=sms.url, mappings=ROOT / "mappings")
        (base / "config.yaml").write_text(text)
        async with world.running():
            await world.poll()
            yield world, crm, sms


def results(result):
    """A lie about each record that is to be written; questions are passed on."""

    def lie(path, body):
        asked = json.loads(body)
        parts = asked.get("compositeRequest")
        if parts is None:
            return as_json([result] * len(asked["records"]))
        if any(part["method"] == "GET" for part in parts):
            return None
        emitted = [
            {"referenceId": part["referenceId"], "httpStatusCode": 200, "body": [result] * len(part["body"]["records"])}
            for part in parts
        ]
        return as_json({"compositeResponse": emitted})

    return lie


def shape(value):
    """The same answer to everything that is to be written."""
    return lambda path, body: None if b'"GET"' in body else as_json(value)


DONE = {"id": "003000000000001AAA", "success": True, "errors": [], "created": True}
SALESFORCE = {
    **{name: always(answer) for name, answer in LIES.items()},
    "a success of no record": results({"success": True, "errors": []}),
    "a success of another kind of record": results({**DONE, "id": OTHER_ID}),
    "a success with errors": results({**DONE, "errors": [{"statusCode": "X", "message": "no"}]}),
    "a success that is a text": results({**DONE, "success": "true"}),
    "an Id that is a number": results({**DONE, "id": 7}),
    "too many results": shape([DONE] * 201),
    "no results": shape([]),
    "a map for a list": shape({"success": True}),
    "a list for a map": shape([[DONE]]),
    "another composite": shape({"compositeResponse": [{"referenceId": "x", "httpStatusCode": 200, "body": [DONE]}]}),
    "JSON with NaN": always(as_json(b'[{"id": "003000000000001AAA", "success": true, "n": NaN}]')),
    "100,000 levels": always(as_json(b"[" * 100_000 + b"]" * 100_000)),
    "null": shape(None),
    "another charset": always(as_json("[]".encode("utf-16"))),
    "a success as plain text": always(http(b"[]", Content_Type="text/plain")),
}
STREX = {
    **{name: always(answer) for name, answer in LIES.items()},
    "a page that has no type": always(http(PAGE)),
    "XML": always(http(b'<?xml version="1.0"?><ok/>', Content_Type="text/xml")),
    "nothing, as a page": always(http(b"", Content_Type="text/html")),
    "text, and no pong": always(http(b"done")),
    "NaN, and no pong": always(as_json(b"NaN")),
    "100,000 levels": always(as_json(b"[" * 100_000 + b"]" * 100_000)),
    "half JSON": always(as_json(b'{"done": ')),
}


@contextmanager
def memory_watched(name):
    """Of what is large: counting slows all the rest down."""
    if name not in {"a gzip bomb", "something huge"}:
        yield
        return
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY, name


async def pass_a_minute(world, *loops):
    world.clock.ahead += MINUTE
    for name in loops:
        world.app.wake(name)


async def lied_to(world, peer, sink):
    """Wait until the lie was told and has paused the sink; then the peer is well again, and a minute passes."""
    await world.until(lambda: peer.emitted)
    await world.until(lambda: world.app.sink_channels[sink].breaker.cause is not None)


async def test_false_replies_of_salesforce_confirm_nothing_and_delivery_resumes_in_a_minute(tmp_path, secrets):
    assert len(SALESFORCE) >= 30
    async with a_liars_world(tmp_path) as (world, crm, _):
        for place, (name, lie) in enumerate(SALESFORCE.items()):
            number, delivered = f"+479000{place:04}", world.counts().get("delivered", 0)
            crm.begin(lie, "/services/data/")
            with memory_watched(name):
                await world.phone(number, "KATT")
                await lied_to(world, crm, "salesforce")
            assert world.counts().get("delivered", 0) == delivered, name
            assert await world.contact(number) is None, name
            crm.end()
            await pass_a_minute(world, "salesforce", "salesforce.Contact")
            await world.settled()
            assert world.counts().get("delivered", 0) > delivered, name
            contacts = [one for one in await world.records() if one["SMS_Key__c"] == number]
            assert len(contacts) == 1, name
        assert world.balanced()
        assert "dead" not in world.counts()
        emitted = [one for one in world.emitted(Alarm) if one.kind == "unexpected_answer"]
        assert any("`url:`" in one.cure and "proxy or a firewall" in one.cure for one in emitted)


async def test_false_replies_of_strex_end_no_subscription_and_commands_resume_in_a_minute(tmp_path, secrets):
    assert len(STREX) >= 30
    async with a_liars_world(tmp_path) as (world, _, sms):
        for place, (name, lie) in enumerate(STREX.items()):
            number = f"+479000{place:04}"
            await world.phone(number, "KATT")
            await world.settled()
            contact = await world.contact(number)
            await world.poll()
            sms.begin(lie, "/api/")
            await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
            world.app.workers["salesforce.Contact"].wake()
            with memory_watched(name):
                await lied_to(world, sms, "strex")
            assert await active(world, number), name
            assert [one.sink for one in world.app.store.consents.open_opt_outs(world.clock.now())] == ["strex"], name
            sms.end()
            await pass_a_minute(world, "strex")
            await world.settled()
            assert not await active(world, number), name
        assert world.balanced()
        assert "dead" not in world.counts()
        emitted = [one for one in world.emitted(Alarm) if one.kind == "unexpected_answer"]
        assert any("web page" in one.message and "`url:`" in one.cure for one in emitted)


async def active(world, number):
    return next(one["active"] for one in await world.subscribers() if one["phone"] == number)


async def test_the_alarm_for_an_unreachable_strex_names_the_connection_error(tmp_path, secrets):
    async with a_liars_world(tmp_path) as (world, _, sms):
        await world.phone("+4790000001", "KATT")
        await world.settled()
        contact = await world.contact("+4790000001")
        await world.poll()
        sms.begin(always(b""), "/api/")
        await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
        world.app.workers["salesforce.Contact"].wake()
        await lied_to(world, sms, "strex")
        (paused, *_) = [one for one in world.emitted(ChannelPaused) if one.name == "strex"]
        assert paused.detail == "the connection was closed without an answer"
