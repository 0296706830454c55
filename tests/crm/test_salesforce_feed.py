"""The feed against an org: every change is returned at least once, in pages, including deletions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from crm.conftest import an_org
from scripted_http import ScriptedHttp

from connector.crm.salesforce.client.api import Api, BadName, Collection, record
from connector.crm.salesforce.read import change_queries
from connector.crm.salesforce.read.feed import SalesforceFeed
from connector.model.consent_fields import ConsentFields
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.outcome import Reason, Retry
from connector.sandbox.salesforce.org import INTEGRATION_USER

API = Api(version="62.0", client="tests")
DATE = "Sun, 22 Nov 2026 04:00:00 GMT"


class Clock:
    """The org's clock, in seconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def org(clock):
    async with an_org(clock=clock, session_seconds=1e6) as org:
        yield org


def feed(**how):
    how = {"fields": ("MobilePhone", "SMS_Opt_Out__c"), "key_fields": ("SMS_Key__c",)} | how
    return SalesforceFeed("salesforce", how.pop("object", "Contact"), api=API, **how)


async def round_of(org, source, position=None):
    """All rows of one round, the number of its pages and where the next one begins."""
    rows, pages = [], 0
    while True:
        page = await source.ask(org, position)
        rows += page.rows
        pages += 1
        position = page.position
        if page.last:
            return rows, pages, position


def contacts(count, **fields):
    return [{"LastName": f"N{n}", "SMS_Key__c": f"k{n}"} | fields for n in range(count)]


async def test_the_first_round_reads_all_records_with_their_keys(org):
    await org.load("Contact", contacts(2, MobilePhone="+4790000001"))
    rows, pages, _ = await round_of(org, feed())
    assert pages == 1
    assert [row.fields for row in rows] == [
        {"MobilePhone": "+4790000001", "SMS_Opt_Out__c": False, "SMS_Key__c": f"k{n}"} for n in range(2)
    ]
    assert rows[0].stamp == datetime.fromtimestamp(1_800_000_000, UTC)


async def test_thousands_of_records_with_one_time_stamp_are_each_read_once(org, clock):
    await org.load("Contact", contacts(4500))
    rows, pages, _ = await round_of(org, feed())
    assert pages == 3
    assert len({row.stamp for row in rows}) == 1
    assert sorted(row.fields["SMS_Key__c"] for row in rows) == sorted(f"k{n}" for n in range(4500))


async def test_a_full_page_is_followed_by_an_empty_last_page(org):
    await org.load("Contact", contacts(2000))
    rows, pages, _ = await round_of(org, feed())
    assert (len(rows), pages) == (2000, 2)


async def test_the_next_round_reads_records_changed_since(org, clock):
    ids = await org.load("Contact", contacts(3))
    clock.now += 3600
    _, _, position = await round_of(org, feed())
    clock.now += 60
    await org.load("Contact", [{"Id": ids[1], "SMS_Opt_Out__c": True}])
    rows, _, position = await round_of(org, feed(), position)
    assert [(row.record_id, row.fields["SMS_Opt_Out__c"]) for row in rows] == [(ids[1], True)]
    clock.now += 3600
    _, _, position = await round_of(org, feed(), position)
    assert (await round_of(org, feed(), position))[0] == []


async def test_a_change_that_becomes_visible_late_is_not_missed(org, clock):
    ids = await org.load("Contact", contacts(1))
    clock.now += 3600
    _, _, position = await round_of(org, feed())
    await org.fault("late_commit", seconds=120)
    await org.load("Contact", [{"Id": ids[0], "SMS_Opt_Out__c": True}])
    await org.calm()
    rows, _, _ = await round_of(org, feed(), position)
    assert [row.record_id for row in rows] == ids
    assert (await round_of(org, feed(overlap=timedelta(0)), position))[0], "the position holds the overlap"


async def test_without_an_overlap_a_late_change_is_missed(org, clock):
    ids = await org.load("Contact", contacts(1))
    clock.now += 3600
    source = feed(overlap=timedelta(0))
    _, _, position = await round_of(org, source)
    await org.fault("late_commit", seconds=120)
    await org.load("Contact", [{"Id": ids[0], "SMS_Opt_Out__c": True}])
    assert (await round_of(org, source, position))[0] == []


OUT = {"SMS_Opt_Out__c": True}
CONSENT = ConsentFields(object="Contact", flag="SMS_Opt_Out__c")


