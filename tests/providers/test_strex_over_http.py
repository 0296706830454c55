"""The Strex adapter against the sandbox, which shares no code with it."""

from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession, web

from connector.delivery.http_client import FixedCredentials, Transport
from connector.model.http import HttpRequest
from connector.model.operation import ServiceCommand
from connector.model.outcome import Delivered, Reason
from connector.model.phone import Phone
from connector.ports import AuthResult, Task
from connector.providers.strex.callback import Reader
from connector.providers.strex.commands import StrexCommands
from connector.providers.strex.endpoints import MessageEndpoint
from connector.providers.strex.public_keys import PublicKeys
from connector.providers.strex.signature import Signature
from connector.sandbox.serve import serving
from connector.sandbox.strex.app import build

pytestmark = pytest.mark.slow

PHONE = "+4790000001"


@pytest.fixture
async def strex():
    """The stand-in's address, a client with its key, and the forwards that came in while the test ran."""
    forwards = []

    async def take(request):
        forwards.append(
            HttpRequest(
                method=request.method,
                instance="strex",
                endpoint="mo",
                secret=None,
                url=str(request.url),
                query="",
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
                peer="127.0.0.1",
                received_at=datetime.now(UTC),
            )
        )
        return web.Response()

    ours = web.Application()
    ours.router.add_post("/{tail:.*}", take)
    async with serving(ours) as here:
        app = build(mo_url=f"{here}/hooks/Strex/mo?A=b%2Fc", dlr_url=f"{here}/hooks/strex/dlr", compress=1e9)
        async with serving(app) as there, Transport() as transport, ClientSession() as session:
            client = transport.client(FixedCredentials(there, {"Authorization": "sandbox-key"}))
            yield there, client, session, forwards


def command(action="unsubscribe", **more):
    return Task(
        ServiceCommand(sink="strex", action=action, phone=Phone(PHONE), short_number="2002", keyword="KATT", **more)
    )


async def text_in(session, there, text):
    async with session.post(f"{there}/_sandbox/phone", json={"from": PHONE, "to": "2002", "text": text}) as answer:
        assert answer.status < 300, await answer.text()
    async with session.get(f"{there}/_sandbox/forwards", params={"wait": "1"}) as answer:
        assert answer.status == 200


async def test_a_signed_message_is_authenticated_and_read(strex):
    there, client, session, forwards = strex
    endpoint = MessageEndpoint(reader=Reader(provider="strex"), signature=Signature(keys=PublicKeys(), required=True))
    await text_in(session, there, "KATT")
    forward = next(one for one in forwards if "/mo" in one.url)
    assert (await endpoint.authenticate(client, forward)).nonce
    (event,) = endpoint.read(forward, AuthResult())
    assert (event.msisdn, event.text, event.short_number) == (Phone(PHONE), "KATT", "2002")


async def test_replies_to_commands_become_outcomes(strex):
    there, client, session, _ = strex
    sink = StrexCommands(name="strex")
    (stranger,) = await sink.write(client, [command()])
    assert stranger == Delivered(absent=True, detail="not known to Strex")
    await text_in(session, there, "KATT")
    (priced,) = await sink.write(client, [command("changesubscriberprice", price=150)])
    assert priced == Delivered()
    (left,) = await sink.write(client, [command()])
    assert left == Delivered()
    (again,) = await sink.write(client, [command()])
    assert again == Delivered(detail="was not active")
    (stopped,) = await sink.write(client, [command("stop")])
    assert stopped == Delivered()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unauthorized", Reason.CREDENTIALS),
        ("forbidden", Reason.CREDENTIALS),
        ("too_many", Reason.RATE_LIMITED),
        ("server_error", Reason.SERVER_ERROR),
        ("unavailable", Reason.UNAVAILABLE),
        ("dropped", Reason.CONNECTION_LOST),
        ("wrong_address", Reason.WRONG_ADDRESS),
    ],
)
async def test_faults_of_the_api_become_reasons(strex, fault, reason):
    there, client, session, _ = strex
    async with session.post(f"{there}/_sandbox/faults", json={"fault": fault, "times": 10}) as answer:
        assert answer.status < 300, await answer.text()
    (outcome,) = await StrexCommands(name="strex").write(client, [command()])
    assert outcome.reason is reason
