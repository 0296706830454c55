"""How two versions of the mappings differ: the rules that were added, changed and removed."""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.mapping.compile.ruleset import Ruleset
from connector.mapping.language.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChanges:
    """The rules that differ, each as `file.yaml: rule name`."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    moved: tuple[str, ...]  # files in which the order of the rules differs

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.moved)


def rule_changes(before: Ruleset, after: Ruleset) -> RuleChanges:
    """The differences of two versions. A rule that has another name is removed and added."""
    old, new = _by_label(before), _by_label(after)
    return RuleChanges(
        added=tuple(label for label in new if label not in old),
        changed=tuple(label for label, rule in new.items() if label in old and old[label] != rule),
        removed=tuple(label for label in old if label not in new),
        moved=tuple(name for name in _orders(before) if _order(before, after, name) != _order(after, before, name)),
    )


def _by_label(rules: Ruleset) -> Mapping[str, tuple[object, Rule]]:
    """Each rule with what its file says for all of its rules."""
    return {
        f"{name}: {rule.name}": ((model.on, model.feed), rule)
        for name, model in rules.models.items()
        for rule in model.rules
    }


def _orders(rules: Ruleset) -> Mapping[str, list[str]]:
    return {name: [rule.name for rule in model.rules] for name, model in rules.models.items()}


def _order(rules: Ruleset, other: Ruleset, file: str) -> list[str]:
    """The names of the rules that both versions of a file have, in the order of the first."""
    shared = set(_orders(other).get(file, ()))
    return [name for name in _orders(rules).get(file, ()) if name in shared]


def in_words(changes: RuleChanges) -> str:
    """The differences as one line of a log."""
    counts = (("added", changes.added), ("changed", changes.changed), ("removed", changes.removed))
    found = [f"{word}: {', '.join(labels)}" for word, labels in counts if labels]
    found += [f"order of rules: {', '.join(changes.moved)}"] if changes.moved else []
    return "; ".join(found) or "no rule differs"
