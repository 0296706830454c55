"""A stored event as a test of a mapping file: its personal data replaced, and what the rules make of it expected."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from connector.admin.disguise import Disguise, words_of
from connector.consent.ledger_state import decisions, fold_ledger
from connector.mapping.compile.ruleset import CompiledFile, Ruleset
from connector.mapping.language.test_cases import Case, CaseEvent, build_case
from connector.model.errors import ConnectorError
from connector.model.event import Event
from connector.model.operation import ID_FIELD, Operation, Parent, RecordWrite, ServiceCommand
from connector.model.plan import Known, Plan
from connector.pipeline.planning import plan

IDS = ("transaction_id", "subscription_id", "keyword_id", "service_id")
# What a provider defines: the same for all donors.
PLAIN = (
    "verdict", "action", "keyword", "short_number", "currency", "status", "status_detail", "result", "final", "price",
    "service_command", "known_to_provider", "object", "changed",
)  # fmt: skip
PERSONAL = ("text", "properties", "lookup", "record", *IDS)


def capture(
    rules: Ruleset, event: Event, known: Known, *, event_id: int, file: str | None
) -> tuple[str, dict[str, Any]]:
    """The mapping file and the test for it. Raises ConnectorError if no rule takes the event, or the test would differ.

    `file`: the mapping file to be tested; else that whose rule decides about consent, or the first that writes something.
    """
    event_plan = plan(event, rules, known, tracing=True)
    matched = {trace.file: trace.rule for trace in event_plan.trace if trace.matched}
    if file is not None and file not in matched:
        raise ConnectorError(
            f"no rule of {file} takes event {event_id}: those that do are in {', '.join(matched) or 'no file'}"
        )
    if not matched:
        raise ConnectorError(f"no rule takes event {event_id}: add one first")
    # The rule that says something about consent is the one to be tested first, then one that writes something.
    deciding = [decision.rule for decision in event_plan.decisions if decision.rule]
    writing = [operation.rule for operation in event_plan.operations]
    acting = [label.partition(": ")[0] for label in (*deciding, *writing)]
    name = file or next((acting_file for acting_file in acting if acting_file in matched), next(iter(matched)))
    compiled = next(compiled for compiled in rules.files if compiled.name == name)
    test = _test(rules, compiled, event, known, event_id)
    expected = test["expect"].get("rule")
    if expected != matched[name]:
        raise ConnectorError(
            f"with its personal data replaced, event {event_id} would be taken by `{expected}` and not by `{matched[name]}`: "
            "write this test by hand"
        )
    return name, test


def case_text(test: Mapping[str, Any], indent: str) -> str:
    """The test as YAML: JSON is YAML too, and needs no care with quotes."""
    lines = [f"{indent}- name: {_json(test['name'])}"]
    lines += [f"{indent}  {part}: {_json(test[part])}" for part in ("given", "event") if part in test]
    lines.append(f"{indent}  expect:")
    for name, value in test["expect"].items():
        if name != "operations":
            lines.append(f"{indent}    {name}: {_json(value)}")
            continue
        lines.append(f"{indent}    operations:")
        lines += [f"{indent}      - {_json(operation)}" for operation in value]
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _test(rules: Ruleset, file: CompiledFile, event: Event, known: Known, event_id: int) -> dict[str, Any]:
    disguise = Disguise(event.msisdn, _ids(event), _kept_words(rules, event))
    test: dict[str, Any] = {"name": f"event {event_id}: {event.action or event.shape}"}
    if given := _given(known, disguise):
        test["given"] = {"subscriptions": given}
    test["event"] = _event(event, file, disguise)
    try:
        case = Case.model_validate({**test, "expect": {}})
    except ValueError as error:
        raise ConnectorError(f"event {event_id} has a value that no test can hold: write this test by hand") from error
    case_event, case_known = build_case(case, file.frame)
    test["expect"] = _expected(plan(case_event, rules.only(file.name), case_known, tracing=True))
    return test


def _ids(event: Event) -> dict[str, str]:
    return {str(value): f"{name.removesuffix('_id')}-1" for name in IDS if (value := getattr(event, name)) is not None}


def _kept_words(rules: Ruleset, event: Event) -> set[str]:
    words = {word for text in rules.texts.values() for word in words_of(text)}
    for name in ("keyword", "action", "status", "status_detail"):
        words |= words_of(getattr(event, name) or "")
    return words


def _given(known: Known, disguise: Disguise) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for membership in fold_ledger(decisions(known.ledger)).memberships:
        subscription = membership.subscription
        given: dict[str, Any] = {"provider": subscription.provider}
        for name in ("short_number", "keyword"):
            if (value := getattr(subscription, name)) is not None:
                given[name] = value
        for name in ("keyword_id", "service_id", "subscription_id"):
            if (value := getattr(subscription, name)) is not None:
                given[name] = disguise.text(value)
        found.append(given if membership.active else {**given, "active": False})
    return found


def _event(event: Event, file: CompiledFile, disguise: Disguise) -> dict[str, Any]:
    """The event as a test writes it, without what a test takes for granted."""
    provider, _, shape = file.sources[0].partition(".")
    written: dict[str, Any] = {}
    if event.provider != provider:
        written["provider"] = event.provider
    if event.shape != shape:
        written["shape"] = event.shape
    for name in (*PLAIN, *PERSONAL):
        value = getattr(event, name)
        if value in (None, {}, (), "") or value == CaseEvent.model_fields[name].default:
            continue
        value = value.value if isinstance(value, Enum) else value
        written[name] = (
            disguise.value(value) if name in PERSONAL else list(value) if isinstance(value, tuple) else value
        )
    if "record" in written:
        written["record"].pop(ID_FIELD, None)
    if event.msisdn is not None:
        written["msisdn"] = disguise.text(event.msisdn.e164)
    return written


def _expected(event_plan: Plan) -> dict[str, Any]:
    rule = next((trace.rule for trace in event_plan.trace if trace.matched), None)
    expected: dict[str, Any] = {} if rule is None else {"rule": rule}
    if event_plan.decisions:
        expected["consent"] = event_plan.decisions[0].word.value
    if event_plan.operations:
        expected["operations"] = _operations(event_plan.operations)
    else:
        expected["state"] = event_plan.state.value
    return expected


def _operations(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for operation in operations:
        if isinstance(operation, RecordWrite):
            word = "upsert" if operation.may_create or operation.key_field == ID_FIELD else "update"
            expected: dict[str, Any] = {word: operation.object}
            for name, fields in (("create", operation.create), ("set", operation.set)):
                if fields:
                    expected[name] = {field: _value(value) for field, value in fields.items()}
        elif isinstance(operation, ServiceCommand):
            expected = {
                "command": operation.action,
                "short_number": operation.short_number,
                "keyword": operation.keyword,
            }
            if operation.price is not None:
                expected["price"] = operation.price
        else:
            expected = {operation.action: operation.target}
        found.append(expected)
    return found


def _value(value: Any) -> Any:
    if not isinstance(value, Parent):
        return value
    ways: list[Any] = [{way.key_field: way.key} for way in value.ways]
    if value.or_none:
        return [*ways, None]
    return ways if len(ways) > 1 else ways[0]
