"""Clients that we did not write drive the sandbox: Microsoft's own, msal's sign-in, and dataverse-api."""

import asyncio
from contextlib import contextmanager
from enum import IntEnum

import msal
import pytest
import requests
from azure.core.credentials import AccessToken
from dataverse_api import DataverseClient as OtherClient
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError

from connector.sandbox.dynamics.app import build
from connector.sandbox.dynamics.tls import server_context
from connector.sandbox.serve import serving


@pytest.fixture
async def secure(tmp_path, monkeypatch):
    """The https address of an org whose authority the clients trust."""
    authority = tmp_path / "ca.pem"
    tls = server_context(authority)
    # requests prefers these over what a client passes on.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    async with serving(build(), tls=tls) as url:
        yield url


class Signed:
    """A credential for Microsoft's client whose tokens come from msal."""

    def __init__(self, url, http):
        self.app = msal.ConfidentialClientApplication(
            "sandbox",
            client_credential="sandbox",
            authority=f"{url}/sandbox",
            instance_discovery=False,
            http_client=http,
        )

    def get_token(self, *scopes, **_):
        token = self.app.acquire_token_for_client(scopes=list(scopes))
        return AccessToken(token["access_token"], token["expires_in"])


@contextmanager
def microsoft(url):
    with requests.Session() as http, DataverseClient(url, Signed(url, http)) as client:
        yield client


async def test_msal_signs_in_and_is_refused_with_a_wrong_secret(secure):
    def both():
        with requests.Session() as http:
            good = Signed(secure, http).app.acquire_token_for_client(scopes=[f"{secure}/.default"])
            app = msal.ConfidentialClientApplication(
                "sandbox",
                client_credential="wrong",
                authority=f"{secure}/sandbox",
                instance_discovery=False,
                http_client=http,
            )
            return good, app.acquire_token_for_client(scopes=[f"{secure}/.default"])

    good, bad = await asyncio.to_thread(both)
    assert good["access_token"]
    assert (bad["error"], "AADSTS7000215" in bad["error_description"]) == ("invalid_client", True)


async def test_microsofts_client_writes_and_reads_records(secure):
    def drive():
        with microsoft(secure) as client:
            one = client.records.create("contact", {"lastname": "Ås", "crmc_smskey": "4790000001"})
            two = client.records.create("contact", [{"lastname": "B"}, {"lastname": "C"}])
            client.records.update("contact", one, {"firstname": "Kari"})
            client.records.upsert(
                "contact", [{"alternate_key": {"crmc_smskey": "4790000001"}, "record": {"lastname": "Åsen"}}]
            )
            client.records.upsert(
                "contact",
                [
                    {"alternate_key": {"crmc_smskey": "4790000002"}, "record": {"lastname": "D"}},
                    {"alternate_key": {"crmc_smskey": "4790000003"}, "record": {"lastname": "E"}},
                ],
            )
            client.records.delete("contact", two[0])
            rows = list(client.records.list("contact", select=["lastname", "firstname"], orderby=["lastname"]))
            return one, rows, client.records.retrieve("contact", one, select=["fullname"])

    one, rows, read = await asyncio.to_thread(drive)
    assert [row["lastname"] for row in rows] == ["C", "D", "E", "Åsen"]
    assert (read["contactid"], read["fullname"]) == (one, "Kari Åsen")


