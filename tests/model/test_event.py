"""Rules that hold for every event, whoever sent it."""

from datetime import UTC, datetime, timedelta

import msgspec

from connector.model.event import Event

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def test_nothing_has_occurred_after_it_arrived():
    ahead = Event(key="e", provider="p", shape="s", received_at=NOON, occurred_at=NOON + timedelta(hours=2))
    assert ahead.occurred_at == NOON
    assert msgspec.structs.replace(ahead, occurred_at=NOON + timedelta(days=1)).occurred_at == NOON
    stored = msgspec.json.encode(ahead).replace(b'"occurred_at":"2026-', b'"occurred_at":"2126-')
    assert msgspec.json.decode(stored, type=Event).occurred_at == NOON


def test_an_earlier_time_stays_what_it_was():
    assert Event(
        key="e", provider="p", shape="s", received_at=NOON, occurred_at=NOON - timedelta(days=9)
    ).occurred_at == (NOON - timedelta(days=9))
