"""A time of day, as a person writes it in the config."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from connector.config.validation import wrong

TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _time_of_day(text: str) -> str:
    if re.fullmatch(TIME_OF_DAY, text) is None:
        raise wrong("no-time-of-day", "this is not a time of day", "write hours and minutes, such as 02:43 or 23:05")
    return text


def hour_and_minute(text: str) -> tuple[int, int]:
    """The numbers of a time of day."""
    hour, _, minute = text.partition(":")
    return int(hour), int(minute)


TimeOfDay = Annotated[str, AfterValidator(_time_of_day), Field(json_schema_extra={"pattern": TIME_OF_DAY})]
