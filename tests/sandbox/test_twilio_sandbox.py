"""The Twilio sandbox over HTTP."""

import pytest
from aiohttp import ClientSession, web

from connector.sandbox.refused import RefusedError
from connector.sandbox.serve import serving
from connector.sandbox.twilio.app import build

DONOR = "+15005550006"


class Twilio:
    """The sandbox, and the forms that came at the address that it was given."""

    def __init__(self, session, url):
        self.session, self.url, self.came = session, url, []

    async def post(self, path, body, expect=200):
        async with self.session.post(f"{self.url}/_sandbox/{path}", json=body) as answer:
            assert answer.status == expect, await answer.text()
            return await answer.json()

    async def get(self, path):
        async with self.session.get(f"{self.url}/_sandbox/{path}") as answer:
            return await answer.json()

    async def take(self, request):
        self.came.append((request.path, request.headers["X-Twilio-Signature"], dict(await request.post())))
        return web.Response(text="<Response/>", content_type="text/xml")


@pytest.fixture
async def twilio():
    ours = web.Application()
    async with ClientSession() as session:
        made = Twilio(session, "")
        ours.router.add_post("/{tail:.*}", made.take)
        async with (
            serving(ours) as here,
            serving(build(hooks=f"{here}/hooks/twilio", auth_token="12345", secret="s")) as there,
        ):
            made.url = there
            yield made


async def test_a_donor_writes_stop_and_start(twilio):
    await twilio.post("phone", {"from": DONOR, "text": "Stop"})
    assert await twilio.get("opted_out") == [DONOR]
    await twilio.post("phone", {"from": DONOR, "text": "START"})
    await twilio.post("phone", {"from": DONOR, "text": "help"})
    await twilio.post("phone", {"from": DONOR, "text": "thanks"})
    assert await twilio.get("opted_out") == []
    assert [form.get("OptOutType") for _, _, form in twilio.came] == ["STOP", "START", "HELP", None]
    assert {path for path, _, _ in twilio.came} == {"/hooks/twilio/mo/s"}
    assert [one["answer"] for one in await twilio.get("sent")] == ["<Response/>"] * 4


async def test_a_message_has_its_statuses_and_error_21610_after_a_stop(twilio):
    await twilio.post("message", {"to": DONOR})
    await twilio.post("phone", {"from": DONOR, "text": "STOP"})
    await twilio.post("message", {"to": DONOR})
    statuses = [(form["MessageStatus"], form.get("ErrorCode")) for path, _, form in twilio.came if "/dlr/" in path]
    assert statuses == [("queued", None), ("sent", None), ("delivered", None), ("failed", "21610")]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("phone", [], "a JSON object is expected"),
        ("phone", {"from": DONOR}, "text must be a text"),
        ("phone", {"form": DONOR}, "there is no field 'form'"),
        ("message", {}, "to must be a text"),
    ],
)
async def test_a_mistake_is_refused_with_the_cure(twilio, path, body, said):
    assert said in (await twilio.post(path, body, expect=400))["Message"]
    assert twilio.came == []


async def test_an_unreachable_receiver_is_reported_and_raises_nothing():
    app = build(hooks="http://127.0.0.1:1/hooks/twilio", auth_token="12345")
    async with ClientSession() as session, serving(app) as there:
        sent = await Twilio(session, there).post("phone", {"from": DONOR, "text": "STOP"})
        assert (sent["status"], sent["answer"]) == (None, "ClientConnectorError")


@pytest.mark.parametrize("hooks", ["", "twilio", "ftp://127.0.0.1/hooks"])
def test_an_invalid_address_is_refused(hooks):
    with pytest.raises(RefusedError, match="hooks"):
        build(hooks=hooks, auth_token="12345")
