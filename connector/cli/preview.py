"""`connector preview`: what the edited mappings would do with the events that have come, before they are in use."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.check import examine
from connector.cli.exit_codes import Exit, Misused, Unreachable
from connector.cli.preview_view import show_changes
from connector.cli.progress import progress
from connector.cli.render import Paper, answer, as_json, revealing
from connector.cli.setup import Setup, open_to_read, read_rules
from connector.model.errors import ConnectorError, Unreadable

if TYPE_CHECKING:
    from connector.mapping.compile.ruleset import Ruleset
    from connector.model.event import Event
    from connector.registry import LoadedConfig
    from connector.store.store import Store

LOW = (
    10  # nice(2): where both want one CPU, the daemon has nine tenths of it; with 19 it would starve on a busy machine
)


@click.command()
@click.option(
    "--since", default="30d", show_default=True, help="Events since: a span such as 12h or 7d, a date or a time."
)
@click.option(
    "--events",
    "file",
    type=click.Path(path_type=Path),
    help="A file of callbacks instead, with one JSON object on each line.",
)
@click.option("--against", type=click.Path(path_type=Path), help="A folder of mappings, instead of those in use.")
@click.option("--strict", is_flag=True, help="End with 1 if any event would have another result.")
@revealing
@as_json
@click.pass_context
def preview(
    ctx: click.Context,
    *,
    since: str,
    file: Path | None,
    against: Path | None,
    strict: bool,
    reveal: bool,
    as_json: bool,
) -> None:
    """Show what the edited mappings would change for the events that have come, compared with the mappings in use.

    Nothing is sent or written, and the daemon continues to work. Changes that concern opt-outs come first. Each line of
    the file for --events is {"endpoint": "strex/dlr", "body": …}: the body as the provider sends it, as JSON or as a text.

    Ends with 1 if an opt-out would have another result, or if an event that led to something would lead to nothing or
    to a dead letter; with --strict for any change.
    """
    setup: Setup = ctx.obj
    loaded = setup.config()
    after = read_rules(loaded)
    needs_store = file is None or against is None
    cure = "run this where the connector runs, or give --events and --against"
    store = open_to_read(loaded, cure) if needs_store else None
    before = _rules_in_use(loaded, store) if against is None else _rules_of_folder(loaded, against)
    with ThreadPoolExecutor(max_workers=1, initializer=_lower_priority) as idle:
        document = idle.submit(_compare, loaded, store, before, after, since=since, file=file, reveal=reveal).result()
    document["errors"] = examine(setup, live=False, strict=False)["errors"]
    answer(document, _show, json_wanted=as_json)
    if document["opt_outs"] or document["worse"] or (strict and document["changed"]):
        ctx.exit(Exit.NO)


def _lower_priority() -> None:
    """Lower the priority of this thread: the daemon's callbacks must not become slower."""
    with suppress(OSError):
        os.nice(LOW)


def _compare(
    loaded: "LoadedConfig",
    store: "Store | None",
    before: "Ruleset",
    after: "Ruleset",
    *,
    since: str,
    file: Path | None,
    reveal: bool,
) -> dict[str, Any]:
    from connector.admin.backtest import Backtest  # noqa: PLC0415 - see the package's docstring.
    from connector.admin.event_filter import time_of  # noqa: PLC0415 - the same.
    from connector.mapping.compile.ruleset_changes import rule_changes  # noqa: PLC0415 - the same.
    from connector.registry import opt_outs  # noqa: PLC0415 - the same.
    from connector.store.event_search import EventFilter  # noqa: PLC0415 - the same.

    backtest = Backtest(before, after, configured=opt_outs(loaded).subscriptions, reveal=reveal)
    summary = backtest.summary
    with progress() as say:
        if file is not None:
            backtest.take_unstored(_callbacks(loaded, file))
        elif store is not None:
            wanted = EventFilter(since=time_of(loaded, "since", since, datetime.now(UTC)))
            total = store.events.count(wanted)
            for page in store.events.pages(wanted):
                backtest.take_stored(store, page)
                say(f"compared {summary.events} of {total} events: {summary.changed} would have another result")
    return {
        **summary.document(),
        "rules_differ": bool(rule_changes(before, after)),
        "worse": backtest.worse,
        "unreadable": backtest.unreadable,
        "since": None if file else since,
        "before": before.version,
        "after": after.version,
    }


def _rules_in_use(loaded: "LoadedConfig", store: "Store | None") -> "Ruleset":
    from connector.current_mappings import accepted_rules  # noqa: PLC0415 - see the package's docstring.

    accepted = store.mappings.accepted() if store is not None else None
    if accepted is None:
        raise Unreachable(
            "the mappings in use are not known: the connector keeps them when it starts; or give --against"
        )
    return accepted_rules(loaded, accepted)


def _rules_of_folder(loaded: "LoadedConfig", folder: Path) -> "Ruleset":
    from connector.mapping.compile.ruleset import load_mappings  # noqa: PLC0415 - see the package's docstring.
    from connector.registry import mapping_context  # noqa: PLC0415 - the same.

    if not folder.is_dir():
        raise Misused(f"{folder} is not a folder of mappings")
    return load_mappings(folder, mapping_context(loaded))


def _callbacks(loaded: "LoadedConfig", path: Path) -> Iterator[tuple[int, "Event"]]:
    """The events of a file of callbacks, each with the number of its line."""
    from connector.admin.parse_stored import find_endpoint, providers_without_secrets, read_example  # noqa: PLC0415 - see the package's docstring.
    from connector.model.event import Event  # noqa: PLC0415 - the same.

    providers = providers_without_secrets(loaded)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            endpoint, body = given["endpoint"], given["body"]
        except (ValueError, KeyError, TypeError):
            raise Misused(f'{path}:{number}: a line is {{"endpoint": "strex/dlr", "body": …}}') from None
        text = body if isinstance(body, str) else json.dumps(body)
        try:
            parts = read_example(find_endpoint(providers, str(endpoint)), text.encode(), datetime.now(UTC))
        except (Unreadable, ConnectorError) as error:
            raise Misused(f"{path}:{number}: {error}") from error
        for part in parts:
            event = part if isinstance(part, Event) else part.event
            if event is not None:
                yield number, event


def _show(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(
        f"{document['changed']} of {document['events']} events would have another result with the edited mappings"
    )
    if document["opt_outs"]:
        paper.line(f"{document['opt_outs']} of them concern an opt-out", style="red")
    if document["worse"]:
        paper.line(
            f"{document['worse']} would lead to nothing, or to a dead letter, and lead to something now", style="red"
        )
    show_changes(paper, document)
    if not document["changed"] and document["rules_differ"]:
        paper.line(
            "rules differ, but no event shows it; `connector test --coverage` names fields for which no event had a value"
        )
    if document["errors"]:
        errors = f"{document['errors']} error{'' if document['errors'] == 1 else 's'}"
        paper.line(f"a reload would refuse these files: `connector check` shows {errors}", style="red")
    if document["unreadable"]:
        paper.line(f"{document['unreadable']} unreadable events were left out")
    paper.line("nothing was sent or written")
