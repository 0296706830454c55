"""When the digest is due, and what is in it."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from admin.scene import NOW, Scene, make_home

from connector.alarms.digest import digest_message, make_digest
from connector.alarms.weekly import next_digest
from connector.config.notify_settings import Digest

OSLO = ZoneInfo("Europe/Oslo")


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-01-05T07:59", "2026-01-05T08:00"),
        ("2026-01-05T08:00", "2026-01-12T08:00"),
        ("2026-01-07T12:00", "2026-01-12T08:00"),
        ("2026-03-28T12:00", "2026-03-30T08:00"),  # over the change to summer time
    ],
)
def test_the_digest_is_due_on_its_day_and_time(now, due):
    here = datetime.fromisoformat(now).replace(tzinfo=OSLO)
    assert next_digest(Digest(), here) == datetime.fromisoformat(due).replace(tzinfo=OSLO)


def report(action, number, **more):
    body = {
        "transactionId": f"{action}-{number}",
        "sender": "2002",
        "recipient": number,
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "properties": {"Keyword": "MYKEYWORD", "SystemAction": action, "SubscriberTransactionId": f"s-{number}"},
    }
    return json.dumps(body | more).encode()


async def test_the_digest_counts_the_week_and_names_no_person(tmp_path):
    make_home(tmp_path)
    config = next(tmp_path.rglob("config.yaml"))
    scene = Scene.open(config)
    for body in (
        report("Subscribe", "+4790000001"),
        report("Subscribe", "+4790000002"),
        report("Unsubscribe", "+4790000002"),
        report("Recurring", "+4790000001", price=100),
    ):
        await scene.receive(body)
    await scene.plan()
    for sink in ("salesforce", "strex"):
        await scene.settle(sink)
    made = make_digest(scene.store, now=NOW + timedelta(minutes=1), deadline=timedelta(minutes=5), crms=["salesforce"])
    assert (made.events, made.joined, made.left, made.gifts) == (4, 2, 1, 1)
    assert sum(made.amounts.values()) == 100
    assert (made.unmatched, made.refused, made.late_opt_outs) == (0, 0, 0)
    message = digest_message(made)
    assert "2 opt-ins, 1 opt-outs" in message.body
    assert "1 gifts: 100" in message.body
    assert "90000001" not in message.body
    # Two weeks later nothing of it is of the week, but the opt-out that nobody confirmed.
    later = make_digest(scene.store, now=NOW + timedelta(days=14), deadline=timedelta(minutes=5), crms=[])
    assert (later.events, later.joined, later.left) == (0, 0, 0)
    await scene.store.close()
