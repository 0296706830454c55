"""The environment of flow tests: the sandboxes of a CRM and of Strex on real sockets, and the daemon in this process.

Its clock can be moved. Which CRM it is, contract/crms.py tells: tests that say `contact` and `opted_out` run on each.
Names of a CRM's own are taken too, for tests of that CRM alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from contract.crms import SALESFORCE, CrmUnderTest, Record

from connector.application import Application, Clock
from connector.daemon import start_application
from connector.delivery.channels import FULL_PAGES
from connector.registry import LoadedConfig, load_config
from connector.sandbox.serve import serving
from connector.sandbox.strex import app as strex
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, ChannelPaused, Cleared, FeedPolled, LogEvent
from connector.telemetry.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
TIMEOUT = 30.0  # seconds that a condition may take on a busy machine before the test is called failed
LOOK = 0.05  # seconds between two looks at what the daemon reports in no log event

PROVIDERS = """
store: {{path: c.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: 0}}
admin: {{port: 0}}
mappings: {mappings}
timezone: Europe/Oslo
default_region: "NO"
providers:
  strex:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{url: {strex}, key: {{env: STREX_KEY}}}}
    subscriptions:
      - {{short_number: "2002", keyword: MYKEYWORD}}
      - {{short_number: "2002", keyword: KATT}}
      - {{short_number: "2002", keyword: HUND}}
crm:
"""
SECRETS = {
    "HOOK_SECRET": "hook-secret",
    "STREX_KEY": "sandbox-key",
    "SF_SECRET": "sandbox",
    "MADEUP_SECRET": "sandbox",
    "DYNAMICS_SECRET": "sandbox",
}


def config_of(*crms: CrmUnderTest) -> str:
    """The config of Strex and these CRMs, with {strex}, {mappings}, and the address of each CRM by its name."""
    return PROVIDERS + "".join(f"  {crm.name}:{crm.settings.replace('{url}', f'{{{crm.name}}}')}" for crm in crms)


CONFIG = config_of(SALESFORCE)


class MovableClock(Clock):
    """The real clock, set forward by the test: pauses and deadlines pass at once."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()


