"""Compares two schemas of one CRM: what has changed, in plain words, and which changes can make writes fail."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connector.model.crm_schema import TEXTS, CrmSchema, FieldSchema, ObjectSchema

SHOWN = 5  # values of a list that are named one by one
RIGHTS = {"createable": "can be set on a new record", "updateable": "can be changed"}
MARKS = {"unique": "unique", "external_id": "an external ID", "id_lookup": "a key by which records are found"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference."""

    object: str
    field: str | None  # None: the object as a whole
    text: str  # `Contact.FirstName holds 20 characters, and held 40`
    narrows: bool = False  # a write that succeeded before may now be refused


def changes(before: CrmSchema | None, now: CrmSchema) -> list[Change]:
    """What is different now; everything is new if there was nothing before."""
    old = {one.name.casefold(): one for one in (before.objects if before else ())}
    new = {one.name.casefold(): one for one in now.objects}
    found: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        was, now_is = old.get(name), new.get(name)
        if was is None and now_is is not None:
            found.append(_of_object(now_is, f"{now_is.name} is new here, with {len(now_is.fields)} fields"))
        elif was is not None and now_is is None:
            found.append(_of_object(was, f"{was.name} is no longer here", narrows=True))
        elif was is not None and now_is is not None:
            found += _object_changes(was, now_is)
    return found


def _of_object(schema: ObjectSchema, text: str, *, narrows: bool = False) -> Change:
    return Change(object=schema.name, field=None, text=text, narrows=narrows)


def _object_changes(was: ObjectSchema, now: ObjectSchema) -> Iterator[Change]:
    names = {one.name.casefold(): one.name for one in (*was.fields, *now.fields)}
    for folded in sorted(names):
        before, field = was.field(folded), now.field(folded)
        full = f"{now.name}.{names[folded]}"
        if before is None and field is not None:
            more = ", and a new record needs it" if field.required else ""
            yield Change(object=now.name, field=field.name, text=f"{full} is new{more}", narrows=field.required)
        elif before is not None and field is None:
            text = f"{full} is gone, or hidden"
            yield Change(object=now.name, field=before.name, text=text, narrows=True)
        elif before is not None and field is not None:
            for text, narrows in _field_changes(before, field):
                yield Change(object=now.name, field=field.name, text=f"{full} {text}", narrows=narrows)


def _field_changes(was: FieldSchema, now: FieldSchema) -> Iterator[tuple[str, bool]]:
    if now.kind is not was.kind:
        yield f"is of the kind {now.kind}, and was {was.kind}", True
    elif now.length != was.length:
        yield f"holds {now.length} characters, and held {was.length}", now.kind in TEXTS and 0 < now.length < was.length
    yield from _list_changes(was, now)
    for name, text in RIGHTS.items():
        if getattr(now, name) != getattr(was, name):
            yield f"{text} now" if getattr(now, name) else f"{text} no longer", getattr(was, name)
    for name, text in MARKS.items():
        if getattr(now, name) != getattr(was, name):
            yield f"is {text} now" if getattr(now, name) else f"is no longer {text}", True
    if now.required != was.required:
        yield "is needed by new records now" if now.required else "is no longer needed by new records", now.required
    if (now.relationship, now.parents) != (was.relationship, was.parents):
        parents = ", ".join(now.parents) or "nothing"
        yield f"points to {parents} as {now.relationship}", not set(was.parents) <= set(now.parents)
    if now.label != was.label:
        yield f"is labelled {now.label}, and was {was.label}", False


def _list_changes(was: FieldSchema, now: FieldSchema) -> Iterator[tuple[str, bool]]:
    lost = [one for one in was.choices if one not in now.choices]
    new = [one for one in now.choices if one not in was.choices]
    if lost:
        yield f"has lost {_values_in_words(lost)}", now.restricted
    if new:
        yield f"has the new {_values_in_words(new)}", False
    if not lost and not new and now.choices != was.choices:
        yield "has its values in another order", False
    if now.restricted != was.restricted:
        text = "now takes only values of its list" if now.restricted else "now takes values outside its list"
        yield text, now.restricted


def _values_in_words(values: Sequence[str]) -> str:
    listed = ", ".join(values[:SHOWN])
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return f"value{'s' if len(values) > 1 else ''} {listed}{more}"
