"""The pipeline's enrich stage with the test's own enricher: what waits, what does not, and how errors are handled."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from aiohttp import web
from msgspec.structs import replace

from connector.config import yaml_document
from connector.config.validation import load
from connector.delivery.channels import EnricherChannel
from connector.delivery.http_client import FixedCredentials, Transport
from connector.mapping.compile.ruleset import load_mappings
from connector.model.event import Event, Result, Verdict
from connector.model.http import HttpCall, HttpReply
from connector.model.outcome import Reason, Retry
from connector.model.phone import Phone
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.receive import entry
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.ports import Enriched, Pending
from connector.registry import CONFIG, LoadedConfig, mapping_context
from connector.sandbox.serve import serving
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, ChannelPaused, ChannelResumed, EnricherCalled, Planned, WorkerFailed

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT = Phone("+4790000001"), Phone("+4790000002")
DAY = timedelta(days=1)
SETTINGS = """
providers: {messagecloud: {open: true}}
crm: {salesforce: {url: "https://acme.my.salesforce.com", sign_in: {client_id: a, client_secret: {env: B}}}}
"""
MAPPING = """
on: [messagecloud.message, messagecloud.subscription]
rules:
  - name: out
    when: {verdict: opt_out}
    consent: opt_out
  - name: all
    ignore: true
"""
CRM = """
on: salesforce.change
feed: {object: Contact, fields: [MobilePhone], every: 30s}
rules:
  - name: out
    when: {verdict: opt_out}
    consent: opt_out
"""


@dataclass(kw_only=True)
class Curious:
    """Asks a server of the test for a word about the event's key."""

    provider: str = "messagecloud"
    first_pause: timedelta = timedelta(seconds=5)
    deadline: timedelta = DAY

    def wants(self, event):
        return event.shape == "subscription" and not event.final

    async def ask(self, http, event):
        (reply,) = await http.call_all([HttpCall(method="GET", path=f"/{event.key}", timeout=timedelta(seconds=5))])
        if not isinstance(reply, HttpReply) or reply.status == 503:
            return Pending(problem=Retry(reason=Reason.UNAVAILABLE, detail="down"))
        word = reply.body.decode()
        if word == "bug":
            raise RuntimeError(word)
        known = replace(event, text=word if word != "surrogate" else "\ud800")
        if word == "another":
            known = replace(known, key="z")
        return Pending(event=known) if word == "later" else Enriched(event=replace(known, final=True))


class Hanging(asyncio.Event):
    """Set when a question is at the server, which keeps it until `over`."""

    def __init__(self):
        super().__init__()
        self.over = asyncio.Event()


@dataclass
class Scene:
    pipeline: Pipeline
    store: Store
    asking: EnricherChannel
    words: dict
    time: list
    facts: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    woken: list = field(default_factory=list)
    hanging: Hanging = field(default_factory=Hanging)

    async def keep(self, key, *, phone=None, shape="message", **about):
        about = {"final": shape != "subscription", "result": Result.PENDING, **about}
        event = Event(key=key, provider="messagecloud", shape=shape, received_at=self.now(), msisdn=phone, **about)
        await self.store.inbox.keep([entry(event, b"", self.asking.enricher)])

    async def question(self, key, word, **about):
        self.words[key] = word
        await self.keep(key, shape="subscription", **about)

    def now(self):
        return NOW + timedelta(seconds=self.time[0])

    def later(self, **delta):
        self.time[0] += timedelta(**delta).total_seconds()

    async def ask(self, **later):
        self.later(**(later or {"seconds": 5}))
        return await self.pipeline.enrich(self.asking)

    def emitted(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def planned(self):
        before = len(self.emitted(Planned))
        while await self.pipeline.plan():
            pass
        return [self.store.inbox.get(fact.event).key for fact in self.emitted(Planned)[before:]]

    def outcomes(self):
        return [
            (self.store.inbox.get(fact.event).key, fact.outcome, fact.reason) for fact in self.emitted(EnricherCalled)
        ]


@pytest.fixture
async def scene(tmp_path):
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "a.yaml").write_text(MAPPING)
    (tmp_path / "mappings" / "b.yaml").write_text(CRM)
    loaded = LoadedConfig(path=tmp_path / "c.yaml", settings=load(yaml_document.parse(SETTINGS, "c.yaml"), CONFIG))
    rules = load_mappings(tmp_path / "mappings", mapping_context(loaded))
    words, time, facts, asked, woken = {}, [0.0], [], [], []
    hanging = Hanging()

    async def answer(request):
        key = request.path.strip("/")
        asked.append(key)
        word = words[key]
        if word == "hangs":
            hanging.set()
            await hanging.over.wait()
        return web.Response(status=503) if word == "down" else web.Response(text=word)

    app = web.Application()
    app.router.add_get("/{key}", answer)
    store = Store.open(tmp_path / "c.db")
    async with serving(app) as there, Transport() as transport:
        around = Runtime(
            emit=facts.append,
            now=lambda: NOW + timedelta(seconds=time[0]),
            monotonic=lambda: time[0],
            wake=woken.append,
        )
        pipeline = Pipeline(store, rules, PipelineConfig(enrichers={}), around)
        asking = EnricherChannel(Curious(), transport.client(FixedCredentials(there)))
        yield Scene(pipeline, store, asking, words, time, facts, asked, woken, hanging)
    counts = store.inbox.counts()
    assert sum(counts.values()) == store.inbox.received()
    await store.close()


