"""Opt-out flags that are no plain checkbox "opted out": a checkbox "may be called", a text, a choice."""

import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
from contract.crms import DYNAMICS, SALESFORCE, CrmUnderTest
from flow.world import a_world

DONOR, OTHER = "+4790000001", "+4790000002"


@dataclass(frozen=True)
class Kind:
    """A field as the flag, with its value for people who are out and its value for all others."""

    crm: CrmUnderTest
    field: str
    out: Any
    joined: Any


KINDS = {
    "checkbox that is ticked while in": Kind(SALESFORCE, "DoNotCall", out=False, joined=True),
    "text": Kind(SALESFORCE, "MailingCity", out="STOP", joined="OK"),
    "choice": Kind(DYNAMICS, "preferredcontactmethodcode", out=3, joined=2),
}
with_kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def written(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture
async def world(tmp_path, secrets, kind):
    """The CRM with this field as its flag, in the config and in the mappings."""
    flag = kind.crm.named("opted_out")
    settings = re.sub(rf"flag: {flag}", f"flag: {kind.field}, opted_out: {written(kind.out)}", kind.crm.settings)
    crm = replace(kind.crm, settings=settings, words={**kind.crm.words, "opted_out": kind.field})
    mappings = kind.crm.mappings(tmp_path / "mappings")
    values = {"true": written(kind.out), "false": written(kind.joined)}
    for file in mappings.glob("*.yaml"):
        rules = file.read_text().partition("\ntests:")[0] + "\n"
        rules = re.sub(rf"\b{flag}: (true|false)", lambda found: f"{kind.field}: {values[found[1]]}", rules)
        file.write_text(re.sub(rf"\b{flag}\b", kind.field, rules))
    async with a_world(tmp_path, crm=crm, mappings=mappings) as made, made.running():
        await made.poll()
        yield made


async def texts(world, text, number=DONOR):
    await world.phone(number, text)
    await world.settled()
    await world.poll()


async def edit(world, **fields):
    record = await world.person(**fields)
    await world.poll()
    return record


async def active(world):
    return {one["phone"] for one in await world.subscribers() if one["active"]}


def last_word(world, number):
    entries = [one for one in world.app.store.consents.of(number) if one.decision is not None]
    return entries[-1].decision.word


@with_kinds
async def test_opt_outs_and_opt_ins_reach_both_sides(world, kind):
    await texts(world, "KATT")
    contact = await world.contact(DONOR)
    assert contact["opted_out"] == kind.joined
    await texts(world, "KATT STOPP")
    assert await world.flag(contact["id"]) == kind.out
    await texts(world, "KATT")
    assert await world.flag(contact["id"]) == kind.joined
    assert await active(world) == {DONOR}
    await edit(world, id=contact["id"], opted_out=kind.out)
    assert await active(world) == set()
    assert "flag_rewritten" not in world.alarms


@with_kinds
async def test_an_opt_in_right_after_a_stop_takes_back_our_own_flag(world, kind):
    for text in ("KATT", "KATT STOPP", "KATT"):
        await world.phone(DONOR, text)
        await world.settled()
    assert (await world.contact(DONOR))["opted_out"] == kind.joined


@with_kinds
async def test_a_new_contact_that_is_opted_out_ends_the_subscription(world, kind):
    await texts(world, "KATT")
    await edit(world, last_name="Same number", mobile=DONOR, opted_out=kind.out)
    assert await active(world) == set()


@with_kinds
async def test_a_new_contact_that_is_not_opted_out_takes_no_opt_out_back(world, kind):
    await texts(world, "KATT STOPP")
    await world.bin((await world.contact(DONOR))["id"])
    await edit(world, last_name="Same number", mobile=DONOR, opted_out=kind.joined)
    assert last_word(world, DONOR) == "opt_out"
