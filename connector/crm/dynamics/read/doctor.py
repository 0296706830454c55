"""Checks a Dynamics 365 org and our access to it: sign-in, clock, rights, change tracking, keys, limits. Changes nothing.

Sources: "WhoAmI", "Use change tracking …" (organization-level read), "Define alternate keys" (a key works when Active).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from connector.crm.crm import Needs
from connector.crm.dynamics.client.api import BadName, identifier
from connector.crm.dynamics.client.responses import FORBIDDEN, Answer, RequestFailed
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.client.web_api import WebApi
from connector.model.finding import SIGN_IN, Finding, Level
from connector.model.operation import ID_FIELD

CLOCK_WARNS, CLOCK_FAILS = timedelta(seconds=30), timedelta(minutes=4)  # an assertion is valid for five minutes
CERTIFICATE_WARNS = timedelta(days=30)
FEW_DAYS = 3  # of a delta link: an outage over a weekend is longer
REMAINING = "x-ms-ratelimit-burst-remaining-xrm-requests"
FEW_REQUESTS = 600  # of 6,000 in five minutes
CLOCK_CURE = "correct this server's clock: let it follow a time server (timedatectl set-ntp true)"
SETUP = "`connector dynamics setup` creates what the shipped mappings need"


async def diagnose(
    web: WebApi, needs: Sequence[Needs], now: Callable[[], datetime], certificate_ends: float | None
) -> list[Finding]:
    """Check the org. `now` returns our own time; `certificate_ends` is in seconds since 1970, None without a certificate."""
    try:
        answer = await web.get("WhoAmI")
    except RequestFailed as failed:
        text = failed.outcome.detail or str(failed.outcome.reason)
        cure = getattr(failed.outcome, "cure", "") or "see Microsoft's message; docs/dynamics.md shows the settings"
        return [Finding(area=SIGN_IN, level=Level.FAIL, text=text, cure=cure)]
    findings = [Finding(area=SIGN_IN, level=Level.OK, text="the application user can sign in")]
    findings += [*_clock(answer, now()), *_limits(answer, web), *_certificate(certificate_ends, now())]
    tables = Tables()
    try:
        await tables.learn(web, [one.object for one in needs if _is_name(one.object)])
        findings += await _link_life(web)
        for need in needs:
            table = tables.get(need.object)
            if table is None:
                text = f"the org has no table {need.object}, or the application user may not see it"
                findings.append(Finding(area="tables", level=Level.FAIL, text=text, cure=SETUP))
            else:
                findings += [*_keys(table, need), *_tracking(table, need), *await _rights(web, table)]
    except RequestFailed as failed:
        text = f"the org does not answer ({failed.outcome.reason}: {failed.outcome.detail})"
        findings.append(Finding(area="tables", level=Level.WARN, text=text, cure="try again"))
    return findings


def _is_name(name: str) -> bool:
    try:
        return bool(identifier(name))
    except BadName:
        return False


def _clock(answer: Answer, now: datetime) -> list[Finding]:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return []
    difference = abs(now - theirs)
    level = Level.FAIL if difference > CLOCK_FAILS else Level.WARN if difference > CLOCK_WARNS else Level.OK
    text = f"this server's clock and Dataverse's are {difference.total_seconds():.0f} s apart"
    return [Finding(area="clock", level=level, text=text, cure="" if level is Level.OK else CLOCK_CURE)]


def _limits(answer: Answer, web: WebApi) -> list[Finding]:
    left = answer.headers.get(REMAINING, "")
    text = f"up to {web.gate.at_once} batches are sent at once"
    if not left.isdecimal():
        return [Finding(area="limits", level=Level.OK, text=text)]
    few = int(left) < FEW_REQUESTS
    text = f"{left} requests are left for this user in five minutes; {text}"
    cure = "another program signs in as the same application user: give the connector a user of its own" if few else ""
    return [Finding(area="limits", level=Level.WARN if few else Level.OK, text=text, cure=cure)]


def _certificate(ends: float | None, now: datetime) -> list[Finding]:
    if ends is None:
        return []
    left = datetime.fromtimestamp(ends, UTC) - now
    level = Level.FAIL if left <= timedelta() else Level.WARN if left < CERTIFICATE_WARNS else Level.OK
    text = f"the certificate expires in {left.days} days" if left > timedelta() else "the certificate has expired"
    cure = (
        "" if level is Level.OK else "make a new certificate, upload it to the app registration, and replace the file"
    )
    return [Finding(area="certificate", level=level, text=text, cure=cure)]


async def _link_life(web: WebApi) -> list[Finding]:
    """How long a delta link lives: a longer outage leads to a pass over all records."""
    try:
        rows = await web.rows("organizations?$select=expirechangetrackingindays")
    except RequestFailed:
        return []
    days = rows[0].get("expirechangetrackingindays") if rows else None
    if not isinstance(days, int):
        return []
    level = Level.WARN if days < FEW_DAYS else Level.OK
    text = f"the org keeps changes for {days} days: after a longer outage the feed reads all records once"
    cure = "set the organization's expirechangetrackingindays to 7 or more" if level is Level.WARN else ""
    return [Finding(area="changes", level=level, text=text, cure=cure)]


def _keys(table: TableInfo, need: Needs) -> list[Finding]:
    findings = []
    for name in need.key_fields:
        if name in {ID_FIELD, table.id_column}:
            continue
        keys = [key for key in table.keys if key.columns == (name,)]
        if any(key.status == "Active" for key in keys):
            text = f"{table.name}.{name} is an alternate key"
            findings.append(Finding(area="keys", level=Level.OK, text=text))
        elif any(key.status == "Failed" for key in keys):
            text = f"the index of the alternate key {table.name}.{name} failed: two records have the same value"
            cure = "`connector dynamics setup --dry-run` lists them: merge them, then run `connector dynamics setup`"
            findings.append(Finding(area="keys", level=Level.FAIL, text=text, cure=cure))
        else:
            waits = ", which is being built" if keys else ""
            text = f"{table.name}.{name} is no alternate key{waits}"
            cure = "wait until its status is Active" if keys else SETUP
            findings.append(Finding(area="keys", level=Level.FAIL, text=text, cure=cure))
    return findings


def _tracking(table: TableInfo, need: Needs) -> list[Finding]:
    if not need.read:
        return []
    if table.tracked:
        return [Finding(area="changes", level=Level.OK, text=f"{table.name}: change tracking is on")]
    text = (
        f"{table.name}: change tracking is off, so the feed reads by modifiedon and sees no deletions until the night"
    )
    cure = f"tick Track changes in the properties of the table {table.name} (it cannot be switched off again)"
    return [Finding(area="changes", level=Level.WARN, text=text, cure=cure)]


async def _rights(web: WebApi, table: TableInfo) -> list[Finding]:
    """Whether the table can be read. Rights to write show with the first write."""
    try:
        await web.get(f"{table.set_name}?$select={table.id_column}&$top=1")
    except RequestFailed as failed:
        if failed.status != FORBIDDEN:
            raise
        text = f"the application user may not read {table.name}"
        cure = f"give its security role Create, Read, Write, Append and AppendTo on {table.name}, organization-level"
        return [Finding(area="rights", level=Level.FAIL, text=text, cure=cure)]
    return [Finding(area="rights", level=Level.OK, text=f"the application user can read {table.name}")]
