"""Looks up the owner of a number, for events that do not name one. It is off by default, because each look-up may be billed."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from connector.model.event import Event, Result, Verdict
from connector.model.http import Http
from connector.model.outcome import Rejected, Retry
from connector.model.phone import Phone
from connector.ports import Enriched, Pending
from connector.providers.strex.number_lookup import StrexLookups

REMEMBERED = 10_000  # the newest numbers; some megabytes at most


@dataclass(slots=True, kw_only=True)
class StrexEnricher:
    """Looks each number up once (ports.py, Enricher). Answers are remembered in memory for `keep`.

    A number that is not registered is remembered too. At the deadline an event without an answer is planned as it is.
    An opt-out never waits.
    """

    provider: str
    lookups: StrexLookups
    keep: timedelta
    deadline: timedelta
    first_pause: timedelta = timedelta()
    _known: OrderedDict[str, tuple[datetime, Mapping[str, Any]]] = field(default_factory=OrderedDict)

    def wants(self, event: Event) -> bool:
        """Whether the event may create a contact whose name is not known. An event that ends something never waits."""
        return (
            event.msisdn is not None
            and not event.lookup
            and not event.service_command
            and event.result is Result.OK
            and event.verdict is not Verdict.OPT_OUT
            and self._remembered(event.msisdn, event.received_at) is None
        )

    async def ask(self, http: Http, event: Event) -> Enriched | Pending:
        """Look the number up, unless that was done for another event of the person meanwhile."""
        assert event.msisdn is not None  # noqa: S101 - wants() has checked it.
        found = self._remembered(event.msisdn, event.received_at)
        if found is None:
            answer = await self.lookups.look_up(http, event.msisdn)
            if isinstance(answer, Retry):
                return Pending(problem=answer)
            found = {} if isinstance(answer, Rejected) or answer is None else answer
            self._remember(event.msisdn, event.received_at, found)
        return Enriched(event=replace(event, lookup=found))

    def _remembered(self, phone: Phone, now: datetime) -> Mapping[str, Any] | None:
        known = self._known.get(phone.e164)
        return known[1] if known is not None and now - known[0] < self.keep else None

    def _remember(self, phone: Phone, now: datetime, found: Mapping[str, Any]) -> None:
        self._known[phone.e164] = (now, found)
        self._known.move_to_end(phone.e164)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
