"""The audit log: who did what in the console, and who looked at unmasked numbers."""

from connector.admin.context import stored_id
from connector.config.console_settings import Role
from connector.web.console.request import ConsoleRequest, Page, PageRoute, Screen

PATH = "/console/audit"
SHOWN = 50  # entries of one page


async def audit(request: ConsoleRequest) -> Page:
    """The newest entries, or those before an entry."""
    before = stored_id(request.query.get("before"))
    audit_log = await request.call("console_audit", {"limit": SHOWN, **({} if before is None else {"before": before})})
    return Page(template="audit.html", title="Audit log", values={**audit_log, "before": before})


SCREEN = Screen(
    label="Audit log", path=PATH, pages=[PageRoute(path=PATH, show=audit, role=Role.ADMIN)], role=Role.ADMIN
)
