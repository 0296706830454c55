"""The Sumotext sandbox over HTTP: what it sends is what the documents show."""

import pytest
from aiohttp import ClientSession, web
from providers.sumotext_requests import sample

from connector.sandbox.refused import RefusedError
from connector.sandbox.serve import serving
from connector.sandbox.sumotext.app import build


class Sumotext:
    """The sandbox, and the requests that came at the address that it was given."""

    def __init__(self, session, url):
        self.session, self.url, self.came = session, url, []
        self.status = 200

    async def send(self, kind, expect=200, **more):
        async with self.session.post(f"{self.url}/_sandbox/send", json={"kind": kind, **more}) as answer:
            assert answer.status == expect, await answer.text()
            return await answer.json()

    async def take(self, request):
        self.came.append((request.method, request.raw_path, request.headers.get("Content-Type"), await request.read()))
        return web.Response(status=self.status, text="OK")


@pytest.fixture
async def sumotext():
    ours = web.Application()
    async with ClientSession() as session:
        made = Sumotext(session, "")
        ours.router.add_route("*", "/{tail:.*}", made.take)
        async with serving(ours) as here, serving(build(hooks=f"{here}/hooks/sumotext", secret="s/1")) as there:
            made.url = there
            yield made


OWN_FIELDS = {"Name": "Bill", "DOB": "1/1/2000", "Zip": "10024"}


@pytest.mark.parametrize(
    ("kind", "fields", "name"),
    [("crm", OWN_FIELDS, "web-form"), ("poll", {}, "poll"), ("text4info", {}, "text-4-info")],
)
async def test_the_sandbox_sends_the_documents_examples_byte_for_byte(sumotext, kind, fields, name):
    sent = await sumotext.send(kind, fields=fields)
    assert (sent["status"], sent["answer"]) == (200, "OK")
    assert sumotext.came == [("GET", f"/hooks/sumotext/{kind}/s%2F1?{sample(name)}", None, b"")]


async def test_the_sandbox_posts_a_form_or_json_as_configured(sumotext):
    await sumotext.send("poll", method="form", fields={"label": "Tampa Bay", "carrier": None})
    await sumotext.send("poll", method="json", fields={"label": "Tampa Bay", "carrier": None})
    (_, path, form, body), (_, _, json, document) = sumotext.came
    assert path == "/hooks/sumotext/poll/s%2F1"
    assert (form, body) == (
        "application/x-www-form-urlencoded",
        b"mobile=2125551212&shortcode=84700&key=FB1&reply=A&label=Tampa%20Bay",
    )
    assert json == "application/json"
    assert document.startswith(b'{"mobile": "2125551212", "shortcode": "84700"')


async def test_the_sandbox_repeats_callbacks_as_requested_and_lists_them(sumotext):
    sumotext.status = 503
    await sumotext.send("dlr", times=3)
    async with sumotext.session.get(f"{sumotext.url}/_sandbox/sent") as answer:
        assert [(one["kind"], one["status"]) for one in await answer.json()] == [("dlr", 503)] * 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"kind": "fax"}, "kind must be one of crm, poll"),
        ({"kind": "poll", "method": "put"}, "get, form, json"),
        ({"kind": "poll", "fields": {"reply": 1}}, "'reply' must be a text"),
        ({"kind": "poll", "fields": []}, "a JSON object is expected"),
        ({"kind": "poll", "times": 0}, "from 1 to"),
        ({"kind": "poll", "field": {}}, "there is no field 'field'"),
    ],
)
async def test_a_mistake_is_refused_with_the_cure(sumotext, body, said):
    answer = await sumotext.send(body.pop("kind"), expect=400, **body)
    assert said in answer["Message"]
    assert sumotext.came == []


async def test_an_unreachable_receiver_is_reported_and_raises_nothing():
    async with ClientSession() as session, serving(build(hooks="http://127.0.0.1:1/hooks/sumotext")) as there:
        sent = await Sumotext(session, there).send("poll")
        assert (sent["status"], sent["answer"]) == (None, "ClientConnectorError")


@pytest.mark.parametrize("hooks", ["", "sumotext", "ftp://127.0.0.1/hooks", "http://"])
def test_an_invalid_address_is_refused(hooks):
    with pytest.raises(RefusedError, match="hooks"):
        build(hooks=hooks)
