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


@pytest.mark.parametrize("name", ["sent", " SENT ", "Sent\n", "KEY-1"])
def test_the_name_of_a_journey_event_is_found_with_other_blanks_and_letter_case(tmp_path, name):
    (call,) = made(tmp_path, 'event: "{properties.SfEvent}", contact: x', SfEvent=name).operations
    assert call.target == "Key-1"


def test_the_cure_of_an_unknown_journey_event_names_the_sink_as_the_config_does(tmp_path):
    (lost,) = made(tmp_path, 'event: "{properties.SfEvent}", contact: x', SfEvent="Other").unplanned
    assert lost.detail.endswith("under `events:` of mc")


@pytest.mark.parametrize("key", [None, "", " "])
def test_a_row_without_its_key_is_a_dead_letter_and_is_left_out_if_the_mapping_says_so(tmp_path, key):
    row = 'row: Results, key: {Id: "{properties.Id}"}, set: {A: b}'
    given = {} if key is None else {"Id": key}
    (lost,) = made(tmp_path, row, **given).unplanned
    assert (lost.reason, "Id has no value" in lost.detail) == (Reason.MISSING_KEY, True)
    wanted = made(tmp_path, row + ", if_missing: skip", **given)
    assert (wanted.operations, wanted.unplanned) == ((), ())


def test_a_row_whose_key_cannot_be_computed_is_a_dead_letter(tmp_path):
    row = "row: Results, key: {Id: {from: properties.Id, round: 2}}"
    (lost,) = made(tmp_path, row, Id="soon").unplanned
    assert lost.reason is Reason.BAD_VALUE


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
