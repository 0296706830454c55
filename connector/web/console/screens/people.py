"""Screen 4, A person: what holds now and by whose word, what they give, what is asked about them, and their events."""

from typing import Any

from connector.config.console_settings import Role
from connector.model.errors import ConnectorError
from connector.web.console.request import (
    ActionRoute,
    Answer,
    ConsoleRequest,
    NoSuchPage,
    Page,
    PageRoute,
    Redirect,
    Screen,
    whole_number,
)

PATH = "/console/people"


async def search(_: ConsoleRequest) -> Page:
    """Asks for a number."""
    return Page(template="people.html", title="A person", values={"wrong": ""})


async def find(request: ConsoleRequest) -> Answer:
    """The number is posted, so that no address holds it."""
    try:
        found = await request.call("person_find", {"phone": request.form.get("phone")})
    except ConnectorError as error:
        return Page(template="people.html", title="A person", values={"wrong": str(error)})
    return Redirect(f"{PATH}/{found['id']}")


async def person(request: ConsoleRequest) -> Page:
    """One person, by the opaque id."""
    before = whole_number(request.query.get("before"))
    payload: dict[str, Any] = {"id": request.values["id"], "reveal": request.reveal}
    if before is not None:
        payload["before"] = before
    try:
        found = await request.call("person_overview", payload)
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error
    return Page(template="person.html", title="A person", values={"one": found})


async def answer(request: ConsoleRequest) -> Redirect:
    """One click answers a question about the person; what became of it stands on the person's page."""
    done = await request.call(
        "action_do",
        {"what": request.form.get("what"), "ids": request.form_ids(), "who": request.person.user},
    )
    return Redirect(f"{PATH}/{request.values['id']}", [f"{done['words']}."])


SCREEN = Screen(
    label="A person",
    path=PATH,
    pages=[PageRoute(path=PATH, show=search), PageRoute(path=f"{PATH}/{{id}}", show=person)],
    actions=[
        ActionRoute(path=f"{PATH}/find", act=find, role=Role.VIEWER, name=None),
        ActionRoute(path=f"{PATH}/{{id}}/answer", act=answer, role=Role.OPERATOR, name="answer a question"),
    ],
)
