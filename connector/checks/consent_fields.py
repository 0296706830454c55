"""Checks `consent_fields:` of the config against the CRM's description of its objects."""

from collections.abc import Iterator, Mapping

from connector.config.validation import did_you_mean
from connector.config.yaml_document import Document, Where
from connector.mapping.checks.crm_fields import ABSENT
from connector.mapping.checks.value_fit import misfits_of_value
from connector.model.consent_fields import ConsentFields
from connector.model.crm_schema import CrmSchema, ObjectSchema
from connector.model.problem import Problem, Severity
from connector.model.record_number import NumberReader


def consent_problems(
    document: Document, consent: Mapping[str, Mapping[str, ConsentFields]], schemas: Mapping[str, CrmSchema]
) -> list[Problem]:
    """What in the config does not fit, with its place there; `consent` is by CRM and object."""
    found: list[Problem] = []
    for crm, objects in consent.items():
        for name, fields in objects.items() if crm in schemas else ():
            where: Where = ("crm", crm, "consent_fields", name)
            known = schemas[crm].object(name)
            if known is None:
                hint = did_you_mean(name, [one.name for one in schemas[crm].objects])
                message = f"the schema of {crm} has no `{name}`"
                found.append(document.problem(where, "no-such-object", message, hint or ABSENT, key=True))
                continue
            found += _in_object(document, where, known, fields)
    return found


def unclear_numbers(
    document: Document, consent: Mapping[str, Mapping[str, ConsentFields]], numbers: NumberReader
) -> list[Problem]:
    """The phone fields in which a number without a country code may mean two people, with their places in the config."""
    regions = " or ".join(numbers.alike)
    if not regions:
        return []
    return [
        document.problem(
            ("crm", crm, "consent_fields", name, "phone"),
            "unclear-numbers",
            f"a number there without its country code may be of {regions}, and then nobody is chosen and a person is asked",
            "name the field with the record's country as `country:`, or set `region:` of each provider to where its donors are",
            severity=Severity.WARNING,
        )
        for crm, objects in consent.items()
        for name, fields in objects.items()
        if fields.phone is not None and fields.country is None
    ]


def _in_object(document: Document, where: Where, known: ObjectSchema, fields: ConsentFields) -> Iterator[Problem]:
    named: list[tuple[Where, str | None]] = [((*where, "flag"), fields.flag), ((*where, "phone"), fields.phone)]
    named.append(((*where, "country"), fields.country))
    named += [((*where, "along", place), name) for place, name in enumerate(fields.along)]
    for place, name in named:
        if name is not None and known.field(name) is None:
            close = did_you_mean(name, [one.name for one in known.fields])
            message = f"`{known.name}` has no field `{name}`"
            hint = f"{close} If not, {ABSENT}" if close.startswith("did") else ABSENT
            yield document.problem(place, "no-such-field", message, hint)
    flag = known.field(fields.flag)
    if flag is not None:
        for one in misfits_of_value(fields.opted_out, flag, f"{known.name}.{flag.name}", (*where, "opted_out")):
            yield document.problem(one.where, one.code, one.message, one.hint, severity=one.severity)
