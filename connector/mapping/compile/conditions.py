"""Compiles `when:`: whether an event meets the conditions, and in plain words why not."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.config.yaml_document import Where
from connector.mapping.compile.context import Findings
from connector.mapping.language.field_forms import Plain
from connector.mapping.language.paths import BadPath, Get, Path, Reading, folded_getter, getter, parse_path
from connector.mapping.language.rules import Test, When
from connector.mapping.values.values import fold, number, present, text

Holds = Callable[[Reading], bool]
Why = Callable[[Reading], str]


@dataclass(frozen=True, slots=True)
class Condition:
    """A group of conditions, compiled."""

    holds: Holds
    why: Why  # what fails, in plain words; meant for events that do not meet the conditions
    record_fields: frozenset[str] = frozenset()  # folded names of the `record.` fields that it reads
    actions: frozenset[str] | None = (
        None  # the folded actions that an event must have one of; None: the action does not decide
    )


def compile_when(when: When, where: Where, findings: Findings) -> Condition:
    """Compile the conditions of a `when:`, all of which must hold."""
    tests: list[Condition] = []
    for written, wanted in (when.model_extra or {}).items():
        try:
            path = parse_path(written)
        except BadPath as bad:
            findings.bad_path((*where, written), bad, key=True)
            continue
        tests.append(_compile_test(path, wanted, (*where, written), findings))
    if when.any is not None:
        groups = [compile_when(one, (*where, "any", number), findings) for number, one in enumerate(when.any)]
        tests.append(_any_of(groups))
    if when.not_ is not None:
        tests.append(_none_of(compile_when(when.not_, (*where, "not"), findings)))
    return tests[0] if len(tests) == 1 else _all_of(tests)


def _all_of(tests: Sequence[Condition]) -> Condition:
    checks = tuple(test.holds for test in tests)

    def holds(reading: Reading) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs three times as much, and this is the hottest line of all.
            if not check(reading):
                return False
        return True

    def why(reading: Reading) -> str:
        return "; ".join(test.why(reading) for test in tests if not test.holds(reading))

    actions = next((test.actions for test in tests if test.actions is not None), None)
    return Condition(holds, why, _fields_of(tests), actions)


def _any_of(groups: Sequence[Condition]) -> Condition:
    checks = tuple(group.holds for group in groups)

    def holds(reading: Reading) -> bool:
        for check in checks:  # noqa: SIM110 - as above.
            if check(reading):
                return True
        return False

    return Condition(
        holds,
        lambda reading: "none of `any` holds: " + " / ".join(group.why(reading) for group in groups),
        _fields_of(groups),
    )


def _none_of(group: Condition) -> Condition:
    return Condition(
        lambda reading: not group.holds(reading), lambda _reading: "what is under `not` holds", group.record_fields
    )


def _fields_of(tests: Sequence[Condition]) -> frozenset[str]:
    return frozenset().union(*(test.record_fields for test in tests))


def _compile_test(path: Path, wanted: Any, where: Where, findings: Findings) -> Condition:
    fields = frozenset({fold(path.key)}) if path.root == "record" else frozenset()
    if isinstance(wanted, Test):
        parts = _parts(path, wanted, where, findings)
        test = parts[0] if len(parts) == 1 else _all_of(parts)
    else:
        test = _one_of(path, wanted if isinstance(wanted, list) else [wanted], where, findings)
    return Condition(test.holds, test.why, fields, test.actions)


def _one_of(path: Path, literals: Sequence[Plain], where: Where, findings: Findings) -> Condition:
    for literal in literals:
        if present(literal) is None:
            findings.add(
                where, "blank-condition", "a value to compare with is missing", "for blank values write {missing: true}"
            )
    wanted = frozenset(fold(text(literal)) for literal in literals)
    read, get, name = folded_getter(path), getter(path), str(path)
    choice = " or ".join(text(literal) for literal in literals)

    def holds(reading: Reading) -> bool:
        value = read(reading)
        if value.__class__ is tuple:
            return any(item in wanted for item in value)
        return value in wanted

    def why(reading: Reading) -> str:
        value = get(reading)
        return f"{name} is missing" if value is None else f"{name} is {text(value)}, the rule wants {choice}"

    return Condition(holds, why, actions=wanted if path.root == "action" else None)


def _parts(path: Path, test: Test, where: Where, findings: Findings) -> list[Condition]:
    get, name = getter(path), str(path)
    parts: list[Condition] = []
    if test.missing is not None:
        parts.append(_missing(get, name, wanted=test.missing))
    if test.like is not None:
        patterns = test.like if isinstance(test.like, list) else [test.like]
        if not patterns or any(not pattern.strip() for pattern in patterns):
            findings.add((*where, "like"), "blank-condition", "a pattern is missing", 'write one like "KATT*"')
        parts.append(_like(path, patterns))
    if test.above is not None:
        parts.append(_beyond(get, name, test.above, above=True))
    if test.below is not None:
        parts.append(_beyond(get, name, test.below, above=False))
    if test.missing and len(parts) > 1:
        findings.add(where, "contradiction", "what is missing meets no other test", "take one of them out")
    return parts


def _missing(get: Get, name: str, *, wanted: bool) -> Condition:
    return Condition(
        lambda reading: (get(reading) is None) is wanted,
        lambda reading: f"{name} is missing" if get(reading) is None else f"{name} is there",
    )


def _like(path: Path, patterns: Sequence[str]) -> Condition:
    matchers = tuple(matcher(pattern) for pattern in patterns)
    read, get, name = folded_getter(path), getter(path), str(path)
    choice = " or ".join(patterns)

    def holds(reading: Reading) -> bool:
        value = read(reading)
        if value is None:
            return False
        items = (value,) if isinstance(value, str) else value
        return any(fits(item) for item in items for fits in matchers)

    def why(reading: Reading) -> str:
        value = get(reading)
        return f"{name} is missing" if value is None else f"{name} is {text(value)}, which is not like {choice}"

    return Condition(holds, why)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a folded text fits a shell pattern of `*` and `?`.

    Each piece between the stars has a fixed length and is searched for once, from the left. So no text makes it
    slow, as it can make a regular expression with several stars.
    """
    first, *others = (_piece(piece) for piece in fold(pattern).split("*"))
    if not others:
        return lambda value: first.fullmatch(value) is not None
    *middle, last = others
    tail = fold(pattern).rpartition("*")[2]

    def fits(value: str) -> bool:
        found = first.match(value)
        if found is None:
            return False
        position = found.end()
        for piece in middle:
            found = piece.search(value, position)
            if found is None:
                return False
            position = found.end()
        start = len(value) - len(tail)
        return start >= position and last.fullmatch(value, start) is not None

    return fits


