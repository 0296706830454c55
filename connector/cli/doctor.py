"""`connector doctor`: checks everything that the connector needs; each finding has advice."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from connector.cli.check import CONFIG, LACKS, LIVE, examine, is_shipped, setup_cure
from connector.cli.exit_codes import Exit
from connector.cli.render import Paper, answer, as_json, show_slow_step
from connector.cli.setup import Setup, load_rules
from connector.model.finding import SIGN_IN, Finding, Level
from connector.model.problem import ProblemsFound, Severity

if TYPE_CHECKING:
    from connector.registry import LoadedConfig

STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
DAEMON = "daemon"
SHOWN = 3  # places shown per problem; `check` lists them all


@click.command()
@as_json
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Look at everything that the connector needs: files, disk, CRMs, providers.

    Each finding is ok, warn or fail, and says what to do. Ends with 1 if one is fail, and with 0 if some only warn.
    """
    setup: Setup = ctx.obj
    checked = examine(setup, live=True, strict=True)
    try:
        loaded = setup.config()
    except ProblemsFound:
        findings = _findings_of_files(checked, frozenset(), "correct the config first")
    else:
        from connector.checks.environment import check_environment  # noqa: PLC0415 - see the package's docstring.

        with show_slow_step("checking the CRM"):
            looked = asyncio.run(_findings_of_crms(loaded))
        without_sign_in = frozenset(name for name, found in looked.items() if any(map(_fails_to_sign_in, found)))
        findings = [
            *_findings_of_files(checked, without_sign_in, setup_cure(loaded)),
            _finding_of_daemon(loaded),
            *check_environment(loaded),
            *(replace(one, area=f"{name} {one.area}") for name, found in looked.items() for one in found),
        ]
    levels = [one.level for one in findings]
    document = {
        "ok": Level.FAIL not in levels,
        "counts": {level.value: levels.count(level) for level in Level},
        "findings": [asdict(one) | {"level": one.level.value} for one in findings],
    }
    answer(document, _show, json_wanted=as_json)
    if Level.FAIL in levels:
        ctx.exit(Exit.NO)


def _fails_to_sign_in(finding: Finding) -> bool:
    return finding.area == SIGN_IN and finding.level is Level.FAIL


def _findings_of_files(checked: Mapping[str, Any], without_sign_in: frozenset[str], set_up: str) -> list[Finding]:
    """The results of `check --live` as findings: config, secrets, mappings, the CRM's fields, the providers' keywords.

    It cannot check a CRM at which the sign-in fails. `set_up` is the cure for what the CRM lacks.
    """
    places: dict[tuple[str, ...], list[str]] = {}
    for one in checked["problems"]:
        if one["code"] == LIVE and one["file"] in without_sign_in:
            continue
        place = f"{one['file']}:{one['line']}:{one['column']}" if one["line"] else one["file"]
        places.setdefault((one["code"], one["severity"], one["message"], one["hint"]), []).append(place)
    findings = [
        Finding(
            area="fields" if code in {LIVE, *LACKS} and CONFIG not in where else "files",
            level=Level.FAIL if severity == Severity.ERROR.value else Level.WARN,
            text=f"{message} ({_listed(where)})",
            cure=f"{set_up}; or {hint}"
            if code in LACKS and is_shipped(message)
            else hint or (set_up if code == LIVE and CONFIG not in where else ""),
        )
        for (code, severity, message, hint), where in places.items()
    ]
    counts = checked["mapping"]
    if counts and not checked["errors"]:
        text = f"config and {counts['rules']} rules in {counts['files']} mapping files match each other and the CRM"
        findings.insert(0, Finding(area="files", level=Level.OK, text=text))
    return findings


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return ", ".join(places[:SHOWN]) + more


def _finding_of_daemon(loaded: "LoadedConfig") -> Finding:
    """Whether the daemon runs, and whether it has problems itself."""
    from connector.cli.client import START, ask_daemon  # noqa: PLC0415 - see the package's docstring.
    from connector.model.errors import ConnectorError  # noqa: PLC0415 - the same.

    try:
        reply = ask_daemon(loaded, "status", {})
    except ConnectorError as error:
        return Finding(area=DAEMON, level=Level.WARN, text="it is not known whether the daemon runs", cure=str(error))
    if reply is None:
        cure = f"{START}; its log says why if it ends"
        return Finding(area=DAEMON, level=Level.WARN, text="the daemon does not run", cure=cure)
    problems = sum(one["severity"] == Severity.ERROR.value for one in reply["problems"])
    if problems:
        text = f"the daemon runs, and {problems} thing{'' if problems == 1 else 's'} went wrong"
        return Finding(area=DAEMON, level=Level.WARN, text=text, cure="`connector status` shows each with its cure")
    since = datetime.fromisoformat(reply["daemon"]["since"]).astimezone(ZoneInfo(loaded.settings.timezone))
    text = f"the daemon runs since {since:%Y-%m-%d %H:%M}; `connector console login` opens its console"
    return Finding(area=DAEMON, level=Level.OK, text=text)


async def _findings_of_crms(loaded: "LoadedConfig") -> Mapping[str, Sequence[Finding]]:
    from connector.checks.crm_requirements import needs  # noqa: PLC0415 - the same.
    from connector.delivery.http_client import Transport  # noqa: PLC0415 - the same.
    from connector.model.errors import ConnectorError  # noqa: PLC0415 - the same.
    from connector.registry import build_crms  # noqa: PLC0415 - see the package's docstring.

    try:
        crms = build_crms(loaded)
    except ConnectorError:  # a missing secret is reported among the problems of the files
        return {}
    try:
        wanted = needs(load_rules(loaded))
    except ProblemsFound:  # the same
        wanted = {}
    found = {}
    async with Transport() as transport:
        for name, crm in crms.items():
            http = transport.client(crm.credentials)
            found[name] = await crm.diagnose(http, wanted.get(name, []), lambda: datetime.now(UTC))
    return found


def _show(paper: Paper, document: dict[str, Any]) -> None:
    for one in document["findings"]:
        level = Level(one["level"])
        paper.line(f"{level:<4}  {one['area']}: {one['text']}", style=STYLES[level])
        if one["cure"]:
            paper.line(f"do: {one['cure']}", indent=6)
    counts = document["counts"]
    warnings = f"{counts['warn']} warning{'' if counts['warn'] == 1 else 's'}"
    errors = f"{counts['fail']} error{'' if counts['fail'] == 1 else 's'}"
    paper.line(f"{counts['ok']} ok, {warnings}, {errors}", style="bold")
