"""A test's changes to the org besides the API: edits by a person, merges, history, outbound messages."""

import asyncio
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web
from sandbox.test_salesforce_signin import signed_in

from connector.sandbox.serve import serving

ACK = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><notificationsResponse '
    'xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>'
)
OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"
SOBJECT = "{urn:sobject.enterprise.soap.sforce.com}"


async def test_a_person_loads_edits_by_id_and_edits_by_key():
    async with signed_in() as org:
        ids = await org.load("Contact", *({"LastName": "x", "SMS_Key__c": f"k{number}"} for number in range(3000)))
        assert len(set(ids)) == 3000
        await org.load("Contact", {"Id": ids[0], "LastName": "by id"})
        assert await org.load("Contact", {"SMS_Key__c": "K1", "LastName": "by key"}, key="SMS_Key__c") == [ids[1]]
        rows = await org.rows("Contact")
        assert [row["LastName"] for row in rows[:3]] == ["by id", "by key", "x"]
        assert (await org.control("GET", "stats"))[1]["api_calls"] == 0


async def test_an_edit_that_is_refused_writes_nothing_and_says_why():
    async with signed_in() as org:
        status, body = await org.control("POST", "records/Contact", {"records": [{"LastName": "x"}, {}]})
        assert status == 400
        assert "record 1: REQUIRED_FIELD_MISSING" in body["error"]
        assert await org.rows("Contact") == []
        assert (await org.control("POST", "records/Nothing", {"records": []}))[0] == 400
        assert (await org.control("POST", "records/Contact", {"records": 5}))[0] == 400
        assert (await org.control("POST", "records/Contact", {"records": [], "key": "LastName"}))[0] == 400


async def test_last_modified_by_tells_a_person_from_the_integration_user():
    async with signed_in() as org:
        await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "Ås"})
        (written,) = await org.rows("Contact")
        await org.load("Contact", {"SMS_Key__c": "k1", "LastName": "Bø"}, key="SMS_Key__c")
        (edited,) = await org.rows("Contact")
        assert edited["CreatedById"] == written["LastModifiedById"]
        assert edited["LastModifiedById"] != written["LastModifiedById"]


async def test_the_history_holds_every_accepted_write_in_order():
    async with signed_in() as org:
        await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "Ås"}, {"SMS_Key__c": "k2"})
        await org.call("PATCH", "/sobjects/Contact/SMS_Key__c/k1", {"SMS_Opt_Out__c": True})
        await org.load("Campaign", {"Name": "Spring"})
        _, body = await org.control("GET", "history?object=Contact")
        (contact,) = await org.rows("Contact")
        assert [(entry["action"], entry["id"], entry["fields"]) for entry in body["history"]] == [
            ("created", contact["Id"], {"SMS_Key__c": "k1", "LastName": "Ås"}),
            ("updated", contact["Id"], {"SMS_Opt_Out__c": True, "SMS_Key__c": "k1"}),
        ]
        last = body["history"][-1]["seq"]
        _, later = await org.control("GET", f"history?since={last}")
        assert [entry["object"] for entry in later["history"]] == ["Campaign"]
        assert later["history"][0]["by"] != body["history"][0]["by"]
        assert (await org.control("GET", "history?since=now"))[0] == 400


async def test_an_edit_and_a_merge_by_a_person_return_the_records_as_they_were():
    async with signed_in() as org:
        known, other = await org.load("Contact", {"LastName": "Ås"}, {"LastName": "Bø"})
        edit = {"records": [{"Id": known, "LastName": "Aas"}, {"LastName": "New"}]}
        _, saved = await org.control("POST", "records/Contact", edit)
        assert [row and (row["Id"], row["LastName"]) for row in saved["before"]] == [(known, "Ås"), None]
        wish = {"object": "Contact", "winner": known, "loser": other, "fields": {"LastName": "Ås"}}
        _, merged = await org.control("POST", "merge", wish)
        assert [(row["LastName"], row["IsDeleted"]) for row in merged["before"]] == [("Aas", False), ("Bø", False)]


