"""Checks a Salesforce org and our access to it: sign-in, API version, clock, remaining API calls, composites.

Changes nothing. checks/mismatches.py checks whether the org has the fields that the mappings need. Source: REST API Developer
Guide, "Versions", "Resources by Version", "Limit Info Header", "Composite".
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from connector.crm.crm import Needs
from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Api, Collection, literal, record
from connector.crm.salesforce.client.oauth import user_of
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.send import Composite
from connector.model.finding import SIGN_IN, Finding, Level
from connector.model.outcome import Reason

VERSIONS = "/services/data/"
# Feeds use the org's clock, so a small difference does no harm; a signed assertion must be right within three minutes.
CLOCK_WARNS, CLOCK_FAILS = timedelta(seconds=30), timedelta(minutes=3)
SPENT_WARNS, SPENT_FAILS = 0.8, 0.98  # share of the org's API calls in 24 hours
API_LICENSE = "Salesforce Integration"  # Salesforce Help, "Give Integration Users API Only Access"
ENGLISH = "en"  # Object Reference, "User" (LanguageLocaleKey): en_US, en_GB …
CLOCK_CURE = "correct this server's clock: let it follow a time server (timedatectl set-ntp true)"


async def diagnose(
    rest: RestClient, needs: Sequence[Needs], composite: Composite, now: Callable[[], datetime]
) -> list[Finding]:
    """Check the org with at most five calls. `now` returns our own time, timezone-aware."""
    api = rest.api
    (root,) = await rest.send_all([api.read(f"{api.root}/")])
    (listed,) = await rest.send_all([api.read(VERSIONS)])
    findings = [_sign_in(root)]
    if isinstance(root, RequestFailed) and root.outcome.reason is Reason.CREDENTIALS:
        return findings
    findings.append(_version(api, root, listed))
    if isinstance(root, Answer):
        findings += _clock(root, now())
        findings += _calls(root)
        if root.status in responses.OK:
            findings += await _composite(rest, needs, composite)
            findings += await _user(rest, root)
    return findings


def _sign_in(root: Answer | RequestFailed) -> Finding:
    whole = root if isinstance(root, RequestFailed) or root.status in responses.OK else responses.failed(root)
    if not isinstance(whole, RequestFailed) or whole.status == 404:  # noqa: PLR2004 - 404: unknown version, but the sign-in works.
        return Finding(area=SIGN_IN, level=Level.OK, text="the integration user can sign in")
    cure = "see Salesforce's message; docs/salesforce-setup.md shows the settings"
    return Finding(area=SIGN_IN, level=Level.FAIL, text=whole.outcome.detail or str(whole.outcome.reason), cure=cure)


def _version(api: Api, root: Answer | RequestFailed, listed: Answer | RequestFailed) -> Finding:
    offered: list[str] = []
    if isinstance(listed, Answer) and isinstance(listed.body, list):
        offered = [str(one.get("version")) for one in listed.body if isinstance(one, dict)]
    if not offered:
        return Finding(
            area="version",
            level=Level.FAIL,
            text="the org does not list its API versions",
            cure="check url: in the config, and trust.salesforce.com",
        )
    if api.version in offered:
        served = isinstance(root, Answer) and root.status in responses.OK
        text = f"the API version {api.version} is offered; the newest is {offered[-1]}"
        return Finding(
            area="version", level=Level.OK if served else Level.WARN, text=text, cure="" if served else "try again"
        )
    return Finding(
        area="version",
        level=Level.FAIL,
        text=f"the org does not offer the API version {api.version}",
        cure=f"set `api_version:` to a version from {offered[0]} to {offered[-1]}, or remove it",
    )


def _clock(root: Answer, now: datetime) -> list[Finding]:
    try:
        theirs = parsedate_to_datetime(root.headers.get("date", ""))
    except ValueError:
        return []
    difference = abs(now - theirs)
    level = Level.FAIL if difference > CLOCK_FAILS else Level.WARN if difference > CLOCK_WARNS else Level.OK
    text = f"this server's clock and Salesforce's are {difference.total_seconds():.0f} s apart"
    return [Finding(area="clock", level=level, text=text, cure="" if level is Level.OK else CLOCK_CURE)]


def _calls(root: Answer) -> list[Finding]:
    usage = responses.usage(root.headers)
    if usage is None or usage.maximum <= 0:
        return []
    spent = usage.used / usage.maximum
    level = Level.FAIL if spent >= SPENT_FAILS else Level.WARN if spent >= SPENT_WARNS else Level.OK
    left = max(0, usage.maximum - usage.used)
    return [
        Finding(
            area="calls",
            level=level,
            text=f"{left} of the org's {usage.maximum} API calls in 24 hours are left",
            cure="" if level is Level.OK else "Setup, Company Information and API Usage shows who uses them",
        )
    ]


async def _user(rest: RestClient, root: Answer) -> list[Finding]:
    """Check the integration user: if a person can sign in as it, that person's edits look like our own writes.

    Returns no finding if the org does not answer. Without the right to view setup, a user can still read its own
    profile.
    """
    user = user_of(root.body.get("identity")) if isinstance(root.body, dict) else None
    if user is None:
        return []
    soql = f"SELECT LanguageLocaleKey, Profile.Name, Profile.UserLicense.Name FROM User WHERE Id = {literal(user)}"  # noqa: S608 - the text is quoted.
    try:
        records = (await rest.rows(rest.api.query_all(soql)))["records"]
    except RequestFailed:
        return []
    row = records[0] if records else {}
    return [*_language(row.get("LanguageLocaleKey")), *_license(row.get("Profile"))]


def _language(key: object) -> list[Finding]:
    """Check that Salesforce's messages are in English. It only matters for how well people can read them."""
    if not isinstance(key, str):
        return []
    if key.startswith(ENGLISH):
        return [Finding(area="language", level=Level.OK, text="the integration user's language is English")]
    return [
        Finding(
            area="language",
            level=Level.WARN,
            text=f"the integration user's language is {key}: Salesforce's messages use it, and the advice for some errors is "
            "less exact",
            cure="in Setup, Users, set the Language of the integration user to English",
        )
    ]


