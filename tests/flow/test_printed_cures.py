"""The cures that are printed, followed to the letter: each command is typed as it stands, and the event is in the CRM after it."""

import asyncio
import re

import pytest
from click.testing import CliRunner
from flow.world import ROOT, a_world

from connector.cli.main import cli

DONOR = "+4790000042"
LONG = "INFO " + "x" * 100
HEAD = """on: strex.message
rules:
  - name: stop
    when: {verdict: opt_out}
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        create: {LastName: Unknown}
        set: {SMS_Opt_Out__c: true}
      - command: unsubscribe
        provider: strex
        phone: "{msisdn}"
        to: active_subscriptions
    consent: opt_out
  - name: message
"""
DO = '    do:\n      - upsert: Contact\n        key: {{SMS_Key__c: "{{msisdn}}"}}\n        set: {{{0}}}\n'
UPSERT = HEAD.replace("{", "{{").replace("}", "}}") + DO
NAMED = "LastName: Unknown, "
# Name → the mapping as it is, the corrected one, the reason that is told, and what the contact holds in the end.
CASES = {
    "a text that is too long": (
        UPSERT.format("LastName: {from: text}"),
        UPSERT.format("LastName: {from: text, truncate: 80}"),
        "too_long",
        {"LastName": LONG[:80]},
    ),
    "a field that the CRM requires": (
        UPSERT.format("SMS_Keywords__c: {from: keyword}"),
        UPSERT.format(NAMED + "SMS_Keywords__c: {from: keyword}"),
        "field_required",
        {"LastName": "Unknown"},
    ),
    "a value of the wrong type": (
        UPSERT.format(NAMED + 'SMS_Monthly_Amount__c: "{text}"'),
        UPSERT.format(NAMED + "SMS_Monthly_Amount__c: 5"),
        "bad_value",
        {"SMS_Monthly_Amount__c": 5},
    ),
    "no record to update": (
        HEAD
        + '    do:\n      - update: Contact\n        key: {SMS_Key__c: "{msisdn}"}\n        set: {LastName: Unknown}\n',
        UPSERT.format("LastName: Unknown"),
        "record_missing",
        {"LastName": "Unknown"},
    ),
    "no value for the key": (
        UPSERT.format("LastName: Unknown").replace('"{msisdn}"', '"{subscription_id}"'),
        UPSERT.format("LastName: Unknown"),
        "missing_key",
        {"LastName": "Unknown"},
    ),
}
COMMAND = re.compile(r"`connector ([^`]+)`")
LOOKING = ("explain", "check", "status", "dead discard")  # cures name these to look, or as another way


@pytest.fixture
async def operator(tmp_path, secrets):
    """The daemon with one mapping file, and the command line beside it."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    (mappings / "messages.yaml").write_text(HEAD + "    when: {keyword: HUND}\n    ignore: true\n")
    for name in ("strex-subscription.yaml", "salesforce-to-strex.yaml"):
        (mappings / name).write_text((ROOT / "mappings" / name).read_text().partition("\ntests:")[0] + "\n")
    async with a_world(tmp_path, mappings=mappings) as world:
        yield Operator(world, mappings / "messages.yaml")


class Operator:
    def __init__(self, world, mapping):
        self.world = world
        self.mapping = mapping

    async def type(self, words, code=0):
        """Type a command as it is printed."""
        config = self.world.base / "config.yaml"
        port = self.world.app.admin_url.rpartition(":")[2]
        config.write_text(config.read_text().replace("admin: {port: 0}", f"admin: {{port: {port}}}"))
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["--config", str(config), *words.split()])
        assert done.exit_code == code, done.output
        return done.stdout

    async def follow(self, printed):
        commands = [one for one in COMMAND.findall(printed) if not one.startswith(LOOKING)]
        assert commands, printed
        for one in commands:
            await self.type(one)
        self.world.app.wake("plan")
        await self.world.settled()

    def listed(self, reason):
        (group,) = [line for line in reason.splitlines() if line.strip().startswith("cure: ")]
        return group


@pytest.mark.parametrize("name", CASES)
async def test_a_printed_cure_works(operator, name):
    broken, corrected, reason, fields = CASES[name]
    operator.mapping.write_text(broken)
    async with operator.world.running():
        await operator.world.phone(DONOR, LONG)
        await operator.world.settled()
        assert operator.world.counts().get("dead") == 1
        printed = await operator.type("dead list")
        assert f"1 of {reason}" in printed
        operator.mapping.write_text(corrected)
        await operator.follow(operator.listed(printed))
        assert operator.world.counts() == {"delivered": 1}
        contact = await operator.world.contact(DONOR)
        assert {name: contact[name] for name in fields} == fields


async def test_the_cure_in_the_explanation_of_an_event_works(operator):
    broken, corrected, _, fields = CASES["a text that is too long"]
    operator.mapping.write_text(broken)
    async with operator.world.running():
        await operator.world.phone(DONOR, LONG)
        await operator.world.settled()
        printed = await operator.type("explain 1")
        operator.mapping.write_text(corrected)
        await operator.follow(operator.listed(printed))
        assert (await operator.world.contact(DONOR))["LastName"] == fields["LastName"]


@pytest.mark.parametrize("how", ["explain 1", "events --state unmatched"])
async def test_an_unmatched_event_is_found_and_replayed(operator, how):
    async with operator.world.running():
        await operator.world.phone(DONOR, "INFO hello")
        await operator.world.settled()
        assert operator.world.counts() == {"unmatched": 1}
        printed = await operator.type(how)
        operator.mapping.write_text(UPSERT.format("LastName: Unknown"))
        (line,) = [one for one in printed.splitlines() if "connector replay" in one]
        await operator.follow(line.replace("unmatched`", "unmatched --yes`"))
        assert operator.world.counts() == {"delivered": 1}
        assert await operator.world.contact(DONOR) is not None


async def test_a_replayed_opt_in_does_not_clear_the_flag_of_a_donor_who_left_since(operator):
    """The old opt-in goes out at last, without what the newer opt-out has decided."""
    opt_in = UPSERT.format("LastName: {from: text}, SMS_Opt_Out__c: false") + "    consent: opt_in\n"
    operator.mapping.write_text(opt_in.replace("  - name: message\n", "  - name: message\n    when: {keyword: KATT}\n"))
    world = operator.world
    async with world.running():
        await world.phone(DONOR, LONG.replace("INFO", "KATT"))
        await world.settled()
        assert world.counts()["dead"] == 1
        await world.phone(DONOR, "STOPP")
        await world.settled()
        assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
        operator.mapping.write_text(operator.mapping.read_text().replace("{from: text}", "{from: text, truncate: 80}"))
        await operator.type("reload")
        await operator.type("dead retry --all")
        world.app.wake("plan")
        await world.settled()
        contact = await world.contact(DONOR)
        assert (contact["SMS_Opt_Out__c"], "dead" in world.counts()) == (True, False)