async def test_a_merge_deletes_the_loser_and_moves_references_to_the_winner():
    async with signed_in() as org:
        winner, loser = await org.load("Contact", {"LastName": "Ås"}, {"LastName": "Aas", "SMS_Key__c": "k1"})
        await org.load("SMS_Event__c", {"Event_Key__c": "e1", "Contact__c": loser})
        await org.load("Task", {"Subject": "Call", "WhoId": loser})
        wish = {"object": "Contact", "winner": winner, "loser": loser}
        assert (await org.control("POST", "merge", wish))[0] == 200
        gone = next(row for row in await org.rows("Contact") if row["Id"] == loser)
        assert (gone["IsDeleted"], gone["MasterRecordId"]) == (True, winner)
        assert (await org.rows("SMS_Event__c"))[0]["Contact__c"] == winner
        assert (await org.rows("Task"))[0]["WhoId"] == winner
        assert (await org.control("POST", "merge", wish))[0] == 400
        assert (await org.control("POST", "merge", {**wish, "loser": winner}))[0] == 400
        assert (await org.control("POST", "merge", {**wish, "object": "Task"}))[0] == 400


async def test_a_merge_keeps_the_values_of_the_winner_except_the_chosen_ones():
    async with signed_in() as org:
        winner, *losers = await org.load(
            "Contact",
            {"LastName": "Ås", "MobilePhone": "1"},
            {"LastName": "Aas", "SMS_Key__c": "k1", "MobilePhone": "2", "SMS_Opt_Out__c": True},
            {"LastName": "Aass"},
        )
        wish = {"object": "Contact", "winner": winner, "losers": losers, "fields": {"SMS_Key__c": "k1"}}
        assert (await org.control("POST", "merge", wish))[1]["mergedRecordIds"] == losers
        rows = {row["Id"]: row for row in await org.rows("Contact")}
        kept = rows[winner]
        assert (kept["MobilePhone"], kept["SMS_Key__c"], kept["SMS_Opt_Out__c"]) == ("1", "k1", False)
        assert {rows[loser]["MasterRecordId"] for loser in losers} == {winner}
        assert len({row["SystemModstamp"] for row in rows.values()}) == 1


async def test_a_deleted_record_can_be_restored_unless_its_key_is_taken():
    async with signed_in() as org:
        ids = await org.load("Contact", {"LastName": "Ås", "SMS_Key__c": "k1"}, {"LastName": "Bø", "SMS_Key__c": "k2"})
        wish = {"object": "Contact", "ids": ids}
        assert (await org.control("POST", "delete", wish))[1]["ids"] == ids
        assert [row["IsDeleted"] for row in await org.rows("Contact")] == [True, True]
        assert (await org.control("POST", "delete", wish))[0] == 400
        await org.load("Contact", {"LastName": "Again", "SMS_Key__c": "k2"})
        assert (await org.control("POST", "undelete", wish))[0] == 400
        assert (await org.control("POST", "undelete", {**wish, "ids": ids[:1]}))[0] == 200
        assert [row["IsDeleted"] for row in await org.rows("Contact")] == [False, True, False]
        _, body = await org.control("GET", "history?object=Contact")
        assert [one["action"] for one in body["history"]] == ["created"] * 2 + ["deleted"] * 2 + [
            "created",
            "undeleted",
        ]


async def test_a_restored_merged_record_is_separate_again():
    async with signed_in() as org:
        winner, loser = await org.load("Contact", {"LastName": "Ås"}, {"LastName": "Aas"})
        await org.control("POST", "merge", {"object": "Contact", "winner": winner, "loser": loser})
        await org.control("POST", "undelete", {"object": "Contact", "ids": [loser]})
        assert [(row["IsDeleted"], row["MasterRecordId"]) for row in await org.rows("Contact")] == [(False, None)] * 2


