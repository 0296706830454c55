"""The kinds of org that the sandbox can play besides a plain one: which objects each has, and what its code does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from connector.sandbox.salesforce import nonprofit_cloud, npsp, org
from connector.sandbox.salesforce.fields import Field, SObject
from connector.sandbox.salesforce.org import picklist
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.triggers import Triggers


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What an org has more than a plain one."""

    objects: tuple[SObject, ...]  # new ones, and those that take the place of a plain org's
    added: Mapping[str, tuple[Field, ...]]  # fields of objects that a plain org has too
    triggers: Triggers

    def schema(self, *, bare: bool = False, currencies: Sequence[str] = ()) -> Schema:
        """The objects of such an org as an administrator has set it up, or `bare`: without what an administrator makes and shows.

        With `currencies` it is an org with several: each record has one, where none is given the first, the users' own.
        """
        schema = Schema(org.OBJECTS)
        for known in self.objects:
            schema.put(known)
        for name, fields in self.added.items():
            known = schema.objects[name]
            schema.put(replace(known, fields=(*known.fields, *fields)))
        for known in tuple(schema.objects.values()) if currencies else ():
            own = picklist("CurrencyIsoCode", *currencies, default=currencies[0], required=True, restricted=True)
            schema.put(replace(known, fields=(*known.fields, own)))
        if not bare:
            return schema
        return Schema(
            replace(known, fields=tuple(field for field in known.fields if not _hidden(field.name)))
            for known in schema.objects.values()
            if not _made_here(known.name)
        )


# Field-level security shows these to nobody in a new org.
HIDDEN = frozenset({"HasOptedOutOfEmail", "DoNotCall"})


def _hidden(name: str) -> bool:
    return name in HIDDEN or _made_here(name)


def _made_here(name: str) -> bool:
    """Whether it is custom and of no package: what a package brings has its prefix before two underscores."""
    return name.endswith("__c") and "__" not in name.removesuffix("__c")


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "plain": Preset(objects=(), added={}, triggers=Triggers()),
        "npsp": Preset(objects=npsp.OBJECTS, added=npsp.ADDED, triggers=npsp.TRIGGERS),
        "nonprofit-cloud": Preset(
            objects=nonprofit_cloud.OBJECTS, added=nonprofit_cloud.ADDED, triggers=nonprofit_cloud.TRIGGERS
        ),
    }
)
