from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from connector.model.consent import Decision, Scope, Subscription
from connector.model.errors import Unreadable
from connector.model.event import Event, Result, Verdict
from connector.model.operation import Parent, RecordWrite, ServiceCommand
from connector.model.phone import Phone
from connector.store import documents

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
MAYBE = st.none() | TEXT
TIMES = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone.
PHONES = st.integers(0, 999).map(lambda n: Phone(f"+4790000{n:03}"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
EVENTS = st.builds(
    Event,
    key=TEXT,
    provider=TEXT,
    shape=TEXT,
    received_at=TIMES,
    verdict=st.sampled_from(Verdict),
    action=MAYBE,
    msisdn=st.none() | PHONES,
    keyword=MAYBE,
    text=MAYBE,
    price=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    result=st.sampled_from(Result),
    final=st.booleans(),
    occurred_at=st.none() | TIMES,
    service_command=st.booleans(),
    properties=OBJECTS,
    lookup=OBJECTS,
    record=OBJECTS,
    changed=st.lists(TEXT, max_size=3).map(tuple),
)
FIELDS = st.dictionaries(TEXT, SCALARS | st.builds(Parent, TEXT, TEXT, MAYBE), max_size=4)
WRITES = st.builds(
    RecordWrite,
    sink=TEXT,
    object=TEXT,
    key_field=TEXT,
    key=TEXT,
    set=FIELDS,
    create=FIELDS,
    may_create=st.booleans(),
    consent=st.lists(TEXT, max_size=2).map(tuple),
    clears_flag=st.booleans(),
    rule=TEXT,
)
COMMANDS = st.builds(
    ServiceCommand,
    sink=TEXT,
    action=TEXT,
    phone=PHONES,
    short_number=TEXT,
    keyword=TEXT,
    price=st.none() | st.integers(0, 10**6) | st.floats(0, 1e6),
    known_active=st.booleans(),
    rule=TEXT,
)
DECISIONS = st.builds(
    Decision,
    phone=PHONES,
    word=st.sampled_from(Verdict),
    scope=st.sampled_from(Scope),
    subscription=st.builds(Subscription, provider=TEXT, short_number=MAYBE, keyword=MAYBE, subscription_id=MAYBE),
    origin=TEXT,
    occurred_at=st.none() | TIMES,
    rule=MAYBE,
    mapping=MAYBE,
)


@given(EVENTS)
def test_an_event_is_read_as_it_was_stored(event):
    assert documents.event_from_json(documents.event_to_json(event)) == event


@given(st.lists(WRITES | COMMANDS, max_size=4))
def test_operations_are_read_as_they_were_stored_and_in_order(operations):
    assert documents.operations_from_json(documents.operations_to_json(operations)) == tuple(operations)


@given(DECISIONS)
def test_a_decision_is_read_as_it_was_stored(decision):
    assert documents.decision_from_json(documents.decision_to_json(decision)) == decision


def test_default_values_are_not_stored():
    event = Event(key="k", provider="strex", shape="message", received_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert documents.event_to_json(event) == (
        '{"key":"k","provider":"strex","shape":"message","received_at":"2026-01-01T00:00:00Z"}'
    )


def test_times_that_earlier_versions_wrote_are_read():
    text = '{"key":"k","provider":"strex","shape":"message","received_at":"2026-01-01T00:00:00+00:00"}'
    assert documents.event_from_json(text).received_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_decimal_places_of_an_amount_are_kept():
    event = Event(
        key="k",
        provider="strex",
        shape="message",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        price=Decimal("150.00"),
    )
    assert str(documents.event_from_json(documents.event_to_json(event)).price) == "150.00"


@pytest.mark.parametrize("text", ["\ud800", object()])
def test_a_text_that_json_cannot_hold_is_unreadable(text):
    event = Event(key="k", provider="strex", shape="message", received_at=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(Unreadable):
        documents.event_to_json(replace(event, properties={"a": text}))