async def test_stats_count_requests_by_route_and_reset_forgets_everything():
    async with signed_in() as org:
        await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "Ås"})
        await org.call("GET", "/sobjects/Contact/SMS_Key__c/k1")
        await org.control("POST", "faults", {"fault": "unavailable"})
        _, stats = await org.control("GET", "stats")
        assert (stats["api_calls"], stats["logins"], stats["records"]["Contact"]) == (2, 1, 1)
        assert stats["requests"] == {
            "POST /services/oauth2/token": 1,
            "PATCH /composite/sobjects/{object}/{field}": 1,
            "GET /sobjects/{object}/{field}/{value}": 1,
        }
        await org.control("POST", "reset")
        _, stats = await org.control("GET", "stats")
        assert (stats["api_calls"], stats["records"]["Contact"], stats["records"]["User"]) == (0, 0, 2)
        assert (await org.call("GET", "/limits"))[0] == 200
        assert (await org.control("GET", "history"))[1]["history"] == []


async def test_records_in_a_file_are_kept_after_the_process_ends(tmp_path):
    file = str(tmp_path / "org.sqlite")
    async with signed_in(file) as org:
        (first,) = await org.load("Contact", {"LastName": "Ås", "SMS_Key__c": "k1"})
    async with signed_in(file) as org:
        assert [row["Id"] for row in await org.rows("Contact")] == [first]
        (second,) = await org.load("Contact", {"LastName": "Bø"})
        assert second != first


class Receiver:
    """Takes outbound messages, and refuses the first ones."""

    def __init__(self, refusals):
        self.refusals = refusals
        self.messages = []
        self.came = asyncio.Condition()

    def app(self):
        app = web.Application()
        app.router.add_post("/outbound", self.take)
        return app

    async def take(self, request):
        assert request.content_type == "text/xml"
        async with self.came:
            self.messages.append(ET.fromstring(await request.read()))
            self.came.notify_all()
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        return web.Response(text=ACK, content_type="text/xml")

    async def wait(self, number):
        async with self.came:
            await asyncio.wait_for(self.came.wait_for(lambda: len(self.messages) >= number), 10)


def notifications(message):
    return [
        (
            note.find(f"{OUTBOUND}Id").text,
            {element.tag.removeprefix(SOBJECT): element.text for element in note.find(f"{OUTBOUND}sObject")},
        )
        for note in message.iter(f"{OUTBOUND}Notification")
    ]


async def test_a_person_s_edit_is_sent_until_it_is_acknowledged_and_the_integration_s_is_not():
    receiver = Receiver(refusals=2)
    async with serving(receiver.app()) as url, signed_in() as org:
        wish = {
            "url": f"{url}/outbound",
            "object": "Contact",
            "fields": ["LastName", "MobilePhone", "SMS_Opt_Out__c"],
            "retry_seconds": 0.01,
        }
        assert (await org.control("POST", "outbound", wish))[0] == 200
        await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "Ås & co"})
        edit = {"SMS_Key__c": "k1", "SMS_Opt_Out__c": True}
        (contact,) = await org.load("Contact", edit, key="SMS_Key__c")
        await receiver.wait(3)
        seen = [notifications(message) for message in receiver.messages]
        assert seen[0] == seen[1] == seen[2]
        ((_, fields),) = seen[0]
        assert fields == {"Id": contact, "LastName": "Ås & co", "SMS_Opt_Out__c": "true"}
        assert receiver.messages[0].find(f".//{OUTBOUND}OrganizationId").text.startswith("00D")
        await org.load("Contact", *({"LastName": f"n{number}"} for number in range(150)))
        await receiver.wait(5)
        assert [len(notifications(message)) for message in receiver.messages[3:]] == [100, 50]


@pytest.mark.parametrize(
    "wish",
    [
        {"url": "ftp://x", "object": "Contact", "fields": []},
        {"url": "http://127.0.0.1:9", "object": "Contact", "fields": ["Odd"]},
        {"url": "http://127.0.0.1:9", "object": "Odd", "fields": []},
    ],
)
async def test_an_invalid_outbound_target_is_refused(wish):
    async with signed_in() as org:
        assert (await org.control("POST", "outbound", wish))[0] == 400
