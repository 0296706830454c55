"""`connector check`: reports all errors in config and mappings together."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.exit_codes import Exit
from connector.cli.render import Paper, answer, as_json, show_slow_step
from connector.cli.setup import (
    Setup,
    lock_file,
    lost_opt_outs,
    read_locks,
    read_rules,
    short_path,
    with_file_paths,
)
from connector.config.shipped_mappings import shipped_mappings
from connector.model.problem import Problem, ProblemsFound, Severity

if TYPE_CHECKING:
    from connector.mapping.compile.ruleset import Ruleset
    from connector.model.crm_schema import CrmSchema
    from connector.registry import LoadedConfig

LIVE = "live"  # the code of what a CRM or a provider does not have, or of why it could not be asked
CONFIG = "config"  # the place of such a problem that concerns no org, such as a secret that cannot be used
SECRET_MISSING = "secret-missing"  # noqa: S105 - the code of a problem.
NAMED = re.compile(r"`(\w+)`")
LACKS = frozenset({"no-such-object", "no-such-field"})  # codes for what is missing in the CRM, or hidden from us


@click.command()
@click.option("--live", is_flag=True, help="Ask each CRM and provider whether it has what the mappings need.")
@click.option("--strict", is_flag=True, help="Treat a missing secret as an error.")
@as_json
@click.pass_context
def check(ctx: click.Context, *, live: bool, strict: bool, as_json: bool) -> None:
    """Check config and mappings, and print all problems at once as file:line:column.

    Ends with 1 if there are errors. Without --live no CRM and no provider is called.
    """
    document = examine(ctx.obj, live=live, strict=strict)
    answer(document, _show, json_wanted=as_json)
    if document["errors"]:
        ctx.exit(Exit.NO)


def examine(setup: Setup, *, live: bool, strict: bool) -> dict[str, Any]:
    """The document of the command `check`. `doctor`, `init` and `preview` use it too."""
    from connector.cli.excerpt import Excerpts  # noqa: PLC0415 - see the package's docstring.
    from connector.pipeline.rule_tests import failing_tests  # noqa: PLC0415 - the same.

    path = setup.path()
    loaded, found = _config(setup, path, strict=strict or live)
    rules: Ruleset | None = None
    locks: Mapping[str, CrmSchema] = {}
    if loaded is not None:
        try:
            locks = {} if live else read_locks(loaded)
        except ProblemsFound as problems:
            found += problems.problems
        try:
            rules = read_rules(loaded, locks)
            found += with_file_paths(loaded, rules.warnings)
        except ProblemsFound as problems:
            found += problems.problems
        all_problems = _compare_with_locks(loaded, locks)
        if live and rules is not None:
            with show_slow_step("asking the CRM"):
                all_problems += asyncio.run(_ask_crms(loaded, rules))
            with show_slow_step("asking the providers"):
                all_problems += asyncio.run(_ask_providers(loaded))
        said = {one.message for one in found}
        found += [one for one in all_problems if one.code != LIVE or one.message not in said]
        if rules is not None and not _bad_consent_fields(loaded, all_problems):
            found += lost_opt_outs(loaded, rules)
        if rules is not None and not any(one.severity is Severity.ERROR for one in found):
            found += with_file_paths(loaded, failing_tests(rules))
    found = list(dict.fromkeys(found))  # a record of `records:` is compared once for each rule that uses it
    errors = sum(problem.severity is Severity.ERROR for problem in found)
    excerpts = Excerpts(path)
    return {
        "ok": not errors,
        "config": str(path),
        "errors": errors,
        "warnings": len(found) - errors,
        "problems": [one | {"excerpt": excerpts.of(one)} for one in map(_problem, found)],
        "mappings_checked": loaded is not None,
        "mapping": None if rules is None else _counts(rules),
        "set_up": setup_cure(loaded)
        if loaded and any(one.code in LACKS and is_shipped(one.message) for one in found)
        else None,
        "schemas": {} if loaded is None else {name: _schema_of(loaded, name, locks, live=live) for name in loaded.crms},
    }


def is_shipped(message: str) -> bool:
    """Whether the object or field that the CRM lacks, the last name of the message, stands in a shipped mapping."""
    name = NAMED.findall(message)[-1]
    texts = (path.read_text(encoding="utf-8") for path in shipped_mappings().rglob("*.yaml"))
    return any(re.search(rf"\b{name}\b", text) for text in texts)


def setup_cure(loaded: "LoadedConfig") -> str:
    """How a CRM gets what the shipped mappings need: the command of each type that is configured."""
    commands = dict.fromkeys(f"`connector {one.type} setup`" for one in loaded.crms.values())
    adds = "adds" if len(commands) == 1 else "add"
    return f"{' and '.join(commands)} {adds} to the org what the shipped mappings need"


def _config(setup: Setup, path: Path, *, strict: bool) -> "tuple[LoadedConfig | None, list[Problem]]":
    from connector.checks.consent_fields import unclear_numbers  # noqa: PLC0415 - the same.
    from connector.config.yaml_document import read  # noqa: PLC0415 - the same.
    from connector.registry import number_reader  # noqa: PLC0415 - see the package's docstring.

    try:
        loaded = setup.config()
    except ProblemsFound as found:
        return None, list(found.problems)
    document = read(path)
    problems = list(document.warnings)
    consent = {name: one.consent for name, one in loaded.crms.items()}
    problems += unclear_numbers(document, consent, number_reader(loaded))
    missing = Severity.ERROR if strict else Severity.WARNING
    for where, code, message in _faulty_secrets(loaded):
        severity = missing if code == SECRET_MISSING else Severity.WARNING
        problems.append(document.problem(where, code, message, severity=severity))
    return loaded, problems


def _faulty_secrets(loaded: "LoadedConfig") -> Iterable[tuple[tuple[str | int, ...], str, str]]:
    """The place of each secret that is missing or odd, the code of the problem, and the message."""
    from connector.config.secrets import SecretMissing, oddities, resolve  # noqa: PLC0415 - see the package's docstring.

    for where, ref in _secrets(loaded.settings, ()):
        try:
            secret = resolve(ref, loaded.base).get_secret_value()
        except SecretMissing as missing:
            yield where, SECRET_MISSING, str(missing)
            continue
        for odd in oddities(secret, in_path="path_secrets" in where):
            yield where, "odd-secret", f"the {ref} {odd}"
        if where[0] == "notify":
            from connector.alarms.send import is_address  # noqa: PLC0415 - the same.
            from connector.alarms.targets import bad_address  # noqa: PLC0415 - the same.

            if not is_address(secret.strip()):
                yield where, "no-address", bad_address(ref)


def _secrets(node: Any, where: tuple[str | int, ...]) -> Iterable[tuple[tuple[str | int, ...], Any]]:
    """All secrets of the settings, with their places in the file: keys have the names of the fields."""
    from pydantic import BaseModel  # noqa: PLC0415 - see the package's docstring.

    from connector.config.secrets import SecretRef  # noqa: PLC0415 - the same.

    if isinstance(node, SecretRef):
        yield where, node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from _secrets(getattr(node, name), (*where, name))
    elif isinstance(node, dict):
        for name, one in node.items():
            yield from _secrets(one, (*where, name))
    elif isinstance(node, list | tuple):
        for place, one in enumerate(node):
            yield from _secrets(one, (*where, place))


async def _ask_crms(loaded: "LoadedConfig", rules: "Ruleset") -> list[Problem]:
    """Compare the needs of mappings and config with the CRMs' current objects."""
    from connector.checks.crm_requirements import needs  # noqa: PLC0415 - the same.
    from connector.checks.describe_crm import describe_what_is_used  # noqa: PLC0415 - the same.
    from connector.checks.mismatches import mismatches  # noqa: PLC0415 - the same.
    from connector.config.yaml_document import read  # noqa: PLC0415 - the same.
    from connector.delivery.http_client import Transport  # noqa: PLC0415 - the same.
    from connector.model.errors import ConnectorError  # noqa: PLC0415 - the same.
    from connector.registry import build_crms  # noqa: PLC0415 - see the package's docstring.

    try:
        crms = build_crms(loaded)
    except ConnectorError as error:
        return [_live_problem(CONFIG, str(error))]
    wanted, document = needs(rules), read(loaded.path, str(short_path(loaded.path)))
    found: list[Problem] = []
    async with Transport() as transport:
        for name, crm in crms.items():
            try:
                pulled = await describe_what_is_used(transport.client(crm.credentials), crm, wanted.get(name, []))
            except ConnectorError as error:
                found.append(_live_problem(name, str(error)))
                continue
            differing = mismatches(rules, document, crm, pulled.schema)
            found += [*with_file_paths(loaded, differing.mappings), *differing.config]
            found += _outdated_lock(loaded, pulled.schema)
    return found


