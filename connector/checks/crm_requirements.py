"""What the mappings need of each CRM: objects, key fields, fields written and read. Used by all checks against a CRM."""

from collections.abc import Sequence

from connector.crm.crm import Needs
from connector.mapping.compile.items import WriteItem
from connector.mapping.compile.ruleset import Ruleset


def needs(rules: Ruleset) -> dict[str, list[Needs]]:
    """The needs by CRM, merged for each object. CRMs ignore case, so the first spelling is used."""
    objects_by_crm: dict[str, dict[str, _CollectedNeeds]] = {}

    def needs_of(crm: str, name: str) -> "_CollectedNeeds":
        return objects_by_crm.setdefault(crm, {}).setdefault(name.casefold(), _CollectedNeeds(name))

    for item in (item for file in rules.files for rule in file.rules for item in rule.items):
        if isinstance(item, WriteItem):
            collected = needs_of(item.sink, item.object)
            if item.key_field is not None:
                collected.keys[item.key_field] = None
                if item.may_create and item.match is None and (item.create or item.consent):
                    collected.made_by[item.key_field] = None
            if item.match is not None:
                collected.read.update(dict.fromkeys(item.match.phone))
                collected.read.update(dict.fromkeys([item.country] if item.country else []))
            collected.written.update(dict.fromkeys(one.name for one in (*item.set, *item.create)))
            collected.parents.update(dict.fromkeys(item.parents))
    for crm, objects in rules.feeds.items():
        for name, plan in objects.items():
            collected = needs_of(crm, name)
            collected.read.update(dict.fromkeys((*plan.fields, *plan.key_fields)))
    return {crm: [one.needs() for one in objects.values()] for crm, objects in objects_by_crm.items()}


class _CollectedNeeds:
    """The needs of one object as they are collected; names are keys of dicts, so they keep their order and occur once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[str, None] = {}
        self.made_by: dict[str, None] = {}
        self.written: dict[str, None] = {}
        self.read: dict[str, None] = {}
        self.parents: dict[tuple[str, str | None], None] = {}

    def needs(self) -> Needs:
        return Needs(
            object=self.name,
            key_fields=_sorted(self.keys),
            insert_keys=_sorted(self.made_by),
            written=_sorted(self.written),
            read=_sorted(self.read),
            parents=tuple(self.parents),
        )


def _sorted(names: Sequence[str] | dict[str, None]) -> tuple[str, ...]:
    return tuple(sorted(names))