def _license(profile: object) -> list[Finding]:
    """Check that the integration user is not a person's login."""
    license_of = profile.get("UserLicense") if isinstance(profile, dict) else None
    if not isinstance(license_of, dict):
        return []
    name = str(license_of.get("Name"))
    if name == API_LICENSE:
        return [
            Finding(
                area="user",
                level=Level.OK,
                text="the integration user has an API-only licence, so nobody can sign in with it",
            )
        ]
    return [
        Finding(
            area="user",
            level=Level.WARN,
            text=f"the integration user has the licence {name}: a person can sign in with it. The connector may mistake "
            "their edits for its own, so that an undone opt-out or a changed amount is not sent to the provider",
            cure=f"give the connector a user of its own with the licence {API_LICENSE}: see docs/salesforce-setup.md",
        )
    ]


async def _composite(rest: RestClient, needs: Sequence[Needs], composite: Composite) -> list[Finding]:
    """Check upserts of collections inside a composite, which are undocumented, with a record without a key that cannot be saved."""
    # Prefer a standard object: its missing required fields also prevent such a record from being saved.
    by_safety = sorted(needs, key=lambda one: one.object.endswith("__c"))
    keyed = next(((one.object, one.key_fields[0]) for one in by_safety if one.key_fields), None)
    if keyed is None or composite is Composite.REFUSED:
        return []
    name, key = keyed
    probe = Collection(records=[record(name, key, "", {})], object=name, key_field=key)
    works = await _taken(rest, probe)
    if works is False:
        try:
            responses.raise_if_failed(await rest.send(rest.api.collection(probe)))
        except RequestFailed:
            works = None  # a missing object or field gives the same response
    if works is None:
        return []
    if works:
        return [Finding(area="composite", level=Level.OK, text="one API call can write a thousand records")]
    fails = composite is Composite.WORKS
    return [
        Finding(
            area="composite",
            level=Level.FAIL if fails else Level.WARN,
            text="the org accepts no upserts inside a composite: one API call can write 200 records",
            cure="set `composite: auto` in the config" if fails else "no action is needed while API calls are left",
        )
    ]


async def _taken(rest: RestClient, probe: Collection) -> bool | None:
    """Whether the org supports it; None if the response does not say."""
    try:
        (part,) = responses.subanswers(await rest.send(rest.api.collections([probe])), 1)
        responses.raise_if_failed(part)
    except RequestFailed as failed:
        return False if failed.no_such_path else None
    return True
