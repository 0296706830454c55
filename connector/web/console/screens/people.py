"""Screen 4, A person: what holds now and who said it, what they give, what is asked about them, and their events."""

from typing import Any

import orjson

from connector.admin.context import stored_id
from connector.admin.person_overview import phone_of
from connector.admin.person_page import person_page
from connector.config.console_settings import Role
from connector.model.errors import ConnectorError
from connector.web.console.request import (
    ActionRoute,
    Answer,
    ConsoleRequest,
    Download,
    NoSuchPage,
    Page,
    PageRoute,
    Redirect,
    Screen,
)

PATH = "/console/people"
JSON, HTML = "application/json", "text/html"


async def search(_: ConsoleRequest) -> Page:
    """Asks for a number."""
    return Page(template="people.html", title="A person", values={"wrong": ""})


async def find(request: ConsoleRequest) -> Answer:
    """The number is posted, so that no address holds it."""
    try:
        person_id = (await request.call("person_find", {"phone": request.form.get("phone")}))["id"]
    except ConnectorError as error:
        return Page(template="people.html", title="A person", values={"wrong": str(error)})
    return Redirect(f"{PATH}/{person_id}")


async def person(request: ConsoleRequest) -> Page:
    """One person, by the opaque id."""
    before = stored_id(request.query.get("before"))
    payload: dict[str, Any] = {"id": request.values["id"], "reveal": request.reveal}
    if before is not None:
        payload["before"] = before
    try:
        overview = await request.call("person_overview", payload)
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error
    return Page(template="person.html", title="A person", values={"overview": overview})


async def answer(request: ConsoleRequest) -> Redirect:
    """One click answers a question about the person; what became of it stands on the person's page."""
    done = await request.call(
        "action_do",
        {"what": request.form.get("what"), "ids": request.form_ids(), "who": request.person.user},
    )
    return Redirect(f"{PATH}/{request.values['id']}", [f"{done['words']}."])


async def export(request: ConsoleRequest) -> Download:
    """Everything that is held, as JSON or as a page that the person can read. The command writes it to the audit log."""
    document = await request.call("person_export", {"phone": _phone(request), "by": request.person.user})
    name = f"person-{document['exported_at'].replace(':', '')}"
    if request.form.get("as") == "json":
        body = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str)
        return Download(name=f"{name}.json", content_type=JSON, body=body)
    text = person_page(document)
    return Download(name=f"{name}.html", content_type=HTML, body=text.encode("utf-8", "replace"))


async def forget(request: ConsoleRequest) -> Page:
    """What forgetting erases, keeps and waits for; nothing is erased yet."""
    payload = {"phone": _phone(request), "by": request.person.user, "reveal": request.reveal}
    erasure = await request.call("person_forget", payload)
    values = {"erasure": erasure, "id": request.values["id"]}
    return Page(template="person_forget.html", title="Forget a person", values=values)


async def forget_for_good(request: ConsoleRequest) -> Page:
    """Erase it. The command writes it to the audit log."""
    payload = {"phone": _phone(request), "by": request.person.user, "confirm": True}
    erasure = await request.call("person_forget", payload)
    values = {"erasure": erasure, "id": request.values["id"]}
    return Page(template="person_forgotten.html", title="Forget a person", values=values)


def _phone(request: ConsoleRequest) -> str:
    """The number of the person of the page. Raises NoSuchPage."""
    try:
        return phone_of(request.context, request.values["id"]).e164
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error


SCREEN = Screen(
    label="A person",
    path=PATH,
    pages=[PageRoute(path=PATH, show=search), PageRoute(path=f"{PATH}/{{id}}", show=person)],
    actions=[
        ActionRoute(path=f"{PATH}/find", act=find, role=Role.VIEWER, name=None),
        ActionRoute(path=f"{PATH}/{{id}}/answer", act=answer, role=Role.OPERATOR, name="answer a question"),
        ActionRoute(path=f"{PATH}/{{id}}/export", act=export, role=Role.ADMIN, name=None),
        ActionRoute(path=f"{PATH}/{{id}}/forget", act=forget, role=Role.ADMIN, name=None),
        ActionRoute(path=f"{PATH}/{{id}}/forget-for-good", act=forget_for_good, role=Role.ADMIN, name=None),
    ],
)
