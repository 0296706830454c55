"""What a shell completes: the numbers of events, the rules of the mappings, and the keywords of the config.

It reads files alone and never fails: without them nothing is completed.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from connector.registry import LoadedConfig

MAX_EVENTS = 50  # events that are offered, the newest first


def complete(command: click.Command) -> None:
    """Let the arguments and options of a command that name something stored complete it."""
    for parameter in command.params:
        values = VALUES.get(parameter.name or "")
        if values is not None:
            parameter.shell_complete = partial(_items, values)  # type: ignore[method-assign]


def _items(
    values: "Callable[[LoadedConfig], Iterator[tuple[str, str]]]", ctx: click.Context, incomplete: str
) -> list[CompletionItem]:
    from connector.model.errors import ConnectorError  # noqa: PLC0415 - see the package's docstring.
    from connector.model.problem import ProblemsFound  # noqa: PLC0415 - the same.

    setup = ctx.find_root().obj
    if setup is None:
        from connector.cli.setup import Setup  # noqa: PLC0415 - the same.

        setup = Setup(ctx.find_root().params.get("config"))
    try:
        found = list(values(setup.config()))
    except (ConnectorError, ProblemsFound, OSError):
        return []
    return [CompletionItem(value, help=about) for value, about in found if value.startswith(incomplete)]


def _events(loaded: "LoadedConfig") -> Iterator[tuple[str, str]]:
    from datetime import UTC, datetime  # noqa: PLC0415 - see the package's docstring.

    from connector.store.store import Store  # noqa: PLC0415 - the same.

    path = loaded.database
    if path.exists():
        for one in Store.open_to_read(path).inbox.newest(since=datetime(1970, 1, 1, tzinfo=UTC), limit=MAX_EVENTS):
            yield str(one.id), f"{one.provider} {one.shape}, {one.state.value}"


def _rules(loaded: "LoadedConfig") -> Iterator[tuple[str, str]]:
    from connector.registry import read_mappings  # noqa: PLC0415 - see the package's docstring.

    for file in read_mappings(loaded).files:
        yield file.name, f"{len(file.rules)} rules"
        yield from ((rule.label, "") for rule in file.rules)


def _keywords(loaded: "LoadedConfig") -> Iterator[tuple[str, str]]:
    from connector.registry import opt_outs  # noqa: PLC0415 - see the package's docstring.

    words = {
        one.keyword: f"{one.provider} {one.short_number or ''}".strip()
        for one in opt_outs(loaded).subscriptions
        if one.keyword
    }
    yield from words.items()


# The name of an argument or option → what it names.
VALUES: "dict[str, Callable[[LoadedConfig], Iterator[tuple[str, str]]]]" = {
    "event": _events,
    "events": _events,
    "what": _events,
    "rule": _rules,
    "keyword": _keywords,
}
