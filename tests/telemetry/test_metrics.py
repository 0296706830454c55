import re
from pathlib import Path

import pytest

from connector.telemetry.log_events import (
    Alarm,
    BatchSent,
    CallbackReceived,
    ChannelPaused,
    ChannelResumed,
    Charged,
    Cleared,
    EnricherCalled,
    FeedPolled,
    Lifecycle,
    Planned,
    Reloaded,
    RequestRejected,
    Settled,
    WorkerFailed,
)
from connector.telemetry.metrics import Metrics, Reading

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "metrics.md"
GAUGES = ROOT / "connector" / "pipeline" / "gauges.py"


def lines(metrics):
    text, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    return {line for line in text.decode().splitlines() if not line.startswith("#")}


def late(about, **more):
    return Alarm(kind="opt_out_late", about=about, message="", cure="", **more)


@pytest.mark.parametrize(
    ("emitted", "series"),
    [
        (
            [CallbackReceived(provider="strex", shape="message", event="a")] * 2,
            'connector_received_total{outcome="new",provider="strex",shape="message"} 2.0',
        ),
        (
            [CallbackReceived(provider="strex", shape="message", event="a", known=True)],
            'connector_received_total{outcome="known",provider="strex",shape="message"} 1.0',
        ),
        (
            [CallbackReceived(provider="strex", shape="message", event="a", unreadable="x")],
            'connector_received_total{outcome="unreadable",provider="strex",shape="message"} 1.0',
        ),
        (
            [RequestRejected(provider="strex", endpoint="mo", status=401, why="no signature")],
            'connector_turned_away_total{door="mo",provider="strex",status="401",why="no signature"} 1.0',
        ),
        (
            [Planned(event="a", provider="strex", state="dead", operations=0, reason="bug")],
            'connector_planned_total{provider="strex",reason="bug",state="dead"} 1.0',
        ),
        (
            [Planned(event="a", provider="strex", state="delivering", operations=1, left_out=2)],
            'connector_fields_left_out_total{provider="strex"} 2.0',
        ),
        (
            [Settled(event="a", sink="crm", state="delivered", seconds=0.2)],
            'connector_delivery_seconds_bucket{le="0.25",sink="crm"} 1.0',
        ),
        (
            [Settled(event="a", sink="crm", state="dead", reason="validation")],
            'connector_settled_total{reason="validation",sink="crm",state="dead"} 1.0',
        ),
        ([BatchSent(sink="crm", operations=7, calls=2, seconds=1.0)], 'connector_calls_total{sink="crm"} 2.0'),
        (
            [BatchSent(sink="crm", operations=7, calls=2, seconds=1.0)],
            'connector_written_operations_total{sink="crm"} 7.0',
        ),
        ([FeedPolled(feed="crm.Contact", rows=9, changes=1)], 'connector_feed_changes_total{feed="crm.Contact"} 1.0'),
        (
            [EnricherCalled(provider="mc", event="a", outcome="not_yet", reason="timeout")],
            'connector_asked_total{outcome="not_yet",provider="mc",reason="timeout"} 1.0',
        ),
        ([ChannelPaused(name="crm", reason="timeout", detail="", seconds=1)], 'connector_paused{name="crm"} 1.0'),
        ([Charged(provider="m", charge=1, state="taken")], 'connector_charged_total{provider="m",state="taken"} 1.0'),
        (
            [ChannelPaused(name="crm", reason="timeout", detail="", seconds=1), ChannelResumed(name="crm")],
            'connector_paused{name="crm"} 0.0',
        ),
        ([late("a"), late("b"), late("a")], 'connector_alarms{kind="opt_out_late"} 2.0'),
        ([late("a"), late("b"), late("a")], 'connector_alarms_raised_total{kind="opt_out_late"} 3.0'),
        (
            [late("a"), late("b"), Cleared(kind="opt_out_late", about="a")],
            'connector_alarms{kind="opt_out_late"} 1.0',
        ),
        ([Cleared(kind="opt_out_late", about="a")], 'connector_alarms{kind="opt_out_late"} 0.0'),
        ([Reloaded(accepted=False, version="b")], 'connector_reloads_total{accepted="false"} 1.0'),
        ([WorkerFailed(worker="plan", error="x", seconds=1)], 'connector_loop_failures_total{loop="plan"} 1.0'),
    ],
)
def test_facts_are_counted(emitted, series):
    metrics = Metrics()
    for fact in emitted:
        metrics(fact)
    assert series in lines(metrics)


def test_only_the_mappings_in_use_are_shown():
    metrics = Metrics()
    for fact in (Reloaded(accepted=True, version="a"), Reloaded(accepted=True, version="b")):
        metrics(fact)
    metrics(Reloaded(accepted=False, version="c"))
    assert {line for line in lines(metrics) if "mappings_info" in line} == {'connector_mappings_info{version="b"} 1.0'}


def test_an_alarm_that_does_not_last_is_only_counted():
    metrics = Metrics()
    metrics(late("a", lasts=False))
    assert 'connector_alarms{kind="opt_out_late"} 0.0' in lines(metrics)
    assert 'connector_alarms_raised_total{kind="opt_out_late"} 1.0' in lines(metrics)


def test_a_dead_unit_is_no_delivery_time():
    metrics = Metrics()
    metrics(Settled(event="a", sink="crm", state="dead", reason="bug"))
    metrics(Lifecycle(message="started"))
    assert not any(line.startswith("connector_delivery_seconds") for line in lines(metrics))


def test_gauges_are_read_when_they_are_asked_for():
    counts = {("pending",): 1.0}
    reads = []

    def read():
        reads.append(True)
        return counts

    def broken():
        raise OSError

    metrics = Metrics(
        [
            Reading(name="connector_events", help="Events by state", labels=("state",), read=read),
            Reading(name="connector_broken", help="Cannot be read", read=broken),
            Reading(name="connector_oldest_opt_out_seconds", help="Age", read=lambda: {(): 2.5}),
        ]
    )
    assert reads == []
    assert 'connector_events{state="pending"} 1.0' in lines(metrics)
    counts[("dead",)] = 3.0
    assert {'connector_events{state="dead"} 3.0', "connector_oldest_opt_out_seconds 2.5"} <= lines(metrics)
    assert not any("connector_broken" in line for line in lines(metrics))


def test_two_houses_in_one_process_count_apart():
    one, two = Metrics(), Metrics()
    one(WorkerFailed(worker="plan", error="x", seconds=1))
    assert not any("loop_failures_total{" in line for line in lines(two))


def test_the_documentation_lists_every_metric():
    documented = set(re.findall(r"^\| `(connector_\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    names = set()
    for family in Metrics().registry.collect():
        names.add(f"{family.name}_total" if family.type == "counter" else family.name)
    assert names <= documented
    assert documented - names == set(re.findall(r'name="(connector_\w+)"', GAUGES.read_text()))
