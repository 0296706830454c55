"""Checks rules against the CRM's description of its objects: names, rights, keys, parents, values.

It works for all CRMs, and does not know whether the schema comes from a lock file or directly from the CRM.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from connector.config.validation import did_you_mean
from connector.config.yaml_document import Where
from connector.mapping.checks.possible_values import PossibleValues, possible_values
from connector.mapping.checks.rules import compared_values, writes_of
from connector.mapping.checks.value_fit import Misfit, can_never_be, misfits
from connector.mapping.compile.context import Findings
from connector.mapping.compile.exact_keys import is_exact
from connector.mapping.compile.sources import CHANGE, sources_of
from connector.mapping.language.rules import FeedSettings, MappingFile, MatchForm, Update, Upsert
from connector.mapping.values.values import text
from connector.model.crm_schema import PICKED, TEXTS, CrmSchema, FieldKind, FieldSchema, ObjectSchema
from connector.model.operation import ID_FIELD, IfNone
from connector.model.problem import Severity

Schemas = Mapping[str, CrmSchema]  # by the CRM's name in the config
PULL = "`connector schema pull`"
ABSENT = f"create it in the CRM, or show it to the connector's user; then {PULL}"
MAKE_KEY = "tick External ID on the field, or make an alternate key of the column"
KEY_KINDS = TEXTS | PICKED | {FieldKind.ID}


def check_schemas(model: MappingFile, findings: Findings, schemas: Schemas) -> None:
    """Check one file against the schemas of the CRMs that it writes to and watches. A CRM without a schema is skipped."""
    if model.feed is not None:
        for source in sources_of(model):
            crm, _, shape = source.rpartition(".")
            if shape == CHANGE and crm in schemas:
                _check_feed(model, model.feed, schemas[crm], findings)
    for item, where in writes_of(model):
        schema = schemas.get(findings.context.crm_of(item.crm))
        if schema is not None:
            _WriteChecks(schema, findings).check(item, where)


def _check_feed(model: MappingFile, feed: FeedSettings, schema: CrmSchema, findings: Findings) -> None:
    known = _WriteChecks(schema, findings).find_object(feed.object, ("feed", "object"))
    if known is None:
        return
    for number, name in enumerate(feed.fields):
        watched = known.field(name)
        if watched is None:
            _add_no_field(known, name, ("feed", "fields", number), findings, key=False)
        elif watched.calculated:
            findings.warn(
                ("feed", "fields", number),
                "calculated-field",
                f"`{known.name}.{watched.name}` is calculated, and its changes are not seen: they do not change its record",
                "let the feed watch the fields that it is made of",
            )
    for path, value, where in compared_values(model):
        field = known.field(path.key) if path.root == "record" else None
        if field is not None and can_never_be(value, field):
            findings.warn(
                where,
                "never-true",
                f"`{known.name}.{field.name}` is never `{text(value)}`, so that this is true of no record",
                did_you_mean(text(value), field.choices) or "see the field's values in the CRM",
            )


def key_faults(object_name: str, field: FieldSchema) -> Iterator[tuple[str, str, str]]:
    """Why a field cannot be a key: code, message and hint of each fault."""
    full = f"{object_name}.{field.name}"
    if not field.keyed:
        yield "no-external-id", f"`{full}` is not an external ID", f"{MAKE_KEY}; then {PULL}"
    if not field.unique:
        message = f"`{full}` is not unique, so that a repeat could create a second record"
        yield "not-unique", message, f"tick Unique on the field, or make an alternate key of the column; then {PULL}"
    if field.kind not in KEY_KINDS:
        yield "key-kind", f"`{full}` is of the kind {field.kind}", "a key must be a text field"


def _add_no_field(known: ObjectSchema, name: str, where: Where, findings: Findings, *, key: bool) -> None:
    words = [word for one in known.fields for word in (one.name, one.relationship) if word]
    close = did_you_mean(name, words)
    hint = f"{close} If not, {ABSENT}" if close.startswith("did") else ABSENT
    findings.add(where, "no-such-field", f"`{known.name}` has no field `{name}`", hint, key=key)


class _WriteChecks:
    """The checks of one write."""

    def __init__(self, schema: CrmSchema, findings: Findings) -> None:
        self._schema = schema
        self._findings = findings

    def find_object(self, name: str, where: Where) -> ObjectSchema | None:
        """The object, or None after reporting a problem at the place."""
        known = self._schema.object(name)
        if known is None:
            close = did_you_mean(name, [one.name for one in self._schema.objects])
            cure = f"where {self._schema.crm} has this object, read it by {PULL}"
            hint = f"{close} If not: {cure}" if close.startswith("did") else cure
            message = f"`{name}` is not a known object of {self._schema.crm}"
            self._findings.add(where, "no-such-object", message, hint)
        return known

    def check(self, item: Upsert | Update, where: Where) -> None:
        """Check a whole upsert or update."""
        is_upsert = isinstance(item, Upsert)
        known = self.find_object(item.object_name, (*where, "upsert" if is_upsert else "update"))
        if known is None:
            return
        may_create = is_upsert and item.id is None and (item.match is None or item.match.none is IfNone.CREATE)
        if item.match is not None:
            self._check_match(known, item, item.match, where)
        for key, value in (item.key or {}).items():
            self._check_key(known, key, value, (*where, "key", key), may_create=may_create)
        for field, value in item.set.items():
            self._check_field(known, field, value, (*where, "set", field), creating=may_create, changing=True)
        for field, value in item.create.items():
            self._check_field(known, field, value, (*where, "create", field), creating=may_create, changing=False)
        groups = (("set", item.set), ("create", item.create))
        self._check_currency(known, {(*where, group, field): field for group, fields in groups for field in fields})
        if may_create:
            self._check_required(known, (*(item.key or ()), *item.set, *item.create), (*where, "upsert"))

    def _check_currency(self, known: ObjectSchema, written: Mapping[Where, str]) -> None:
        """Check the currency of amounts, in an org with several currencies.

        An amount is in its record's currency, and a new record has the currency of the user who creates it.
        """
        name = known.currency_field
        if name is None or name.casefold() in {field.casefold() for field in written.values()}:
            return
        for where, field in written.items():
            about = known.field(field)
            if about is not None and about.money:
                self._findings.warn(
                    where,
                    "no-currency",
                    f"`{known.name}.{about.name}` is an amount without its currency: a new record has that of the connector's user",
                    f'add `{name}: "{{currency}}"`, or the currency itself, such as `{name}: NOK`',
                )
                return

    def _check_match(self, known: ObjectSchema, item: Upsert | Update, match: MatchForm, where: Where) -> None:
        """Check the fields that are searched for numbers, and the key that the found record gets."""
        for place, name in enumerate(match.phone):
            if known.field(name) is None:
                _add_no_field(known, name, (*where, "match", "phone", place), self._findings, key=False)
        for name in item.key or ():
            field = known.field(name)
            if field is not None and not field.updateable:
                full = f"{known.name}.{field.name}"
                self._add_read_only(full, (*where, "key", name), "the record that is found cannot be given it")

    def _check_key(self, known: ObjectSchema, name: str, value: Any, where: Where, *, may_create: bool) -> None:
        field = known.field(name)
        if field is None:
            _add_no_field(known, name, where, self._findings, key=True)
            return
        # Where a new record can be given its id, a sender's key may become the id.
        if field.kind is FieldKind.ID and not field.createable:
            self._add(where, "id-as-key", f"`{name}` is the record's own Id", 'write `id: "{…}"` instead of `key:`')
            return
        full = f"{known.name}.{field.name}"
        for fault in key_faults(known.name, field):
            self._add(where, *fault)
        if field.case_sensitive is False and is_exact(value):
            self._findings.warn(
                where,
                "case-insensitive-key",
                f"`{full}` takes capital and small letters for the same, and ids of the sender may differ by them alone",
                f"make the field case sensitive; then {PULL}",
            )
        if may_create and not field.createable:
            self._add_read_only(full, where, "a new record cannot be given it")
        if not isinstance(value, dict | list):
            self._add_misfits(misfits(_uncut(possible_values(value, where)), field, full, where))

    def _check_field(
        self, known: ObjectSchema, name: str, value: Any, where: Where, *, creating: bool, changing: bool
    ) -> None:
        field = known.field(name)
        # A CRM may give the relationship the name of its field: then a value is the record's id, and a key is looked up.
        lookup = known.related(name) if field is None or isinstance(value, dict | list) else None
        if field is None and lookup is None:
            _add_no_field(known, name, where, self._findings, key=True)
            return
        if isinstance(value, dict | list):
            if lookup is None:
                self._add_no_parent(known, name, field, where)
                return
            for place, way in [(where, value)] if isinstance(value, dict) else _ways_with_places(value, where):
                self._check_parent(known, lookup, way, place)
        elif lookup is not None and value is not None:
            self._add(
                where,
                "no-parent",
                f"`{known.name}.{name}` is a relationship: it takes a parent, named by its key",
                f"write {{its key field: value}}, or give `{lookup.name}` the parent's Id",
            )
        elif field is not None:
            self._add_misfits(misfits(possible_values(value, where), field, f"{known.name}.{field.name}", where))
        self._check_rights(known, field or lookup, where, creating=creating, changing=changing)

    def _check_rights(
        self, known: ObjectSchema, field: FieldSchema | None, where: Where, *, creating: bool, changing: bool
    ) -> None:
        if field is None:
            return
        full = f"{known.name}.{field.name}"
        if not (field.createable or field.updateable):
            self._add_read_only(full, where, "it is read-only")
        elif changing and not field.updateable:
            self._add(where, "not-updateable", f"`{full}` can be set on a new record only", "move it to `create:`")
        elif creating and not field.createable:
            self._add_read_only(full, where, "a new record cannot be given it")

    def _add_read_only(self, full: str, where: Where, why: str) -> None:
        hint = "allow the connector's user to edit it in field-level security, or take it out of the mapping"
        self._add(where, "read-only", f"`{full}` cannot be written: {why}", f"{hint}; then {PULL}")

    def _add_no_parent(self, known: ObjectSchema, name: str, field: FieldSchema | None, where: Where) -> None:
        hint = (
            f"name it by its relationship: `{field.relationship}`" if field and field.relationship else "write a value"
        )
        self._add(where, "no-parent", f"`{known.name}.{name}` takes no parent", hint)

    def _check_parent(self, known: ObjectSchema, lookup: FieldSchema, value: dict[str, Any], where: Where) -> None:
        """Check a parent that is named by one of its keys. Other forms are reported elsewhere."""
        type_ = value.get("type")
        keys = [name for name in value if name != "type"]
        full = f"{known.name}.{lookup.relationship}"
        parents = {one.casefold(): one for one in lookup.parents}
        if type_ is None and len(parents) > 1 and keys != [ID_FIELD]:
            some = ", ".join(lookup.parents[:8])
            self._add(where, "no-type", f"`{full}` points to records of several types", f"add `type:`, one of {some}")
            return
        if isinstance(type_, str) and parents and type_.casefold() not in parents:
            hint = did_you_mean(type_, lookup.parents)
            self._add(
                (*where, "type"), "wrong-type", f"`{full}` does not point to records of `{type_}`", hint, key=False
            )
            return
        target = type_ if isinstance(type_, str) else next(iter(lookup.parents), None)
        if target is None or len(keys) != 1 or keys[0] == ID_FIELD:
            return
        parent = self.find_object(target, where)
        field = parent.field(keys[0]) if parent else None
        if parent and field is None:
            _add_no_field(parent, keys[0], (*where, keys[0]), self._findings, key=True)
        elif parent and field and not field.keyed:
            self._add(
                (*where, keys[0]),
                "no-external-id",
                f"`{parent.name}.{field.name}` is not an external ID, so that no parent can be named by it",
                f"{MAKE_KEY}; then {PULL}",
            )

    def _check_required(self, known: ObjectSchema, written: Iterable[str], where: Where) -> None:
        names = {name.casefold() for name in written}
        lacking = [
            one.name
            for one in known.required
            if not {one.name.casefold(), (one.relationship or one.name).casefold()} & names
        ]
        if lacking:
            self._findings.add(
                where,
                "required-field",
                f"a new `{known.name}` needs {_listed(lacking)}",
                "add it under `create:`, or write `update:` where none is ever to be made",
            )

    def _add(self, where: Where, code: str, message: str, hint: str, *, key: bool = True) -> None:
        self._findings.add(where, code, message, hint, key=key)

    def _add_misfits(self, found: Iterable[Misfit]) -> None:
        for one in found:
            self._findings.problems.append(
                self._findings.document.problem(
                    one.where,
                    one.code,
                    one.message,
                    one.hint,
                    key=one.severity is Severity.WARNING,
                    severity=one.severity,
                )
            )


def _ways_with_places(ways: Sequence[dict[str, Any] | None], where: Where) -> list[tuple[Where, dict[str, Any]]]:
    return [((*where, number), way) for number, way in enumerate(ways) if way is not None]


def _uncut(known: PossibleValues) -> PossibleValues:
    """The possible values of a key. They are never cut, because two records could become one."""
    return PossibleValues(values=known.values, kind=known.kind)


def _listed(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
