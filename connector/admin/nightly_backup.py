"""The nightly backup: made, checked, kept for a while; raises an alarm if no reliable one exists."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from connector.delivery.channels import OpenAlarms
from connector.registry import LoadedConfig
from connector.store.backups import Backup, BackupDamaged, BackupFailed, backup_name, kept, make_backup, still_sound
from connector.store.disk import free_bytes
from connector.telemetry.log_events import Alarm, Emit, Lifecycle

KINDS = ("backup_failed", "backup_damaged", "backup_missing", "backup_overdue")
OVERDUE = timedelta(hours=26)  # a day, and daylight saving time
NOW = "`connector backup` makes one now"
RESTORE = "stop the connector, and restore the last good backup: `connector restore FILE`; see docs/backup.md"


def backup_directory(loaded: LoadedConfig) -> Path:
    """The directory of the nightly backups, from the config, relative to the database's directory."""
    return loaded.database.parent / loaded.settings.store.backup.directory


def kept_backups(loaded: LoadedConfig) -> list[Backup]:
    """The existing nightly backups, the newest first; none if their directory cannot be read."""
    with suppress(OSError):
        return kept(backup_directory(loaded), loaded.database.stem)
    return []


class NightlyBackup:
    """Makes the backups of one daemon, never two at a time."""

    def __init__(
        self,
        loaded: LoadedConfig,
        *,
        emit: Emit,
        now: Callable[[], datetime],
        alarms: OpenAlarms,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        """`free` measures the free space of a file system, in bytes."""
        self._settings = loaded.settings.store.backup
        self._zone = ZoneInfo(loaded.settings.timezone)
        self._database = loaded.database
        self._directory = backup_directory(loaded)
        self._reserve = loaded.settings.store.free_space_floor
        self._emit = emit
        self._now = now
        self._alarms = alarms
        self._free = free
        self.kept: Sequence[Backup] = ()  # as of the last check, the newest first
        self._known: set[Path] = set()  # the same, and what has been made since
        self._since = now()
        self._making = asyncio.Lock()
        self._failed_at: datetime | None = None
        self._stopped = False

    def stop(self) -> None:
        """End a backup that is being made; nothing of it stays."""
        self._stopped = True

    async def make(self) -> None:
        """Make a backup, check those that are kept, and delete what is too old."""
        if not self._settings.enabled:
            return
        async with self._making:
            now = self._now()
            target = self._directory / backup_name(self._database.stem, now)
            try:
                found = await asyncio.to_thread(
                    make_backup,
                    self._database,
                    target,
                    now=now,
                    reserve=self._reserve,
                    free=self._free,
                    stopped=self._is_stopped,
                )
            except BackupDamaged as error:
                self._failed_at = now
                self._raise("backup_damaged", f"no backup was made: {error}", RESTORE)
                return
            except BackupFailed as error:
                if self._stopped:
                    return
                self._failed_at = now
                self._raise("backup_failed", str(error), f"fix that; {NOW}")
                return
            self._clear_all()
            self._known.add(target)
            await asyncio.to_thread(self._check_and_prune)
            await self._list()
            details = {"file": target.name, "events": str(found.events)}
            self._emit(Lifecycle(message="made and checked a backup", details=details))

    def _check_and_prune(self) -> None:
        backups = kept(self._directory, self._database.stem)
        for old in backups[self._settings.keep :]:
            old.path.unlink(missing_ok=True)
            self._known.discard(old.path)
        for one in backups[1 : self._settings.keep]:
            if why := still_sound(one.path, stopped=self._is_stopped):
                cure = f"delete {one.path}: it cannot be restored; {backups[0].path.name} is good"
                self._raise("backup_damaged", f"the backup {one.path.name} is damaged ({why})", cure)

    async def check(self) -> int:
        """Check that the backups exist and are recent, and make one that was missed; always 0."""
        if not self._settings.enabled:
            return 0
        if not self._making.locked():
            await self._list()
            there = {one.path for one in self.kept}
            if gone := self._known - there:
                self._failed_at = self._now()
                names = ", ".join(sorted(path.name for path in gone))
                cure = f"find out what deletes them; {NOW}"
                self._raise("backup_missing", f"backups are missing in {self._directory}: {names}", cure)
            self._known = there
            if self.kept and self._failed_at is not None and self.kept[0].taken_at > self._failed_at:
                self._clear_all()  # a person has made one
            if self.kept and self._now() - self.kept[0].taken_at > OVERDUE:
                await self.make()
        self._check_age()
        return 0

    async def _list(self) -> None:
        # In a thread: the directory may be on a server that does not answer.
        self.kept = await asyncio.to_thread(kept, self._directory, self._database.stem)

    def _check_age(self) -> None:
        newest = max(self._since, self.kept[0].taken_at) if self.kept else self._since
        if self._now() - newest > OVERDUE:
            self._failed_at = self._failed_at or self._now()
            newest_at = self.kept[0].taken_at.astimezone(self._zone) if self.kept else None
            which = f"the last one is from {newest_at:%Y-%m-%d %H:%M}" if newest_at else "there is none"
            cure = f"the log says why none was made at {self._settings.at}; {NOW}"
            self._raise("backup_overdue", f"no backup for more than a day: {which}", cure)

    def _raise(self, kind: str, message: str, cure: str) -> None:
        self._alarms.start(Alarm(kind=kind, about=str(self._directory), message=message, cure=cure), kind, self._emit)

    def _clear_all(self) -> None:
        self._failed_at = None
        for kind in KINDS:
            self._alarms.clear(kind, self._emit)

    def _is_stopped(self) -> bool:
        return self._stopped
