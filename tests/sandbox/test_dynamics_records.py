"""Single records, keys, conditions, bulk actions and batches of the Dynamics sandbox."""

import re
import uuid

import pytest
from sandbox.dynamics_org import signed_in

KEY = "contacts(crmc_smskey='4790000001')"
EVENT = str(uuid.uuid5(uuid.NAMESPACE_URL, "event"))


def batch(*operations, boundary="batch_x"):
    parts = []
    for method, url, body, *headers in operations:
        head = "\r\n".join([f"{method} {url} HTTP/1.1", "Content-Type: application/json", *headers])
        parts.append(
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{head}\r\n\r\n{body}\r\n"
        )
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


def statuses(text):
    return [int(one) for one in re.findall(r"HTTP/1\.1 (\d+)", text)]


async def test_an_upsert_by_key_creates_and_updates_and_says_which_only_with_a_representation():
    async with signed_in() as org:
        status, _, headers = await org.call("PATCH", KEY, {"lastname": "A"})
        assert (status, headers["OData-EntityId"].endswith(KEY)) == (204, True)
        prefer = {"Prefer": "return=representation"}
        status, body, _ = await org.call("PATCH", f"{KEY}?$select=lastname", {"lastname": "B"}, **prefer)
        assert (status, body["lastname"], set(body) & {"firstname"}) == (200, "B", set())
        other = "contacts(crmc_smskey='4790000002')?$select=contactid"
        assert (await org.call("PATCH", other, {"lastname": "C"}, **prefer))[0] == 201


@pytest.mark.parametrize("value", ["+4790000001", "%2B4790000001", "a%2Fb", "a%3Ab", "a%23b"])
async def test_a_key_with_a_forbidden_character_cannot_be_in_an_address(value):
    async with signed_in() as org:
        status, body, _ = await org.call("PATCH", f"contacts(crmc_smskey='{value}')", {"lastname": "A"})
        assert (status, body["error"]["code"]) == (400, "0x8006088a")


async def test_conditions_decide_between_create_and_update():
    async with signed_in() as org:
        address = f"crmc_smsevents({EVENT})"
        status, body, _ = await org.call("PATCH", address, {"crmc_name": "x"}, If_Match="*")
        assert (status, body["error"]["code"]) == (404, "0x80040217")
        assert (await org.call("PATCH", address, {"crmc_name": "x"}, If_None_Match="*"))[0] == 204
        status, body, _ = await org.call("PATCH", address, {"crmc_name": "y"}, If_None_Match="*")
        assert (status, body["error"]["code"]) == (412, "0x80040237")
        etag = (await org.call("GET", address))[1]["@odata.etag"]
        assert (await org.call("PATCH", address, {"crmc_name": "z"}, If_Match=etag))[0] == 204
        status, body, _ = await org.call("PATCH", address, {"crmc_name": "w"}, If_Match=etag)
        assert (status, body["error"]["code"]) == (412, "0x80060882")
        assert (await org.call("GET", address, If_None_Match="null"))[1]["crmc_name"] == "z"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"lastname": "x" * 51}, "0x80044331"),
        ({"preferredcontactmethodcode": 9}, "0x8004431a"),
        ({"crmc_smsmonthlyamount": -1}, "0x80044330"),
        ({"nosuch": 1}, "0x80048d19"),
        ({"crmc_smsoptout": "yes"}, "0x80048d19"),
        ({"parentcustomerid@odata.bind": "accounts(00000000-0000-0000-0000-000000000001)"}, "0x80048d19"),
        ({"parentcustomerid_account@odata.bind": "accounts(00000000-0000-0000-0000-000000000001)"}, "0x80040217"),
    ],
)
async def test_values_that_do_not_fit_are_refused(body, code):
    async with signed_in() as org:
        assert (await org.call("POST", "contacts", body))[1]["error"]["code"] == code


async def test_a_lookup_is_written_by_its_navigation_property_and_read_as_a_value():
    async with signed_in() as org:
        await org.call("PATCH", KEY, {"lastname": "A"})
        await org.call("PATCH", f"crmc_smsevents({EVENT})", {"crmc_ContactId@odata.bind": KEY})
        contact = (await org.call("GET", KEY))[1]["contactid"]
        assert (await org.call("GET", f"crmc_smsevents({EVENT})"))[1]["_crmc_contactid_value"] == contact
        status, body, _ = await org.call(
            "PATCH", f"crmc_smsevents({EVENT})", {"crmc_ContactId@odata.bind": "contacts(crmc_smskey='4799999999')"}
        )
        assert (status, body["error"]["code"]) == (404, "0x80060891")


