"""`post:`, `row:` and `event:`: what is compiled, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.mapping.apply import intents
from connector.mapping.compile.context import Context
from connector.mapping.compile.ruleset import load_mappings
from connector.model.event import Event
from connector.model.outcome import Reason
from connector.model.problem import ProblemsFound
from connector.model.sink_traits import SinkTraits

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HOOK = SinkTraits(actions=frozenset({"post"}), names=("hook", "Default"))
CLOUD = SinkTraits(
    actions=frozenset({"row", "event"}),
    events={"Sent": "Key-1"},
    event_delay=timedelta(seconds=60),
    event_sink="mc.events",
)
POST = 'post: sms.result.v1, set: {result: "{result}"}'


def rules(tmp_path, do, **sinks):
    (tmp_path / "a.yaml").write_text(f"on: strex.delivery_report\nrules:\n  - name: one\n    do: [{{{do}}}]\n")
    context = Context(sources=("strex.delivery_report",), crms=("sf",), sinks=sinks or {"hook": HOOK, "mc": CLOUD})
    return load_mappings(tmp_path, context)


def made(tmp_path, do, **properties):
    event = Event(key="e1", provider="strex", shape="delivery_report", received_at=NOW, properties=properties)
    return intents(event, rules(tmp_path, do), consent={}, active=lambda _: ())


def test_a_post_goes_to_the_only_webhook(tmp_path):
    (call,) = made(tmp_path, 'post: sms.result.v1, set: {name: "{properties.Name}"}', Name="Ås").operations
    assert (call.sink, call.target, call.values, call.at) == (
        "hook",
        "sms.result.v1",
        {"name": "Ås"},
        "2026-11-28T12:00:00Z",
    )
    assert not call.once


def test_a_post_goes_to_the_webhook_that_the_event_names_in_any_letter_case(tmp_path):
    do = 'post: sms.result.v1, to: "{properties.SfWebhook}", set: {name: x}'
    (call,) = made(tmp_path, do, SfWebhook="DEFAULT").operations
    assert call.sink == "hook"


@pytest.mark.parametrize("name", ["https://127.0.0.1/", "other"])
def test_an_unknown_name_is_a_dead_letter_and_never_an_address(tmp_path, name):
    (lost,) = made(
        tmp_path, 'post: sms.result.v1, to: "{properties.SfWebhook}", set: {name: x}', SfWebhook=name
    ).unplanned
    assert lost.reason is Reason.UNKNOWN_NAME
    assert "names:" in lost.detail
    assert name not in lost.detail


def test_a_row_is_written_with_its_key(tmp_path):
    (call,) = made(tmp_path, 'row: Results, key: {Id: "{key}"}, set: {Name: "{properties.Name}"}', Name="Ås").operations
    assert (call.sink, call.target, call.keys, call.values) == ("mc", "Results", {"Id": "e1"}, {"Name": "Ås"})


def test_an_event_is_fired_once_after_its_delay_at_a_sink_of_its_own(tmp_path):
    do = 'event: "{properties.SfEvent}", contact: "{properties.Who}", set: {A: b}'
    (call,) = made(tmp_path, do, SfEvent="sent", Who="003").operations
    assert (call.sink, call.target, call.keys, call.once) == ("mc.events", "Key-1", {"contact": "003"}, True)
    assert call.not_before == "2026-11-28T12:01:00Z"
    (lost,) = made(tmp_path, do, SfEvent="Key-2", Who="003").unplanned
    assert lost.reason is Reason.UNKNOWN_NAME


def test_two_calls_of_one_event_with_one_target_have_different_keys(tmp_path):
    first, second = made(tmp_path, f"{POST}}}, {{{POST}").operations
    assert first.key != second.key


@pytest.mark.parametrize(
    ("do", "sinks", "why"),
    [
        (POST, {"mc": CLOUD}, "does not say for which sink"),
        (POST + ", sink: mc", {}, "is not a sink that takes `post`"),
        (POST + ', sink: hook, to: "{key}"', {}, "name two sinks"),
        ('post: sms.result.v1, set: {who: "{msisdn}"}', {}, "would send the person's number to hook"),
        ("post: SMS Result, set: {a: b}", {}, "expected form"),
        ("row: R, set: {a: b}", {}, "`key` is missing"),
        ('event: "{properties.E}", set: {a: b}', {}, "`contact` is missing"),
        ("event: x, contact: y", {"mc": SinkTraits(actions=frozenset({"event"}), question="ask Strex")}, "ask Strex"),
    ],
)  # fmt: skip
def test_an_invalid_sink_call_is_reported_with_its_cure(tmp_path, do, sinks, why):
    with pytest.raises(ProblemsFound) as found:
        rules(tmp_path, do, **sinks)
    assert any(why in f"{one.message} ({one.hint})" for one in found.value.problems)
