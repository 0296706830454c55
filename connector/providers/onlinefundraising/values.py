"""Values as OnlineFundraising writes them, in webhooks and in its API: texts, times, flags. Other modules interpret them."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.model.timestamp import read_time
from connector.providers.strict_json import only_value

# SMS Inbound API, DATETIME: `2019-10-17 14:37:26 +0200`. A time without an offset has not been seen; it would be read
# as Danish time.
DENMARK = ZoneInfo("Europe/Copenhagen")


def as_text(value: Any) -> str | None:
    """The value as text without blanks around it. Ids and short numbers may come as numbers; a blank text gives None."""
    value = only_value(value)
    if type(value) is str:
        return value.strip() or None
    return str(value) if type(value) is int else None


def as_time(value: Any) -> datetime | None:
    """Parse `yyyy-MM-dd HH:mm:ss Z` as a time in UTC; None if it is not one."""
    return read_time(value, DENMARK)


def as_flag(value: Any) -> bool | None:
    """Parse true or false, in either of their spellings."""
    if type(value) is str:
        value = {"true": True, "false": False}.get(value.strip().casefold())
    return value if type(value) is bool else None