async def test_one_bad_record_rolls_a_bulk_action_back():
    async with signed_in() as org:
        kind = "Microsoft.Dynamics.CRM.contact"
        rows = [
            {"@odata.type": kind, "@odata.id": KEY, "lastname": "A"},
            {"@odata.type": kind, "@odata.id": "contacts(crmc_smskey='4790000002')", "lastname": "x" * 51},
        ]
        action = "contacts/Microsoft.Dynamics.CRM.UpsertMultiple"
        assert (await org.call("POST", action, {"Targets": rows}))[0] == 400
        assert (await org.control("GET", "records/contact"))[1]["records"] == []
        twice = {"Targets": [rows[0], rows[0]]}
        assert (await org.call("POST", action, twice))[0] == 400
        in_body = {"Targets": [{**rows[0], "crmc_smskey": "4790000001"}]}
        assert (await org.call("POST", action, in_body))[1]["error"]["code"] == "0x80040216"
        assert (await org.call("POST", action, {"Targets": rows[:1]}))[0] == 204
        assert (await org.call("POST", action, in_body))[0] == 204


async def test_a_batch_stops_at_its_first_failure_unless_continue_on_error_is_set():
    async with signed_in() as org:
        raw = batch(
            ("PATCH", f"/api/data/v9.2/{KEY}", '{"lastname": "A"}'),
            ("POST", f"{org.url}/api/data/v9.2/contacts", '{"lastname": "%s"}' % ("x" * 51)),
            ("POST", "contacts", '{"lastname": "C"}'),
        )
        kind = {"Content_Type": "multipart/mixed; boundary=batch_x"}
        status, text, _ = await org.call("POST", "$batch", raw=raw, **kind)
        assert (status, statuses(text)) == (400, [204, 400])
        status, text, _ = await org.call("POST", "$batch", raw=raw, Prefer="odata.continue-on-error", **kind)
        assert (status, statuses(text)) == (200, [204, 400, 204])
        stats = (await org.control("GET", "stats"))[1]
        assert (stats["api_calls"], stats["operations"]) == (2, 5)


async def test_a_change_set_is_all_or_nothing_and_refers_to_what_it_made():
    async with signed_in() as org:
        kind = {"Content_Type": "multipart/mixed; boundary=batch_x"}

        def change_set(note):
            inner = batch(
                ("POST", "contacts", '{"lastname": "A"}', "Content-ID: 1"),
                ("POST", "tasks", f'{{"subject": "{note}", "regardingobjectid_contact_task@odata.bind": "$1"}}'),
                boundary="set_y",
            ).replace(b"\r\nContent-Type: application/json\r\nContent-ID: 1", b"\r\nContent-Type: application/json")
            inner = inner.replace(
                b"Content-Transfer-Encoding: binary\r\n", b"Content-Transfer-Encoding: binary\r\nContent-ID: 1\r\n", 1
            )
            return (
                b"--batch_x\r\nContent-Type: multipart/mixed; boundary=set_y\r\n\r\n" + inner + b"\r\n--batch_x--\r\n"
            )

        status, text, _ = await org.call("POST", "$batch", raw=change_set("x" * 201), **kind)
        assert (status, statuses(text)) == (400, [400])
        assert (await org.control("GET", "records/contact"))[1]["records"] == []
        status, text, _ = await org.call("POST", "$batch", raw=change_set("hello"), **kind)
        assert (status, statuses(text)) == (200, [204, 204])
        contact = (await org.control("GET", "records/contact"))[1]["records"][0]["contactid"]
        assert (await org.control("GET", "records/task"))[1]["records"][0]["_regardingobjectid_value"] == contact


async def test_records_are_filtered_ordered_and_paged():
    async with signed_in() as org:
        await org.control(
            "POST", "seed/contact", {"count": 7, "fields": {"lastname": "D#", "mobilephone": "+479000000#"}}
        )
        query = "contacts?$select=lastname&$filter=endswith(mobilephone,'3') or mobilephone eq '%2B4790000005'&$orderby=lastname desc"
        rows = (await org.call("GET", query))[1]["value"]
        assert [row["lastname"] for row in rows] == ["D5", "D3"]
        first = (await org.call("GET", "contacts?$select=lastname", Prefer="odata.maxpagesize=4"))[1]
        rest = (await org.call("GET", first["@odata.nextLink"], Prefer="odata.maxpagesize=4"))[1]
        assert [row["lastname"] for row in first["value"] + rest["value"]] == [f"D{number}" for number in range(7)]
        ids = ",".join(f"'{row['contactid']}'" for row in first["value"][:2])
        inside = f"contacts?$filter=Microsoft.Dynamics.CRM.In(PropertyName='contactid',PropertyValues=[{ids}])"
        assert len((await org.call("GET", inside))[1]["value"]) == 2
        assert (await org.call("GET", "contacts?$filter=nosuch eq 1"))[0] == 400
