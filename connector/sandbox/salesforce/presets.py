"""The kinds of org besides a plain one: their objects and their automation."""

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
    """The additions to a plain org."""

    objects: tuple[SObject, ...]  # new ones, and replacements for a plain org's
    added: Mapping[str, tuple[Field, ...]]  # fields added to objects of a plain org
    triggers: Triggers

    def schema(self, *, bare: bool = False, currencies: Sequence[str] = ()) -> Schema:
        """The objects of such an org as set up by an administrator, or `bare`: without what an administrator adds.

        With `currencies` the org has several: each record has one; the default is the first, which is that of the
        users.
        """
        schema = Schema(org.OBJECTS)
        for sobject in self.objects:
            schema.put(sobject)
        for name, fields in self.added.items():
            sobject = schema.objects[name]
            schema.put(replace(sobject, fields=(*sobject.fields, *fields)))
        for sobject in tuple(schema.objects.values()) if currencies else ():
            own = picklist("CurrencyIsoCode", *currencies, default=currencies[0], required=True, restricted=True)
            schema.put(replace(sobject, fields=(*sobject.fields, own)))
        if not bare:
            return schema
        return Schema(
            replace(sobject, fields=tuple(field for field in sobject.fields if not _hidden(field.name)))
            for sobject in schema.objects.values()
            if not _made_here(sobject.name)
        )


# In a new org, field-level security hides these from everybody.
HIDDEN = frozenset({"HasOptedOutOfEmail", "DoNotCall"})


def _hidden(name: str) -> bool:
    return name in HIDDEN or _made_here(name)


def _made_here(name: str) -> bool:
    """Whether it is custom and not from a package: names from a package have its prefix before two underscores."""
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
