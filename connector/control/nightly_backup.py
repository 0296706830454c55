"""The nightly backup: made, checked, kept for a while, and an alarm where there is none to rely on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from connector.adapters import Loaded
from connector.delivery.alarms import OpenAlarms
from connector.model.facts import Alarm, Lived, Tell
from connector.store.backups import (
    Backup,
    BackupDamaged,
    BackupFailed,
    backup_name,
    kept,
    make_backup,
    still_sound,
)
from connector.store.disk import free_bytes

KINDS = ("backup_failed", "backup_damaged", "backup_missing", "backup_overdue")
OVERDUE = timedelta(hours=26)  # a day, and daylight saving time
NOW = "`connector backup` makes one now"
RESTORE = (
    "stop the connector, and restore the last backup that is sound: `connector restore FILE`; docs/backup.md says how"
)


def backup_directory(loaded: Loaded) -> Path:
    """Where the nightly backups are kept: by the config, seen from the database's directory."""
    return loaded.at(loaded.settings.store.path).parent / loaded.settings.store.backup.directory


def kept_backups(loaded: Loaded) -> list[Backup]:
    """The nightly backups that are there, the newest first; none where their directory cannot be read."""
    with suppress(OSError):
        return kept(backup_directory(loaded), loaded.at(loaded.settings.store.path).stem)
    return []


class NightlyBackup:
    """Makes the backups of one daemon. Never two at a time."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        tell: Tell,
        now: Callable[[], datetime],
        alarms: OpenAlarms,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        """`free` measures what a file system has left, in bytes."""
        self._settings = loaded.settings.store.backup
        self._database = loaded.at(loaded.settings.store.path)
        self._directory = backup_directory(loaded)
        self._reserve = loaded.settings.store.free_space_floor
        self._tell = tell
        self._now = now
        self._alarms = alarms
        self._free = free
        self._known: set[Path] = set()  # those that were there at the last look
        self._since = now()
        self._making = asyncio.Lock()
        self._failed_at: datetime | None = None
        self._stopped = False

    def stop(self) -> None:
        """End a backup that is under way; nothing of it stays."""
        self._stopped = True

    async def make(self) -> None:
        """Make a backup, look through those that are kept, and delete what is too old."""
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
                self._raise("backup_damaged", f"no backup was made, for {error}", RESTORE)
                return
            except BackupFailed as error:
                if self._stopped:
                    return
                self._failed_at = now
                self._raise("backup_failed", str(error), f"mend that; {NOW}")
                return
            self._clear_all()
            self._known.add(target)
            await asyncio.to_thread(self._check_and_prune)
            details = {"file": target.name, "events": str(found.events)}
            self._tell(Lived(message="made a backup, and checked it", details=details))

    def _check_and_prune(self) -> None:
        backups = kept(self._directory, self._database.stem)
        for old in backups[self._settings.keep :]:
            old.path.unlink(missing_ok=True)
            self._known.discard(old.path)
        for one in backups[1 : self._settings.keep]:
            if why := still_sound(one.path, stopped=self._is_stopped):
                cure = f"delete {one.path}: it cannot be restored; {backups[0].path.name} is sound"
                self._raise("backup_damaged", f"the backup {one.path.name} is damaged ({why})", cure)

    async def look(self) -> int:
        """See whether the backups are there and young enough, and make one that was missed; always 0."""
        if not self._settings.enabled or self._making.locked():
            self._check_age()
            return 0
        backups = kept(self._directory, self._database.stem)
        there = {one.path for one in backups}
        if gone := self._known - there:
            names = ", ".join(sorted(path.name for path in gone))
            cure = f"see who deletes them; {NOW}"
            self._failed_at = self._now()
            self._raise("backup_missing", f"backups are gone from {self._directory}: {names}", cure)
        self._known = there
        if backups and self._failed_at is not None and backups[0].taken_at > self._failed_at:
            self._clear_all()  # a person has made one
        if backups and self._now() - backups[0].taken_at > OVERDUE:
            await self.make()
        self._check_age()
        return 0

    def _check_age(self) -> None:
        if not self._settings.enabled:
            return
        backups = kept(self._directory, self._database.stem)
        newest = max(self._since, backups[0].taken_at) if backups else self._since
        if self._now() - newest > OVERDUE:
            which = f"the last one is of {backups[0].taken_at:%Y-%m-%d %H:%M} UTC" if backups else "there is none"
            cure = f"see the log for why none is made at {self._settings.at}; {NOW}"
            self._failed_at = self._failed_at or self._now()
            self._raise("backup_overdue", f"no backup was made for more than a day: {which}", cure)

    def _raise(self, kind: str, message: str, cure: str) -> None:
        self._alarms.start(Alarm(kind=kind, about=str(self._directory), message=message, cure=cure), kind, self._tell)

    def _clear_all(self) -> None:
        self._failed_at = None
        for kind in KINDS:
            self._alarms.clear(kind, self._tell)

    def _is_stopped(self) -> bool:
        return self._stopped
