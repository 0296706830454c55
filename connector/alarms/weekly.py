"""Sends the digest once a week, on the day and at the time of the config."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from connector.alarms.digest import Digest, digest_message, make_digest
from connector.alarms.messenger import Messenger
from connector.config.notify_settings import Digest as DigestSettings
from connector.registry import LoadedConfig
from connector.store.store import Store

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CHECK_PAUSE = 60.0  # seconds between two checks of the clock, which may be set


def next_digest(settings: DigestSettings, now: datetime) -> datetime:
    """When the next digest is due; `now` is in the time zone of the config."""
    days = (DAYS.index(settings.day) - now.weekday()) % 7
    due = datetime.combine(now.date() + timedelta(days=days), time.fromisoformat(settings.at), now.tzinfo)
    return due if due > now else due + timedelta(days=7)


async def send_digests(
    loaded: LoadedConfig,
    messenger: Messenger,
    now: Callable[[], datetime],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Send a digest whenever one is due, until it is cancelled."""
    settings, zone = loaded.settings.notify.digest, ZoneInfo(loaded.settings.timezone)
    if settings is None:
        return
    due = next_digest(settings, now().astimezone(zone))
    while True:
        await sleep(CHECK_PAUSE)
        local = now().astimezone(zone)
        if local >= due:
            due = next_digest(settings, local)
            digest = await asyncio.to_thread(_count_week, loaded, now())
            await messenger.send_to_all(digest_message(digest), digest=True)


def _count_week(loaded: LoadedConfig, now: datetime) -> Digest:
    store = Store.open_to_read(loaded.database)
    return make_digest(store, now=now, deadline=loaded.settings.consent.deadline, crms=loaded.crms)
