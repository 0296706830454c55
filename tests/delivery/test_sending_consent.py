"""A write with consent fields is never rejected because of another field, whatever else is in the batch."""

import asyncio

import pytest
from delivery.test_send import LOCKED, Peer
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connector.delivery.http_client import FixedCredentials, Transport
from connector.delivery.send import MAY_CONCERN_ANOTHER_FIELD, send
from connector.model.operation import Parent, RecordWrite
from connector.model.outcome import Delivered, Reason, Rejected, Retry

FLAG, AT = "Out__c", "Out_At__c"
FIELDS = ("A", "B", "C")


def write(key="k", *, out=True, create=None, parent=None, **fields):
    """An opt-out (or opt-in) of a person beside other fields."""
    if parent is not None:
        fields["Parent__r"] = Parent("K__c", parent)
    return RecordWrite(
        sink="sf",
        object="Contact",
        key_field="K__c",
        key=key,
        set={**fields, FLAG: out, AT: "2026-01-01"},
        create=create or {},
        consent=(FLAG, AT),
        clears_flag=not out,
    )


class Org(Peer):
    """Judges every write by the fields that it would write, and keeps what it took. New records need what `required` names."""

    def __init__(self, faults, *, known=(), required=()) -> None:
        super().__init__(self.take)
        self.faults, self.required = dict(faults), set(required)
        self.records = {key: {} for key in known}

    def take(self, one):
        new = one.key not in self.records
        fields = {**(one.create if new else {}), **one.set}
        left_out = ()
        if new and one.consent_only:
            left_out = tuple(name for name in one.create if name not in self.required | set(one.consent))
            fields = {name: value for name, value in fields.items() if name not in left_out}
        for name in fields:
            if name in self.faults:
                return self.faults[name]
        if new and not self.required <= fields.keys():
            return Rejected(reason=Reason.FIELD_REQUIRED)
        self.records.setdefault(one.key, {}).update(fields)
        return Delivered(record_id=one.key, created=new, left_out=left_out)


def refused(reason=Reason.TOO_LONG, field="A"):
    return Rejected(reason=reason, detail="no", field=field)


@pytest.fixture
def deliver():
    async def run(org, *operations):
        return await sent_to(org, operations)

    return run


async def test_consent_fields_of_a_refused_write_are_sent_alone(deliver):
    org = Org({"A": refused()})
    sent = await deliver(org, write(A="x", B="y", create={"L": "Nord"}), write("other", B="z"))
    assert org.records["k"] == {FLAG: True, AT: "2026-01-01"}
    assert sent.outcomes[0] == Rejected(
        reason=Reason.TOO_LONG, detail="A: no; the consent fields went out without the rest", field="A"
    )
    assert sent.outcomes[1].record_id == "other"
    (apart,) = sent.consent_sent_alone
    assert (apart.index, apart.write.set, apart.write.consent_only) == (0, {FLAG: True, AT: "2026-01-01"}, True)
    assert len(org.requests) == 2


async def test_a_flag_is_sent_alone_if_another_consent_field_is_refused(deliver):
    org = Org({AT: refused(field=AT)})
    sent = await deliver(org, write(A="x"))
    assert org.records["k"] == {FLAG: True}
    assert sent.consent_sent_alone[0].write.consent == (FLAG,)
    assert isinstance(sent.outcomes[0], Rejected)


async def test_the_outcome_of_a_refused_flag_names_both_refusals(deliver):
    org = Org({"A": refused(), FLAG: Rejected(reason=Reason.VALIDATION, detail="never")})
    sent = await deliver(org, write(A="x"))
    assert sent.consent_sent_alone == ()
    assert sent.outcomes[0].reason is Reason.TOO_LONG
    assert sent.outcomes[0].detail == "A: no; the consent fields alone were refused too: never"


