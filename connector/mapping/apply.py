"""Applies the compiled rules to one event: what the mappings want, before the consent rules apply. Pure."""

from collections.abc import Mapping
from typing import Any

from connector.mapping.compile.items import RunningSubscriptions, Skipped, Unfit
from connector.mapping.compile.ruleset import CompiledFile, CompiledRule, Ruleset
from connector.mapping.compile.sources import CHANGE
from connector.mapping.language.paths import Reading
from connector.mapping.trace import trace_file
from connector.mapping.values.values import fold
from connector.model.event import Event
from connector.model.operation import Operation
from connector.model.plan import Intents, Note, RuleTrace, Unplanned


def intents(
    event: Event, rules: Ruleset, *, consent: Mapping[str, Any], active: RunningSubscriptions, tracing: bool = False
) -> Intents:
    """What the rules want for the event.

    Each file that sees the event follows its first rule that matches. `consent` holds what a mapping reads as
    `consent.remaining`, `consent.verdict` and `consent.scope`; `active` gives a provider's running subscriptions of
    the event's person.

    If an operation cannot be made, `problem` says why and there are no operations: an event takes effect as a whole
    or waits for a person. If consent is affected, the `possible` operations are still sent, and what the rules say
    about consent applies.
    """
    reading = Reading(event, consent)
    changed = frozenset(fold(name) for name in event.changed) if event.shape == CHANGE else None
    operations: list[Operation] = []
    said: dict[str, str] = {}
    ignored_by: str | None = None
    matched = False
    unplanned: list[Unplanned] = []
    left_out: list[Note] = []
    trace: list[RuleTrace] = []
    for file in rules.files_for(event):
        rule = first_match(file, reading, changed)
        if tracing:
            trace += trace_file(file, rule, reading, changed)
        if rule is None:
            continue
        matched = True
        if rule.consent is not None:
            said.setdefault(rule.consent, rule.label)
        if rule.ignore and ignored_by is None:
            ignored_by = rule.label
        for item in rule.items:
            if item.when is not None and not item.when.holds(reading):
                continue
            try:
                operations += item.make(reading, active, left_out)
            except Skipped:
                continue
            except Unfit as unfit:
                operations += unfit.possible
                detail = f"{rule.label}: {item.label}: {unfit}"
                concerns_consent = item.concerns_consent(unfit.possible)
                unplanned.append(
                    Unplanned(
                        sink=item.sink, rule=rule.label, reason=unfit.reason, detail=detail, owes=concerns_consent
                    )
                )
    return Intents(
        operations=() if unplanned else tuple(operations),
        consent=said,
        ignored_by=ignored_by,
        matched=matched,
        possible=tuple(operations) if unplanned else (),
        unplanned=tuple(unplanned),
        left_out=tuple(left_out),
        trace=tuple(trace),
    )


def first_match(file: CompiledFile, reading: Reading, changed: frozenset[str] | None) -> CompiledRule | None:
    """The first rule of the file that matches the event.

    For a change in the CRM, a rule that reads fields of the record is evaluated only if one of them changed.
    Otherwise every later change of a record would repeat what an earlier one has caused.
    """
    for rule in file.rules_for(reading.event):
        when = rule.when
        if when is None:
            return rule
        if changed is not None and when.record_fields and not when.record_fields & changed:
            continue
        if when.holds(reading):
            return rule
    return None
