"""The nightly backup: kept for a while, and a person is told if there is no reliable one."""

from datetime import UTC, datetime, timedelta

import pytest
from admin.scene import make_home

from connector.admin.nightly_backup import NightlyBackup, kept_backups
from connector.delivery.channels import OpenAlarms
from connector.registry import load_config
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Cleared

GIB = 1 << 30


class Nights:
    """A daemon's nightly backups, and the days that go by."""

    def __init__(self, directory, backup="keep: 3"):
        self.config = make_home(directory)
        text = self.config.read_text().replace(
            "free_space_floor: 0B", f"free_space_floor: 1MiB, backup: {{{backup}}}", 1
        )
        self.config.write_text(text)
        self.loaded = load_config(self.config)
        self.now = datetime(2026, 11, 22, 3, 15, tzinfo=UTC)
        self.free = GIB
        self.facts = []
        self.store = Store.open(directory / "connector.db")
        self.start()

    def start(self):
        self.backup = NightlyBackup(
            self.loaded, emit=self.facts.append, now=lambda: self.now, alarms=OpenAlarms(), free=lambda _: self.free
        )

    @property
    def names(self):
        return [one.path.name for one in kept_backups(self.loaded)]

    @property
    def alarms(self):
        return [fact.kind for fact in self.facts if isinstance(fact, Alarm)]

    @property
    def cleared(self):
        return [fact.kind for fact in self.facts if isinstance(fact, Cleared)]


@pytest.fixture
async def nights(tmp_path):
    made = Nights(tmp_path)
    yield made
    await made.store.close()


async def test_a_backup_is_made_each_night_and_the_last_ones_are_kept(nights):
    for _ in range(5):
        await nights.backup.make()
        nights.now += timedelta(days=1)
    assert nights.names == [f"connector-202611{day}T031500Z.db" for day in (26, 25, 24)]
    assert nights.alarms == []


async def test_a_failed_backup_raises_an_alarm_that_the_next_one_clears(nights):
    await nights.backup.make()
    nights.now += timedelta(days=1)
    nights.free = 1 << 20
    await nights.backup.make()
    assert nights.alarms == ["backup_failed"]
    assert len(nights.names) == 1
    nights.free = GIB
    await nights.backup.make()
    assert nights.cleared == ["backup_failed"]
    assert len(nights.names) == 2


async def test_a_damaged_kept_backup_raises_an_alarm_with_its_name(nights):
    await nights.backup.make()
    (name,) = nights.names
    with (nights.config.parent / "backups" / name).open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    nights.now += timedelta(days=1)
    await nights.backup.make()
    (alarm,) = (fact for fact in nights.facts if isinstance(fact, Alarm))
    assert (alarm.kind, name in alarm.message, name in alarm.cure) == ("backup_damaged", True, True)


async def test_a_missing_backup_raises_an_alarm(nights):
    await nights.backup.make()
    (name,) = nights.names
    (nights.config.parent / "backups" / name).unlink()
    await nights.backup.check()
    assert nights.alarms == ["backup_missing"]
    nights.now += timedelta(minutes=1)
    await nights.backup.make()
    assert nights.cleared == ["backup_missing"]


async def test_a_backup_deleted_by_retention_raises_no_alarm(nights):
    for _ in range(5):
        await nights.backup.make()
        await nights.backup.check()
        nights.now += timedelta(days=1)
    assert nights.alarms == []


async def test_a_missed_nightly_backup_is_made_later(nights):
    await nights.backup.make()
    nights.start()  # the machine was off for two days
    nights.now += timedelta(days=2)
    await nights.backup.check()
    assert len(nights.names) == 2
    assert nights.alarms == []


async def test_the_alarm_about_an_overdue_backup_lasts_until_a_person_makes_one(nights):
    nights.now += timedelta(hours=25)
    await nights.backup.check()
    assert nights.alarms == []
    nights.now += timedelta(hours=2)
    await nights.backup.check()
    await nights.backup.check()
    assert nights.alarms == ["backup_overdue"]
    nights.now += timedelta(minutes=1)
    by_hand = NightlyBackup(nights.loaded, emit=lambda _: None, now=lambda: nights.now, alarms=OpenAlarms())
    await by_hand.make()
    await nights.backup.check()
    assert nights.cleared == ["backup_overdue"]


async def test_a_damaged_database_raises_an_alarm_with_the_restore_command(nights):
    await nights.store.close()
    with (nights.config.parent / "connector.db").open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 4096)
    await nights.backup.make()
    (alarm,) = (fact for fact in nights.facts if isinstance(fact, Alarm))
    assert alarm.kind == "backup_damaged"
    assert "connector restore FILE" in alarm.cure
    assert nights.names == []


async def test_the_nightly_backup_can_be_turned_off(tmp_path):
    nights = Nights(tmp_path, backup="enabled: false")
    await nights.backup.make()
    nights.now += timedelta(days=3)
    await nights.backup.check()
    assert (nights.names, nights.alarms) == ([], [])
    await nights.store.close()
