"""What a mapping file is checked against, and the list that collects its problems."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from connector.config.settings import zone_cure
from connector.config.validation import did_you_mean, with_article
from connector.config.yaml_document import Document, Where
from connector.mapping.language.paths import BadPath
from connector.mapping.values.numbers import EventNumbers
from connector.model.consent import CLOCK_TOLERANCE
from connector.model.consent_fields import ConsentFields
from connector.model.crm_schema import CrmSchema
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.problem import Problem, Severity
from connector.model.record_number import NO_REGION, NumberReader
from connector.model.sink_traits import SinkTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the config allows mappings to refer to."""

    sources: Collection[str]  # what `on:` may name
    crms: tuple[str, ...]  # names of the configured CRMs
    commands: Mapping[str, frozenset[str]] = field(default_factory=dict)  # provider → the commands that it accepts
    sinks: Mapping[str, SinkTraits] = field(default_factory=dict)  # sinks that are neither a CRM nor a provider
    consent_fields: Mapping[str, Mapping[str, ConsentFields]] = field(default_factory=dict)  # CRM → object → fields
    # Provider → path → the words that it is known to send there.
    words: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    one_way: frozenset[str] = frozenset()  # CRMs whose own opt-outs are sent to no provider (`consent: one_way`)
    schemas: Mapping[str, CrmSchema] = field(default_factory=dict)  # CRM → its schema, if known
    traits: Mapping[str, CrmTraits] = field(default_factory=dict)  # CRM → how it differs from others
    timezone: str = "UTC"  # of dates without a time zone
    clock_tolerance: timedelta = CLOCK_TOLERANCE  # how far the clocks of senders may differ
    numbers: NumberReader = NO_REGION  # of the CRMs' phone fields
    regions: Mapping[str, str] = field(default_factory=dict)  # provider → the country of its numbers

    def numbers_of(self, consent: ConsentFields | None) -> EventNumbers:
        """How numbers are read in the events of a file; `consent` is for the object whose changes it sees."""
        return EventNumbers(reader=self.numbers, regions=self.regions, consent=consent)

    def traits_of(self, sink: str) -> CrmTraits:
        """The traits of a sink; a provider has the defaults."""
        return self.traits.get(sink, PLAIN)

    def crm_of(self, named: str | None) -> str:
        """The CRM that an item names, or the only one there is; empty if that is not clear."""
        return named or (self.crms[0] if len(self.crms) == 1 else "")

    @property
    def flags(self) -> tuple[str, ...]:
        """The CRMs that have an opt-out flag."""
        return tuple(name for name, objects in self.consent_fields.items() if objects)

    def consent_of(self, crm: str | None, object_name: str) -> ConsentFields | None:
        """The consent fields of an object; CRMs ignore case."""
        declared = self.consent_fields.get(crm or "", {})
        if (exact := declared.get(object_name)) is not None:
            return exact
        wanted = object_name.casefold()
        return next((found for name, found in declared.items() if name.casefold() == wanted), None)


@dataclass(slots=True)
class Findings:
    """The problems found so far in one file."""

    document: Document
    context: Context
    problems: list[Problem] = field(default_factory=list)
    numbers: EventNumbers = field(default_factory=EventNumbers)  # how it reads phone numbers

    def add(self, where: Where, code: str, message: str, hint: str = "", *, key: bool = False) -> None:
        """Add an error at a place of the file."""
        self.problems.append(self.document.problem(where, code, message, hint, key=key))

    def warn(self, where: Where, code: str, message: str, hint: str = "") -> None:
        """Add a warning at a key of the file."""
        self.problems.append(self.document.problem(where, code, message, hint, key=True, severity=Severity.WARNING))

    def unknown(self, where: Where, what: str, word: str, known: Iterable[str]) -> None:
        """Add an error for a word that the config does not know."""
        self.add(
            where,
            f"unknown-{what.split(maxsplit=1)[0]}",
            f"`{word}` is not {with_article(what)}",
            did_you_mean(word, known),
        )

    def bad_path(self, where: Where, bad: BadPath, *, key: bool = False) -> None:
        """Add an error for a path or template that cannot be read."""
        self.add(where, "bad-path", str(bad), bad.hint, key=key)

    def zone(self, name: str, where: Where) -> ZoneInfo:
        """The time zone; UTC after reporting a problem if no zone has that name."""
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            self.add(where, "unknown-timezone", f"`{name}` is not a time zone", zone_cure(name))
            return ZoneInfo("UTC")
