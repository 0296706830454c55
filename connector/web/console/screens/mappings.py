"""Screen 6, Mappings: the files in use, an edited text checked, tested and compared, and only then put in use."""

from typing import Any

from connector.admin.context import stored_id
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
)

PATH = "/console/mappings"
FORM = 1024 * 1024  # bytes of a form: a mapping of 256 KiB, whose characters may each take three


async def files(request: ConsoleRequest) -> Page:
    """The files."""
    return Page(template="mappings.html", title="Mappings", values={"all": await request.call("mappings_list")})


async def file(request: ConsoleRequest) -> Page:
    """One file, with a form for those who may edit it."""
    try:
        mapping_file = await request.call("mapping_show", {"name": request.values["name"]})
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error
    return Page(template="mapping.html", title=mapping_file["name"], values={"file": mapping_file})


async def new_file(request: ConsoleRequest) -> Page:
    """A file that does not exist yet."""
    all_files = await request.call("mappings_list")
    empty = {"name": "", "text": "", "opened": "", "rules": [], "endpoints": [], "why_not": all_files["why_not"]}
    return Page(template="mapping.html", title="A new file", values={"file": empty})


async def check(request: ConsoleRequest) -> Redirect:
    """Check the edited text, run the tests, and compare with the last month."""
    return await _start(request, {})


async def try_event(request: ConsoleRequest) -> Redirect:
    """Try a stored event, or a body, against the edited text."""
    form = request.form
    number = stored_id(form.get("event"))
    if number is not None:
        return await _start(request, {"event": number})
    if form.get("event"):
        return await _start(request, {"event": form.get("event")})
    if not form.get("endpoint"):
        raise ConnectorError("say which event: its number, or an endpoint and a body")
    return await _start(request, {"endpoint": form.get("endpoint"), "body": form.text("body")})


async def check_files(request: ConsoleRequest) -> Redirect:
    """Check the files as they are on disk."""
    done = await request.call("draft_start", {"who": request.person.user})
    return Redirect(f"{PATH}/drafts/{done['draft']}")


async def _start(request: ConsoleRequest, event: dict[str, Any]) -> Redirect:
    form = request.form
    payload = {
        "name": form.get("name"),
        "text": form.text("text"),
        "opened": form.get("opened"),
        "who": request.person.user,
        **event,
    }
    done = await request.call("draft_start", payload)
    return Redirect(f"{PATH}/drafts/{done['draft']}")


async def draft(request: ConsoleRequest) -> Page:
    """An edited text, and what is known of it."""
    return await _draft(request, "draft.html")


async def draft_part(request: ConsoleRequest) -> Page:
    """What is known of it, asked for every second while it is checked."""
    return await _draft(request, "draft_result.html")


async def _draft(request: ConsoleRequest, fragment: str) -> Page:
    try:
        draft = await request.call("draft_show", {"id": request.values["id"]})
    except ConnectorError as error:
        raise NoSuchPage(str(error)) from error
    return Page(template="draft.html", fragment=fragment, title=draft["name"] or "The files", values={"draft": draft})


async def use(request: ConsoleRequest) -> Answer:
    """Write the checked text to its file, and reload the mappings."""
    draft = await request.call("draft_show", {"id": request.values["id"]})
    done = await request.call("draft_use", {"id": request.values["id"]})
    if not done["used"]:
        values = {"draft": draft, "done": done}
        return Page(template="draft_refused.html", title="Nothing was changed", values=values)
    old_file = f" The file from before is kept as {done['kept']}." if done["kept"] else ""
    return Redirect(PATH, [f"{draft['name']} is in use now, version {done['version']}.{old_file}"])


async def reload(request: ConsoleRequest) -> Redirect:
    """The same as `connector reload`."""
    done = await request.call("reload")
    return Redirect(PATH, [f"The mappings were reloaded: version {done['version']} is in use."])


SCREEN = Screen(
    label="Mappings",
    path=PATH,
    pages=[
        PageRoute(path=PATH, show=files),
        PageRoute(path=f"{PATH}/new", show=new_file, role=Role.ADMIN),
        PageRoute(path=f"{PATH}/{{name}}", show=file),
        PageRoute(path=f"{PATH}/drafts/{{id}}", show=draft, role=Role.ADMIN),
        PageRoute(path=f"{PATH}/drafts/{{id}}/result", show=draft_part, role=Role.ADMIN, background=True),
    ],
    actions=[
        ActionRoute(path=f"{PATH}/check", act=check, role=Role.ADMIN, name="check a mapping", form_limit=FORM),
        ActionRoute(path=f"{PATH}/try", act=try_event, role=Role.ADMIN, name="try an event", form_limit=FORM),
        ActionRoute(path=f"{PATH}/check-files", act=check_files, role=Role.ADMIN, name=None),
        ActionRoute(path=f"{PATH}/reload", act=reload, role=Role.ADMIN, name="reload the mappings"),
        ActionRoute(path=f"{PATH}/drafts/{{id}}/use", act=use, role=Role.ADMIN, name="use a mapping"),
    ],
)