async def test_consent_fields_do_not_wait_for_a_missing_parent(deliver):
    missing = Retry(reason=Reason.PARENT_MISSING, detail="not there")
    org = Org({"Parent__r": missing})
    sent = await deliver(org, write(parent="p"))
    assert org.records["k"] == {FLAG: True, AT: "2026-01-01"}
    assert sent.outcomes[0].reason is Reason.PARENT_MISSING


async def test_consent_fields_of_all_parts_of_a_waiting_fold_are_delivered(deliver):
    missing = Retry(reason=Reason.PARENT_MISSING)
    org = Org({"Parent__r": missing})
    alone = replace(write(), create={}, consent_only=True)
    sent = await deliver(org, alone, write(parent="p"))
    assert isinstance(sent.outcomes[0], Delivered)
    assert sent.outcomes[1].reason is Reason.PARENT_MISSING
    assert [one.index for one in sent.consent_sent_alone] == [1]


async def test_refused_create_fields_are_reported_as_left_out(deliver):
    """The flag alone stands under `set`: what is under `create` may be to blame all the same."""
    org = Org({"A": refused()}, required=["L"])
    opt_out = replace(write(create={"L": "Nord", "A": "x"}), set={FLAG: True}, consent=(FLAG,))
    sent = await deliver(org, opt_out)
    assert org.records["k"] == {FLAG: True, "L": "Nord"}
    assert isinstance(sent.outcomes[0], Rejected)
    assert sent.consent_sent_alone[0].outcome.left_out == ("A",)


async def test_a_write_that_will_be_retried_is_not_reduced_to_its_consent_fields(deliver):
    org = Org({"A": LOCKED})
    sent = await deliver(org, write(A="x"))
    assert sent.outcomes == [LOCKED]
    assert len(org.requests) == 1


async def test_an_upsert_that_goes_through_costs_one_request(deliver):
    org = Org({})
    await deliver(org, write(A="x"), write("b"))
    assert len(org.requests) == 1


async def test_opt_out_and_opt_in_of_a_refused_fold_take_effect_in_order(deliver):
    org = Org({"A": refused()})
    sent = await deliver(org, write(A="x", out=True), write(out=False, B="y"))
    assert org.records["k"][FLAG] is False
    assert isinstance(sent.outcomes[0], Rejected)
    assert isinstance(sent.outcomes[1], Delivered)


PERSONS = st.sampled_from(["a", "b", "c"])
WRITES = st.lists(
    st.tuples(PERSONS, st.booleans(), st.sets(st.sampled_from(FIELDS)), st.sets(st.sampled_from(FIELDS))),
    min_size=1,
    max_size=6,
)
OUTCOMES = st.sampled_from(sorted(MAY_CONCERN_ANOTHER_FIELD)).map(
    lambda reason: Retry(reason=reason) if reason.startswith("parent_m") else Rejected(reason=reason, detail="no")
)


@settings(max_examples=200, deadline=None)
@given(WRITES, st.dictionaries(st.sampled_from((*FIELDS, AT)), OUTCOMES), st.sets(PERSONS))
def test_the_last_consent_of_each_person_reaches_the_org_whatever_else_is_refused(writes, faults, known):
    """The last word of every person is in the org, whatever fields beside it are refused, and for whatever reason."""
    operations = [
        write(key, out=out, create={"L": "Nord", **dict.fromkeys(created, "x")}, **dict.fromkeys(fields, "x"))
        for key, out, fields, created in writes
    ]
    org = Org(faults, known=known, required=["L"])
    sent = asyncio.run(sent_to(org, operations))
    words = {key: out for key, out, _, _ in writes}
    waits = {key for (key, *_), outcome in zip(writes, sent.outcomes, strict=True) if isinstance(outcome, Retry)}
    for key, out in words.items():
        if key not in waits:  # of one whose earlier write waits, the later ones wait behind it
            assert org.records[key][FLAG] is out
        else:
            assert FLAG in org.records[key]


async def sent_to(org, operations):
    async with Transport() as transport:
        return await send(org, transport.client(FixedCredentials("http://127.0.0.1:1")), operations)