def _piece(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if character == "?" else re.escape(character) for character in piece), re.DOTALL)


def _beyond(get: Get, name: str, limit: Decimal, *, above: bool) -> Condition:
    def beyond(value: Any) -> bool:
        amount = number(value)
        return amount is not None and (amount > limit if above else amount < limit)

    def holds(reading: Reading) -> bool:
        value = get(reading)
        return any(beyond(item) for item in value) if isinstance(value, list | tuple) else beyond(value)

    def why(reading: Reading) -> str:
        value = get(reading)
        word = "above" if above else "below"
        return f"{name} is missing" if value is None else f"{name} is {text(value)}, the rule wants {word} {limit}"

    return Condition(holds, why)


def signature(when: When | None) -> dict[str, frozenset[str] | str]:
    """The conditions in a form that can be compared: path → the allowed texts, or the test."""
    if when is None:
        return {}
    made: dict[str, frozenset[str] | str] = {}
    for written, wanted in (when.model_extra or {}).items():
        if isinstance(wanted, Test):
            made[fold(written)] = repr(wanted)
        else:
            literals = wanted if isinstance(wanted, list) else [wanted]
            made[fold(written)] = frozenset(fold(text(literal)) for literal in literals)
    if when.any is not None:
        made["any"] = repr([_in_order(one) for one in when.any])
    if when.not_ is not None:
        made["not"] = repr(_in_order(when.not_))
    return made


def _in_order(when: When) -> list[tuple[str, Any]]:
    found = signature(when).items()
    return sorted((path, sorted(allowed) if isinstance(allowed, frozenset) else allowed) for path, allowed in found)


def covers(earlier: When | None, later: When | None) -> bool:
    """Whether every event that meets the later conditions surely meets the earlier ones too, by a static check."""
    wide, narrow = signature(earlier), signature(later)
    for path, allowed in wide.items():
        demanded = narrow.get(path)
        if demanded is None:
            return False
        if isinstance(allowed, frozenset) and isinstance(demanded, frozenset):
            # A list in the event matches by any element. It may match both, so the narrower set decides.
            if not demanded <= allowed:
                return False
        elif allowed != demanded:
            return False
    return True
