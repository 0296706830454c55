"""Differences between plans of many events, counted by rule and field, with a few examples; opt-outs first."""

from collections import Counter
from typing import Any

from msgspec import Struct, field

from connector.admin.masking import Masked
from connector.model.phone import Phone
from connector.pipeline.plan_changes import Change

EXAMPLES = 3  # of each kind of change


class _Kind(Struct):
    """One kind of change: how many events it concerns, and examples."""

    events: int = 0
    last: int = -1  # the event that was counted last
    examples: list[dict[str, Any]] = field(default_factory=list)


class ChangeSummary:
    """Takes the changes of one event after the other; its size does not grow with their number."""

    def __init__(self, *, reveal: bool = False) -> None:
        self._reveal = reveal
        self._kinds: dict[tuple[bool, str, str, str], _Kind] = {}
        self.events = 0
        self.changed = 0
        self.opt_outs = 0  # events of which a change concerns an opt-out
        self.states: Counter[str] = Counter()

    def add(self, event_id: int, person: Phone | None, state: str, changes: tuple[Change, ...]) -> None:
        """Count the changes of one event; `state` is that of its new plan."""
        self.events += 1
        self.changed += bool(changes)
        self.opt_outs += any(one.consent for one in changes)
        self.states[state] += 1
        for change in changes:
            kind = self._kinds.setdefault((not change.consent, change.rule, change.what, change.kind.value), _Kind())
            kind.events += kind.last != event_id
            kind.last = event_id
            if len(kind.examples) < EXAMPLES:
                masked = Masked(reveal=self._reveal, person=person)
                before, after = masked.value(change.before), masked.value(change.after)
                kind.examples.append({"event": event_id, "before": before, "after": after})

    def document(self) -> dict[str, Any]:
        """The counts and the changes, those that concern opt-outs first, then the most frequent."""
        kinds = sorted(self._kinds.items(), key=lambda one: (one[0][0], -one[1].events, one[0]))
        return {
            "events": self.events,
            "changed": self.changed,
            "opt_outs": self.opt_outs,
            "states": dict(self.states),
            "changes": [
                {
                    "rule": rule or None,
                    "what": what,
                    "kind": word,
                    "concerns_opt_out": not later,
                    "events": kind.events,
                    "examples": kind.examples,
                }
                for (later, rule, what, word), kind in kinds
            ],
        }
