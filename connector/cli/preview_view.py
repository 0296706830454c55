"""Prints what planning events again would change: each change with its rule and a few examples, opt-outs first."""

import json
from typing import Any

from connector.cli.render import Paper

SHOWN = 20  # changes; --json has them all


def show_changes(paper: Paper, preview: dict[str, Any]) -> None:
    """Print the changes of a preview."""
    changes = preview["changes"]
    for one in changes[:SHOWN]:
        style = "red" if one["concerns_opt_out"] else ""
        rule = f", by {one['rule']}" if one["rule"] else ""
        paper.line(f"{one['events']} event(s): {one['what']} {one['kind']}{rule}", indent=2, style=style)
        for example in one["examples"]:
            paper.line(f"event {example['event']}: {_values(one['kind'], example)}", indent=6)
    if len(changes) > SHOWN:
        paper.line(f"and {len(changes) - SHOWN} more kinds of changes: see --json", indent=2)


def _values(kind: str, example: dict[str, Any]) -> str:
    before, after = _value(example["before"]), _value(example["after"])
    return {"added": after, "removed": before}.get(kind, f"{before} → {after}")


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
