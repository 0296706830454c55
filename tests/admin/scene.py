"""A config, the shipped mappings and a store in one directory, and the pipeline steps that admin commands need."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.admin import AdminContext, commands_for
from connector.admin.parse_stored import find_endpoint, providers_without_secrets, read_body
from connector.mapping.compile.ruleset import load_mappings
from connector.model.states import UnitState
from connector.pipeline.plan import Planner
from connector.pipeline.receive import entries, entry
from connector.registry import load_config, mapping_context
from connector.store.records import ShadowWrite
from connector.store.store import Store
from connector.store.units import Settlement

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SHIPPED = Path(__file__).parent.parent.parent / "mappings"
DONOR = "+4798079008"
OTHER = "+4790000001"
CONFIG = """\
store: {{path: connector.db, ballast: 0B, free_space_floor: 0B}}
admin: {{port: {port}}}
default_region: NO
timezone: Europe/Oslo
providers:
  strex:
    path_secrets: [{{env: SCENE_STREX_SECRET}}]
    api: {{key: {{env: SCENE_STREX_KEY}}}}
    subscriptions:
      - {{short_number: "2002", keyword: MYKEYWORD}}
      - {{short_number: "2002", keyword: KATT}}
crm:
  salesforce:
    url: https://acme.my.salesforce.com
    sign_in: {{client_id: app, client_secret: {{env: SCENE_SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""


def report(action, *, phone=DONOR, transaction="t-1", keyword="KATT", joined=None):
    """The body of a delivery report."""
    more = f', "SubscriberTransactionId": "{joined}"' if joined else ""
    return (
        f'{{"transactionId": "{transaction}", "sender": "2002", "recipient": "{phone}", "statusCode": "Ok", '
        f'"detailedStatusCode": "Delivered", "properties": {{"SystemAction": "{action}", "Keyword": "{keyword}"{more}}}}}'
    ).encode()


def make_home(directory, *, port=0):
    """Write the config and the mappings; returns the config's path."""
    config = directory / "config.yaml"
    config.write_text(CONFIG.format(port=port))
    if not (directory / "mappings").exists():
        shutil.copytree(SHIPPED, directory / "mappings")
    return config


class Scene:
    """The pipeline without its workers, over a real store."""

    def __init__(self, config, store):
        self.now = NOW
        self.store = store
        self.loaded = load_config(config)
        self.providers = providers_without_secrets(self.loaded)
        self.rules = self.read_rules()
        self.configured = tuple(one for provider in self.providers.values() for one in provider.subscriptions)
        self.context = AdminContext.of(store, rules=lambda: self.rules, loaded=self.loaded, now=lambda: self.now)

    @classmethod
    def open(cls, config):
        loaded = load_config(config)
        return cls(config, Store.open(loaded.database))

    def read_rules(self):
        return load_mappings(self.loaded.resolve_path(self.loaded.settings.mappings), mapping_context(self.loaded))

    async def ask(self, command, **payload):
        return await commands_for(self.context)[command](payload)

    async def receive(self, body, endpoint="strex/dlr"):
        events = read_body(find_endpoint(self.providers, endpoint), body, self.now)
        (kept,) = await self.store.inbox.keep([entry(event, body) for event in events])
        return kept.id

    async def receive_raw(self, request, endpoint="strex/dlr"):
        (kept,) = await self.store.inbox.keep(entries(find_endpoint(self.providers, endpoint), request))
        return kept.id

    async def plan(self, *, max_people=50):
        planner = Planner(self.store, configured=self.configured, max_people=max_people)
        batch = [(one.id, one.event) for one in self.store.inbox.pending(500)]
        planned, _ = planner.plan(batch, self.rules)
        await self.store.plans.commit(planned, now=self.now)
        return planned

    async def settle(self, sink, state=UnitState.DELIVERED, **about):
        units = await self.store.outbox.claim(sink, 1000, "test", self.now)
        await self.store.outbox.settle(
            [Settlement(unit_id=unit.id, state=state, **about) for unit in units], now=self.now
        )
        return units

    async def shadow(self, record_id, *, phone=DONOR, out=True):
        fields = {"MobilePhone": phone, "SMS_Opt_Out__c": out}
        write = ShadowWrite(
            crm="salesforce", object="Contact", record_id=record_id, fields=fields, phone=phone or "", opted_out=out
        )
        await self.store.records.write([write], now=self.now)

    def later(self, **delta):
        self.now += timedelta(**delta)

    def state(self, event):
        return self.store.inbox.get(event).state.value
