"""Asks a CRM to describe the objects that the mappings and the config use, and the parents that these name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.crm.crm import Crm, Needs
from connector.delivery.cures import cure_of
from connector.model.crm_schema import CrmSchema, ObjectSchema
from connector.model.errors import ConnectorError
from connector.model.http import Http
from connector.model.outcome import Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The schema that a CRM has described."""

    schema: CrmSchema
    absent: tuple[str, ...] = ()  # objects that it lacks or hides


async def describe_what_is_used(http: Http, crm: Crm, needs: Sequence[Needs]) -> Described:
    """Describe what is used, with one API call for each object. Raises ConnectorError with advice if the CRM does not answer."""
    first = _new_names([*(one.object for one in needs), *crm.consent_fields], known=())
    found = await _described(http, crm, first)
    parents = _new_names(_parents(needs, found), known=first)
    found |= await _described(http, crm, parents)
    there = tuple(one for one in found.values() if one is not None)
    absent = tuple(name for name in (*first, *parents) if found[name.casefold()] is None)
    return Described(schema=CrmSchema(crm=crm.name, objects=there), absent=absent)


def _new_names(names: Sequence[str], *, known: Sequence[str]) -> list[str]:
    """The names that are not known yet, each once; CRMs ignore letter case."""
    kept: dict[str, str] = {}
    for name in names:
        kept.setdefault(name.casefold(), name)
    seen = {name.casefold() for name in known}
    return [name for folded, name in kept.items() if folded not in seen]


async def _described(http: Http, crm: Crm, names: Sequence[str]) -> dict[str, ObjectSchema | None]:
    described = await crm.describe(http, names)
    found: dict[str, ObjectSchema | None] = {}
    for name, one in described.items():
        if isinstance(one, Retry):
            why = f"{one.reason}: {one.detail}" if one.detail else str(one.reason)
            raise ConnectorError(f"cannot read the schema of {name} from {crm.name} ({why}): {cure_of(one)}")
        found[name.casefold()] = one
    return found


def _parents(needs: Sequence[Needs], found: Mapping[str, ObjectSchema | None]) -> list[str]:
    """The objects of the parents that are written. For a field with several types only the named type is described."""
    names: list[str] = []
    for one in needs:
        known = found[one.object.casefold()]
        for relationship, kind in one.parents if known else ():
            behind = known.related(relationship) if known else None
            if behind is not None and kind is not None:
                names += [name for name in behind.parents if name.casefold() == kind.casefold()]
            elif behind is not None and len(behind.parents) == 1:
                names += behind.parents
    return names
