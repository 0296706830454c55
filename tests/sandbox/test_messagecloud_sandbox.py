"""The MessageCloud sandbox alone, and calls of the adapter, which shares no code with it."""

import json
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from connector.delivery.http_client import FixedCredentials, Transport
from connector.model.event import Result
from connector.model.outcome import Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.providers.messagecloud.oneclick import Account, Transaction, Window, new_window, send_dob, view_status
from connector.sandbox.messagecloud.app import build
from connector.sandbox.messagecloud.gateway import ERRORS, STATUSES
from connector.sandbox.serve import serving

SAMPLES = Path(__file__).parent.parent / "samples" / "messagecloud"
ACCOUNT = Account(campaign_name="sandbox", api_key="sandbox-key")
DONOR = "+4790000001"


class Scene:
    def __init__(self, there, client, session, taken):
        self.there, self.client, self.session, self.taken = there, client, session, taken

    async def get(self, path):
        async with self.session.get(f"{self.there}{path}") as answer:
            return answer.status, json.loads(await answer.text())

    async def do(self, what, **body):
        async with self.session.request("POST", f"{self.there}/_sandbox/{what}", json=body) as answer:
            return answer.status, await answer.json()

    async def window(self, own_id="katt-1"):
        return await new_window(self.client, ACCOUNT, "s-1", own_id)

    async def view(self, transaction_id):
        return await view_status(self.client, ACCOUNT, "s-1", transaction_id)

    async def charge(self, **more):
        about = {"tariff": 150, "short_number": "2172", "to": Phone(DONOR), **more}
        return await send_dob(self.client, ACCOUNT, "s-1", **about)


@pytest.fixture
async def scene():
    taken = []

    async def take(request):
        taken.append((request.method, request.path, dict(request.query), dict(await request.post())))
        return web.Response(text="OK" if len(taken) % 2 else "no", status=200)

    ours = web.Application()
    ours.router.add_route("*", "/{tail:.*}", take)
    async with (
        serving(ours) as here,
        serving(build(hooks=f"{here}/hooks/mc", secret="s")) as there,
        Transport() as transport,
        ClientSession() as session,
    ):
        yield Scene(there, transport.client(FixedCredentials(there)), session, taken)


async def test_its_answers_have_the_form_of_the_documents_examples(scene):
    query = "campaign_name=sandbox&api_key=sandbox-key&service_id=s-1"
    _, made = await scene.get(f"/no/one-click/new?{query}")
    shown = json.loads((SAMPLES / "new-window.json").read_bytes())
    assert made.keys() == shown.keys()
    assert made["data"].keys() == shown["data"].keys()
    transaction_id = made["data"]["transactionId"]
    assert made["requestId"] == transaction_id
    await scene.do("window", transaction_id=transaction_id, phone=DONOR)
    _, status = await scene.get(f"/no/status/view?{query}&transaction_id={transaction_id}")
    shown = json.loads((SAMPLES / "view-status.json").read_bytes())
    assert {name: type(value) for name, value in status["data"].items()} == {
        name: type(value) for name, value in shown["data"].items()
    }
    assert (status["status"], status["code"], status["message"]) == (True, 0, "Success")


async def test_a_window_is_completed_and_leads_back_with_our_id(scene):
    window = await scene.window()
    assert isinstance(window, Window)
    before = await scene.view(window.transaction_id)
    assert (before.status, before.msisdn) == ("ACKNOWLEDGED", None)
    _, answer = await scene.do("window", transaction_id=window.transaction_id, phone=DONOR)
    assert answer["redirect"].endswith("/hooks/mc/return?id=katt-1&status=success")
    after = await scene.view(window.transaction_id)
    assert (after.status, after.msisdn, after.short_number) == ("DELIVERED", Phone(DONOR), "2172")


async def test_a_donor_turns_back(scene):
    window = await scene.window()
    _, answer = await scene.do("window", transaction_id=window.transaction_id, outcome="cancelled")
    assert answer["redirect"].endswith("status=cancelled")
    assert (await scene.view(window.transaction_id)).meaning.result is Result.FAILED


@pytest.mark.parametrize("status", STATUSES)
async def test_it_can_tell_every_status_and_each_is_understood(scene, status):
    window = await scene.window()
    await scene.do("status", transaction_id=window.transaction_id, status=status)
    got = await scene.view(window.transaction_id)
    assert got.status == status
    assert got.meaning.final == (status not in {"UNKNOWN", "ACKNOWLEDGED"})


@pytest.mark.parametrize("code", ERRORS)
async def test_it_can_answer_every_error_code_and_each_is_understood(scene, code):
    window = await scene.window()
    for call, make in (
        ("new", scene.window),
        ("view", lambda: scene.view(window.transaction_id)),
        ("send", scene.charge),
    ):
        await scene.do("errors", call=call, code=code)
        got = await make()
        assert isinstance(got, Retry | Rejected)
        assert f"error {code}" in got.detail
        assert isinstance(await make(), Window | Transaction)


async def test_a_charge_goes_through_once(scene):
    got = await scene.charge()
    assert (got.status, got.price, got.msisdn) == ("DELIVERED", 150, Phone(DONOR))
    assert (await scene.view(got.transaction_id)).meaning.result is Result.OK
    _, charges = await scene.get("/_sandbox/transactions")
    assert [one["charge"] for one in charges] == [True]


async def test_a_charge_with_what_there_is_not_is_refused(scene):
    assert (await scene.charge(short_number="9999")).reason is Reason.CONFIGURATION
    wrong = Account(campaign_name="sandbox", api_key="guessed")
    got = await view_status(scene.client, wrong, "s-1", "x")
    assert got.reason is Reason.CREDENTIALS
    assert (await scene.view("nobody-knows")).reason is Reason.BAD_COMMAND


async def test_it_sends_messages_and_reports_until_they_are_taken(scene):
    _, sent = await scene.do("phone", **{"from": DONOR, "text": "STOP KATT"})
    assert (sent["taken"], sent["tries"]) == (True, 1)
    method, path, query, form = scene.taken[0]
    assert (method, path, query) == ("POST", "/hooks/mc/mo/s", {})
    assert (form["number"], form["message"], form["action"]) == (DONOR[1:], "STOP KATT", "mpush_ir_message")
    _, sent = await scene.do("report", id="7", phone=DONOR, report="DELIVERED", method="GET")
    assert (sent["taken"], sent["tries"]) == (True, 2), "200 without OK is not an answer"
    method, path, query, form = scene.taken[-1]
    assert (method, path, query["report"], form) == ("GET", "/hooks/mc/dlr/s", "DELIVERED", {})


async def test_its_calls_are_listed_without_the_key(scene):
    await scene.window()
    _, calls = await scene.get("/_sandbox/calls")
    assert calls == [{"call": "new", "query": {"campaign_name": "sandbox", "service_id": "s-1", "id": "katt-1"}}]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("window", {"transaction_id": "x"}),
        ("status", {"transaction_id": "x", "status": "DELIVERED"}),
        ("errors", {"call": "new"}),
        ("errors", {"call": "old", "code": 1}),
        ("phone", {"text": "x"}),
        ("phone", {"from": DONOR, "text": "x", "method": "PUT"}),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_sentence(scene, what, body):
    status, answer = await scene.do(what, **body)
    assert status == 400
    assert answer["Message"]
