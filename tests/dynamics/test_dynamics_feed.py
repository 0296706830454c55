"""The feed against an org: first look, changes, deletions, expired links, and tables without tracking."""

from datetime import timedelta

import pytest
from dynamics.looping import Looping

from connector.crm.dynamics import contact_points
from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.client.web_api import Gate
from connector.crm.dynamics.read.feed import DynamicsFeed, Identity
from connector.model.consent_fields import ConsentFields
from connector.model.outcome import Reason, Retry

CONSENT = ConsentFields(object="contact", flag="crmc_smsoptout", phone="mobilephone")


def feed(table="contact", fields=("mobilephone", "crmc_smsoptout"), consent=CONSENT, **options):
    return DynamicsFeed(
        "crm",
        table,
        gate=Gate(),
        tables=options.pop("tables", None) or Tables(),
        identity=Identity(),
        fields=fields,
        consent=consent,
        **{"page": 3, **options},
    )


async def poll(one, org, position=None):
    """All pages of a poll, and the position behind them."""
    rows = []
    while True:
        page = await one.ask(org, position)
        assert not isinstance(page, Retry), page
        rows += page.rows
        position = page.position
        if page.last:
            return rows, position


@pytest.fixture(params=["tracked", "by time"])
async def changing(request, org):
    """An org whose contacts are tracked or not."""
    await org.control("PUT", "tables/contact", {"tracked": request.param == "tracked"})
    return org


async def test_the_first_poll_shows_all_and_the_next_what_changed(changing):
    await changing.control("POST", "seed/contact", {"count": 7, "fields": {"lastname": "D#", "mobilephone": "#"}})
    one = feed()
    rows, position = await poll(one, changing)
    assert sorted(row.fields["mobilephone"] for row in rows) == list("0123456")
    record = rows[2].record_id
    await changing.load("contact", {"contactid": record, "crmc_smsoptout": True})
    changed = [row for row in (await poll(one, changing, position))[0] if row.fields["crmc_smsoptout"]]
    assert [(row.record_id, row.by_us) for row in changed] == [(record, False)]


async def test_our_own_writes_are_known_by_the_user(changing):
    await changing.load("contact", {"lastname": "A"}, by="integration")
    rows, _ = await poll(feed(), changing)
    assert [row.by_us for row in rows] == [True]


async def test_a_merged_record_names_the_one_that_was_kept(changing):
    winner, loser = await changing.load("contact", {"lastname": "A"}, {"lastname": "B"})
    one = feed()
    _, position = await poll(one, changing)
    await changing.control("POST", "merge", {"table": "contact", "winner": winner, "loser": loser})
    rows = {row.record_id: row for row in (await poll(one, changing, position))[0]}
    assert (rows[loser].deleted, rows[loser].merged_into, rows[winner].deleted) == (True, winner, False)
    page = await one.look(changing, [winner])
    assert {row.record_id for row in page.rows} == {winner, loser}


async def test_a_deletion_is_seen_where_changes_are_tracked(org):
    (gone,) = await org.load("contact", {"lastname": "A"})
    one = feed()
    _, position = await poll(one, org)
    await org.control("POST", "delete", {"table": "contact", "ids": [gone]})
    rows, _ = await poll(one, org, position)
    assert [(row.record_id, row.deleted, row.merged_into) for row in rows] == [(gone, True, None)]


async def test_an_expired_link_leads_to_a_pass_over_all_records(org):
    await org.load("contact", {"lastname": "A"}, {"lastname": "B"})
    one = feed()
    _, position = await poll(one, org)
    await org.control("POST", "faults", {"fault": "expired_links"})
    rows, position = await poll(one, org, position)
    assert len(rows) == 2
    assert await poll(one, org, position) == ([], (await poll(one, org, position))[1])


