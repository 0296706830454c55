"""Makes HTML of templates. Everything is escaped: donors' texts and CRM's answers stand in the pages."""

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from connector.model.phone import Phone
from connector.web.console.static_files import static_address

TEMPLATES = Path(__file__).parent / "templates"
NONE = "\u2013"  # a dash
NARROW_BLANK = "\u202f"
CODE = re.compile(r"`([^`\n]{1,200})`")
STATE_CLASSES = {"dead": "bad", "unreadable": "bad", "unmatched": "warn", "delivered": "good"}
SPANS = ((86400, "d"), (3600, "h"), (60, "min"))


def age(seconds: float | None) -> str:
    """A time span in its largest unit: `3 min`, `2 h`, `5 d`; below a minute in seconds."""
    if seconds is None:
        return NONE
    for size, unit in SPANS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def number(value: float | None) -> str:
    """A number with narrow blanks between its groups of three digits."""
    return NONE if value is None else f"{value:,}".replace(",", NARROW_BLANK)


def masked(phone: Phone | str | None) -> str:
    """A phone number of which only the last digits are shown."""
    if not phone:
        return NONE
    return (phone if isinstance(phone, Phone) else Phone(phone)).masked


def donor(text: object, most: int = 500) -> Markup:
    """A text that a donor or another system wrote: cut, and isolated, so that it cannot turn the writing direction around it."""
    return Markup('<bdi class="donor">{}</bdi>').format(_cut(text, most))


def _cut(text: object, most: int) -> str:
    written = "" if text is None else str(text)
    return written if len(written) <= most else f"{written[:most]}…"


def prose(text: object, most: int = 2000) -> Markup:
    """A message or a cure, cut: what stands in `backquotes` is shown as code. It may hold what a donor wrote."""
    parts = CODE.split(_cut(text, most))
    shown = [Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)]
    return Markup('<bdi class="donor">{}</bdi>').format(Markup("").join(shown))


def state_class(state: str) -> str:
    """The CSS class of the state of an event or of what goes to one sink."""
    return STATE_CLASSES.get(state, "quiet")


def one_line(value: Any) -> str:
    """A value in one line: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def local_time(value: datetime | str | None, zone: ZoneInfo) -> Markup:
    """A `<time>` in the config's time zone; the second is in its title."""
    if not value:
        return Markup("&ndash;")
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    local = moment.astimezone(zone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        local.isoformat(timespec="seconds"), f"{local:%Y-%m-%d %H:%M:%S %Z}", f"{local:%Y-%m-%d %H:%M}"
    )


@pass_context
def _time(context: Context, value: datetime | str | None) -> Markup:
    return local_time(value, context["zone"])


@cache
def environment() -> Environment:
    """The templates."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "time": _time,
        "age": age,
        "number": number,
        "masked": masked,
        "donor": donor,
        "prose": prose,
        "one_line": one_line,
        "state_class": state_class,
    }
    templates.globals["static"] = static_address
    return templates


def render(template: str, values: dict[str, Any]) -> str:
    """The HTML."""
    return environment().get_template(template).render(values)
