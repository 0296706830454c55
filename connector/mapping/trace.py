"""Explains why a rule matched or not, and where each value came from, in plain words. Made only on request."""

from connector.mapping.compile.fields import BadValue, FieldValue
from connector.mapping.compile.items import CompiledItem
from connector.mapping.compile.ruleset import CompiledFile, CompiledRule
from connector.mapping.language.paths import Reading
from connector.mapping.values.transforms import TransformFailed
from connector.model.plan import OperationTrace, RuleTrace, ValueTrace


def trace_file(
    file: CompiledFile, followed: CompiledRule | None, reading: Reading, changed: frozenset[str] | None
) -> list[RuleTrace]:
    """The rules of the file that were evaluated, up to the one that was followed."""
    traces: list[RuleTrace] = []
    for rule in file.rules:
        matched = rule is followed
        traces.append(
            RuleTrace(
                file=file.name,
                line=rule.line,
                rule=rule.name,
                matched=matched,
                why=_why(rule) if matched else _why_not(rule, reading, changed),
                operations=tuple(_operation(item, reading) for item in rule.items) if matched else (),
            )
        )
        if matched:
            break
    return traces


def _why(rule: CompiledRule) -> str:
    return "it takes all events" if rule.when is None else "all its conditions hold"


def _why_not(rule: CompiledRule, reading: Reading, changed: frozenset[str] | None) -> str:
    when = rule.when
    if when is None:
        return ""
    if changed is not None and when.record_fields and not when.record_fields & changed:
        return "none of the fields that it looks at changed"
    return when.why(reading)


def _operation(item: CompiledItem, reading: Reading) -> OperationTrace:
    if item.when is not None and not item.when.holds(reading):
        return OperationTrace(label=item.label, skipped=item.when.why(reading))
    return OperationTrace(label=item.label, values=tuple(_value(one, reading) for one in item.values))


def _value(one: FieldValue, reading: Reading) -> ValueTrace:
    try:
        value = one.get(reading)
    except (TransformFailed, BadValue) as failed:
        return ValueTrace(field=one.name, source=one.source, value=f"cannot be made: {failed}")
    return ValueTrace(field=one.name, source=one.source, value=value)
