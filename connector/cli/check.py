"""`connector check`: everything that is wrong with config and mappings, at once."""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.exits import Exit
from connector.cli.render import Paper, answer, as_json, waiting
from connector.cli.setup import Setup, load_rules, placed
from connector.model.problem import Problem, ProblemsFound, Severity

if TYPE_CHECKING:
    from connector.adapters import Loaded
    from connector.mapping.compile import Ruleset


@click.command()
@click.option("--live", is_flag=True, help="Ask each CRM and provider whether it has what the mappings need.")
@click.option("--strict", is_flag=True, help="A missing secret is an error, and not a warning.")
@as_json
@click.pass_context
def check(ctx: click.Context, *, live: bool, strict: bool, as_json: bool) -> None:
    """Check config and mappings, and tell all problems at once as file:line:column.

    Ends with 1 where there are errors. Without --live nothing is asked of the outside.
    """
    document = examine(ctx.obj, live=live, strict=strict)
    answer(document, _show, json_wanted=as_json)
    if document["errors"]:
        ctx.exit(Exit.NO)


def examine(setup: Setup, *, live: bool, strict: bool) -> dict[str, Any]:
    """What the command answers; `doctor` asks the same."""
    path = setup.path()
    loaded, found = _config(setup, path, strict=strict or live)
    rules: Ruleset | None = None
    if loaded is not None:
        try:
            rules = load_rules(loaded)
            found += placed(loaded, rules.warnings)
        except ProblemsFound as problems:
            found += problems.problems
    if live and loaded is not None and rules is not None:
        with waiting("asking the CRM"):
            found += asyncio.run(_ask_crms(loaded, rules))
        with waiting("asking the providers"):
            found += asyncio.run(_ask_providers(loaded))
    errors = sum(problem.severity is Severity.ERROR for problem in found)
    return {
        "ok": not errors,
        "config": str(path),
        "errors": errors,
        "warnings": len(found) - errors,
        "problems": [_problem(one) for one in found],
        "mappings_checked": loaded is not None,
        "mapping": None if rules is None else _counts(rules),
    }


def _config(setup: Setup, path: Path, *, strict: bool) -> "tuple[Loaded | None, list[Problem]]":
    from connector.config.document import read  # noqa: PLC0415 - see the package's docstring.

    try:
        loaded = setup.config()
    except ProblemsFound as found:
        return None, list(found.problems)
    document = read(path)
    problems = list(document.warnings)
    for where, message in _missing_secrets(loaded):
        problem = document.problem(where, "secret-missing", message)
        problems.append(problem if strict else replace(problem, severity=Severity.WARNING))
    return loaded, problems


def _missing_secrets(loaded: "Loaded") -> Iterable[tuple[tuple[str | int, ...], str]]:
    from connector.config.secrets import SecretMissing, resolve  # noqa: PLC0415 - see the package's docstring.

    for where, ref in _secrets(loaded.settings, ()):
        try:
            resolve(ref, loaded.base)
        except SecretMissing as missing:
            yield where, str(missing)


def _secrets(node: Any, where: tuple[str | int, ...]) -> Iterable[tuple[tuple[str | int, ...], Any]]:
    """All secrets of the settings, and where they stand in the file: keys are called as the fields are."""
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


async def _ask_crms(loaded: "Loaded", rules: "Ruleset") -> list[Problem]:
    from connector.adapters import build_crms  # noqa: PLC0415 - see the package's docstring.
    from connector.control.needs import needs  # noqa: PLC0415 - the same.
    from connector.delivery.transport import Transport  # noqa: PLC0415 - the same.
    from connector.model.errors import ConnectorError  # noqa: PLC0415 - the same.

    try:
        crms = build_crms(loaded)
    except ConnectorError as error:
        return [_lack("config", str(error))]
    wanted = needs(rules)
    lacks: list[Problem] = []
    async with Transport() as transport:
        for name, crm in crms.items():
            sentences = await transport.client(crm.credentials).run(crm.preflight(wanted.get(name, [])))
            lacks += [_lack(name, sentence) for sentence in sentences]
    return lacks


async def _ask_providers(loaded: "Loaded") -> list[Problem]:
    """Whether the keywords that are named are there, and send their messages here."""
    from connector.adapters import build_providers  # noqa: PLC0415 - see the package's docstring.
    from connector.control import keywords as looking  # noqa: PLC0415 - the same.
    from connector.delivery.transport import Transport  # noqa: PLC0415 - the same.
    from connector.model.errors import ConnectorError  # noqa: PLC0415 - the same.

    try:
        providers = build_providers(loaded)
    except ConnectorError as error:
        return [_lack("config", str(error))]
    found: list[Problem] = []
    async with Transport() as transport:
        for name, provider in providers.items():
            if provider.keywords is None:
                continue
            in_mappings = looking.named_in_mappings(loaded.at(loaded.settings.mappings), name)
            in_config = looking.named_in_config(loaded.path, name, provider.keywords)
            words = [one.word for one in (*in_mappings, *in_config)]
            if not words:
                continue
            try:
                there = await transport.client(provider.credentials).run(looking.look_up(provider.keywords, words))
            except ConnectorError as error:
                found.append(_lack(name, str(error)))
                continue
            hook = looking.hook_of(loaded.settings.listen.public_url, name, provider.keywords.door)
            now = datetime.now(UTC)
            addressed = provider.keywords.addressed
            found += placed(loaded, looking.warnings(in_mappings, there, hook=hook, now=now, addressed=addressed))
            found += looking.warnings(in_config, there, hook=hook, now=now, addressed=addressed)
    return found


def _lack(crm: str, sentence: str) -> Problem:
    return Problem(file=crm, position=None, code="live", message=sentence)


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
    mapping = document["mapping"]
    if mapping:
        paper.line(
            f"{mapping['files']} mapping files with {mapping['rules']} rules and {mapping['tests']} tests, "
            f"version {mapping['version']}"
        )
    elif not document["mappings_checked"]:
        paper.line("the mappings were not checked: they need a config that can be read")
    counts = f"{document['errors']} error(s), {document['warnings']} warning(s)"
    paper.line(f"{document['config']}: {'fine' if document['ok'] else 'not usable'}; {counts}", style="bold")