@dataclass
class World:
    """What a test holds in its hands."""

    base: Path
    http: aiohttp.ClientSession
    crm: CrmUnderTest
    crm_url: str
    strex: str
    clock: MovableClock
    facts: list[LogEvent] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    app: Application | None = None
    open_store: Callable[..., Store] = Store.open
    breaker: float = TIMEOUT

    @property
    def salesforce(self) -> str:
        """The address of the CRM's sandbox, for tests that are about Salesforce."""
        return self.crm_url

    @property
    def feed(self) -> str:
        """The name of the feed of contacts."""
        return f"{self.crm.name}.{self.crm.named('contact')}"

    def load(self) -> LoadedConfig:
        """The config."""
        return load_config(self.base / "config.yaml", self.crm.types)

    def emit(self, fact: LogEvent) -> None:
        self.facts.append(fact)
        self.news.set()

    def emitted(self, kind: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def alarms(self) -> list[str]:
        return [alarm.kind.partition(":")[0] for alarm in self.emitted(Alarm)]

    def told_paused(self, name: str) -> bool:
        return any(fact.name == name for fact in self.emitted(ChannelPaused))

    def cleared(self, kind: str) -> bool:
        return any(fact.kind == kind for fact in self.emitted(Cleared))

    async def until(self, condition: Callable[[], Awaitable[Any] | Any], why: str = "") -> Any:
        """Wait for a condition; it is looked at again after each log event of the daemon."""
        async with asyncio.timeout(self.breaker):
            while True:
                self.news.clear()
                answer = condition()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return answer
                try:
                    await asyncio.wait_for(self.news.wait(), LOOK)
                except TimeoutError:
                    continue

    async def get(self, url: str) -> Any:
        async with self.http.get(url) as response:
            response.raise_for_status()
            return await response.json()

    async def post(self, url: str, body: Any, method: str = "POST") -> Any:
        async with self.http.request(method, url, json=body) as response:
            assert response.status < 300, (response.status, await response.text())
            return await response.json() if response.content_type == "application/json" else None

    # What the outside does.

    async def phone(self, number: str, text: str, to: str = "2002") -> None:
        """A donor sends a text message."""
        await self.post(f"{self.strex}/_sandbox/phone", {"from": number, "to": to, "text": text})

    async def person(self, object_name: str = "contact", **fields: Any) -> str:
        """A person edits or makes a record in the CRM (by id where it is among the fields)."""
        return (await self.people([fields], object_name))[0]

    async def people(self, records: list[dict[str, Any]], object_name: str = "contact") -> list[str]:
        return (await self._edit(records, object_name))["ids"]

    async def edit(self, records: list[dict[str, Any]]) -> list[Record]:
        """A person edits contacts by id; returns them as they were until this edit."""
        return [self.crm.record(one) for one in (await self._edit(records, "contact"))["before"]]

    async def _edit(self, records: list[dict[str, Any]], object_name: str) -> Any:
        body = {"records": [self.crm.fields(one) for one in records], "by": "person"}
        return await self.post(f"{self.crm_url}/_sandbox/records/{self.crm.named(object_name)}", body)

    async def merge(self, winner: str, *losers: str, **fields: Any) -> list[Record]:
        """A person merges contacts into one, with the values that they chose; returns them as they were until then."""
        body = {"winner": winner, "losers": losers, "fields": self.crm.fields(fields)}
        before = (await self._at_contacts("merge", body))["before"]
        return [self.crm.record(one) for one in before]

    async def bin(self, *ids: str) -> None:
        """A person deletes contacts."""
        await self._at_contacts("delete", {"ids": ids})

    async def unbin(self, *ids: str) -> None:
        """A person takes contacts out of the recycle bin."""
        await self._at_contacts("undelete", {"ids": ids})

    async def _at_contacts(self, what: str, body: dict[str, Any]) -> Any:
        contact = self.crm.named("contact")
        return await self.post(f"{self.crm_url}/_sandbox/{what}", {"object": contact, "table": contact, **body})

    async def automate(
        self, rewrite: dict[str, Any], when: dict[str, Any] | None = None, of: str = "integration"
    ) -> None:
        """The CRM's automation rewrites fields of a contact in the saves of ours, or of everybody."""
        name = self.crm.named("contact")
        wish = {"rewrite": {name: self.crm.fields(rewrite)}, "when": self.crm.fields(when or {}), "of": of}
        await self.post(f"{self.crm_url}/_sandbox/automation", wish)

    async def no_automation(self) -> None:
        async with self.http.delete(f"{self.crm_url}/_sandbox/automation") as response:
            assert response.status == 200

    async def callback(self, endpoint: str, body: Any, secret: str = SECRETS["HOOK_SECRET"]) -> int:
        """Post a callback as it is; returns the status."""
        data = body if isinstance(body, bytes) else None
        json = None if data is not None else body
        async with self.http.post(f"{self.app.url}/hooks/strex/{endpoint}/{secret}", data=data, json=json) as response:
            await response.read()
            return response.status

    async def fault(self, where: str, **fault: Any) -> None:
        await self.post(f"{where}/_sandbox/faults", fault)

    async def no_faults(self, where: str) -> None:
        async with self.http.delete(f"{where}/_sandbox/faults") as response:
            assert response.status < 300

    async def struck(self, where: str, name: str) -> bool:
        """Whether a fault has struck by now."""
        faults = (await self.get(f"{where}/_sandbox/faults"))["faults"]
        return any(fault["fault"] == name and fault["fired"] for fault in faults)

    # What the outside sees.

    async def records(self, object_name: str = "contact") -> list[Record]:
        answer = await self.get(f"{self.crm_url}/_sandbox/records/{self.crm.named(object_name)}")
        return [self.crm.record(one) for one in answer["records"]]

    async def contact(self, number: str) -> Record | None:
        return next((one for one in await self.records() if one["sms_key"] == self.crm.key(number)), None)

    async def commands(self) -> list[dict[str, Any]]:
        answer = await self.get(f"{self.strex}/_sandbox/commands")
        return answer["commands"] if isinstance(answer, dict) else answer

    async def orders(self) -> list[dict[str, Any]]:
        """The service commands that Strex was given, and how it answered."""
        return [{**one["command"], "answer": one["status"]} for one in await self.commands()]

    async def history(self, *, of_all: bool = False) -> list[dict[str, Any]]:
        """Every write that the CRM took from the daemon, or from all."""
        writes = (await self.get(f"{self.crm_url}/_sandbox/history"))["history"]
        taken = [one for one in writes if of_all or one["by"] == self.crm.user]
        return [{**one, "fields": self.crm.record(one["fields"])} for one in taken]

    async def writes(self, object_name: str = "contact") -> list[dict[str, Any]]:
        """Those of them that concern this object."""
        name = self.crm.named(object_name)
        return [one for one in await self.history() if name in {one.get("object"), one.get("table")}]

    async def flag(self, record_id: str) -> bool:
        return next(one["opted_out"] for one in await self.records() if one["id"] == record_id)

    async def subscribers(self) -> list[dict[str, Any]]:
        answer = await self.get(f"{self.strex}/_sandbox/subscribers")
        return answer["subscribers"] if isinstance(answer, dict) else answer

    async def api_calls(self) -> int:
        return (await self.get(f"{self.crm_url}/_sandbox/stats"))["api_calls"]

    # What the daemon knows.

    def counts(self) -> dict[str, int]:
        return {state.value: n for state, n in self.app.store.inbox.counts().items() if n}

    def shadow(self, record_id: str) -> Record | None:
        """What is known of a contact."""
        known = self.app.store.records.shadow(self.crm.name, self.crm.named("contact"), record_id)
        return None if known is None else self.crm.record(known)

    def balanced(self) -> bool:
        return sum(self.app.store.inbox.counts().values()) == self.app.store.inbox.received()

    async def settled(self) -> None:
        """Wait until no forward is on its way and nothing waits to be planned or delivered.

        What is delivered can cause a forward again (a command its confirmation), so it is looked at until nothing new has come.
        The last step must have ended too: it raises its alarms after it has stored its results.
        """
        received = -1
        while received != self.app.store.inbox.received():
            received = self.app.store.inbox.received()
            await self.until(lambda: not {"pending", "delivering"} & self.counts().keys())
            await self.get(f"{self.strex}/_sandbox/forwards?wait=1")
            await self.until(self._delivery_rests)

    def _delivery_rests(self) -> bool:
        return all(self.app.workers[name].resting for name in self.app.delivery_workers)

    async def retry_dead(self) -> int:
        """A person retries all dead letters, by the mappings of now."""
        letters, version = self.app.store.dead_letters, self.app.pipeline.rules.version
        return (await letters.retry(mapping=version, now=self.clock.now())).count

    async def poll(self) -> None:
        """Let the feed look once more, and settle what it found."""
        await self.look()
        await self.settled()

    async def look(self) -> None:
        """Let the feed look once more. A look that is under way does not count: it may have asked before the last change."""
        loop = self.app.workers[self.feed]
        enough = self.rounds() + (1 if loop.resting else 2)

        def over() -> bool:
            if loop.resting and self.rounds() < enough:
                if self.app.feed_channels[self.feed].backlog:
                    self.clock.ahead += FULL_PAGES
                loop.wake()
            return self.rounds() >= enough

        await self.until(over)

    def rounds(self) -> int:
        """How often the feed has looked to the end."""
        return sum(fact.last for fact in self.emitted(FeedPolled))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Application]:
        """The daemon; may be entered again after it was left."""
        async with start_application(
            self.load(),
            emit=self.emit,
            metrics=Metrics(),
            clock=self.clock,
            linger=timedelta(0),
            open_store=self.open_store,
        ) as app:
            self.app = app
            hooks = f"{app.url}/hooks/strex"
            secret = SECRETS["HOOK_SECRET"]
            dials = {"mo_url": f"{hooks}/mo/{secret}", "dlr_url": f"{hooks}/dlr/{secret}", "compress": 1000.0}
            await self.post(f"{self.strex}/_sandbox/config", dials, method="PUT")
            yield app


@asynccontextmanager
async def a_world(
    base: Path,
    *,
    crm: CrmUnderTest = SALESFORCE,
    mappings: Path | None = None,
    config: str | None = None,
    preset: str = "plain",
    **org: Any,
) -> AsyncIterator[World]:
    """Both sandboxes and a config that knows them."""
    async with (
        serving(crm.sandbox(preset=preset, **org)) as url,
        serving(strex.build()) as provider,
        aiohttp.ClientSession() as http,
    ):
        places = {crm.name: url, "strex": provider, "mappings": mappings or crm.mappings(base / "mappings")}
        (base / "config.yaml").write_text((config or config_of(crm)).format(**places))
        yield World(base=base, http=http, crm=crm, crm_url=url, strex=provider, clock=MovableClock())