async def test_switching_tracking_on_leads_to_a_pass_over_all_records(org):
    await org.control("PUT", "tables/contact", {"tracked": False})
    await org.load("contact", {"lastname": "A"})
    _, position = await poll(feed(), org)
    await org.control("PUT", "tables/contact", {"tracked": True})
    rows, position = await poll(feed(), org, position)
    assert len(rows) == 1
    assert (await poll(feed(), org, position))[0] == []


async def test_opted_out_records_are_shown_first_and_late_ones_too(changing):
    one = feed(look_back=timedelta(minutes=15))
    await changing.load("contact", {"lastname": "Old"})
    _, position = await poll(one, changing)
    await changing.fault("late_commit", seconds=600)
    (late,) = await changing.load("contact", {"lastname": "A", "crmc_smsoptout": True})
    page = await one.ask_opted_out(changing, position)
    assert [row.record_id for row in page.rows] == [late]
    assert (await feed(fields=("mobilephone",)).ask_opted_out(changing, position)).rows == ()


async def test_a_lookup_is_shown_by_the_name_of_its_column(org):
    (person,) = await org.load("contact", {"lastname": "A"})
    await org.load("crmc_smsevent", {"crmc_ContactId@odata.bind": f"contacts({person})", "crmc_name": "x"})
    rows, _ = await poll(feed("crmc_smsevent", ("crmc_name", "crmc_contactid"), consent=None), org)
    assert rows[0].fields == {"crmc_name": "x", "crmc_contactid": person}


async def test_all_records_are_read_page_by_page(org):
    await org.control("POST", "seed/contact", {"count": 10, "fields": {"lastname": "D#"}})
    one, seen, position = feed(page=4), [], None
    while True:
        step = await one.read_all(org, position)
        seen += step.rows
        if step.last:
            break
        position = step.position
    assert len({row.record_id for row in seen}) == 10


@pytest.mark.parametrize("fault", ["limit_exceeded", "server_error", "unavailable", "garbage"])
async def test_a_failed_question_is_asked_again(org, fault):
    one = feed()
    _, position = await poll(one, org)
    await org.fault(fault)
    answer = await one.ask(org, position)
    assert isinstance(answer, Retry)
    assert answer.reason is not Reason.CONFIGURATION


async def test_an_unknown_column_is_a_configuration_error(org):
    answer = await feed(fields=("nosuch",)).ask(org, None)
    assert (answer.reason, "Read" in answer.cure) == (Reason.CONFIGURATION, True)


@pytest.mark.parametrize("org", [{"consent_table": True}], indirect=True)
async def test_consent_rows_of_other_channels_are_not_followed(org):
    row = {"msdynmkt_contactpointvalue": "+4790000001", "msdynmkt_value": 534120002}
    await org.load(
        contact_points.TABLE,
        {**row, "msdynmkt_contactpointtype": 534120001},
        {**row, "msdynmkt_contactpointtype": 534120003},
    )
    fields = (contact_points.VALUE, contact_points.PHONE)
    rows, position = await poll(feed(contact_points.TABLE, fields, contact_points.CONSENT), org)
    assert [row.fields for row in rows] == [
        {contact_points.VALUE: contact_points.OPTED_OUT, contact_points.PHONE: "+4790000001"}
    ]
    page = await feed(contact_points.TABLE, fields, contact_points.CONSENT).ask_opted_out(org, position)
    assert len(page.rows) == 1


async def test_a_page_that_leads_to_itself_is_not_followed_for_ever(changing):
    await changing.control("POST", "seed/contact", {"count": 7, "fields": {"lastname": "D#", "mobilephone": "#"}})
    one, http = feed(), Looping(changing)
    first = await one.ask(changing, None)
    again = await one.ask(http, first.position)
    assert (type(again), again.reason) == (Retry, Reason.UNEXPECTED_ANSWER)
    whole = await one.read_all(changing, None)
    assert isinstance(await one.read_all(http, whole.position), Retry)
    rows, _ = await poll(one, changing, first.position)
    assert len(rows) == 4
