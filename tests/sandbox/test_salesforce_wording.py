"""The sandbox's texts match recorded orgs: languages, forms, whole requests, descriptions."""

import re

import pytest
from crm.conftest import an_org

from connector.sandbox.salesforce.wording import LANGUAGES, TEXTS, Wording

SAMPLES = {
    "taken": "duplicate value found: A__c duplicates value on record with id: 003",
    "repeated": "Duplicate external id specified: k1",
    "parent": "Foreign key external ID: k9 not found for field A__c in entity Contact",
    "column": "No such column 'A__c' on sobject of type Contact",
    "unwritable": "Unable to create/update fields: A__c. Please check the security settings of this field.",
    "locked": "unable to obtain exclusive access to this record or 1 records: 003",
    "required": "Required fields are missing: [LastName]",
    "duplicates": "Use one of these records?",
    "picklist": "Status: bad value for restricted picklist field: x",
    "too_long": "Name: data value too large: xx (max length=1)",
    "deleted": "entity is deleted",
    "nowhere": "invalid cross reference id",
    "wrong_id": "Contact ID: id value of incorrect type: 0",
    "member": "Already a campaign member.",
}


@pytest.mark.parametrize("name", [name for name in LANGUAGES if name != "en"])
def test_every_language_has_every_text_and_keeps_names_ids_and_values(name):
    assert SAMPLES.keys() == TEXTS.keys() == LANGUAGES[name].texts.keys()
    for what, message in SAMPLES.items():
        said = LANGUAGES[name].translated(message)
        assert said != message
        for kept in TEXTS[what].fullmatch(message).groupdict().values():
            assert kept in said
    assert LANGUAGES[name].translated("npsp.T: System.LimitException: x") == "npsp.T: System.LimitException: x"


def test_english_messages_are_unchanged():
    assert Wording().translate_error({"message": "entity is deleted"}) == {"message": "entity is deleted"}


async def answer(org, method, path, **how):
    headers = {"Authorization": f"Bearer {org._token}", **how.pop("headers", {})}
    async with org._session.request(
        method, f"{org.base}/services/data/v62.0/{path}", headers=headers, **how
    ) as response:
        return response.status, response.content_type, await response.text()


@pytest.fixture
async def org():
    async with an_org(language="en") as org:
        yield org


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_an_unknown_id_is_a_404_with_its_own_code(org, method):
    path = "sobjects/Contact/003000000000009AAA"
    status, _, body = await answer(org, method, path, **({"json": {"LastName": "x"}} if method == "PATCH" else {}))
    assert (status, re.findall(r'"errorCode":"(\w+)"', body)) == (404, ["INVALID_CROSS_REFERENCE_KEY"])


async def test_an_overlong_request_is_refused_with_a_web_page(org):
    status, kind, body = await answer(org, "GET", f"query?q=SELECT+Id+FROM+Contact&x={'a' * 17_000}")
    assert (status, kind) == (414, "text/html")
    assert "URI Too Long" in body
    status, kind, body = await answer(org, "GET", "limits", headers={"X-Long": "a" * 17_000})
    assert (status, kind) == (431, "text/html")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("long_concurrent_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("api_disabled", 403, "API_DISABLED_FOR_ORG"),
        ("server_unavailable", 503, "SERVER_UNAVAILABLE"),
    ],
)
async def test_whole_requests_are_refused_as_in_recorded_orgs(org, fault, status, code):
    await org.fault(fault)
    got, kind, body = await answer(org, "GET", "limits")
    assert (got, kind) == (status, "application/json")
    assert code in body


async def described(org, name):
    headers = {"Authorization": f"Bearer {org._token}"}
    async with org._session.get(
        f"{org.base}/services/data/v62.0/sobjects/{name}/describe", headers=headers
    ) as response:
        return {one["name"]: one for one in (await response.json())["fields"]}


async def test_objects_are_described_as_in_recorded_orgs(org):
    contact, lead, deal = [await described(org, name) for name in ("Contact", "Lead", "Opportunity")]
    assert (contact["MailingStreet"]["type"], contact["MailingStreet"]["filterable"]) == ("textarea", True)
    assert contact["Salutation"]["length"] == 40
    assert lead["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert deal["Name"]["idLookup"] is True
    for name in ("OwnerId", "CreatedDate", "LastModifiedById", "SystemModstamp"):
        assert contact[name]["nillable"] is False


async def test_a_new_org_hides_fields_without_permissions():
    async with an_org(bare=True) as org:
        fields = await described(org, "Contact")
    assert {"HasOptedOutOfEmail", "DoNotCall"}.isdisjoint(fields)


async def test_a_wording_that_does_not_exist_is_refused(org):
    async with org._session.put(f"{org.base}/_sandbox/wording", json={"language": "tlh"}) as response:
        assert response.status == 400
        assert "language is one of" in await response.text()
