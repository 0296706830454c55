"""A third-party client works against the sandbox, and the sandbox runs as a program."""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import requests
from sandbox.test_salesforce_signin import pem_pair, signed_in
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.format import format_external_id


class PlainSession(requests.Session):
    """Sends what is meant for Salesforce to the sandbox."""

    def __init__(self, base):
        super().__init__()
        self.base = urlsplit(base)

    def request(self, method, url, **more):
        asked = urlsplit(url)
        more.setdefault("timeout", 30)
        plain = urlunsplit((self.base.scheme, self.base.netloc, asked.path, asked.query, asked.fragment))
        return super().request(method, plain, **more)


def use(base, clock, **login):
    """Everything that the connector may ask of simple-salesforce, in one sitting."""
    with PlainSession(base) as session:
        client = Salesforce(session=session, **login)
        key = format_external_id("SMS_Key__c", "a/b +47")
        assert client.Contact.upsert(key, {"LastName": "Ås"}) == 201
        assert client.Contact.upsert(key, {"LastName": "Bø"}) == 200
        found = client.query(format_soql("SELECT Id, LastName FROM Contact WHERE SMS_Key__c = {}", "a/b +47"))
        assert [record["LastName"] for record in found["records"]] == ["Bø"]
        assert len(client.query_all("SELECT Id FROM Campaign")["records"]) == 2100
        names = {field["name"] for field in client.Contact.describe()["fields"]}
        assert "SMS_Key__c" in names
        assert {entry["name"] for entry in client.describe()["sobjects"]} >= {"Contact", "SMS_Event__c"}
        made = client.Contact.create({"LastName": "Made"})["id"]
        assert client.Contact.get(made)["LastName"] == "Made"
        assert client.Contact.update(made, {"LastName": "Changed"}) == 204
        assert client.Contact.delete(made) == 204
        clock.now += 1
        start = datetime.fromtimestamp(clock.now, UTC) - timedelta(minutes=5)
        end = datetime.fromtimestamp(clock.now, UTC) + timedelta(minutes=5)
        assert client.Contact.updated(start, end)["ids"] == [found["records"][0]["Id"]]
        assert [row["id"] for row in client.Contact.deleted(start, end)["deletedRecords"]] == [made]
        assert client.limits()["DailyApiRequests"]["Max"] == 110_000
        assert client.api_usage["api-usage"].total == 110_000


async def test_simple_salesforce_works_with_client_credentials():
    async with signed_in() as org:
        await org.load("Campaign", *({"Name": f"c{number}"} for number in range(2100)))
        login = {"consumer_key": "sandbox", "consumer_secret": "sandbox", "domain": "acme.my"}
        await asyncio.to_thread(use, org.url, org.clock, **login)


async def test_simple_salesforce_works_with_a_jwt():
    private, public = pem_pair()
    async with signed_in(public_key=public) as org:
        await org.load("Campaign", *({"Name": f"c{number}"} for number in range(2100)))
        login = {"username": "integration@sandbox.example", "consumer_key": "sandbox", "privatekey": private}
        await asyncio.to_thread(use, org.url, org.clock, **login)


async def test_the_sandbox_runs_as_a_program_and_ends_on_sigterm(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "connector", "sandbox", "salesforce", "--port", "0", "--data", str(tmp_path / "org.sqlite")),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.removeprefix("listening on ").strip()
        versions = await asyncio.to_thread(requests.get, f"{url}/services/data/", timeout=10)
        assert versions.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
