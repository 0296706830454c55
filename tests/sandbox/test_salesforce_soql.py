"""Reading: the SOQL subset, pages, the recycle bin, updated and deleted."""

import pytest
from sandbox.test_salesforce_signin import V, signed_in

PEOPLE = (
    {"LastName": "Ås", "FirstName": "Kari", "SMS_Key__c": "+4790000001", "SMS_Opt_Out__c": True},
    {"LastName": "Bø", "FirstName": "Per", "SMS_Key__c": "+4790000002", "SMS_Monthly_Amount__c": 100},
    {"LastName": "O'Hara", "SMS_Key__c": "+4790000003", "SMS_Monthly_Amount__c": 250.5, "Birthdate": "1980-02-29"},
    {"LastName": "50% off", "SMS_Key__c": "Key-4", "SMS_Opt_Out_At__c": "2026-11-22T04:00:00Z"},
)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("LastName = 'ås'", ["Ås"]),
        ("LastName != 'Ås'", ["Bø", "O'Hara", "50% off"]),
        ("FirstName != 'Kari'", ["Bø", "O'Hara", "50% off"]),
        ("NOT FirstName = 'Kari'", ["Bø", "O'Hara", "50% off"]),
        ("FirstName = null", ["O'Hara", "50% off"]),
        ("FirstName <> null", ["Ås", "Bø"]),
        ("FirstName NOT IN ('Kari')", ["Bø", "O'Hara", "50% off"]),
        ("FirstName IN ('Kari', null)", ["Ås", "O'Hara", "50% off"]),
        (r"LastName = 'O\'Hara'", ["O'Hara"]),
        (r"LastName LIKE '50\%%'", ["50% off"]),
        ("LastName LIKE '%h_ra'", ["O'Hara"]),
        ("SMS_Key__c IN ('KEY-4', '+4790000002')", ["Bø", "50% off"]),
        ("SMS_Opt_Out__c = true", ["Ås"]),
        ("SMS_Monthly_Amount__c > 100", ["O'Hara"]),
        ("SMS_Monthly_Amount__c >= 100 AND SMS_Monthly_Amount__c < 250.5", ["Bø"]),
        ("NOT SMS_Monthly_Amount__c > 100", ["Ås", "Bø", "50% off"]),
        ("Birthdate = 1980-02-29", ["O'Hara"]),
        ("SMS_Opt_Out_At__c <= 2026-11-22T05:00:00+01:00", ["50% off"]),
        ("(LastName = 'Ås' OR LastName = 'Bø') AND NOT (FirstName = 'Per')", ["Ås"]),
        ("LastName = 'Nobody'", []),
    ],
)
async def test_conditions_find_what_salesforce_would_find(where, found):
    async with signed_in() as org:
        await org.load("Contact", *PEOPLE)
        status, body = await org.soql(f"SELECT LastName FROM Contact WHERE {where} ORDER BY CreatedDate, Id")
        assert status == 200, body
        assert [record["LastName"] for record in body["records"]] == found


async def test_fields_come_back_with_their_right_names_and_types_and_parents_nested():
    async with signed_in() as org:
        (contact,) = await org.load("Contact", PEOPLE[0])
        ids = await org.load("SMS_Event__c", {"Event_Key__c": "e1", "Contact__c": contact}, {"Event_Key__c": "e2"})
        _, body = await org.soql(
            "select id, contact__r.sms_key__c, Contact__r.SMS_Opt_Out__c from SMS_Event__c order by Event_Key__c"
        )
        assert body == {
            "totalSize": 2,
            "done": True,
            "records": [
                {
                    "attributes": {"type": "SMS_Event__c", "url": f"{V}/sobjects/SMS_Event__c/{ids[0]}"},
                    "Id": ids[0],
                    "Contact__r": {
                        "attributes": {"type": "Contact", "url": f"{V}/sobjects/Contact/{contact}"},
                        "SMS_Key__c": "+4790000001",
                        "SMS_Opt_Out__c": True,
                    },
                },
                {
                    "attributes": {"type": "SMS_Event__c", "url": f"{V}/sobjects/SMS_Event__c/{ids[1]}"},
                    "Id": ids[1],
                    "Contact__r": None,
                },
            ],
        }


