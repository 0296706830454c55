"""The Metadata API of the sandbox: a third-party client deploys to it, and XML attacks are rejected."""

import asyncio
import base64
import io
import zipfile

import aiohttp
import pytest
from sandbox.test_salesforce_clients import PlainSession
from sandbox.test_salesforce_signin import signed_in
from simple_salesforce import Salesforce

NS = "http://soap.sforce.com/2006/04/metadata"
MANIFEST = """<Package xmlns="http://soap.sforce.com/2006/04/metadata"><types><members>Lead.Nick__c</members><name>CustomField</name></types>\
<version>62.0</version></Package>"""
FIELD = "<fullName>Nick__c</fullName><label>Nick</label><length>40</length><type>Text</type>"
LOGIN = {"consumer_key": "sandbox", "consumer_secret": "sandbox", "domain": "acme.my"}


def packed(**files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    held.seek(0)
    return held


def lead(fields=FIELD, manifest=MANIFEST, **more):
    whole = f'<CustomObject xmlns="{NS}"><fields>{fields}</fields></CustomObject>'
    return packed(**{"package.xml": manifest, "objects/Lead.object": whole, **more})


def deploy(url, archive, **options):
    with PlainSession(url) as session:
        client = Salesforce(session=session, **LOGIN)
        started = client.deploy(archive, sandbox=False, **options)
        assert started["state"] == "Queued"
        first = client.checkDeployStatus(started["asyncId"])
        assert first["state"] == "InProgress"
        return client.checkDeployStatus(started["asyncId"])


async def test_simple_salesforce_deploys_to_it():
    async with signed_in() as org:
        got = await asyncio.to_thread(deploy, org.url, lead())
        assert got["state"] == "Succeeded"
        assert got["deployment_detail"] == {
            "total_count": "1",
            "failed_count": "0",
            "deployed_count": "1",
            "errors": [],
        }


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        (lead(fields=FIELD.replace("<length>40</length>", "")), "Must specify 'length' for a CustomField of type Text"),
        (lead(fields=FIELD.replace("Text", "Magic")), "'Magic' is not a valid value for the enum 'FieldType'"),
        (lead(manifest=MANIFEST.replace("Nick__c", "Other__c")), "named in package.xml, but was not found"),
        (lead(fields="<broken>"), "Error parsing file"),
        (packed(nothing="x"), "No package.xml found"),
        (io.BytesIO(b"no zip"), "The zip file cannot be read"),
    ],
)
async def test_a_faulty_zip_fails_with_its_components(archive, problem):
    async with signed_in() as org:
        got = await asyncio.to_thread(deploy, org.url, archive)
        assert got["state"] == "Failed"
        assert problem in got["deployment_detail"]["errors"][0]["message"]


async def test_a_document_type_is_refused_in_the_envelope_and_in_the_zip():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    async with signed_in() as org:
        got = await asyncio.to_thread(deploy, org.url, lead(manifest=bomb + MANIFEST))
        assert got["deployment_detail"]["errors"][0]["message"] == "DOCTYPE is disallowed"
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{org.url}/services/Soap/m/62.0/deployRequest", data=f"{bomb}<x>&b;</x>") as reply,
        ):
            assert reply.status == 500
            assert "DOCTYPE is disallowed" in await reply.text()


async def test_without_a_session_nobody_deploys():
    body = (
        f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="{NS}"><e:Header><m:SessionHeader>'
        "<m:sessionId>nobody</m:sessionId></m:SessionHeader></e:Header><e:Body><m:deploy><m:ZipFile>"
        f"{base64.b64encode(b'x').decode()}</m:ZipFile></m:deploy></e:Body></e:Envelope>"
    )
    async with (
        signed_in() as org,
        aiohttp.ClientSession() as http,
        http.post(f"{org.url}/services/Soap/m/62.0/deployRequest", data=body) as reply,
    ):
        assert (reply.status, "sf:INVALID_SESSION_ID" in await reply.text()) == (500, True)