async def late(org, clock, seconds, **fields):
    """After a round a change becomes visible that was stamped so many seconds before; the rows of the next round, and its calls."""
    await org.load("Contact", contacts(1))
    source = feed(consent=CONSENT)
    clock.now += 3600
    _, _, position = await round_of(org, source)
    await org.fault("late_commit", seconds=seconds)
    await org.load("Contact", [{"SMS_Key__c": "k0", **fields}], key="SMS_Key__c")
    clock.now += 30
    before = await org.api_calls()
    rows, _, _ = await round_of(org, source, position)
    return rows, await org.api_calls() - before


async def test_an_opt_out_that_becomes_visible_minutes_late_is_not_missed_and_costs_no_further_call(org, clock):
    rows, calls = await late(org, clock, 14 * 60, **OUT)
    assert [(row.fields["SMS_Key__c"], calls) for row in rows] == [("k0", 1)]


async def test_late_changes_without_an_opt_out_are_not_read_beyond_the_overlap(org, clock):
    assert await late(org, clock, 14 * 60, FirstName="x") == ([], 1)


async def test_opted_out_records_are_queried_separately_latest_first(org, clock):
    await org.load("Contact", contacts(3))
    source = feed(consent=CONSENT)
    clock.now += 3600
    _, _, position = await round_of(org, source)
    for number, seconds in ((0, 16 * 60), (1, 14 * 60), (2, 0)):
        await org.fault("late_commit", seconds=seconds, times=1)
        await org.load("Contact", [{"SMS_Key__c": f"k{number}", **OUT}], key="SMS_Key__c")
    page = await source.ask_opted_out(org, position)
    assert [row.fields["SMS_Key__c"] for row in page.rows] == ["k2", "k1"]
    # In the middle of a round the same is asked from before its beginning.
    middle = change_queries.write_position(
        change_queries.position_after(None, page.rows[0], datetime.fromtimestamp(clock.now, UTC))
    )
    page = await source.ask_opted_out(org, middle)
    assert [row.fields["SMS_Key__c"] for row in page.rows] == ["k2"]


@pytest.mark.parametrize(("value", "said"), [(True, "true"), (False, "false"), ("Out'", "'Out\\''")])
def test_an_opt_out_flag_may_be_a_checkbox_or_a_list(value, said):
    out = change_queries.OptedOut(flag="Flag__c", value=value, look_back=timedelta(minutes=12))
    assert out.condition == f"Flag__c = {said}"


async def test_a_row_says_whether_our_own_user_changed_it_last(org):
    await org.load("Contact", contacts(1))
    ours = [record("Contact", "SMS_Key__c", "ours", {"LastName": "x"})]

    await org.call(API.collection(Collection(records=ours, object="Contact", key_field="SMS_Key__c")))
    for own_user, emitted in (
        (INTEGRATION_USER, {"k0": False, "ours": True}),
        (INTEGRATION_USER[:15], {"k0": False, "ours": True}),
        (None, {"k0": None, "ours": None}),
    ):
        rows, _, _ = await round_of(org, feed(own_user=lambda own_user=own_user: own_user))
        assert {row.fields["SMS_Key__c"]: row.by_us for row in rows} == emitted


async def test_a_feed_without_consent_fields_has_no_opt_outs(org, clock):
    await org.load("Contact", contacts(1, **OUT))
    _, _, position = await round_of(org, feed())
    assert (await feed().ask_opted_out(org, position)).rows == ()
    watched = feed(fields=("MobilePhone",), consent=CONSENT)
    assert (await watched.ask_opted_out(org, position)).rows == ()


async def test_a_record_stamped_at_the_start_of_a_round_is_read_again(org, clock):
    ids = await org.load("Contact", contacts(1))
    source = feed(overlap=timedelta(0))
    _, _, position = await round_of(org, source)
    assert [row.record_id for row in (await round_of(org, source, position))[0]] == ids


async def test_a_change_during_a_round_is_in_the_next_one(org, clock):
    await org.load("Contact", contacts(2500))
    clock.now += 3600
    first = await feed().ask(org, None)
    assert not first.last
    clock.now += 1800
    ids = [row.record_id for row in first.rows[:1]]
    await org.load("Contact", [{"Id": ids[0], "SMS_Opt_Out__c": True}])
    clock.now += 1800
    rest, _, position = await round_of(org, feed(), first.position)
    assert rest[-1].record_id == ids[0]
    rows, _, _ = await round_of(org, feed(), position)
    assert [row.record_id for row in rows] == ids


