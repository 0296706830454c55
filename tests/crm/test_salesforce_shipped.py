"""The shipped mapping files against the sandbox org's objects: names, permissions, keys, types, lengths."""

from pathlib import Path

import pytest

from connector.config.yaml_document import read
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.read.describe import Describer
from connector.mapping.compile.context import Context
from connector.mapping.compile.ruleset import compile_mappings
from connector.model.crm_schema import CrmSchema, ObjectSchema
from connector.model.sink_traits import SinkTraits
from connector.registry import PROVIDERS

ROOT = Path(__file__).parents[2] / "mappings"
FILES = sorted([*ROOT.glob("*.yaml"), *(ROOT / "more").glob("*.yaml")])
OBJECTS = (
    "Contact",
    "Opportunity",
    "SMS_Event__c",
    "Campaign",
    "CampaignMember",
    "Lead",
    "Task",
    "Event",
    "Account",
    "User",
)
COMMANDS = frozenset({"stop", "unsubscribe", "changesubscriberprice"})
SINKS = {
    "mc": SinkTraits(actions=frozenset({"row", "event"})),
    "result_hook": SinkTraits(actions=frozenset({"post"})),
}


@pytest.fixture
async def schema(org):
    emitted = await Describer(Api(version="62.0", client="tests")).describe(org, OBJECTS)
    assert all(isinstance(one, ObjectSchema) for one in emitted.values())
    return CrmSchema(crm="salesforce", objects=tuple(emitted.values()))


def sources(path):
    named = read(path).value["on"]
    return named if isinstance(named, list) else [named]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
async def test_each_shipped_mapping_fits_the_org_of_the_package(path, schema):
    context = Context(
        sources=dict.fromkeys(sources(path), False),
        crms=("salesforce",),
        commands={settings.model_fields["type"].default: COMMANDS for settings in PROVIDERS},
        sinks=SINKS,
    )
    rules = compile_mappings([read(path, path.name)], context)
    assert [str(one) for one in rules.misfits({"salesforce": schema})] == []
