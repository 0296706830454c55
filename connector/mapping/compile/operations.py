"""Compiles `do:`: checks its writes and commands against the config and makes them items that make operations."""

from dataclasses import replace
from typing import Any

from connector.config.yaml_document import Where
from connector.mapping.checks.matches import check_match
from connector.mapping.compile.conditions import compile_when
from connector.mapping.compile.context import Findings
from connector.mapping.compile.exact_keys import is_exact
from connector.mapping.compile.fields import FieldValue, compile_field, compile_fields, compile_single, make_required
from connector.mapping.compile.items import CommandItem, CompiledItem, WriteItem
from connector.mapping.compile.key_characters import check_key, refusing_characters
from connector.mapping.compile.sink_calls import compile_sink_call
from connector.mapping.language.field_forms import ways_of
from connector.mapping.language.paths import Reading
from connector.mapping.language.rules import Command, JourneyEvent, Post, Row, Rule, Update, Upsert
from connector.mapping.values.values import fold, text
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, MATCHED_BY, IfNone

CHANGES_PRICE = "changesubscriberprice"  # the command that needs a price (Strex Connect, "Service commands")


def compile_items(rule: Rule, label: str, where: Where, findings: Findings) -> tuple[CompiledItem, ...]:
    """The items of a rule, in order."""
    made: list[CompiledItem] = []
    calls: list[str] = []
    for number, item in enumerate(rule.do):
        here = (*where, "do", number)
        if isinstance(item, Command):
            made.append(_command(item, label, here, findings))
        elif isinstance(item, Post | Row | JourneyEvent):
            call = compile_sink_call(item, label, here, findings)
            ordinal = calls.count(call.label)
            made.append(replace(call, ordinal=ordinal) if ordinal else call)
            calls.append(call.label)
        else:
            made.append(_write(item, rule, label, here, findings))
    return tuple(made)


def sink_of(named: str | None, known: tuple[str, ...], what: str, where: Where, findings: Findings) -> str:
    """The CRM or provider that an item names, or the only one there is."""
    word = "crm" if what == "CRM" else "provider"
    if named is not None:
        if named not in known:
            findings.unknown((*where, word), what, named, known)
        return named
    if len(known) != 1:
        hint = f"add `{word}:` with one of {', '.join(sorted(known))}" if known else "configure one"
        findings.add(where, f"no-{word}", f"this does not say for which {what}", hint)
        return ""
    return known[0]


def _write(item: Upsert | Update, rule: Rule, label: str, where: Where, findings: Findings) -> WriteItem:
    is_upsert = isinstance(item, Upsert)
    name, create, context = item.object_name, item.create, findings.context
    sink = sink_of(item.crm, context.crms, "CRM", where, findings)
    key = _key(item, where, findings, sink)
    _check_parents(item.set, (*where, "set"), findings, sink)
    _check_parents(create, (*where, "create"), findings, sink)
    for field in create:
        if field in item.set:
            findings.add(
                (*where, "create", field), "set-twice", f"`{field}` is in `set` too", "`set` alone is enough", key=True
            )
        elif item.id is not None:
            findings.add(
                (*where, "create", field),
                "create-by-id",
                "a record that has an Id is not created",
                "move it to `set`",
                key=True,
            )
    if item.match is not None:
        check_match(item, item.match, where, findings, sink)
    for group, fields in (("set", item.set), ("create", create)):
        if key.name in fields:
            findings.add(
                (*where, group, key.name), "key-set", "the key field is written by `key`", "take it out", key=True
            )
    schema = context.schemas.get(sink)
    known = schema.object(name) if schema else None
    declared = context.consent_of(sink, name)
    consent, flag, opted_out = _consent(declared, (*item.set, *create))
    if consent and rule.consent is None:
        first = next(field for field in (*item.set, *create) if field in consent)
        group = "set" if first in item.set else "create"
        findings.warn(
            (*where, group, first),
            "consent-field",
            f"`{first}` is a consent field, and the rule does not say what it means for consent",
            "add `consent: opt_in` or `consent: opt_out` to the rule",
        )
    return WriteItem(
        label=f"{'upsert' if is_upsert else 'update'} {name}",
        rule=label,
        when=None if item.when is None else compile_when(item.when, (*where, "when"), findings),
        sink=sink,
        object=name,
        key=key,
        set=_with_flag(compile_fields(item.set, (*where, "set"), findings, known), flag),
        create=_with_flag(compile_fields(create, (*where, "create"), findings, known), flag),
        may_create=is_upsert and item.id is None and (item.match is None or item.match.none is IfNone.CREATE),
        skip_missing=item.if_missing == "skip",
        consent=consent,
        flag=flag,
        opted_out=opted_out,
        match=item.match,
        country=declared.country if item.match and declared else None,
        exact=item.key is not None and all(map(is_exact, item.key.values())),
        parents=_parents({**create, **item.set}),
    )


