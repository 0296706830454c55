"""What the commands `backfill` of the CRMs share: options, steps, output."""

import asyncio
import csv
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from connector.cli.exit_codes import Exit, Misused, Unreachable
from connector.cli.progress import progress
from connector.cli.render import Paper, answer, as_json
from connector.cli.setup import Setup, load_rules
from connector.model.errors import ConnectorError, PeerUnavailable

if TYPE_CHECKING:
    from connector.crm.backfill.backfill_file import BackfillFile
    from connector.crm.backfill.decide import ContactReader
    from connector.registry import LoadedConfig


FILE_SUFFIX = ".backfill"  # suffix of the backfill's file beside the database
MANY = ("skip", "oldest", "newest")
FINDINGS_SHOWN = 20  # findings that are printed; the file has all
VERDICT_WORDS = {
    "fill": "to be filled",
    "written": "filled now",
    "filled": "filled already",
    "no_phone": "without a phone number",
    "unreadable": "with an invalid phone number",
    "unclear": "with a number that may belong to several people",
    "different": "filled, but with another value",
    "shared": "that share their number",
    "taken": "whose number is the key of another contact",
    "changed": "changed meanwhile",
    "gone": "deleted meanwhile",
    "refused": "refused by the CRM",
}


class Work(Protocol):
    """One backfill of one org."""

    async def read(self) -> None:
        """Read all contacts into the file, and decide on each alone."""

    async def write(self) -> None:
        """Write all contacts that still need to be filled."""

    async def stop(self) -> None:
        """Stop what is running in the org; what is already written stays written."""


StartWork = Callable[[Callable[[str], None]], Work]  # with a function that prints a progress line


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the backfill must know of one kind of CRM."""

    label: str  # its name for people
    object: str
    phone_fields: tuple[str, ...]
    settings: type[Any]
    reader: type["ContactReader"]
    # Signs in, and raises ConnectorError if the object lacks a field. Of the config, the org's settings, how contacts
    # are read, and the backfill's file.
    open_org: Callable[["LoadedConfig", Any, Any, "BackfillFile"], AbstractAsyncContextManager[StartWork]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOptions:
    """The command's options."""

    write: bool
    yes: bool
    restart: bool
    many: str
    conflicts: Path | None
    key_field: str | None
    phone_fields: tuple[str, ...]
    crm: str | None
    quiet: bool