def _outdated_lock(loaded: "LoadedConfig", now: "CrmSchema") -> Iterable[Problem]:
    from connector.checks.schema_diff import changes  # noqa: PLC0415 - see the package's docstring.

    try:
        before = read_locks(loaded).get(now.crm)
    except ProblemsFound as found:
        yield from found.problems
        return
    changed = changes(before, now) if before else []
    if changed:
        more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
        yield Problem(
            file=str(lock_file(loaded, now.crm)),
            position=None,
            code="lock-outdated",
            message=f"{now.crm} no longer matches this file: {changed[0].text}{more}",
            hint="update it with `connector schema pull`",
            severity=Severity.WARNING,
        )


def _compare_with_locks(loaded: "LoadedConfig", locks: "Mapping[str, CrmSchema]") -> list[Problem]:
    """The problems of `consent_fields:` in the config, by the lock files."""
    from connector.checks.consent_fields import consent_problems  # noqa: PLC0415 - the same.
    from connector.config.yaml_document import read  # noqa: PLC0415 - see the package's docstring.

    document = read(loaded.path, str(short_path(loaded.path)))
    return consent_problems(document, {name: one.consent for name, one in loaded.crms.items()}, locks)


def _bad_consent_fields(loaded: "LoadedConfig", all_problems: Iterable[Problem]) -> bool:
    """Whether `consent_fields` names a missing object or field. Then no rule can set the flag, and only the cause is reported."""
    config = str(short_path(loaded.path))
    return any(one.file == config and one.severity is Severity.ERROR for one in all_problems)