async def behind_a_backlog(org, clock):
    """A feed that has just read 4500 changes, the last of them a second after the others; where it goes on."""
    source = feed(consent=CONSENT)
    _, _, position = await round_of(org, source)
    clock.now += 3600
    _, _, position = await round_of(org, source, position)
    await org.load("Contact", contacts(4499))
    clock.now += 1
    await org.load("Contact", [{"LastName": "last", "SMS_Key__c": "last"}])
    rows, pages, position = await round_of(org, source, position)
    assert (len(rows), pages) == (4500, 3)
    return source, position


def keys(rows):
    return [row.fields["SMS_Key__c"] for row in rows]


async def test_after_a_backlog_a_round_reads_newer_records_and_looks_back_less_often(org, clock):
    source, position = await behind_a_backlog(org, clock)
    # Records with the newest stamp are read again: more may have been written in that second.
    await org.load("Contact", [{"LastName": "same second", "SMS_Key__c": "also"}])
    for seconds, newer in ((0, ["last", "also"]), (1, ["last", "also"]), (1, ["last", "also", "k0"]), (1, ["k0"])):
        clock.now += seconds
        if "k0" in newer and len(newer) > 1:
            await org.load("Contact", [{"SMS_Key__c": "k0", "FirstName": "x"}], key="SMS_Key__c")
        rows, pages, position = await round_of(org, source, position)
        assert (keys(rows), pages) == (newer, 1)
    clock.now += 180
    _, _, position = await round_of(org, source, position)
    rows, pages, position = await round_of(org, source, position)
    assert (len(rows), pages) == (4501, 3), "it looks back again"


async def test_after_a_backlog_the_next_look_back_finds_late_changes(org, clock):
    source, position = await behind_a_backlog(org, clock)
    await org.fault("late_commit", seconds=150)
    await org.load("Contact", [{"SMS_Key__c": "k0", "FirstName": "late"}], key="SMS_Key__c")
    await org.calm()
    rows, _, position = await round_of(org, source, position)
    assert keys(rows) == ["last"]
    clock.now += 180
    _, _, position = await round_of(org, source, position)
    rows, _, _ = await round_of(org, source, position)
    assert "k0" in keys(rows)


async def test_after_a_backlog_a_late_opt_out_is_found_at_once(org, clock):
    source, position = await behind_a_backlog(org, clock)
    await org.fault("late_commit", seconds=600)
    await org.load("Contact", [{"SMS_Key__c": "k0", **OUT}], key="SMS_Key__c")
    before = await org.api_calls()
    rows, pages, _ = await round_of(org, source, position)
    assert keys(rows) == ["k0", "last"]
    assert (pages, await org.api_calls() - before) == (1, 1)


async def test_with_thousands_of_opt_outs_older_other_changes_are_not_read(org, clock):
    source = feed(consent=CONSENT)
    _, _, position = await round_of(org, source)
    clock.now += 3600
    _, _, position = await round_of(org, source, position)
    await org.load("Contact", [{"LastName": f"O{n}", "SMS_Key__c": f"o{n}", **OUT} for n in range(2500)])
    await org.load("Contact", contacts(2500))
    clock.now += 300
    _, _, position = await round_of(org, source, position)
    clock.now += 300
    _, _, position = await round_of(org, source, position)
    clock.now += 1
    rows, pages, position = await round_of(org, source, position)
    assert ({key[0] for key in keys(rows)}, len(rows), pages) == ({"o"}, 2500, 2)


async def test_a_deletion_and_a_merge_are_read(org, clock):
    winner, loser = await org.load("Contact", contacts(2))
    clock.now += 3600
    _, _, position = await round_of(org, feed())
    await org.control("POST", "merge", json={"object": "Contact", "winner": winner, "loser": loser})
    rows, _, _ = await round_of(org, feed(), position)
    assert {row.record_id: row.deleted for row in rows} == {winner: False, loser: True}