def backfill_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of both commands."""
    for option in reversed(
        (
            click.option("--write", is_flag=True, help="Write the keys. Without this option nothing is written."),
            click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
            click.option(
                "--many",
                type=click.Choice(MANY),
                default="skip",
                show_default=True,
                help="Which contact gets a shared number.",
            ),
            click.option(
                "--conflicts",
                type=click.Path(path_type=Path, dir_okay=False),
                help="A file for all contacts that a person must check.",
            ),
            click.option(
                "--phone-field", "phone_fields", multiple=True, help="A phone field, the best first. Can be repeated."
            ),
            click.option("--key-field", help="The field of the key, if the mappings do not name it."),
            click.option("--restart", is_flag=True, help="Discard an unfinished backfill, and stop its job."),
            click.option("--crm", help="Which org, if several are configured."),
            as_json,
        )
    ):
        command = option(command)
    return command


def run(ctx: click.Context, kind: Kind, *, as_json: bool, **given: Any) -> None:
    """Run the command for one kind of CRM."""
    given["phone_fields"] = given["phone_fields"] or kind.phone_fields
    options = BackfillOptions(**given, quiet=as_json)
    if options.quiet and options.write and not options.yes:
        raise Misused("--json cannot ask for confirmation: add --yes")
    try:
        document = asyncio.run(_backfill(ctx.obj, kind, options))
    except PeerUnavailable as error:
        raise Unreachable(f"{error}: run the command again later") from error
    except KeyboardInterrupt:
        click.echo("Interrupted. Run the same command again: it writes what is not written yet.", err=True)
        raise click.Abort from None
    answer(document, _show_end if document["written"] else _show, json_wanted=as_json)
    if not document["ok"]:
        ctx.exit(Exit.NO)


async def _backfill(setup: Setup, kind: Kind, options: BackfillOptions) -> dict[str, Any]:
    from connector.cli.orgs import chosen_org  # noqa: PLC0415 - see the package's docstring.
    from connector.crm.backfill.backfill_file import BackfillFile  # noqa: PLC0415 - the same.

    loaded = setup.config()
    name, settings = chosen_org(loaded, options.crm, kind.settings, kind.label)
    contacts = _contacts(loaded, name, kind, options)
    if options.conflicts is not None:
        _write_findings(options.conflicts, ())
    plan = {
        "org": settings.url,
        "key_field": contacts.key_field,
        "phone_fields": list(contacts.phone_fields),
        "region": contacts.numbers.default,
        "other_regions": list(contacts.numbers.others),
        "country_field": contacts.country,
        "many": options.many,
    }
    path = loaded.database.with_suffix(FILE_SUFFIX)
    file = BackfillFile.open(path)
    keep = False
    try:
        facts = file.facts()
        continuing = facts.get("phase") == "writing"
        keep = continuing
        if continuing and facts["plan"]["org"] != settings.url:
            # Only its own org can stop what runs there.
            _refuse_other_org(facts, loaded)
        async with kind.open_org(loaded, settings, contacts, file) as start_work:
            if continuing and options.restart:
                await start_work(_silent).stop()
                continuing = keep = False
            if continuing:
                _check_unfinished(facts, plan, options)
            else:
                file.clear()
                await _read_contacts(start_work, name, contacts, file, options)
            document = _document(file, name, contacts, options)
            if not options.write or not (continuing or document["counts"].get("fill")):
                return document
            if not continuing:
                _confirm(document, options)
                file.set_facts(phase="writing", plan=plan, started=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
                keep = True
            with progress() as emit:
                await start_work(emit).write()
            keep = False
        return _document(file, name, contacts, options, written=True)
    finally:
        if keep:
            file.close()
        else:
            file.discard()


def _contacts(loaded: "LoadedConfig", crm: str, kind: Kind, options: BackfillOptions) -> "ContactReader":
    from connector.crm.backfill.contact_keys import keys_by_number  # noqa: PLC0415 - see the package's docstring.
    from connector.registry import number_reader  # noqa: PLC0415 - see the package's docstring.

    known = keys_by_number(load_rules(loaded), crm, kind.object)
    if options.key_field is None and len(known) != 1:
        what = f"several keys for the number ({', '.join(known)})" if known else "no key for the number"
        raise Misused(f"the mappings give contacts {what}: name one with --key-field")
    name = options.key_field or next(iter(known))
    consent = loaded.crms[crm].consent.get(kind.object)
    return kind.reader(
        key_field=name,
        phone_fields=options.phone_fields,
        numbers=number_reader(loaded),
        country=consent.country if consent else None,
        key=known.get(name, lambda phone: phone.e164),
    )


def _refuse_other_org(facts: Mapping[str, Any], loaded: "LoadedConfig") -> None:
    """Raise ConnectorError with the commands for the org that an unfinished backfill belongs to."""
    org = facts["plan"]["org"]
    begun = f"the backfill of {facts['started']} in {org} is not finished"
    for name, settings in loaded.crms.items():
        if settings.url == org:
            command = f"connector {settings.type} backfill --crm {name}"
            raise ConnectorError(
                f"{begun}: continue it with `{command} --write`, or discard it with `{command} --restart`"
            )
    path = loaded.database.with_suffix(FILE_SUFFIX)
    raise ConnectorError(
        f"{begun}, and no CRM of the config has this address: correct the address, or end its job there yourself and "
        f"remove {path}"
    )


def _check_unfinished(facts: Mapping[str, Any], plan: Mapping[str, Any], options: BackfillOptions) -> None:
    begun = f"the backfill of {facts['started']} is not finished"
    if not options.write:
        raise ConnectorError(f"{begun}: continue it with --write, or discard it with --restart")
    if facts["plan"] != plan:
        differs = ", ".join(name for name in plan if facts["plan"].get(name) != plan[name])
        raise ConnectorError(f"{begun}, and it has another {differs}: use the same, or discard it with --restart")
    click.echo(f"Continuing: {begun}.", err=True)


async def _read_contacts(
    start_work: StartWork, name: str, contacts: "ContactReader", file: "BackfillFile", options: BackfillOptions
) -> None:
    from connector.crm.backfill.decide import Many, settle_open  # noqa: PLC0415 - see the package's docstring.

    if contacts.numbers.default is None:
        click.echo(
            f"The config has no default_region: numbers without a country code in {name} cannot be read.", err=True
        )
    with progress() as emit:
        await start_work(emit).read()
        emit("comparing the numbers")
        settle_open(file, Many(options.many))


def _silent(_: str) -> None:
    """Print nothing."""


def _confirm(document: Mapping[str, Any], options: BackfillOptions) -> None:
    if options.yes:
        return
    _show(Paper(), document)
    click.confirm(f"Fill {document['counts']['fill']:,} contacts in {document['crm']}?", abort=True, err=True)


def _document(
    file: "BackfillFile", crm: str, contacts: "ContactReader", options: BackfillOptions, *, written: bool = False
) -> dict[str, Any]:
    from connector.crm.backfill.decide import CURES  # noqa: PLC0415 - see the package's docstring.

    counts = file.counts()
    if options.conflicts is not None:
        _write_findings(options.conflicts, map(_finding, file.findings(list(CURES))))
    return {
        "ok": not counts.get("refused"),
        "crm": crm,
        "key_field": contacts.key_field,
        "phone_fields": list(contacts.phone_fields),
        "many": options.many,
        "contacts": sum(counts.values()),
        "counts": {name: counts[name] for name in VERDICT_WORDS if counts.get(name)},
        "findings": [_finding(one) for one in file.findings(list(CURES), FINDINGS_SHOWN)],
        "findings_in_all": sum(count for verdict, count in counts.items() if verdict in CURES),
        "conflicts_file": None if options.conflicts is None else str(options.conflicts),
        "written": written,
    }


def _finding(found: Any) -> dict[str, str]:
    from connector.crm.backfill.decide import CURES, Verdict  # noqa: PLC0415 - see the package's docstring.

    return {
        "contact": found.id,
        "problem": found.verdict,
        "number": found.shown,
        "others": " ".join(found.others),
        "code": found.detail,
        "cure": CURES[Verdict(found.verdict)],
    }


def _write_findings(path: Path, findings: Iterable[Mapping[str, str]]) -> None:
    """Write the findings as CSV: ids and masked numbers, no names. Other users cannot read the file."""
    from connector.store.private_files import create_private, tighten  # noqa: PLC0415 - see the package's docstring.

    try:
        create_private(path)
        tighten([path])
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["contact", "problem", "number", "others", "code", "cure"])
            writer.writeheader()
            writer.writerows(findings)
    except OSError as error:
        raise Misused(f"cannot write {path}: {error.strerror}") from error


def _show(paper: Paper, document: Mapping[str, Any]) -> None:
    names = ", ".join(document["phone_fields"])
    paper.heading(f"{document['key_field']} from {names} of {document['contacts']:,} contacts in {document['crm']}")
    for name, count in document["counts"].items():
        paper.line(f"{count:>9,} {VERDICT_WORDS[name]}")
    shown, found = document["findings"], document["findings_in_all"]
    if shown:
        paper.heading("A person must check" + (f": the first {len(shown)} of {found:,}" if found > len(shown) else ""))
        paper.table(
            ["contact", "problem", "number", "other contacts"],
            [(one["contact"], f"{one['problem']} {one['code']}", one["number"], one["others"]) for one in shown],
        )
        for problem, cure in {one["problem"]: one["cure"] for one in shown}.items():
            paper.line(f"{problem}: {cure}")
    if document["conflicts_file"]:
        paper.line(f"all {found:,} are in {document['conflicts_file']}")
    elif found > len(shown):
        paper.line("--conflicts FILE.csv lists all")
    if not document["written"] and document["counts"].get("fill"):
        paper.line("nothing is written yet: add --write")


def _show_end(paper: Paper, document: Mapping[str, Any]) -> None:
    _show(paper, document)
    paper.line(f"{document['counts'].get('written', 0):,} contacts now have their key", style="bold")
