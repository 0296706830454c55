"""`connector reload`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from connector.cli.client import Refusal, ask_daemon
from connector.cli.exit_codes import Ended, Exit, Unreachable
from connector.cli.progress import progress
from connector.cli.render import Paper, answer, as_json, show_slow_step
from connector.cli.setup import Setup, load_rules, read_locks
from connector.model.errors import ConnectorError
from connector.model.problem import ProblemsFound

if TYPE_CHECKING:
    from connector.mapping.compile.ruleset import Ruleset
    from connector.registry import LoadedConfig

WEEK = timedelta(days=7)
MAX_EVENTS = 10_000  # events that are planned by both versions: a few seconds
CHANGES = (("added", "+"), ("changed", "~"), ("removed", "-"))


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what a reload would change, and change nothing.")
@as_json
@click.pass_context
def reload(ctx: click.Context, *, dry_run: bool, as_json: bool) -> None:
    """Let the running daemon reload the mappings. If any file has an error, none is reloaded.

    Shows the rules that are added, changed and removed, and how many events of the last week have another result with
    the new rules. Ends with 1, and names file, line and column, if the files have errors: the daemon then keeps the
    mappings in use.
    """
    setup: Setup = ctx.obj
    loaded = setup.config()
    if dry_run:
        said = _compared(loaded, load_rules(loaded, read_locks(loaded)))
        if said is None:
            raise Unreachable("the mappings in use are not known: the connector stores them when it starts")
        answer(said, _show, json_wanted=as_json)
        return
    with progress() as say:
        say("comparing the new mappings with those in use")
        compared = _compared_or_none(loaded)
    try:
        with show_slow_step("reloading the mappings"):
            reloaded = ask_daemon(loaded, "reload", {})
    except Refusal as refused:
        message = f"{refused}\nnothing was changed: the daemon keeps its present mappings"
        raise Ended(message, Exit.NO) from refused
    if reloaded is None:
        raise Unreachable("the connector is not running: it reads the mappings when it starts")
    events = compared["events"] if compared else None
    answer({**reloaded, "events": events}, _show_reloaded, json_wanted=as_json)


def _compared_or_none(loaded: "LoadedConfig") -> dict[str, Any] | None:
    try:
        return _compared(loaded, load_rules(loaded, read_locks(loaded)))
    except ProblemsFound:
        return None  # the daemon names the problems


def _compared(loaded: "LoadedConfig", after: "Ruleset") -> dict[str, Any] | None:
    """What the new rules change; None where the mappings in use or the events cannot be read."""
    from dataclasses import asdict  # noqa: PLC0415 - see the package's docstring.

    from connector.admin.backtest import Backtest  # noqa: PLC0415 - the same.
    from connector.current_mappings import accepted_rules  # noqa: PLC0415 - the same.
    from connector.mapping.compile.ruleset_changes import rule_changes  # noqa: PLC0415 - the same.
    from connector.registry import opt_outs  # noqa: PLC0415 - the same.
    from connector.store.event_search import EventFilter  # noqa: PLC0415 - the same.
    from connector.store.store import Store  # noqa: PLC0415 - the same.

    path = loaded.database
    if not path.exists():
        return None
    try:
        store = Store.open_to_read(path)
        accepted = store.mappings.accepted()
        if accepted is None:
            return None
        before = accepted_rules(loaded, accepted)
        backtest = Backtest(before, after, configured=opt_outs(loaded).subscriptions)
        for page in store.events.pages(EventFilter(since=datetime.now(UTC) - WEEK), newest_first=True):
            backtest.take_stored(store, page)
            if backtest.summary.events >= MAX_EVENTS:
                break
    except (ConnectorError, ProblemsFound, OSError):
        return None
    found = backtest.summary
    return {
        "version": after.version,
        "before": before.version,
        "changes": asdict(rule_changes(before, after)),
        "events": {"compared": found.events, "differing": found.changed, "opt_outs": found.opt_outs},
    }


def _show_reloaded(paper: Paper, document: dict[str, Any]) -> None:
    _show(paper, document)
    paper.line(f"mappings {document.get('version', '')} are in use")


def _show(paper: Paper, document: dict[str, Any]) -> None:
    changes = document.get("changes")
    if changes is not None:
        for word, sign in CHANGES:
            for label in changes[word]:
                paper.line(f"{sign} {word:<8}{label}")
        for name in changes["moved"]:
            paper.line(f"~ order   {name}: the rules stand in another order")
        if not any(changes.values()):
            paper.line("no rule differs")
    events = document.get("events")
    if events is not None:
        paper.line(
            f"{events['differing']} of the last week's {events['compared']} events have another result with the new rules"
            + (f", {events['opt_outs']} of them opt-outs" if events["opt_outs"] else "")
        )