async def test_an_answered_event_is_planned_with_the_answer(scene):
    await scene.question("a", "hello")
    assert await scene.pipeline.enrich(scene.asking) == 0, "nobody asks before the first pause is over"
    assert await scene.ask() == 1
    assert scene.woken == ["plan"]
    assert await scene.planned() == ["a"]
    assert scene.store.inbox.get("a").event.text == "hello"
    assert scene.outcomes() == [("a", "answered", None)]
    assert await scene.ask(days=9) == 0


async def test_later_events_of_the_same_person_wait_and_others_do_not(scene):
    await scene.question("a", "later", phone=ANNA)
    await scene.keep("annas", phone=ANNA)
    await scene.keep("berits", phone=BERIT)
    assert await scene.planned() == ["berits"]
    await scene.ask()
    assert await scene.planned() == []
    scene.words["a"] = "done"
    await scene.ask(hours=1)
    assert await scene.planned() == ["a", "annas"]


async def test_an_opt_out_does_not_wait_for_an_answer(scene):
    await scene.question("a", "later", phone=ANNA)
    await scene.keep("annas", phone=ANNA)
    await scene.keep("stop", phone=ANNA, verdict=Verdict.OPT_OUT, short_number="2172")
    assert await scene.planned() == ["stop"]
    assert scene.store.consents.of(ANNA.e164)


async def test_the_gaps_between_questions_grow_from_seconds_to_an_hour(scene):
    await scene.question("a", "later")
    times = [scene.time[0] for _ in range(12 * 60 * 60) if await scene.ask(seconds=1)]
    gaps = [int(after - before) for before, after in pairwise(times)]
    assert gaps[:4] == [5, 10, 20, 40]
    assert set(gaps[-3:]) == {3600}
    assert all(after >= before for before, after in pairwise(gaps))


async def test_an_event_without_an_answer_is_planned_at_its_deadline(scene):
    await scene.question("a", "later")
    await scene.ask()
    await scene.ask(days=1)
    assert scene.outcomes()[-1] == ("a", "gave_up", None)
    assert scene.emitted(Alarm) == []
    assert await scene.planned() == ["a"]
    stored = scene.store.inbox.get("a").event
    assert (stored.text, stored.final, stored.result) == ("later", False, Result.PENDING)


async def test_a_question_that_could_not_be_asked_before_its_deadline_raises_an_alarm(scene):
    await scene.question("a", "down")
    await scene.ask(days=1)
    (alarm,) = scene.emitted(Alarm)
    assert (alarm.kind, alarm.about, alarm.lasts) == ("unanswered", "event 1", False)
    assert "connector replay 1" in alarm.cure
    assert await scene.planned() == ["a"]


async def test_a_last_answer_at_the_deadline_still_counts(scene):
    await scene.question("a", "done")
    await scene.ask(days=3)
    assert scene.outcomes() == [("a", "answered", None)]


async def test_questions_to_a_provider_that_is_down_are_paused_and_not_lost(scene):
    await scene.question("a", "down")
    assert await scene.ask() == 1
    (paused,) = scene.emitted(ChannelPaused)
    assert paused.reason is Reason.UNAVAILABLE
    await scene.question("b", "done")
    scene.later(seconds=paused.seconds - 1)
    assert await scene.pipeline.enrich(scene.asking) == 0
    scene.words["a"] = "done"
    assert await scene.ask(hours=1) == 2
    assert len(scene.emitted(ChannelResumed)) == 1
    assert sorted(await scene.planned()) == ["a", "b"]


async def test_a_question_that_meets_a_bug_does_not_delay_the_others(scene):
    await scene.question("a", "bug")
    await scene.question("b", "done")
    assert await scene.ask() == 2
    assert ("b", "answered", None) in scene.outcomes()
    assert ("a", "not_yet", "bug") in scene.outcomes()
    (failed,) = scene.emitted(WorkerFailed)
    assert failed.worker == "ask messagecloud"
    assert scene.emitted(ChannelPaused) == []
    scene.words["a"] = "done"
    await scene.ask(hours=1)
    assert sorted(await scene.planned()) == ["a", "b"]


@pytest.mark.parametrize("word", ["surrogate", "another"])
async def test_an_answer_that_cannot_be_stored_is_ignored_until_the_deadline(scene, word):
    await scene.question("a", word)
    await scene.ask()
    assert await scene.pipeline.enrich(scene.asking) == 0, "it is not asked for again at once"
    assert scene.outcomes() == [("a", "not_yet", "bug")]
    await scene.ask(days=1)
    assert await scene.planned() == ["a"]
    assert scene.store.inbox.get("a").event.text is None


async def test_many_questions_are_asked_in_small_batches(scene):
    for number in range(10):
        await scene.question(f"q{number}", "done")
    moved = [await scene.ask()]
    while moved[-1]:
        moved.append(await scene.pipeline.enrich(scene.asking))
    assert moved == [4, 4, 2, 0]
    assert sorted(scene.asked) == sorted(f"q{number}" for number in range(10))


async def test_a_cancelled_question_is_asked_again(scene):
    await scene.question("a", "hangs")
    scene.later(seconds=5)
    step = asyncio.create_task(scene.pipeline.enrich(scene.asking))
    await scene.hanging.wait()
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    scene.hanging.over.set()
    assert await scene.planned() == []
    scene.words["a"] = "done"
    assert await scene.pipeline.enrich(scene.asking) == 1
    assert await scene.planned() == ["a"]
