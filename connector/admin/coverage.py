"""Which rules and fields of the mappings are reached: by the tests of the files, and by events that have come."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from connector.mapping.compile.items import WriteItem
from connector.mapping.compile.ruleset import Ruleset
from connector.mapping.language.test_cases import build_case
from connector.model.event import Event
from connector.model.plan import Known, Plan
from connector.pipeline.planning import plan


class Reached(Struct):
    """How often a rule, or a field that it writes, was reached."""

    rule: str  # file: rule
    place: str  # file:line
    field: str  # `upsert Contact.LastName`; empty for the rule itself
    tests: int = 0
    events: int = 0


class Coverage:
    """Counts what the plans of tests and events reach. A field is reached when a value was made for it."""

    def __init__(self, rules: Ruleset) -> None:
        self._rules = rules
        self._reached: dict[tuple[str, str], Reached] = {}
        for file in rules.files:
            for rule in file.rules:
                fields = [
                    f"{item.label}.{value.name}"
                    for item in rule.items
                    if isinstance(item, WriteItem)
                    for value in item.values
                ]
                for name in ("", *fields):
                    place = f"{file.name}:{rule.line}"
                    self._reached[rule.label, name] = Reached(rule=rule.label, place=place, field=name)

    def take_tests(self) -> None:
        """Count what the tests of each file reach, by the rules of that file alone."""
        for file in self._rules.files:
            alone = self._rules.only(file.name)
            for case in file.cases:
                event, known = build_case(case, file.frame)
                for one in self._reached_by(plan(event, alone, known, tracing=True)):
                    one.tests += 1

    def take_events(self, events: Iterable[tuple[Event, Known]]) -> int:
        """Count what events reach; returns how many there were."""
        count = 0
        for event, known in events:
            count += 1
            for one in self._reached_by(plan(event, self._rules, known, tracing=True)):
                one.events += 1
        return count

    def _reached_by(self, done: Plan) -> Iterable[Reached]:
        found: dict[int, Reached] = {}
        for trace in done.trace:
            if trace.matched:
                label = f"{trace.file}: {trace.rule}"
                made = [
                    f"{operation.label}.{value.field}"
                    for operation in trace.operations
                    if not operation.skipped
                    for value in operation.values
                    if value.value is not None
                ]
                for name in ("", *made):
                    if (one := self._reached.get((label, name))) is not None:
                        found[id(one)] = one
        return found.values()

    def document(self) -> dict[str, Any]:
        """Everything that no test or no event reaches, and how many rules and fields there are."""
        every = list(self._reached.values())
        rules, fields = [one for one in every if not one.field], [one for one in every if one.field]
        unreached = {one.rule for one in rules if not one.tests}
        return {
            "rules": len(rules),
            "fields": len(fields),
            "rules_tested": sum(bool(one.tests) for one in rules),
            "fields_tested": sum(bool(one.tests) for one in fields),
            "not_reached": [
                {
                    "rule": one.rule,
                    "place": one.place,
                    "field": one.field or None,
                    "tests": one.tests,
                    "events": one.events,
                }
                for one in every
                # The fields of a rule that no test reaches are not listed one by one.
                if (not one.tests or not one.events) and not (one.field and one.rule in unreached)
            ],
        }