async def test_a_poll_costs_one_call(org):
    await org.load("Contact", contacts(10))
    source = feed()
    await round_of(org, source)
    assert await org.api_calls() == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unavailable", Reason.UNAVAILABLE),
        ("limit_exceeded", Reason.QUOTA_EXHAUSTED),
        ("dropped_before", Reason.CONNECTION_LOST),
        ("garbage", Reason.UNEXPECTED_ANSWER),
    ],
)
async def test_a_failed_query_returns_its_reason_without_doubt(org, fault, reason):
    await org.fault(fault, times=2)  # aiohttp asks a second time by itself where a question was dropped
    answer = await feed().ask(org, None)
    assert isinstance(answer, Retry)
    assert (answer.reason, answer.in_doubt) == (reason, False)


async def test_a_missing_field_is_named(org):
    answer = await feed(fields=("Nonsense__c",)).ask(org, None)
    assert isinstance(answer, Retry)
    assert "Nonsense__c" in answer.detail


def test_an_invalid_field_name_is_refused_at_once():
    with pytest.raises(BadName):
        feed(fields=("Name FROM User",))


def test_a_feed_is_named_after_its_crm_and_object():
    assert feed().name == "salesforce.Contact"


def test_a_field_that_is_watched_and_a_key_is_queried_once():
    asked = change_queries.page_query("Contact", ("SMS_Key__c", "sms_key__c", "id"), None)
    assert asked.startswith(
        "SELECT Id,SystemModstamp,LastModifiedById,IsDeleted,MasterRecordId,SMS_Key__c FROM Contact ORDER BY"
    )


# Answers that no sandbox gives.


def answered(body, **headers):
    return HttpReply(status=200, headers=headers, body=orjson.dumps(body))


def row(number):
    return {"Id": f"003{number}", "SystemModstamp": "2026-11-22T04:00:00.000+0000", "IsDeleted": False}


async def ask(source, *replies):
    http = ScriptedHttp(*replies)
    answer = await source.ask(http, None)
    return answer, [call.path for call in http.calls]


async def test_a_reply_in_several_parts_is_one_page():
    page, paths = await ask(
        feed(),
        answered({"records": [row(1)], "done": False, "nextRecordsUrl": "/services/data/v62.0/query/01g-1"}, date=DATE),
        answered({"records": [row(2)], "done": True}, date="Sun, 22 Nov 2026 05:00:00 GMT"),
    )
    assert [one.record_id for one in page.rows] == ["0031", "0032"]
    assert page.position == '{"since":"2026-11-22T03:57:00.000Z"}'
    assert paths[1] == "/services/data/v62.0/query/01g-1"


async def test_a_next_page_address_on_another_host_is_refused():
    answer, _ = await ask(
        feed(), answered({"records": [], "done": False, "nextRecordsUrl": "https://evil.example/"}, date=DATE)
    )
    assert answer.reason is Reason.UNEXPECTED_ANSWER


@pytest.mark.parametrize(
    "reply",
    [
        answered({"records": [row(1)], "done": True}),
        answered({"records": [row(1)], "done": True}, date="soon"),
        answered({"records": [{"Id": "003"}], "done": True}, date=DATE),
        answered({"records": [{"SystemModstamp": "2026-11-22T04:00:00.000+0000"}], "done": True}, date=DATE),
        answered({"records": [row(1) | {"SystemModstamp": "yesterday"}], "done": True}, date=DATE),
        answered({"records": 1}, date=DATE),
        answered([], date=DATE),
    ],
)
async def test_an_invalid_reply_is_an_unexpected_answer(reply):
    answer, _ = await ask(feed(), reply)
    assert isinstance(answer, Retry)
    assert answer.reason is Reason.UNEXPECTED_ANSWER


async def test_a_lost_connection_has_its_own_reason():
    answer, _ = await ask(feed(), HttpError(Failure.LOST))
    assert answer == Retry(reason=Reason.CONNECTION_LOST)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"since":7}', '{"since":"2026-11-22T04:00:00"}', "7"])
def test_an_unreadable_position_restarts_the_feed(text):
    assert change_queries.read_position(text) is None


def test_a_position_is_read_as_it_was_written():
    stamp = datetime(2026, 11, 22, 4, 0, 0, 123000, UTC)
    between = change_queries.BetweenPolls(since=stamp, newest=stamp, again=stamp, asked=stamp)
    within = change_queries.WithinPoll(stamp=stamp, record_id="003a", began=stamp)
    for position in (change_queries.BetweenPolls(since=stamp), between, within, replace(within, previous=between)):
        assert change_queries.read_position(change_queries.write_position(position)) == position
