"""`connector restore`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from connector.admin.masking import iso_time
from connector.cli.exit_codes import Misused
from connector.cli.render import Paper, answer, as_json, show_slow_step
from connector.cli.setup import Setup
from connector.model.errors import AlreadyRunning

STOP = "the connector is running with this database: stop it first (`systemctl stop connector`), and start it after the restore"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@as_json
@click.pass_context
def restore(ctx: click.Context, /, *, file: Path, yes: bool, as_json: bool) -> None:
    """Replace the database with the backup FILE, while the connector is stopped.

    FILE is checked first, and is kept. The present database is kept beside the new one under another name. The command
    says which events will be missing.
    """
    from connector.store.backups import verify  # noqa: PLC0415 - see the package's docstring.
    from connector.store.database import FileLock, lock_of  # noqa: PLC0415 - the same.
    from connector.store.private_files import give_to_owner_of  # noqa: PLC0415 - the same.
    from connector.store.restore import missing  # noqa: PLC0415 - the same.
    from connector.store.restore import restore as put_in_place  # noqa: PLC0415 - the same.

    if as_json and not yes:
        raise Misused("--json cannot ask for confirmation: add --yes")
    setup: Setup = ctx.obj
    loaded = setup.config()
    database = loaded.database
    if database.exists() and file.exists() and file.samefile(database):
        raise Misused(f"{file} is the database itself: name a backup")
    try:
        lock = FileLock(database)
    except AlreadyRunning as error:
        raise AlreadyRunning(f"{STOP}. {error}") from error
    try:
        give_to_owner_of(database.parent, lock_of(database))
        with show_slow_step("checking the backup"):
            found = verify(file)
        now = datetime.now(UTC)
        gap = missing(found, database, now)
        document = {
            "backup": str(file),
            "taken_at": iso_time(found.taken_at),
            "events": found.events,
            "waiting": found.open_units,
            "missing_since": iso_time(gap.since),
            "missing_until": iso_time(gap.until),
            "missing_events": gap.events,
            "kept_aside": None,
        }
        if not as_json:
            answer(document, _show, json_wanted=False)
        if not yes:
            click.confirm(f"Replace {database} with it?", abort=True)
        with show_slow_step("replacing the database"):
            aside = put_in_place(file, database, now=now)
    finally:
        lock.release()
    document["kept_aside"] = None if aside is None else str(aside)
    answer(document, _show_end, json_wanted=as_json)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    taken = paper.time(document["taken_at"]) or "an unknown time"
    paper.heading(f"The backup is from {taken}: {document['events']:,} events, checked")
    count = "their number is not known" if document["missing_events"] is None else f"{document['missing_events']:,}"
    begin, end = paper.time(document["missing_since"]) or "the beginning", paper.time(document["missing_until"])
    paper.line(f"these events will be missing: from {begin} to {end}: {count}")
    paper.line(
        "What they changed in the CRM and at the providers stays. The CRM may have records that the backup does not have."
    )
    paper.line(
        "What waits in the backup is sent again. Records are recognised by their external IDs, so none is created twice."
    )
    paper.line("Opt-outs in the CRM are read again. Other commands of that time wait in `connector parked list`.")
    paper.line(
        "Events that were stored since the backup and not delivered are only in the old database, which is kept."
    )


def _show_end(paper: Paper, document: dict[str, Any]) -> None:
    paper.line("restored")
    if document["kept_aside"]:
        paper.line(f"the old database is kept: {document['kept_aside']}")
    paper.line("start the connector now, then see `connector status` and `connector parked list`")