async def _ask_providers(loaded: "LoadedConfig") -> list[Problem]:
    """Check that the configured keywords exist and forward their messages to us."""
    from connector.checks import keywords as looking  # noqa: PLC0415 - the same.
    from connector.delivery.http_client import Transport  # noqa: PLC0415 - the same.
    from connector.model.errors import ConnectorError  # noqa: PLC0415 - the same.
    from connector.registry import build_providers  # noqa: PLC0415 - see the package's docstring.

    try:
        providers = build_providers(loaded)
    except ConnectorError as error:
        return [_live_problem(CONFIG, str(error))]
    found: list[Problem] = []
    async with Transport() as transport:
        for name, provider in providers.items():
            if provider.keywords is None:
                continue
            in_mappings = looking.keywords_in_mappings(loaded.resolve_path(loaded.settings.mappings), name)
            in_config = looking.keywords_in_config(loaded.path, name, provider.keywords)
            words = [one.word for one in (*in_mappings, *in_config)]
            if not words:
                continue
            try:
                there = await looking.keywords_by_word(transport.client(provider.credentials), provider.keywords, words)
            except ConnectorError as error:
                found.append(_live_problem(name, str(error)))
                continue
            hook = looking.endpoint_address(loaded.settings.listen.public_url, name, provider.keywords.endpoint)
            now = datetime.now(UTC)
            needs_address = provider.keywords.needs_address
            found += with_file_paths(
                loaded, looking.warnings(in_mappings, there, hook=hook, now=now, needs_address=needs_address)
            )
            found += looking.warnings(in_config, there, hook=hook, now=now, needs_address=needs_address)
    return found


def _live_problem(place: str, sentence: str) -> Problem:
    """What a CRM or a provider lacks, or why it could not be asked; `place` is its name, or CONFIG."""
    return Problem(file=place, position=None, code=LIVE, message=sentence)


def _schema_of(loaded: "LoadedConfig", crm: str, locks: "Mapping[str, CrmSchema]", *, live: bool) -> str | None:
    """What the mappings were checked against: the lock file, or the CRM itself; None: nothing."""
    return "live" if live else str(lock_file(loaded, crm)) if crm in locks else None


def _counts(rules: "Ruleset") -> dict[str, Any]:
    return {
        "version": rules.version,
        "files": len(rules.files),
        "rules": sum(len(file.rules) for file in rules.files),
        "tests": sum(len(file.cases) for file in rules.files),
    }


def _problem(problem: Problem) -> dict[str, Any]:
    position = problem.position
    return {
        **{name: value for name, value in asdict(problem).items() if name != "position"},
        "severity": problem.severity.value,
        "line": position.line if position else None,
        "column": position.column if position else None,
        "text": str(problem),
    }


def _show(paper: Paper, document: dict[str, Any]) -> None:
    for problem in document["problems"]:
        warning = problem["severity"] == Severity.WARNING.value
        paper.line(f"{'warning: ' if warning else ''}{problem['text']}", style="yellow" if warning else "red")
        for line in problem["excerpt"]:
            paper.line(line, style="dim")
    mapping = document["mapping"]
    if mapping:
        files = "1 mapping file" if mapping["files"] == 1 else f"{mapping['files']} mapping files"
        paper.line(f"{files} with {mapping['rules']} rules and {mapping['tests']} tests, version {mapping['version']}")
    elif not document["mappings_checked"]:
        paper.line("the mappings were not checked, because the config has errors")
    for crm, held_against in document["schemas"].items():
        if held_against is None:
            paper.line(
                f"{crm}: fields were not checked, because its objects are not known; run `connector schema pull`"
            )
    if document["set_up"]:
        paper.line(document["set_up"])
    counts = f"{document['errors']} error(s), {document['warnings']} warning(s)"
    paper.line(f"{document['config']}: {'ok' if document['ok'] else 'not usable'}; {counts}", style="bold")
