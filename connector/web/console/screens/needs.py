"""Screen 5, What needs you: what waits for a person, actions with a preview, and what became of each event."""

from typing import Any

from connector.admin.actions import DISCARD, REPLAY, RETRY
from connector.admin.open_questions import DROP, RELEASE
from connector.admin.stop_questions import WAS, WAS_NOT
from connector.config.console_settings import Role
from connector.model.errors import ConnectorError
from connector.web.console.request import (
    ActionRoute,
    ConsoleRequest,
    NoSuchPage,
    Page,
    PageRoute,
    Redirect,
    Screen,
)

PATH = "/console/needs"
BUTTONS = {
    RETRY: "Retry now",
    DISCARD: "Discard now",
    REPLAY: "Replay now",
    RELEASE: "Send now",
    DROP: "Discard now",
    WAS: "It was a stop",
    WAS_NOT: "It was not a stop",
}
FILTERS = ("state", "provider", "action", "keyword", "rule", "since", "until", "text", "person")  # of a replay
POLLED = 600  # seconds after an action during which its page asks for the result by itself


async def needs(request: ConsoleRequest) -> Page:
    """All that waits."""
    document = await request.call("needs_list", {"reveal": request.reveal})
    actions = await request.call("actions_list")
    return Page(template="needs.html", title="What needs you", values={"needs": document, **actions})


async def preview(request: ConsoleRequest) -> Page:
    """What an action would do, with the button that does it."""
    which = _which(request)
    action = await request.call("action_preview", {**which, "reveal": request.reveal})
    values = {"action": action, "fields": _hidden(request), "button": BUTTONS[action["what"]], "back": _back(request)}
    return Page(template="needs_preview.html", title="What will happen", values=values)


async def do_action(request: ConsoleRequest) -> Redirect:
    """Do the action, and go to the page of its result for each event."""
    done = await request.call("action_do", {**_which(request), "who": request.person.user})
    messages = [f"{done['words']}."]
    if done["may_be_done"]:
        left = ", ".join(str(one) for one in done["may_be_done"][:10])
        messages.append(f"Left as they are, because they may have been done already: events {left}.")
    return Redirect(f"{PATH}/actions/{done['action']}", messages)


async def action_result(request: ConsoleRequest) -> Page:
    """The result of an action for each of its events."""
    return await _action_result(request, "needs_action.html")


async def action_result_part(request: ConsoleRequest) -> Page:
    """The changing part of the result, asked for every two seconds."""
    return await _action_result(request, "needs_action_result.html")


async def _action_result(request: ConsoleRequest, fragment: str) -> Page:
    try:
        action = await request.call("action_show", {"id": request.id()})
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error
    polls = not action["finished"] and action["seconds"] < POLLED
    values = {"action": action, "polls": polls}
    return Page(template="needs_action.html", fragment=fragment, title="What became of it", values=values)


async def resolve(request: ConsoleRequest) -> Redirect:
    """Decide about a charge that may have been taken."""
    payload: dict[str, Any] = {"ids": request.form_ids(), "decision": request.form.get("decision")}
    if transaction := request.form.get("transaction"):
        payload["transaction"] = transaction
    await request.call("charges_resolve", payload)
    charge = await request.call("charges_show", {"id": request.form_ids()[0]})
    detail = f": {charge['detail']}" if charge["detail"] else ""
    return Redirect(PATH, [f"Charge {charge['id']} is {charge['state']} now{detail}."])


def _back(request: ConsoleRequest) -> str:
    """The page that the person came from: the events, or this screen. Another site's address is never taken."""
    back = request.form.get("back")
    return back if back.startswith("/console/events") else PATH


async def preview_run(request: ConsoleRequest) -> Page:
    """What a day's run would charge, with the button that approves it."""
    day = {"provider": request.form.get("provider"), "date": request.form.get("date")}
    run = await request.call("charges_preview", {**day, "reveal": request.reveal})
    values = {"run": run, "day": day}
    return Page(template="needs_run.html", title="What will be charged", values=values)


async def approve_run(request: ConsoleRequest) -> Redirect:
    """Approve a day's run of charges."""
    day = {"provider": request.form.get("provider"), "date": request.form.get("date")}
    done = await request.call("charges_approve", day)
    return Redirect(
        PATH, [f"The run of {done['day']} at {done['provider']} is approved, {done['size']} new charge(s)."]
    )


async def resume_charges(request: ConsoleRequest) -> Redirect:
    """Resume the charges of a provider that were paused."""
    done = await request.call("charges_resume", {"provider": request.form.get("provider")})
    return Redirect(PATH, [f"The charges at {done['provider']} are resumed."])


def _which(request: ConsoleRequest) -> dict[str, Any]:
    """What the form says: the action, and to which events."""
    form = request.form
    which: dict[str, Any] = {"what": form.get("what")}
    for name in ("group", *FILTERS):
        if form.get(name):
            which[name] = form.get(name)
    if "id" in form:
        which["ids"] = request.form_ids()
    return which


def _hidden(request: ConsoleRequest) -> list[tuple[str, str]]:
    names = ("what", "group", *FILTERS, "id", "back")
    return [(name, value) for name in names for value in request.form.all(name) if value]


SCREEN = Screen(
    label="What needs you",
    path=PATH,
    pages=[
        PageRoute(path=PATH, show=needs),
        PageRoute(path=f"{PATH}/actions/{{id}}", show=action_result),
        PageRoute(path=f"{PATH}/actions/{{id}}/result", show=action_result_part, background=True),
    ],
    actions=[
        ActionRoute(path=f"{PATH}/preview", act=preview, role=Role.OPERATOR, name=None),
        ActionRoute(path=f"{PATH}/act", act=do_action, role=Role.OPERATOR, name="act on what waits"),
        ActionRoute(path=f"{PATH}/charge", act=resolve, role=Role.OPERATOR, name="decide about a charge"),
        ActionRoute(path=f"{PATH}/run", act=preview_run, role=Role.OPERATOR, name=None),
        ActionRoute(path=f"{PATH}/approve", act=approve_run, role=Role.OPERATOR, name="approve a run of charges"),
        ActionRoute(path=f"{PATH}/resume", act=resume_charges, role=Role.OPERATOR, name="resume charges"),
    ],
)
