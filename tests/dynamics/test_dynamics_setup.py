"""Set-up of a Dynamics 365 org, call by call: labels, the solution, the order, and keys that take their time."""

import orjson
import pytest

from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.crm.dynamics.setup.create import Creator
from connector.crm.dynamics.setup.definitions import DONATION, shipped
from connector.crm.dynamics.setup.survey import PartState, survey

NORWEGIAN = 1044
WANTED = shipped({DONATION})
BARE = pytest.mark.parametrize("org", [{"bare": True}], indirect=True)


async def create(org, sleep=None):
    web = WebApi(org, Gate())
    options = {"sleep": sleep} if sleep else {}
    reports = []
    keys = await Creator(web, report=reports.append, **options).create(await survey(web, WANTED), WANTED)
    return keys, reports


def created(org):
    """The paths and bodies of what was created, in order."""
    return [
        (call.path, orjson.loads(call.body), call.headers)
        for call in org.sent
        if call.method == "POST" and "$batch" not in call.path
    ]


@BARE
async def test_everything_is_created_one_by_one_in_the_solution_and_in_the_orgs_language(org):
    keys, reports = await create(org)
    assert set(keys.values()) == {"Active"}
    assert reports[0].startswith("creating 1 of ")
    sent = created(org)
    assert [path.rpartition("/")[2] for path, _, _ in sent[:2]] == ["publishers", "solutions"]
    assert sent[-1][0].endswith("PublishXml")
    solution = sent[1][1]
    assert solution["publisherid@odata.bind"].startswith("publishers(")
    for path, body, headers in sent[2:-1]:
        assert headers["MSCRM.SolutionUniqueName"] == "crmconnector", path
        assert str(orjson.loads(orjson.dumps(body))).count("'LanguageCode': 1044") > 0
        assert b'"LanguageCode":1033' not in orjson.dumps(body)


@BARE
async def test_it_waits_until_the_index_of_a_key_is_built(org):
    await org.control("PUT", "keys", {"pending": True})
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            await org.control("PUT", "keys", {"pending": False})

    keys, reports = await create(org, sleep)
    assert set(keys.values()) == {"Active"}
    assert len(waits) == 3
    assert waits == sorted(waits)
    assert "the index of contact.crmc_smskey is being built (Pending)" in reports


@BARE
async def test_a_key_whose_index_failed_is_built_again_when_its_records_differ(org):
    await org.control("PUT", "keys", {"pending": True})

    async def two_alike(_):
        await org.load("contact", *({"lastname": "Unknown", "crmc_smskey": "4790000001"} for _ in range(2)))
        await org.control("PUT", "keys", {"pending": False})

    keys, _ = await create(org, two_alike)
    assert keys["contact.crmc_smskey"] == "Failed"
    web = WebApi(org, Gate())
    found = await survey(web, WANTED)
    assert [one.column for one in found.duplicates] == ["contact.crmc_smskey"]
    assert [one.name for one in found.in_the_way] == ["contact.crmc_smskey"]
    assert found.to_do == ()
    await org.load("contact", {"contactid": found.duplicates[0].ids[1], "crmc_smskey": "4790000002"})
    found = await survey(web, WANTED)
    assert [(one.name, one.state) for one in found.to_do] == [("contact.crmc_smskey", PartState.BUILD)]
    keys, _ = await create(org)
    assert keys == {"contact.crmc_smskey": "Active"}


async def test_an_org_that_has_everything_needs_nothing(org):
    found = await survey(WebApi(org, Gate()), shipped(set()))
    assert {one.name for one in found.to_do} == {"crmconnector"}
    assert {one.kind for one in found.to_do} == {"publisher", "solution"}
