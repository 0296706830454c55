"""Screens 2 and 3: Events, with filters and actions on several, and One event, from what came to what was written.

The filters stand in the address, so that a view can be sent to a colleague. They are posted first: a phone number becomes
the opaque id of the person, and a text that may hold one is refused.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from connector.admin.context import stored_id
from connector.config.console_settings import Role
from connector.model.errors import ConnectorError
from connector.telemetry.mask import mask
from connector.web.console.request import (
    ActionRoute,
    Answer,
    ConsoleRequest,
    NoSuchPage,
    Page,
    PageRoute,
    Redirect,
    Screen,
)

PATH = "/console/events"
FILTERS = ("state", "provider", "keyword", "rule", "since", "until", "text", "person")
TYPED = ("text", "keyword")  # what may hold a number
SHOWN = 50  # events on a page
MOST_TEXT = 200  # characters of a text that is looked for


async def events(request: ConsoleRequest) -> Page:
    """The events that the filters in the address select."""
    filters = _filters_of(request.query)
    return await _events(request, filters) if _is_fit(filters) else await _refuse_number(request, filters)


async def choose(request: ConsoleRequest) -> Answer:
    """Take the filters of the form into the address."""
    filters = _filters_of(request.form)
    if phone := request.form.get("phone"):
        try:
            filters["person"] = (await request.call("person_find", {"phone": phone}))["id"]
        except ConnectorError as error:
            return await _events(request, filters, wrong=str(error))
    if not _is_fit(filters):
        return await _refuse_number(request, filters)
    return Redirect(_address(filters))


def _is_fit(filters: Mapping[str, str]) -> bool:
    """Whether the filters may stand in an address: none of them can be a phone number."""
    return all(mask(filters[name]) == filters[name] for name in TYPED if name in filters)


async def _refuse_number(request: ConsoleRequest, filters: Mapping[str, str]) -> Page:
    others = {name: value for name, value in filters.items() if name not in TYPED}
    wrong = "Addresses hold no phone numbers: look for a number in the field Number, and for a text without one."
    return await _events(request, others, wrong=wrong, text=filters.get("text", ""))


async def _events(request: ConsoleRequest, filters: Mapping[str, str], *, wrong: str = "", text: str = "") -> Page:
    before, after = (stored_id(request.query.get(name)) for name in ("before", "after"))
    walk = {"before": before} if before is not None else {"after": after} if after is not None else {}
    try:
        page, counts = await asyncio.gather(
            request.call("events_page", {**filters, **walk, "limit": SHOWN, "reveal": request.reveal}),
            request.call("events_counts", filters),
        )
    except ConnectorError as error:
        if not filters:
            raise
        return await _events(request, {}, wrong=str(error), text=filters.get("text", ""))
    values = {
        "filters": filters,
        "text": text or filters.get("text", ""),
        "wrong": wrong,
        "page": page,
        "counts": counts,
        "older": None if page["older"] is None else _address({**filters, "before": page["older"]}),
        "newer": None if page["newer"] is None else _address({**filters, "after": page["newer"]}),
        "newest": _address(filters) if walk else None,
        "here": _address({**filters, **walk}),
        "all": _address({**filters, **walk, "all": "yes"}),
        "chosen": request.query.get("all") == "yes",
        "may_act": request.person.role.may(Role.OPERATOR),
    }
    return Page(template="events.html", title="Events", values=values)


def _filters_of(fields: Any) -> dict[str, str]:
    """The filters that are set."""
    filters = {name: fields.get(name) for name in FILTERS if fields.get(name)}
    return {name: value[:MOST_TEXT] for name, value in filters.items()}


def _address(filters: Mapping[str, Any]) -> str:
    return f"{PATH}?{urlencode(filters)}" if filters else PATH


async def event(request: ConsoleRequest) -> Page:
    """One event, whatever became of it."""
    try:
        details = await request.call("event_show", {"id": request.id(), "reveal": request.reveal})
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error
    values = {"details": details, "may_act": request.person.role.may(Role.OPERATOR)}
    return Page(template="event.html", title=f"Event {details['id']}", values=values)


async def person(request: ConsoleRequest) -> Redirect:
    """Go to the person whom an event is about."""
    return Redirect(f"/console/people/{(await request.call('event_person', {'id': request.id()}))['id']}")


SCREEN = Screen(
    label="Events",
    path=PATH,
    pages=[PageRoute(path=PATH, show=events), PageRoute(path=f"{PATH}/{{id}}", show=event)],
    actions=[
        ActionRoute(path=f"{PATH}/choose", act=choose, role=Role.VIEWER, name=None),
        ActionRoute(path=f"{PATH}/{{id}}/person", act=person, role=Role.VIEWER, name=None),
    ],
)
