"""`connector charges`: what a person sees and decides, on a database that no daemon holds."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connector.model.charge import NewCharge
from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Event, Verdict
from connector.model.phone import Phone
from connector.model.states import EventState
from connector.store.agreements import begun_by
from connector.store.inbox import Entry
from connector.store.units import Planned

DONOR = "+4790000001"
OFFER = """
  messagecloud:
    path_secrets: [{env: SCENE_MC}]
    api: {campaign_name: sandbox, key: {env: SCENE_MC_KEY}}
    offers:
      katt:
        service_id: s-1
        short_number: "2172"
        keyword: KATT
        price: 100
        thank_you: https://example.org/a
        cancelled: https://example.org/b
        recurring: {day: 15, retry: {NO_CREDIT: [3d]}}
"""
NOW = datetime.now(UTC)
BEGAN = NOW - timedelta(days=40)


@pytest.fixture
def charging(home):
    text = home.config.read_text()
    home.config.write_text(text.replace("providers:\n", f"providers:{OFFER}", 1))
    home.on_the_road(a_subscription)
    return home


async def a_subscription(scene):
    """A donor has subscribed 40 days ago, and a charge of theirs is in doubt."""
    store = scene.store
    bound = Subscription(
        provider="messagecloud", short_number="2172", keyword="KATT", service_id="s-1", subscription_id="w-1"
    )
    event = Event(
        key="w",
        provider="messagecloud",
        shape="subscription",
        received_at=BEGAN,
        occurred_at=BEGAN,
        msisdn=Phone(DONOR),
        price=Decimal(100),
    )
    entry = Entry(
        key="w", provider="messagecloud", shape="subscription", msisdn=DONOR, received_at=BEGAN, event=event, raw=b""
    )
    (kept,) = await store.inbox.keep([entry])
    decision = Decision(
        phone=Phone(DONOR),
        word=Verdict.OPT_IN,
        scope=Scope.SUBSCRIPTION,
        subscription=bound,
        origin="messagecloud",
        occurred_at=BEGAN,
    )
    planned = Planned(
        event_id=kept.id,
        state=EventState.DELIVERED,
        decisions=(decision,),
        agreements=tuple(begun_by(event, kept.id, [decision])),
    )
    await store.plans.commit([planned], now=BEGAN)
    (agreement,) = store.agreements.of("messagecloud")
    today = NOW.date()
    charge = NewCharge(agreement_id=agreement.id, period="2020-01", due_day=today, last_day=today, in_doubt="lost")
    await store.charges.plan("messagecloud", today, [charge], now=NOW)


async def nothing(_):
    """The database is there."""


def one(home):
    return home.json("charges", "show", 1)


def test_a_preview_shows_each_donor_and_that_charging_is_off(charging):
    day = next(day for n in range(1, 40) if (day := (NOW + timedelta(days=n)).date()).day == 15).isoformat()
    document = charging.json("charges", "preview", "--date", day)
    assert (document["enabled"], document["waits"]) == (False, "it is the first run")
    assert [(each["what"], each["due_day"], each["amount"]) for each in document["charges"]] == [("charge", day, "100")]
    text = charging.run("charges", "preview", "--date", day).output
    assert "charging is off" in text
    assert DONOR not in text


def test_a_past_or_invalid_day_is_refused(charging):
    assert "is over" in charging.run("charges", "preview", "--date", "2020-01-01").output
    assert "not a day" in charging.run("charges", "preview", "--date", "soon").output


def test_a_charge_in_doubt_is_listed_shown_and_decided(charging):
    (listed,) = charging.json("charges", "list", "--state", "in_doubt")["charges"]
    assert (listed["phone"], listed["period"]) == ("+47…001", "2020-01")
    assert one(charging)["decisions"][0] == "connector charges resolve 1 --as taken"
    assert charging.json("charges", "resolve", 1, "--as", "taken")["resolved"] == [1]
    assert one(charging)["state"] == "taken"
    assert "nothing is to be decided" in charging.run("charges", "resolve", 1, "--as", "again").output
    assert [entry["detail"] for entry in one(charging)["history"]] == ["lost", "a person decided: taken"]


@pytest.mark.parametrize(("decision", "state"), [("not-taken", "failed"), ("again", "due")])
def test_each_decision_has_its_state(charging, decision, state):
    charging.json("charges", "resolve", 1, "--as", decision)
    assert one(charging)["state"] == state


def test_a_decision_needs_the_transaction_if_it_is_unknown(charging):
    assert "name it (`--transaction`" in charging.run("charges", "resolve", 1, "--as", "ask").output
    charging.json("charges", "resolve", 1, "--as", "ask", "--transaction", "t-1")
    assert (one(charging)["state"], one(charging)["transaction_id"]) == ("asking", "t-1")


def test_each_command_that_show_prints_works(charging):
    commands = one(charging)["decisions"]
    assert commands[-1] == "connector charges resolve 1 --as ask --transaction ID"
    charging.json(*commands[-1].replace("ID", "t-1").split()[1:])
    assert one(charging)["state"] == "asking"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--period", "2026-13"], "write it like 2026-03"),
        (["list", "--phone", "abc"], "not a phone number"),
        (["preview", "--date", "9999-12-31"], "too far ahead"),
        (["approve", "--date", "9999-12-31"], "too far ahead"),
        (["preview", "--provider", "nope"], "messagecloud"),
        (["show", "1" * 30], "there is no charge"),
        (["resolve", "1", "99", "--as", "taken"], "there is no charge 99"),
        (["resolve", "1", "--as", "taken", "--transaction", " "], "copy it from the provider"),
        (["resolve", "1", "--as", "ask", "--transaction", "w-1"], "the payment at the window"),
    ],
    ids=range(9),
)
def test_a_mistake_is_refused_and_changes_nothing(charging, words, said):
    result = charging.run("charges", *words)
    assert (result.exit_code, said in result.output) == (1, True), result.output
    assert one(charging)["state"] == "in_doubt"


def test_a_run_is_approved_before_its_day(charging):
    day = (NOW + timedelta(days=3)).date().isoformat()
    assert charging.json("charges", "approve", "--date", day)["day"] == day
    assert "approved already" in charging.run("charges", "approve", "--date", day).output


def test_charges_are_paused_and_resumed(charging):
    assert "not paused" in charging.run("charges", "resume").output
    charging.json("charges", "pause", "--why", "an audit")
    assert charging.json("charges", "preview")["paused"] == "an audit"
    assert "paused: an audit" in charging.run("status").output
    charging.json("charges", "resume")
    assert charging.json("charges", "preview")["paused"] is None


def test_without_an_offer_the_cure_is_shown(home):
    home.on_the_road(nothing)
    assert "add `recurring:` to an offer" in home.run("charges", "preview").output


def test_an_unknown_charge_is_reported(charging):
    assert "there is no charge 99" in charging.run("charges", "show", 99).output
