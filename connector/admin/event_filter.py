"""The conditions by which a person selects events, in a command's object: `{"state": "unmatched", "since": "7d"}`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.admin.context import AdminContext, get_field, reject_unknown
from connector.config.validation import did_you_mean
from connector.model.errors import ConnectorError
from connector.model.states import EventState
from connector.registry import LoadedConfig
from connector.store.event_search import EventFilter
from connector.telemetry.mask import mask

FILTERS = ("state", "provider", "keyword", "action", "rule", "phone", "person", "since", "until", "text")
SPAN = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)", re.ASCII)
UNITS = {"s": "seconds", "min": "minutes", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def event_filter(context: AdminContext, payload: Mapping[str, Any], *others: str) -> EventFilter:
    """The filter of a command's object, which may have the `others` too. Raises ConnectorError."""
    reject_unknown(payload, *FILTERS, *others)
    given = {name: get_field(payload, name, str) for name in FILTERS if name not in {"state", "phone"}}
    now = context.now()
    since, until = (
        None if text is None else time_of(context.loaded, name, text, now)
        for name, text in (("since", given["since"]), ("until", given["until"]))
    )
    if since is not None and until is not None and since > until:
        raise ConnectorError("`since` is later than `until`, so that no event is between them: exchange the two")
    return EventFilter(
        states=_states(payload.get("state")),
        provider=_provider(context, given["provider"]),
        keyword=given["keyword"],
        action=given["action"],
        rule=given["rule"],
        phone=_phone(context, payload.get("phone"), given["person"]),
        since=since,
        until=until,
        text=given["text"],
    )


def _phone(context: AdminContext, phone: object, person: str | None) -> str | None:
    """A number as a person writes it, or that of a person by the opaque id. Raises ConnectorError."""
    if person is None:
        return None if phone is None else context.phone(phone).e164
    if phone is not None:
        raise ConnectorError("a person is named by `phone` or by `person`, not by both")
    found = context.store.people.phone_of(person)
    if found is None:
        raise ConnectorError("there is no such person, or the person was forgotten")
    return found


def _states(given: object) -> tuple[EventState, ...]:
    names = given if isinstance(given, list) else [] if given is None else [given]
    states: list[EventState] = []
    for name in names:
        try:
            states.append(EventState(str(name)))
        except ValueError:
            known = [one.value for one in EventState]
            raise ConnectorError(
                f"`{mask(str(name))}` is not a state of an event: {did_you_mean(str(name), known) or ', '.join(known)}"
            ) from None
    return tuple(dict.fromkeys(states))


def _provider(context: AdminContext, given: str | None) -> str | None:
    known = (*context.providers, *context.loaded.crms)
    # Events of a provider that was removed from the config are still stored: its name is taken as it is.
    return next((one for one in known if given is not None and one.casefold() == given.casefold()), given)


def time_of(loaded: LoadedConfig, name: str, given: str, now: datetime) -> datetime:
    """A time span before now, such as `7d`, or a date or time in the config's time zone. Raises ConnectorError."""
    text = given.strip()
    if span := SPAN.fullmatch(text):
        return now - timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConnectorError(
            f"`{name}` cannot be `{mask(text)}`: write a time span before now, such as 12h or 7d, or a date or time, such as "
            "2026-11-24 or 2026-11-24T08:30"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(loaded.settings.timezone))
    return moment.astimezone(UTC)
