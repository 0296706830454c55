"""Each mapping set against its org, by `check --live` and `schema pull`."""

import pytest
from flow.sets import CONFIGS, copied, report
from flow.world import CONFIG, a_world

from connector.checks.consent_fields import consent_problems
from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import describe_what_is_used
from connector.config.yaml_document import read
from connector.delivery.http_client import Transport
from connector.mapping.compile.ruleset import load_mappings
from connector.registry import build_crms, load_config, mapping_context


@pytest.mark.parametrize("name", ["plain", *sorted(CONFIGS)])
async def test_each_shipped_set_fits_its_org(name, tmp_path, secrets):
    mappings = copied(tmp_path / "mappings", name)
    async with a_world(tmp_path, mappings=mappings, config=CONFIGS.get(name, CONFIG), preset=name), Transport() as http:
        loaded = load_config(tmp_path / "config.yaml")
        rules = load_mappings(mappings, mapping_context(loaded))
        crm = build_crms(loaded)["salesforce"]
        pulled = await describe_what_is_used(http.client(crm.credentials), crm, needs(rules)["salesforce"])
    assert pulled.absent == ()
    schemas = {"salesforce": pulled.schema}
    assert [str(one) for one in rules.misfits(schemas)] == []
    assert consent_problems(read(loaded.path), {"salesforce": crm.consent_fields}, schemas) == []


def in_several_currencies(mappings):
    """The lines that are only for such an org are no comments any more."""
    for path in mappings.glob("*.yaml"):
        path.write_text(path.read_text().replace("# CurrencyIsoCode: NOK ", "CurrencyIsoCode: NOK "))


@pytest.mark.parametrize("name", ["plain", *sorted(CONFIGS)])
async def test_each_amount_of_a_set_has_an_optional_line_for_its_currency(name, tmp_path, secrets):
    mappings = copied(tmp_path / "mappings", name)
    config = CONFIGS.get(name, CONFIG)
    org = a_world(tmp_path, mappings=mappings, config=config, preset=name, currencies=("DKK", "NOK"))
    async with org as world, Transport() as http:
        loaded = load_config(tmp_path / "config.yaml")
        before = load_mappings(mappings, mapping_context(loaded))
        in_several_currencies(mappings)
        after = load_mappings(mappings, mapping_context(loaded))
        crm = build_crms(loaded)["salesforce"]
        pulled = await describe_what_is_used(http.client(crm.credentials), crm, needs(before)["salesforce"])
        emitted = {one.code for one in before.misfits({"salesforce": pulled.schema})}
        assert emitted == {"no-currency"}
        assert [str(one) for one in after.misfits({"salesforce": pulled.schema})] == []
        async with world.running():
            assert await world.callback("dlr", report("Recurring", price=200)) == 200
            await world.settled()
            gifts = await world.records("GiftTransaction" if name == "nonprofit-cloud" else "Opportunity")
            assert [one["CurrencyIsoCode"] for one in gifts] == ["NOK"]
