"""`connector backup`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from connector.admin.masking import iso_time
from connector.cli.exit_codes import Unreachable
from connector.cli.progress import progress
from connector.cli.render import Paper, answer, as_json
from connector.cli.setup import Setup


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@as_json
@click.pass_context
def backup(ctx: click.Context, /, *, file: Path | None, as_json: bool) -> None:
    """Copy the database to FILE, which must not exist yet, and check the copy.

    It works while the connector runs, without delaying it, and while it is stopped. Without FILE the copy goes to the
    nightly backups.
    """
    from connector.admin.nightly_backup import backup_directory  # noqa: PLC0415 - see the package's docstring.
    from connector.store.backups import backup_name, make_backup  # noqa: PLC0415 - the same.

    setup: Setup = ctx.obj
    loaded = setup.config()
    database = loaded.database
    if not database.exists():
        raise Unreachable(f"there is no database at {database} yet: start the connector with `connector run`")
    now = datetime.now(UTC)
    target = file or backup_directory(loaded) / backup_name(database.stem, now)
    with progress() as say:
        made = make_backup(
            database,
            target,
            now=now,
            reserve=loaded.settings.store.free_space_floor,
            progress=lambda remaining, total: say(_words(remaining, total)),
        )
    document = {
        "file": str(target),
        "bytes": target.stat().st_size,
        "taken_at": iso_time(made.taken_at),
        "last_event_at": iso_time(made.last_event_at),
        "events": made.events,
    }
    answer(document, _show, json_wanted=as_json)


def _words(remaining: int, total: int) -> str:
    return "checking the copy" if not remaining else f"copied {100 * (total - remaining) // max(total, 1)} %"


def _show(paper: Paper, document: dict[str, Any]) -> None:
    size = document["bytes"] / (1 << 20)
    paper.line(f"wrote {document['file']}: {size:,.1f} MiB, {document['events']:,} events, checked")