async def test_microsofts_client_makes_tables_columns_and_keys(secure):
    class Kind(IntEnum):
        GIFT = 100000000
        PLEDGE = 100000001

    def drive():
        with microsoft(secure) as client:
            made = client.tables.create("new_Gift", {"new_Amount": "decimal", "new_Reference": "string"})
            client.tables.add_columns("new_Gift", {"new_Note": {"type": "memo", "max_length": 300}, "new_Kind": Kind})
            client.tables.create_alternate_key("new_Gift", "new_giftkey", ["new_reference"])
            keys = client.tables.get_alternate_keys("new_Gift")
            client.tables.create_lookup_field(
                referencing_table="new_gift", lookup_field_name="new_DonorId", referenced_table="contact"
            )
            donor = client.records.create("contact", {"lastname": "A"})
            item = {
                "alternate_key": {"new_reference": "g1"},
                "record": {"new_Amount": 50.5, "new_DonorId@odata.bind": f"/contacts({donor})"},
            }
            client.records.upsert("new_Gift", [item])
            rows = list(client.records.list("new_Gift"))
            client.tables.delete_alternate_key("new_Gift", keys[0].metadata_id)
            client.tables.delete("new_Gift")
            return made, keys, rows, donor, client.tables.get("new_Gift")

    made, keys, rows, donor, gone = await asyncio.to_thread(drive)
    assert made.entity_set_name == "new_gifts"
    assert [(key.schema_name, key.key_attributes, key.status) for key in keys] == [
        ("new_giftkey", ["new_reference"], "Active")
    ]
    assert [(row["new_amount"], row["new_reference"], row["_new_donorid_value"]) for row in rows] == [
        (50.5, "g1", donor)
    ]
    assert gone is None


async def test_microsofts_client_reads_each_part_of_a_batch(secure):
    def drive():
        with microsoft(secure) as client:
            batch = client.batch.new()
            batch.records.create("contact", {"lastname": "A", "crmc_smskey": "4790000001"})
            batch.records.create("contact", {"lastname": "B", "crmc_smskey": "4790000001"})
            with batch.changeset() as together:
                together.records.create("contact", {"lastname": "C"})
                together.records.create("contact", {"lastname": "x" * 51})
            batch.records.create("contact", {"lastname": "D"})
            result = batch.execute(continue_on_error=True)
            return result, sorted(row["lastname"] for row in client.records.list("contact"))

    result, names = await asyncio.to_thread(drive)
    assert names == ["A", "D"]
    # The failed change set has one part.
    assert [one.status_code for one in result.responses] == [204, 412, 400, 204]
    assert [one.error_code for one in result.failed] == ["0x80060892", "0x80044331"]


async def test_microsofts_client_sees_the_service_protection_limits(secure):
    def drive():
        with microsoft(secure) as client:
            client.records.create("contact", {"lastname": "A"})
            requests.post(f"{secure}/_sandbox/faults", json={"fault": "concurrent_limit", "seconds": 2}, timeout=5)
            with pytest.raises(HttpError) as caught:
                client.records.create("contact", {"lastname": "B"})
            return caught.value

    error = await asyncio.to_thread(drive)
    assert (error.status_code, error.details["service_error_code"], error.details["retry_after"]) == (
        429,
        "0x80072326",
        2,
    )


async def test_dataverse_api_finds_keys_and_messages_and_writes_in_batches():
    def drive(url):
        session = requests.Session()
        form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
        answer = session.post(f"{url}/sandbox/oauth2/v2.0/token", data={**form, "scope": f"{url}/.default"}, timeout=5)
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        client = OtherClient(session=session, environment_url=url)
        contact = client.entity("contact")
        contact.create([{"lastname": "A"}, {"lastname": "B"}], mode="batch")
        contact.create([{"lastname": "C"}, {"lastname": "D"}], mode="multiple")
        contact.upsert(
            [{"crmc_smskey": "4790000001", "lastname": "E"}, {"crmc_smskey": "4790000002", "lastname": "F"}],
            mode="batch",
            altkey_name="crmc_SmsKeyKey",
        )
        session.close()
        return contact, contact.read(select=["lastname", "crmc_smskey"], order_by="lastname")

    async with serving(build()) as url:
        contact, rows = await asyncio.to_thread(drive, url)
    assert contact.alternate_keys == {"crmc_SmsKeyKey": ["crmc_smskey"]}
    assert (contact.supports_create_multiple, contact.supports_update_multiple) == (True, True)
    assert [(row["lastname"], row["crmc_smskey"]) for row in rows] == [
        ("A", None),
        ("B", None),
        ("C", None),
        ("D", None),
        ("E", "4790000001"),
        ("F", "4790000002"),
    ]
