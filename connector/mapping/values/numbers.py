"""How a mapping file reads phone numbers: in the country of its provider, else of the record, else of the installation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.mapping.language.field_forms import Transform
from connector.mapping.language.paths import BadPath, Path, parse_path
from connector.mapping.language.templates import parse_template
from connector.mapping.values.values import fold, text
from connector.model.consent_fields import ConsentFields
from connector.model.event import Event
from connector.model.record_number import NO_REGION, NumberReader, RecordNumber, known_by_key


@dataclass(frozen=True, slots=True, kw_only=True)
class EventNumbers:
    """Reads the numbers in the events that a file sees."""

    reader: NumberReader = NO_REGION  # of the CRMs' records
    regions: Mapping[str, str] = field(default_factory=dict)  # provider → the country of its numbers
    consent: ConsentFields | None = None  # of the records whose changes the file sees

    def read(self, value: Any, event: Event) -> RecordNumber:
        """A value of the event, as a number. If it may mean the event's own person, it does."""
        country = event.record.get(self.consent.country) if self.consent and self.consent.country else None
        region = self.regions.get(event.provider)
        reader = self.reader if region is None else NumberReader(default=region)
        number, own = reader.read(text(value), country), event.msisdn
        return number if own is None else known_by_key(number, [own.e164])

    def of_record(self, record: Mapping[str, Any]) -> RecordNumber:
        """The number in the consent phone field of a record."""
        return self.reader.of(record, self.consent) if self.consent else RecordNumber()

    def names_own(self, written: Any) -> bool:
        """Whether a value is the own person's number: `{msisdn}`, or the consent phone field of the event's record.

        The event's number was read from that field or replaces it. A second reading could give another person.
        """
        paths = _paths(written)
        return len(paths) == 1 and self._is_own(paths[0])

    def _is_own(self, path: Path) -> bool:
        if path.root == "msisdn":
            return True
        phone = self.consent.phone if self.consent else None
        return phone is not None and path.root == "record" and [fold(str(step)) for step in path.steps] == [fold(phone)]


def _paths(written: Any) -> Sequence[Path]:
    """The paths of a template or a transform; empty if it is invalid, which is reported elsewhere."""
    try:
        if isinstance(written, Transform):
            sources = written.source if isinstance(written.source, list) else [written.source]
            return [parse_path(path) for path in sources]
        return parse_template(written).paths if isinstance(written, str) else ()
    except BadPath:
        return ()
