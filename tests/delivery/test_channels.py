"""Pauses of sinks and feeds: their length, which are reported to a person, and what is tried afterwards."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from connector.delivery.channels import CircuitBreaker, FeedChannel, OpenAlarms, SendAllowance, SinkChannel
from connector.delivery.retry import OUTAGE_REASONS, POLICIES
from connector.model.consent_fields import ConsentFields
from connector.model.crm_traits import PLAIN
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.telemetry.log_events import Alarm, ChannelPaused, ChannelResumed, Cleared

AT = datetime(2026, 11, 22, tzinfo=UTC)
DOWN = Retry(reason=Reason.UNAVAILABLE, detail="503")
BROKEN = Retry(reason=Reason.SERVER_ERROR)
LOCKED_ORG = Retry(reason=Reason.SINK_REFUSES, code="ORG_LOCKED", cure="ask Salesforce")
EXPIRED = Retry(reason=Reason.CREDENTIALS, code="INVALID_OPERATION_WITH_EXPIRED_PASSWORD", cure="a new password")


class Facts(list):
    def __call__(self, fact):
        self.append(fact)

    def of(self, kind):
        return [one for one in self if isinstance(one, kind)]


@pytest.fixture
def facts():
    return Facts()


def fail(breaker, facts, *answers, now=0.0):
    for answer in answers:
        breaker.open(answer, now=now, at=AT, emit=facts)
    return [one.seconds for one in facts.of(ChannelPaused)]


@pytest.mark.parametrize("reason", sorted(OUTAGE_REASONS))
def test_pauses_grow_up_to_a_minute(reason, facts):
    pauses = fail(CircuitBreaker("salesforce"), facts, *[Retry(reason=reason)] * 12)
    assert pauses[0] == min(POLICIES[reason].first.total_seconds(), 60)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60


def test_pauses_grow_separately_for_each_reason(facts):
    pauses = fail(CircuitBreaker("salesforce"), facts, *[DOWN] * 6, BROKEN, BROKEN, DOWN)
    assert pauses == [2, 4, 8, 16, 32, 60, 5, 10, 2]


@pytest.mark.parametrize(("asked", "given"), [(1, 2), (14 * 60, 14 * 60), (3 * 3600, 15 * 60)])
def test_a_pause_that_the_sink_asks_for_is_kept_up_to_15_minutes(asked, given, facts):
    asking = Retry(reason=Reason.UNAVAILABLE, not_before=timedelta(seconds=asked))
    assert fail(CircuitBreaker("salesforce"), facts, asking) == [given]


def test_an_outage_raises_one_alarm_with_the_cure_and_its_end_clears_it(facts):
    breaker = CircuitBreaker("salesforce")
    fail(breaker, facts, EXPIRED, EXPIRED, EXPIRED)
    (alarm,) = facts.of(Alarm)
    assert alarm.kind == Reason.CREDENTIALS
    assert alarm.message == "salesforce: credentials (INVALID_OPERATION_WITH_EXPIRED_PASSWORD)"
    assert "a new password" in alarm.cure
    assert "nothing is lost" in alarm.cure
    breaker.close(facts)
    assert len(facts.of(Cleared)) == len(facts.of(ChannelResumed)) == 1
    assert breaker.cure == ""


def test_a_different_fault_raises_a_new_alarm_and_clears_the_first(facts):
    fail(CircuitBreaker("salesforce"), facts, EXPIRED, LOCKED_ORG)
    assert [one.kind for one in facts.of(Alarm)] == [Reason.CREDENTIALS, Reason.SINK_REFUSES]
    assert [one.kind for one in facts.of(Cleared)] == [Reason.CREDENTIALS]


def test_a_temporary_fault_raises_an_alarm_only_when_it_lasts(facts):
    breaker = CircuitBreaker("salesforce", deadline=timedelta(minutes=5))
    fail(breaker, facts, DOWN, now=0.0)
    fail(breaker, facts, BROKEN, now=299.0)
    assert facts.of(Alarm) == []
    fail(breaker, facts, DOWN, now=300.0)
    assert [one.kind for one in facts.of(Alarm)] == [Reason.UNAVAILABLE]


def test_an_alarm_does_not_quote_text_of_the_sink_that_is_not_a_code(facts):
    fail(
        CircuitBreaker("salesforce"), facts, Retry(reason=Reason.SINK_REFUSES, code="ring +4790000001", detail="secret")
    )
    (alarm,) = facts.of(Alarm)
    assert "+47" not in alarm.message + alarm.cure
    assert "secret" not in alarm.message + alarm.cure


def test_the_sink_and_the_feeds_of_a_crm_raise_one_alarm_for_its_fault(facts):
    alarms = OpenAlarms()
    sink, feed = CircuitBreaker("sf", alarms=alarms), CircuitBreaker("sf.Contact", "sf", alarms)
    fail(sink, facts, EXPIRED)
    fail(feed, facts, EXPIRED)
    assert len(facts.of(Alarm)) == 1
    sink.close(facts)
    assert facts.of(Cleared) == []
    feed.close(facts)
    assert len(facts.of(Cleared)) == 1


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.UNEXPECTED_ANSWER])
@pytest.mark.parametrize("first", ["sink", "feed"])
def test_an_outage_that_sink_and_feed_meet_in_their_own_calls_is_one_alarm(facts, reason, first):
    alarms = OpenAlarms()
    both = {"sink": CircuitBreaker("sf", alarms=alarms), "feed": CircuitBreaker("sf.Contact", "sf", alarms)}
    for name in sorted(both, key=lambda name: name != first):
        fail(both[name], facts, *[Retry(reason=reason, cure="see there")] * 2)
    (alarm,) = facts.of(Alarm)
    assert (alarm.kind, alarm.about) == (reason, "sf")
    for one in both.values():
        one.close(facts)
    assert len(facts.of(Cleared)) == 1


class FakeFeed:
    crm, object, name, every = "sf", "Contact", "sf.Contact", timedelta(seconds=30)


def feed_channel(consent=ConsentFields(object="Contact", flag="Out__c")):  # noqa: B008 - a frozen value.
    return FeedChannel(FakeFeed(), None, consent, started=100.0)


def test_a_refused_feed_raises_an_alarm_at_once(facts):
    one = feed_channel()
    hidden = Retry(reason=Reason.CONFIGURATION, code="INVALID_FIELD", cure="give the right")
    assert fail(one.breaker, facts, hidden, hidden) == [60, 60]
    (alarm,) = facts.of(Alarm)
    assert (alarm.kind, alarm.about) == ("feed_failing", "sf.Contact")
    assert "INVALID_FIELD" in alarm.message
    assert "give the right" in alarm.cure
    one.check(10_000.0, facts)
    assert len(facts.of(Alarm)) == 1
    one.breaker.close(facts)
    assert len(facts.of(Cleared)) == 1


def test_an_unknown_code_for_feed_and_sink_raises_one_alarm(facts):
    feed, alarms = feed_channel(), OpenAlarms()
    sink = CircuitBreaker("sf", alarms=alarms)
    feed.breaker.alarms = alarms
    unknown = Retry(reason=Reason.UNKNOWN_CODE, code="0x8000beef", cure="look")
    fail(feed.breaker, facts, unknown)
    fail(sink, facts, replace(unknown, reason=Reason.SINK_REFUSES))
    (alarm,) = facts.of(Alarm)
    assert (alarm.kind, alarm.about) == (Reason.SINK_REFUSES, "sf")
    assert "sf.Contact cannot be polled" in alarm.message
    feed.breaker.close(facts)
    assert facts.of(Cleared) == []
    sink.close(facts)
    assert len(facts.of(Cleared)) == 1


def test_opt_outs_are_known_after_the_first_poll_until_polls_fail_for_the_deadline(facts):
    one = feed_channel()
    assert not one.knows_opt_outs(101.0)
    one.finish_round(110.0, facts)
    assert one.knows_opt_outs(110.0 + 30 + 300)
    assert not one.knows_opt_outs(110.0 + 30 + 301)
    one.opted_out_at = 500.0
    assert one.knows_opt_outs(501.0), "a long poll asks for opted-out records separately"
    assert feed_channel(consent=None).knows_opt_outs(101.0)


def test_a_feed_that_does_not_finish_in_time_raises_an_alarm(facts):
    one = feed_channel()
    one.check(399.0, facts)
    assert facts.of(Alarm) == []
    one.check(401.0, facts)
    one.check(500.0, facts)
    assert [(alarm.kind, alarm.about) for alarm in facts.of(Alarm)] == [("feed_failing", "sf.Contact")]
    one.finish_round(600.0, facts)
    assert len(facts.of(Cleared)) == 1
    one.check(600.0 + 30 + 299, facts)
    assert len(facts.of(Alarm)) == 1


def test_a_failing_feed_with_consent_fields_is_tried_every_minute(facts):
    asking = Retry(reason=Reason.RATE_LIMITED, not_before=timedelta(hours=1))
    assert fail(feed_channel().breaker, facts, asking) == [60]
    facts.clear()
    assert fail(feed_channel(consent=None).breaker, facts, asking) == [15 * 60]


class FakeSink:
    name, batch, traits = "sf", 3000, PLAIN


@pytest.fixture
def channel():
    return SinkChannel(FakeSink(), None)


def fails(channel, facts, fault, now):
    channel.mark_failed(fault, channel.allowance(now), now=now, at=AT, emit=facts)


def test_a_failing_sink_is_tested_with_one_unit_and_then_gets_full_batches_again(channel, facts):
    assert channel.allowance(0.0) == SendAllowance(3000)
    fails(channel, facts, EXPIRED, 0.0)
    assert channel.allowance(14.9) is None
    assert channel.allowance(15.0) == SendAllowance(1)
    fails(channel, facts, EXPIRED, 15.0)
    assert channel.allowance(44.9) is None
    channel.mark_healthy(facts)
    assert channel.allowance(45.0) == SendAllowance(3000)


def test_an_unreachable_sink_is_probed_with_an_opt_out_first(channel, facts):
    fails(channel, facts, DOWN, 0.0)
    assert channel.allowance(1.9) is None
    assert channel.allowance(2.0) == SendAllowance(3000, opt_out_first=True)


def test_after_a_failed_probe_a_full_batch_is_tried_if_the_record_may_be_the_cause(channel, facts):
    fails(channel, facts, BROKEN, 0.0)
    fails(channel, facts, BROKEN, 5.0)
    assert channel.allowance(5.0) == SendAllowance(3000)
    fails(channel, facts, BROKEN, 5.0)
    assert channel.allowance(14.9) is None
    assert channel.allowance(15.0) == SendAllowance(1)


def test_only_an_opt_out_is_sent_after_a_minute_of_a_longer_pause(channel, facts):
    fails(channel, facts, Retry(reason=Reason.RATE_LIMITED, not_before=timedelta(minutes=10)), 0.0)
    assert channel.allowance(59.0) is None
    assert channel.allowance(60.0) == SendAllowance(1, only_opt_outs=True)
    assert not channel.accepts(1, 60.0)
    assert channel.allowance(600.0) == SendAllowance(1)


async def test_an_idle_sink_is_warmed_up_once():
    clients = []

    async def warm_up(client):
        clients.append(client)

    channel = SinkChannel(FakeSink(), "the client", warm_up=warm_up)
    await channel.prepare()
    await channel.prepare()
    assert clients == ["the client"]


def test_nothing_is_sent_while_the_daemon_stops(channel):
    channel.closing = True
    assert channel.allowance(0.0) is None


def test_refused_records_raise_an_alarm_although_others_are_delivered(channel, facts):
    full = Retry(reason=Reason.STORAGE_FULL)
    waiting = {("sf", Reason.STORAGE_FULL)}

    def refused_for(sink, reason):
        return (sink, reason) in waiting

    for _ in range(3):
        channel.note_refused([Delivered(), full, Rejected(reason=Reason.VALIDATION)], refused_for, facts)
    assert [one.kind for one in facts.of(Alarm)] == [Reason.STORAGE_FULL]
    channel.note_refused([Delivered()], refused_for, facts)
    assert facts.of(Cleared) == []
    waiting.clear()
    channel.note_refused([Delivered()], refused_for, facts)
    assert [one.kind for one in facts.of(Cleared)] == [Reason.STORAGE_FULL]


def test_an_unknown_code_of_one_record_and_then_of_the_whole_org_is_one_alarm(channel, facts):
    unknown = Retry(reason=Reason.UNKNOWN_CODE, code="NEW_CODE", cure="do this")
    channel.note_refused([unknown], lambda *_: True, facts)
    fails(channel, facts, Retry(reason=Reason.SINK_REFUSES, code="NEW_CODE", cure="do this"), 0.0)
    assert len(facts.of(Alarm)) == 1