def _with_flag(fields: tuple[FieldValue, ...], flag: str | None) -> tuple[FieldValue, ...]:
    """The fields. A flag whose value cannot be computed is never just left out with a note."""
    if flag is None:
        return fields
    return tuple(make_required(one, may_be_missing=True) if one.name == flag else one for one in fields)


def _parents(fields: dict[str, Any]) -> tuple[tuple[str, str | None], ...]:
    """The relationships among the fields, with the parent's type if given."""
    return tuple((name, way.get("type")) for name, value in fields.items() for way in ways_of(value))


def _consent(declared: ConsentFields | None, fields: tuple[str, ...]) -> tuple[frozenset[str], str | None, str]:
    """The consent fields among these fields, the flag if it is one of them, and its value that means opted out."""
    if declared is None:
        return frozenset(), None, ""
    consent_fields = {field.casefold() for field in declared.all}
    flag = next((field for field in fields if field.casefold() == declared.flag.casefold()), None)
    return (
        frozenset(field for field in fields if field.casefold() in consent_fields),
        flag,
        fold(text(declared.opted_out)),
    )


def _check_parents(fields: dict[str, Any], where: Where, findings: Findings, sink: str) -> None:
    """Check the keys by which parents are named."""
    for field, value in fields.items():
        for name, key in ((name, key) for way in ways_of(value) for name, key in way.items()):
            if name not in {"type", ID_FIELD}:
                check_key(key, (*where, field), findings, sink)


def _key(item: Upsert | Update, where: Where, findings: Findings, sink: str) -> FieldValue:
    traits = findings.context.traits_of(sink)
    if item.id is not None:
        written = compile_single(item.id, (*where, "id"), findings)

        def full(reading: Reading) -> str | None:
            value = written(reading)
            return None if value is None else traits.full_id(text(value))

        return FieldValue(name=ID_FIELD, get=full, clear=False, source=item.id)
    if item.key is None and item.match is not None:
        get = compile_single("{msisdn}", (*where, "match"), findings)
        return FieldValue(name=MATCHED_BY + ",".join(item.match.phone), get=get, clear=False, source="{msisdn}")
    ((name, value),) = (item.key or {"": None}).items()
    if value is None:
        findings.add(
            (*where, "key", name), "no-value", "a key needs a value", f'write {{{name}: "{{msisdn}}"}}', key=True
        )
    check_key(value, (*where, "key", name), findings, sink)
    single = _single(name, value, (*where, "key", name), findings)
    return single._replace(get=refusing_characters(single.get, traits))


def _single(name: str, value: Any, where: Where, findings: Findings) -> FieldValue:
    """A required value that is not a parent."""
    shown = compile_field(name, value, where, Findings(findings.document, findings.context)).source
    return FieldValue(name=name, get=compile_single(value, where, findings), clear=False, source=shown)


def _command(item: Command, label: str, where: Where, findings: Findings) -> CommandItem:
    context = findings.context
    provider = sink_of(item.provider, tuple(context.commands), "provider that takes commands", where, findings)
    known = context.commands.get(provider, frozenset())
    if provider in context.commands and item.command not in known:
        findings.unknown((*where, "command"), "command", item.command, tuple(sorted(known)))
    _check_target(item, where, findings)
    if item.command == CHANGES_PRICE and item.price is None:
        findings.add(where, "no-price", f"{CHANGES_PRICE} needs a price", 'add price: "{record.…}"')
    if item.price is not None and item.command == CHANGES_PRICE and item.to == "active_subscriptions":
        findings.warn(
            (*where, "to"),
            "price-to-several",
            "one price would go to every subscription of the person, and be charged as often",
            "write `to: only_subscription`, or name the one by `short_number:` and `keyword:`",
        )
    if item.command != CHANGES_PRICE and item.price is not None:
        findings.add((*where, "price"), "useless-price", f"`{item.command}` takes no price", "take it out", key=True)

    def optional(name: str, value: Any) -> FieldValue | None:
        return None if value is None else _single(name, value, (*where, name), findings)

    return CommandItem(
        label=f"command {item.command}",
        rule=label,
        when=None if item.when is None else compile_when(item.when, (*where, "when"), findings),
        sink=provider,
        action=item.command,
        only=item.to == "only_subscription",
        phone=_single("phone", item.phone, (*where, "phone"), findings),
        short_number=optional("short_number", item.short_number),
        keyword=optional("keyword", item.keyword),
        price=optional("price", item.price),
        skip_missing=item.if_missing == "skip",
        own=findings.numbers.names_own(item.phone),
        numbers=findings.numbers,
    )


def _check_target(item: Command, where: Where, findings: Findings) -> None:
    named = item.short_number is not None or item.keyword is not None
    both = item.short_number is not None and item.keyword is not None
    if item.to is not None and named:
        findings.add(
            (*where, "to"), "two-targets", "`to` and a keyword name two targets", "take one of them out", key=True
        )
    if item.to is None and not both:
        findings.add(
            where,
            "no-target",
            "this does not say which subscription",
            "add to: active_subscriptions, to: only_subscription (for a price), or short_number: and keyword:",
        )
