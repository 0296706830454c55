"""Change tracking, faults and limits of the Dynamics sandbox."""

import pytest
from sandbox.dynamics_org import signed_in

TRACKED = "contacts?$select=lastname"
PREFER = {"Prefer": "odata.track-changes,odata.maxpagesize=3"}


async def all_pages(org, address, **headers):
    rows = []
    while True:
        status, body, _ = await org.call("GET", address, **headers)
        assert status == 200, body
        rows += body["value"]
        if "@odata.deltaLink" in body:
            return rows, body["@odata.deltaLink"]
        address = body["@odata.nextLink"]


async def test_the_first_pass_shows_all_and_a_delta_link_what_changed_and_what_is_gone():
    async with signed_in() as org:
        seeded = await org.control("POST", "seed/contact", {"count": 8, "fields": {"lastname": "D#"}})
        rows, link = await all_pages(org, TRACKED, **PREFER)
        assert [row["lastname"] for row in rows] == [f"D{number}" for number in range(8)]
        assert await all_pages(org, link) == ([], (await all_pages(org, link))[1])
        last = seeded[1]["last"]
        await org.control(
            "POST", "records/contact", {"records": [{"contactid": rows[0]["contactid"], "lastname": "New"}]}
        )
        await org.control("POST", "delete", {"table": "contact", "ids": [last]})
        changes, _ = await all_pages(org, link)
        assert changes[0]["lastname"] == "New"
        assert (changes[1]["id"], changes[1]["reason"], len(changes)) == (last, "deleted", 2)


async def test_what_changes_during_the_first_pass_is_seen_by_the_link():
    async with signed_in() as org:
        await org.control("POST", "seed/contact", {"count": 5, "fields": {"lastname": "D#"}})
        first = (await org.call("GET", TRACKED, **PREFER))[1]
        record = first["value"][0]["contactid"]
        await org.control("POST", "records/contact", {"records": [{"contactid": record, "lastname": "New"}]})
        _, link = await all_pages(org, first["@odata.nextLink"], **PREFER)
        changes, _ = await all_pages(org, link)
        assert [row["lastname"] for row in changes] == ["New"]


@pytest.mark.parametrize("option", ["$filter=lastname eq 'A'", "$orderby=lastname", "$top=3"])
async def test_options_that_change_tracking_does_not_take_are_refused(option):
    async with signed_in() as org:
        status, body, _ = await org.call("GET", f"{TRACKED}&{option}", **PREFER)
        assert (status, "isn't supported when Change Tracking" in body["error"]["message"]) == (400, True)


async def test_a_link_expires_after_the_organisations_days_or_when_told_so():
    now = [1_800_000_000.0]
    async with signed_in(clock=lambda: now[0], session_seconds=10**9) as org:
        _, link = await all_pages(org, TRACKED, **PREFER)
        now[0] += 8 * 86_400
        status, body, _ = await org.call("GET", link)
        assert (status, body["error"]["code"]) == (400, "0x80044352")
        _, link = await all_pages(org, TRACKED, **PREFER)
        await org.control("POST", "faults", {"fault": "expired_links"})
        assert (await org.call("GET", link))[1]["error"]["code"] == "0x80044352"


async def test_a_table_without_tracking_says_so():
    async with signed_in() as org:
        await org.control("PUT", "tables/contact", {"tracked": False})
        assert (await org.call("GET", TRACKED, **PREFER))[1]["error"]["code"] == "0x80072491"


@pytest.mark.parametrize(
    ("fault", "code"),
    [("limit_exceeded", "0x80072322"), ("execution_limit", "0x80072321"), ("concurrent_limit", "0x80072326")],
)
async def test_the_three_limits_say_how_long_to_wait(fault, code):
    async with signed_in() as org:
        await org.control("POST", "faults", {"fault": fault, "seconds": 7})
        status, body, headers = await org.call("GET", "WhoAmI")
        assert (status, body["error"]["code"], headers["Retry-After"]) == (429, code, "7")
        assert (await org.call("GET", "WhoAmI"))[0] == 200


async def test_requests_over_the_limit_are_refused_until_the_window_has_moved_on():
    now = [1_800_000_000.0]
    async with signed_in(clock=lambda: now[0]) as org:
        await org.control("PUT", "limits", {"requests": 2})
        assert [(await org.call("GET", "WhoAmI"))[0] for _ in range(3)] == [200, 200, 429]
        now[0] += 300
        assert (await org.call("GET", "WhoAmI"))[0] == 200


async def test_an_answer_lost_after_the_commit_leaves_the_record():
    async with signed_in() as org:
        await org.control("POST", "faults", {"fault": "dropped"})
        with pytest.raises(Exception, match="disconnected"):
            await org.call("POST", "contacts", {"lastname": "A"})
        assert len((await org.control("GET", "records/contact"))[1]["records"]) == 1


async def test_a_plug_in_refuses_a_record_in_its_own_words():
    async with signed_in() as org:
        await org.control("POST", "faults", {"fault": "plugin", "message": "No donors today", "records": ["Bad"]})
        status, body, _ = await org.call("POST", "contacts", {"lastname": "Bad"})
        assert (status, body["error"]) == (400, {"code": "0x80040265", "message": "No donors today"})
        assert (await org.call("POST", "contacts", {"lastname": "Good"}))[0] == 204


async def test_a_merge_leaves_the_loser_inactive_with_the_name_of_its_master():
    async with signed_in() as org:
        made = (await org.control("POST", "records/contact", {"records": [{"lastname": "A"}, {"lastname": "B"}]}))[1]
        winner, loser = made["ids"]
        await org.control("POST", "merge", {"table": "contact", "winner": winner, "loser": loser})
        row = (await org.call("GET", f"contacts({loser})"))[1]
        assert (row["merged"], row["_masterid_value"], row["statecode"]) == (True, winner, 1)


async def test_an_invalid_control_request_is_refused_with_what_is_wrong():
    async with signed_in() as org:
        status, body = await org.control("POST", "faults", {"fault": "nosuch"})
        assert (status, body["error"].startswith("Name one of these as fault")) == (400, True)
        status, body = await org.control("POST", "records/nosuch", {"records": []})
        assert (status, body["error"].startswith("The org has no table nosuch")) == (400, True)
