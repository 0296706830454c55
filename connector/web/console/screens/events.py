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
    given = _given(request.query)
    return await _events(request, given) if _is_fit(given) else await _refuse_number(request, given)


async def choose(request: ConsoleRequest) -> Answer:
    """Take the filters of the form into the address."""
    given = _given(request.form)
    if phone := request.form.get("phone"):
        try:
            given["person"] = (await request.call("person_find", {"phone": phone}))["id"]
        except ConnectorError as error:
            return await _events(request, given, wrong=str(error))
    if not _is_fit(given):
        return await _refuse_number(request, given)
    return Redirect(_address(given))


def _is_fit(given: Mapping[str, str]) -> bool:
    """Whether the filters may stand in an address: none of them can be a phone number."""
    return all(mask(given[name]) == given[name] for name in TYPED if name in given)


async def _refuse_number(request: ConsoleRequest, given: Mapping[str, str]) -> Page:
    others = {name: value for name, value in given.items() if name not in TYPED}
    wrong = "Addresses hold no phone numbers: look for a number in the field Number, and for a text without one."
    return await _events(request, others, wrong=wrong, text=given.get("text", ""))


async def _events(request: ConsoleRequest, given: Mapping[str, str], *, wrong: str = "", text: str = "") -> Page:
    before, after = (stored_id(request.query.get(name)) for name in ("before", "after"))
    walk = {"before": before} if before is not None else {"after": after} if after is not None else {}
    try:
        page, counts = await asyncio.gather(
            request.call("events_page", {**given, **walk, "limit": SHOWN, "reveal": request.reveal}),
            request.call("events_counts", given),
        )
    except ConnectorError as error:
        if not given:
            raise
        return await _events(request, {}, wrong=str(error), text=given.get("text", ""))
    values = {
        "given": given,
        "text": text or given.get("text", ""),
        "wrong": wrong,
        "page": page,
        "counts": counts,
        "older": None if page["older"] is None else _address({**given, "before": page["older"]}),
        "newer": None if page["newer"] is None else _address({**given, "after": page["newer"]}),
        "newest": _address(given) if walk else None,
        "here": _address({**given, **walk}),
        "all": _address({**given, **walk, "all": "yes"}),
        "chosen": request.query.get("all") == "yes",
        "may_act": request.person.role.may(Role.OPERATOR),
    }
    return Page(template="events.html", title="Events", values=values)


def _given(fields: Any) -> dict[str, str]:
    """The filters that are set."""
    given = {name: fields.get(name) for name in FILTERS if fields.get(name)}
    return {name: value[:MOST_TEXT] for name, value in given.items()}


def _address(given: Mapping[str, Any]) -> str:
    return f"{PATH}?{urlencode(given)}" if given else PATH


async def event(request: ConsoleRequest) -> Page:
    """One event, whatever became of it."""
    try:
        found = await request.call("event_show", {"id": request.id(), "reveal": request.reveal})
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error
    values = {"found": found, "may_act": request.person.role.may(Role.OPERATOR)}
    return Page(template="event.html", title=f"Event {found['id']}", values=values)


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
