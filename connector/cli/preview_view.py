"""Prints what planning events again would change: each change with its rule and a few examples, opt-outs first."""

import json
from collections.abc import Iterator
from typing import Any

from connector.cli.render import Paper

SHOWN = 20  # lines; --json has all changes
FEW = 3  # fields of one record that are shown one by one, with values


def show_changes(paper: Paper, preview: dict[str, Any]) -> None:
    """Print the changes of a preview. Many fields of one record that come or go together are one line."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in preview["changes"]:
        record, dot, _ = one["what"].rpartition(".")
        whole = one["what"] if one["kind"] == "changed" or not dot else record
        groups.setdefault((one["rule"], one["kind"], one["events"], one["concerns_opt_out"], whole), []).append(one)
    shown = list(_parts(groups))
    for changes, record in shown[:SHOWN]:
        one = changes[0]
        rule = f", by {one['rule']}" if one["rule"] else ""
        what = one["what"]
        if len(changes) > 1:
            fields = ", ".join(each["what"].removeprefix(f"{record}.") for each in changes)
            what = f"{record}: {len(changes)} fields ({fields})"
        style = "red" if one["concerns_opt_out"] else ""
        paper.line(f"{one['events']} event(s): {what} {one['kind']}{rule}", indent=2, style=style)
        for example in one["examples"]:
            values = "" if len(changes) > 1 else f": {_values(one['kind'], example)}"
            paper.line(f"event {example['event']}{values}", indent=6)
    if len(shown) > SHOWN:
        paper.line(f"and {len(shown) - SHOWN} more kinds of changes: see --json", indent=2)


def _parts(groups: dict[tuple[Any, ...], list[dict[str, Any]]]) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Each line's changes, and the record of several."""
    for key, changes in groups.items():
        if len(changes) > FEW:
            yield changes, key[-1]
        else:
            yield from (([one], "") for one in changes)


def _values(kind: str, example: dict[str, Any]) -> str:
    before, after = _value(example["before"]), _value(example["after"])
    return {"added": after, "removed": before}.get(kind, f"{before} → {after}")


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
