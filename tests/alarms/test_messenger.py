"""Alarms reach people: one message for each alarm and its end, quiet hours, severities, and receivers that fail."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connector.alarms.messenger import GIVE_UP, OPEN_AGAIN, Messenger, Target
from connector.alarms.policy import CRITICAL, OPT_OUTS, is_quiet, severity_of
from connector.config.notify_settings import NotifySettings, QuietHours
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Cleared, Lifecycle

NOON = datetime(2026, 1, 5, 11, 0, tzinfo=UTC)  # a Monday; 12:00 in Oslo
NIGHT = NOON + timedelta(hours=12)
QUIET = {"begin": "22:00", "end": "07:00"}


def alarm(kind="backup_failed", about="backup", **more):
    return Alarm(kind=kind, about=about, message="it failed for +4790000001", cure="look at the disk", **more)


@pytest.fixture
async def store(tmp_path):
    made = Store.open(tmp_path / "c.db")
    yield made
    await made.close()


class Room:
    """A messenger whose receivers are a list, and whose clock is set by the test."""

    def __init__(self, store, *severities, **settings):
        self.store = store
        self.now = NOON
        self.sent = []
        self.logged = []
        self.works = True
        targets = [
            Target(number=number, address=f"json://host/{number}", severity=severity, digest=True)
            for number, severity in enumerate(severities or ("warning",), start=1)
        ]
        self.settings = NotifySettings.model_validate(settings)
        self.messenger = Messenger(self.settings, targets, timezone="Europe/Oslo", send=self.send, now=lambda: self.now)
        self.messenger.emit = self.logged.append

    async def send(self, address, message):
        if self.works:
            self.sent.append((address[-1], message.title, message.body))
        return self.works

    async def happen(self, *facts, after=timedelta()):
        self.now += after
        for fact in facts:
            self.messenger(fact)
        await self.messenger.step(self.store)
        return [title for _, title, _ in self.sent]


async def test_an_alarm_and_its_end_are_each_sent_once(store):
    room = Room(store)
    await room.happen(alarm(), alarm())
    await room.happen(alarm())
    assert await room.happen(Cleared(kind="backup_failed", about="backup")) == [
        "[warning] connector: backup",
        "[ended] connector: backup",
    ]
    assert await room.happen(Cleared(kind="backup_failed", about="backup")) == [title for _, title, _ in room.sent]
    begun, ended = (body for _, _, body in room.sent)
    assert "What to do: look at the disk" in begun
    assert "No longer so: it failed" in ended
    assert "90000001" not in begun + ended  # numbers stay inside


async def test_after_a_restart_no_alarm_is_sent_again_and_missed_ends_are_sent(store):
    await Room(store).happen(alarm(), alarm("disk_full", "disk"))
    again = Room(store)
    assert await again.happen(alarm()) == []
    assert await again.happen(after=OPEN_AGAIN) == ["[ended] connector: disk"]
    assert await again.happen(Cleared(kind="backup_failed", about="backup")) == [
        "[ended] connector: disk",
        "[ended] connector: backup",
    ]


async def test_alarms_wait_in_quiet_hours_but_those_of_opt_outs_do_not(store):
    room = Room(store, quiet=QUIET)
    room.now = NIGHT
    late = alarm("opt_out_late", "event 25")
    assert await room.happen(alarm(), late) == ["[critical] connector: event 25"]
    assert await room.happen(after=timedelta(hours=6)) == ["[critical] connector: event 25"]
    assert (await room.happen(after=timedelta(hours=2)))[1:] == ["[warning] connector: backup"]


async def test_an_alarm_that_ends_before_it_was_sent_is_never_sent(store):
    room = Room(store, quiet=QUIET)
    room.now = NIGHT
    await room.happen(alarm())
    await room.happen(Cleared(kind="backup_failed", about="backup"), after=timedelta(hours=1))
    assert await room.happen(after=timedelta(hours=12)) == []


async def test_each_recipient_gets_the_messages_of_its_severity(store):
    room = Room(store, "warning", "critical")
    await room.happen(alarm(), alarm("disk_full", "disk"))
    assert [(who, title) for who, title, _ in room.sent] == [
        ("1", "[warning] connector: backup"),
        ("1", "[critical] connector: disk"),
        ("2", "[critical] connector: disk"),
    ]


async def test_a_receiver_that_fails_is_tried_again_and_given_up_after_hours(store):
    room = Room(store)
    room.works = False
    await room.happen(alarm())
    await room.happen(after=timedelta(minutes=2))
    assert [fact.message for fact in room.logged] == [
        "could not send a message to recipient 1 of notify (json); trying again each minute"
    ]
    room.works = True
    assert await room.happen(after=timedelta(minutes=2)) == ["[warning] connector: backup"]
    room.works = False
    await room.happen(alarm("disk_full", "disk"))
    await room.happen(after=GIVE_UP)
    room.works = True
    assert await room.happen(after=timedelta(hours=1)) == ["[warning] connector: backup"]
    assert room.logged[-1].message.startswith("gave up a message to recipient 1")
    assert not any("host" in fact.message for fact in room.logged)  # the address is a secret


async def test_an_alarm_that_does_not_last_has_no_end_message(store):
    room = Room(store)
    await room.happen(alarm(lasts=False))
    assert store.sent_alarms.all() == []


async def test_only_alarms_and_their_ends_become_messages(store):
    assert await Room(store).happen(Lifecycle(message="listening")) == []


async def test_an_alarm_wakes_the_messenger(store):
    room = Room(store)
    sent = asyncio.Event()

    async def send(address, message):
        sent.set()
        return True

    room.messenger._send = send
    running = asyncio.create_task(room.messenger.run(store))
    room.messenger(alarm())
    async with asyncio.timeout(20):
        await sent.wait()
    running.cancel()


@pytest.mark.parametrize(
    ("clock", "quiet"), [("21:59", False), ("22:00", True), ("23:59", True), ("06:59", True), ("07:00", False)]
)
def test_quiet_hours_may_include_midnight(clock, quiet):
    hours = QuietHours.model_validate(QUIET)
    assert is_quiet(hours, datetime.fromisoformat(f"2026-01-05T{clock}:00")) is quiet
    assert is_quiet(None, NOON) is False


def test_an_alarm_about_an_opt_out_is_critical():
    assert OPT_OUTS < CRITICAL
    assert severity_of("opt_out_late") == "critical"
    assert severity_of("backup_failed") == "warning"
