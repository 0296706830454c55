"""`connector person show|export|forget|new-key`."""

import json
import os
from pathlib import Path
from typing import Any

import click

from connector.cli.client import ask, user_name
from connector.cli.exit_codes import Misused
from connector.cli.explain_view import show_person
from connector.cli.group import Group
from connector.cli.render import Paper, answer, as_json, revealing
from connector.model.event import Verdict


@click.group(cls=Group)
def person() -> None:
    """Show, export or forget all data of a person. The person is named by the phone number, in any form."""


@person.command()
@click.argument("number")
@revealing
@as_json
@click.pass_context
def show(ctx: click.Context, *, number: str, reveal: bool, as_json: bool) -> None:
    """Show everything that is held about the person of NUMBER. With --reveal the audit log notes it."""
    payload = {"phone": number, "reveal": reveal, "by": user_name()}
    answer(ask(ctx.obj, "person_show", payload), _show, json_wanted=as_json)


@person.command()
@click.argument("number")
@click.option(
    "--to", "directory", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True,
    help="The directory of the files.",
)  # fmt: skip
@as_json
@click.pass_context
def export(ctx: click.Context, *, number: str, directory: Path, as_json: bool) -> None:
    """Write all data of the person of NUMBER to files: JSON, and a page that the person can read.

    Only you can read the files. It is noted in the audit log. Delete the files when they are delivered.
    """
    from connector.admin.person_page import person_page  # noqa: PLC0415 - see the package's docstring.

    document = ask(ctx.obj, "person_export", {"phone": number, "by": user_name()})
    name = f"person-{document['exported_at'].replace(':', '')}"
    files = [directory / f"{name}.json", directory / f"{name}.html"]
    texts = [json.dumps(document, ensure_ascii=False, indent=2) + "\n", person_page(document)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in zip(files, texts, strict=True):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
                stream.write(text)
    except OSError as error:
        raise Misused(f"cannot write to {directory}: {error}. Name another directory with --to") from error
    written = {"files": [str(path) for path in files]}
    answer(written, _show_files, json_wanted=as_json)


@person.command()
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and erase nothing.")
@revealing
@as_json
@click.pass_context
def forget(ctx: click.Context, *, number: str, yes: bool, dry_run: bool, reveal: bool, as_json: bool) -> None:
    """Erase all data of the person of NUMBER, after showing what is erased, what stays and why.

    The opt-out stays under a keyed hash: a STOP holds even if the person's data comes back. It cannot be undone.
    """
    if as_json and not yes and not dry_run:
        raise Misused("--json cannot ask for confirmation: add --yes, or --dry-run")
    payload = {"phone": number, "reveal": reveal, "by": user_name()}
    if not yes or dry_run:
        preview = ask(ctx.obj, "person_forget", payload)
        if as_json or dry_run:
            answer(preview, _show_preview, json_wanted=as_json)
            return
        answer(preview, _show_preview, json_wanted=False)
        click.confirm("Erase this person's data for good?", abort=True)
    done = ask(ctx.obj, "person_forget", {**payload, "confirm": True})
    answer(done, _show_done, json_wanted=as_json)


@person.command("new-key")
@as_json
@click.pass_context
def new_key(ctx: click.Context, *, as_json: bool) -> None:
    """Make a new key for forgotten people, when the old one is lost for good.

    The opt-outs of those who were forgotten before are not recognised any more: look first for the old key in your backups.
    """
    answer(ask(ctx.obj, "person_new_key", {}), _show_new_key, json_wanted=as_json)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    show_person(paper, document)
    if document["forgotten"]:
        _show_forgotten(paper, document["forgotten"])
    if document["records"]:
        paper.heading("Records of the CRM, as last seen")
        for one in document["records"]:
            deleted = f", deleted there {paper.time(one['deleted_at'])}" if one["deleted_at"] else ""
            paper.line(
                f"{one['crm']}: {one['object']} {one['id']}, seen {paper.time(one['seen_at'])}{deleted}", indent=2
            )
            for name, value in one["fields"].items():
                paper.line(f"{name}: {value}", indent=4)
    if document["gifts"] or document["charges"]:
        paper.heading("Agreements and charges")
        for one in document["gifts"]:
            ended = f", ended {paper.time(one['ended_at'])}: {one['ended_why']}" if one["ended_at"] else ""
            paper.line(f"{one['keyword'] or one['provider']}: {one['amount'] or 'no fixed amount'}{ended}", indent=2)
        for one in document["charges"]:
            paper.line(f"{one['period']}: {one['amount'] or ''} {one['state']} {one['transaction_id'] or ''}", indent=4)
    for one in document["answers"]:
        meaning = "an opt-out" if one["answer"] == Verdict.OPT_OUT else "an ordinary message"
        paper.line(f"the text “{one['text']}” is {meaning}: a person said so {paper.time(one['answered_at'])}")
    _show_copies(paper, document)


def _show_forgotten(paper: Paper, forgotten: dict[str, Any]) -> None:
    erased = (
        f"erased {paper.time(forgotten['erased_at'])}"
        if forgotten["erased_at"]
        else "part of it is kept until it is finished"
    )
    paper.line(f"to be forgotten since {paper.time(forgotten['asked_at'])}: {erased}", style="yellow")


def _show_copies(paper: Paper, document: dict[str, Any]) -> None:
    paper.heading("Elsewhere")
    backups = document["backups"]
    if backups["until"]:
        count = len(backups["files"])
        paper.line(
            f"{count} backup(s) hold what is stored now; the last of them is deleted no later than {paper.time(backups['until'])}",
            indent=2,
        )
    for name in backups["by_hand"]:
        paper.line(f"the connector does not delete {name}: delete it yourself", indent=2)
    for words in document["elsewhere"]:
        paper.line(words, indent=2)


def _show_preview(paper: Paper, document: dict[str, Any]) -> None:
    paper.heading(f"Forgetting {document['phone']}")
    if document["forgotten"]:
        _show_forgotten(paper, document["forgotten"])
    paper.line("It erases:")
    for one in document["erases"]:
        paper.line(f"{one['count']} {one['words']}", indent=2)
    if not document["erases"]:
        paper.line("nothing: nothing is stored about this number", indent=2)
    paper.line("It keeps:")
    for words in document["keeps"]:
        paper.line(words, indent=2)
    _show_waits(paper, document["waits"])
    for words in document["warnings"]:
        paper.line(f"Look first: {words}", style="yellow")
    _show_copies(paper, document)


def _show_waits(paper: Paper, waits: list[dict[str, Any]]) -> None:
    if waits:
        paper.line("It finishes first, and then erases by itself:")
    for one in waits:
        kind, ids = ("charges", one["charges"]) if one["charges"] else ("events", one["events"])
        paper.line(f"{kind} {', '.join(map(str, ids))} {one['words']}", indent=2)
        paper.line(f"do: {one['cure']}", indent=4)


def _show_done(paper: Paper, document: dict[str, Any]) -> None:
    if document["finished"]:
        paper.line(f"forgotten: {document['erased_events']} events and all else about this person are erased")
    else:
        paper.line(
            f"{document['erased_events']} events are erased; the rest follows when what is under way is finished"
        )
        _show_waits(paper, document["waits"])
    if not document["log_emptied"]:
        paper.line(
            "the write-ahead log still holds it, because a backup is being made: the connector empties it after that"
        )
    _show_copies(paper, document)


def _show_files(paper: Paper, document: dict[str, Any]) -> None:
    for name in document["files"]:
        paper.line(f"wrote {name}")
    paper.line(
        "They hold all data of this person, unmasked: deliver them by a safe way, then delete them", style="yellow"
    )


def _show_new_key(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(
        f"a new key is made; {document['not_recognised']} forgotten people are not recognised any more", style="yellow"
    )
    paper.line("back it up, apart from the backups of the database: docs/privacy.md")
