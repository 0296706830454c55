"""The answer to an access request, as one HTML file that a donor can read: no script, no style from elsewhere."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined, Template

STATES = {
    "pending": "waits to be dealt with",
    "delivering": "is on its way",
    "delivered": "was carried out",
    "ignored": "led to nothing",
    "unmatched": "led to nothing",
    "no_change": "repeated what was known",
    "superseded": "was replaced by something newer",
    "unreadable": "could not be read",
    "dead": "could not be carried out",
}
CHARGES = {
    "due": "to come",
    "sending": "under way",
    "asking": "under way",
    "taken": "paid",
    "failed": "not paid",
    "in_doubt": "not known yet",
    "skipped": "not charged",
}
TEMPLATE = Path(__file__).with_suffix(".html")


@cache
def _template() -> Template:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )


def person_page(document: Mapping[str, Any]) -> str:
    """The document of person_export() as HTML. Everything in it is escaped."""
    zone = ZoneInfo(document["timezone"])

    def time(text: str | None) -> str:
        return "" if text is None else f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M}"

    return _template().render(person=document, time=time, states=STATES, charges=CHARGES)
