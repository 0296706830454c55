"""Mappings and config against the made-up CRM's own description: check, the nightly watch and set-up ask one question."""

import pytest
from contract.crms import CRMS, MADE_UP
from flow.world import SECRETS, config_of

from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import describe_what_is_used
from connector.checks.mismatches import mismatches, missing_in_crm
from connector.config.yaml_document import read
from connector.delivery.http_client import Transport
from connector.model.problem import ProblemsFound
from connector.registry import build_crms, load_config, load_rules
from connector.sandbox.serve import serving

pytestmark = pytest.mark.slow


@pytest.fixture
async def asked(tmp_path, monkeypatch):
    """Compares edited mappings with the CRM; the problems, and the sentences of set-up."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    async def ask(crm, edit=lambda text: text, config=lambda text: text):
        mappings = crm.mappings(tmp_path / "mappings")
        for file in mappings.iterdir():
            file.write_text(edit(file.read_text()))
        async with serving(crm.sandbox(preset="plain")) as url, Transport() as transport:
            places = {crm.name: url, "strex": "http://127.0.0.1:9", "mappings": mappings}
            path = tmp_path / "config.yaml"
            path.write_text(config(config_of(crm).format(**places)))
            loaded = load_config(path, crm.types)
            rules, built = load_rules(loaded), build_crms(loaded)[crm.name]
            http = transport.client(built.credentials)
            pulled = await describe_what_is_used(http, built, needs(rules)[crm.name])
            found = mismatches(rules, read(path), built, pulled.schema).errors
            return found, await missing_in_crm(http, built, rules, read(path))

    return ask


@pytest.mark.parametrize("crm", CRMS, ids=lambda crm: crm.name)
async def test_a_crm_with_all_that_the_mappings_use_lacks_nothing(asked, crm):
    assert await asked(crm) == ([], [])


@pytest.mark.parametrize("crm", CRMS, ids=lambda crm: crm.name)
async def test_what_a_crm_lacks_is_told_with_its_place_for_check_and_set_up_alike(asked, crm):
    lost = crm.named("service_command")
    found, missing_parts = await asked(crm, lambda text: text.replace(f"{lost}:", "not_there:"))
    assert {one.code for one in found} == {"no-such-field"}
    assert {one.file.rpartition("/")[2] for one in found} == {"strex-log.yaml"}
    assert missing_parts == [str(one) for one in found]
    assert f"`{crm.named('sms_event')}` has no field `not_there`" in missing_parts[0]


@pytest.mark.parametrize("crm", CRMS, ids=lambda crm: crm.name)
async def test_a_consent_field_that_a_crm_lacks_is_told_with_its_place_in_the_config(asked, crm):
    out = crm.named("opted_out_source")
    found, _ = await asked(crm, config=lambda text: text.replace(f"{out}]", "not_there]"))
    assert [(one.code, one.file.rpartition("/")[2]) for one in found] == [("no-such-field", "config.yaml")]


async def test_a_key_that_the_crm_refuses_is_told_when_the_mappings_are_read(asked):
    """The cure that it prints works."""
    edit = ("{from: msisdn, phone: digits}", '"{msisdn}"')
    with pytest.raises(ProblemsFound) as raised:
        await asked(MADE_UP, lambda text: text.replace(*edit))
    codes = {(one.code, one.message, one.hint) for one in raised.value.problems}
    assert codes == {("key-character", "a key of madeup may not hold `+`", "write {from: msisdn, phone: digits}")}