async def test_order_limit_offset_and_count_are_obeyed():
    async with signed_in() as org:
        await org.load("Contact", *PEOPLE)
        _, body = await org.soql(
            "SELECT LastName FROM Contact ORDER BY SMS_Monthly_Amount__c DESC NULLS LAST, LastName LIMIT 2 OFFSET 1"
        )
        assert [record["LastName"] for record in body["records"]] == ["Bø", "50% off"]
        assert (await org.soql("SELECT COUNT() FROM Contact WHERE SMS_Key__c LIKE '+47%'"))[1] == {
            "totalSize": 3,
            "done": True,
            "records": [],
        }
        assert (await org.soql("SELECT COUNT() FROM Contact LIMIT 2"))[1]["totalSize"] == 2


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("SELECT Id FORM Contact", "MALFORMED_QUERY", "unexpected token: 'FORM'"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Contact WHERE LastName = 'x", "MALFORMED_QUERY", "unexpected token: '''"),
        ("SELECT Id FROM Contact WHERE A = 1 AND B = 2 OR C = 3", "MALFORMED_QUERY", "unexpected token: 'OR'"),
        (
            "SELECT Id, Odd__c FROM Contact",
            "INVALID_FIELD",
            "ERROR at Row:1:Column:12\nNo such column 'Odd__c' on entity 'Contact'.",
        ),
        ("SELECT Odd__r.Id FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Odd__r'"),
        ("SELECT Id FROM Odd__c", "INVALID_TYPE", "sObject type 'Odd__c' is not supported."),
        (
            "SELECT Id FROM Contact WHERE SMS_Opt_Out__c = 'true'",
            "INVALID_FIELD",
            "value of filter criterion for field 'SMS_Opt_Out__c' must be of type boolean and should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Contact WHERE LastName = 5",
            "INVALID_FIELD",
            "must be of type string and should be enclosed in quotes",
        ),
        ("SELECT Id FROM Contact WHERE Id = 'short'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: short"),
        (
            "SELECT Id FROM Contact WHERE Description = 'x'",
            "INVALID_FIELD",
            "field 'Description' can not be filtered in a query call",
        ),
    ],
)
async def test_a_bad_query_is_refused_with_the_code_and_the_place(query, code, text):
    async with signed_in() as org:
        status, body = await org.soql(query)
        assert (status, body[0]["errorCode"]) == (400, code)
        assert text in body[0]["message"]


async def test_pages_follow_the_locator_and_have_the_requested_size():
    async with signed_in() as org:
        await org.load("Contact", *({"LastName": f"n{number:04d}"} for number in range(4100)))
        query = "/query?q=SELECT+LastName+FROM+Contact+ORDER+BY+LastName"
        _, page = await org.call("GET", query)
        names = [record["LastName"] for record in page["records"]]
        assert (page["totalSize"], page["done"], len(names)) == (4100, False, 2000)
        while not page["done"]:
            _, page = await org.call("GET", page["nextRecordsUrl"].removeprefix(V))
            names += [record["LastName"] for record in page["records"]]
        assert names == [f"n{number:04d}" for number in range(4100)]
        _, page = await org.call("GET", query, Sforce_Query_Options="batchSize=500")
        assert len(page["records"]) == 500
        status, body = await org.call("GET", "/query/01gNONE-2000")
        assert (status, body[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


async def test_a_poll_by_system_modstamp_sees_whole_seconds_and_pages_by_stamp_and_id():
    async with signed_in() as org:
        org.clock.now = 1_795_320_000.25
        first = await org.load("Contact", {"LastName": "a"}, {"LastName": "b"})
        org.clock.now = 1_795_320_000.75
        second = await org.load("Contact", {"LastName": "c"})
        stamp = "2026-11-22T04:00:00.000Z"
        query = (
            f"SELECT Id, SystemModstamp FROM Contact WHERE (SystemModstamp = {stamp} AND Id > '{first[0]}') OR "
            f"SystemModstamp > {stamp} ORDER BY SystemModstamp, Id LIMIT 2000"
        )
        _, body = await org.soql(query)
        assert [record["Id"] for record in body["records"]] == [first[1], *second]
        assert {record["SystemModstamp"] for record in body["records"]} == {"2026-11-22T04:00:00.000+0000"}


async def test_query_all_includes_the_recycle_bin():
    async with signed_in() as org:
        (gone,) = await org.load("Contact", {"LastName": "Ås"})
        await org.call("DELETE", f"/sobjects/Contact/{gone}")
        query = "SELECT Id, IsDeleted FROM Contact"
        assert (await org.soql(query))[1]["totalSize"] == 0
        _, body = await org.soql(query, "queryAll")
        assert [record["IsDeleted"] for record in body["records"]] == [True]


async def test_updated_and_deleted_cover_a_window_up_to_now():
    async with signed_in() as org:
        org.clock.now = 1_795_320_000.0
        kept, gone = await org.load("Contact", {"LastName": "Ås"}, {"LastName": "Bø"})
        await org.call("DELETE", f"/sobjects/Contact/{gone}")
        org.clock.now += 120
        window = "?start=2026-11-22T04:00:00%2B00:00&end=2026-11-22T05:00:00Z"
        assert (await org.call("GET", f"/sobjects/Contact/updated/{window}"))[1] == {
            "ids": [kept],
            "latestDateCovered": "2026-11-22T04:02:00.000+0000",
        }
        _, body = await org.call("GET", f"/sobjects/Contact/deleted/{window}")
        assert body["deletedRecords"] == [{"id": gone, "deletedDate": "2026-11-22T04:00:00.000+0000"}]
        old = "?start=2026-09-22T04:00:00Z&end=2026-11-22T05:00:00Z"
        status, body = await org.call("GET", f"/sobjects/Contact/updated/{old}")
        assert (status, body[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")
