"""What was known of an event's person before the event: with it, a stored event is planned as it was when it came."""

from collections.abc import Sequence

from connector.consent.change_events import DELETED
from connector.model.consent import LedgerEntry, Subscription
from connector.model.event import Event, Verdict
from connector.model.operation import ID_FIELD
from connector.model.plan import Known
from connector.store.store import Store


def known_before(
    store: Store, event_id: int, event: Event, ledger: Sequence[LedgerEntry], configured: Sequence[Subscription]
) -> Known:
    """`ledger` is the person's, oldest first. Of other records with the number, what is known now counts."""
    others_out = others_there = False
    if event.msisdn is not None and event.object is not None:
        record, number = str(event.record.get(ID_FIELD)), event.msisdn.e164
        if event.verdict is Verdict.OPT_IN:
            others_out = store.records.opted_out_with_phone(event.provider, event.object, number, but=record)
        if event.shape == DELETED:
            others_there = store.records.has_phone(event.provider, event.object, number, but=record)
    return Known(
        ledger=tuple(one for one in ledger if one.event_id < event_id),
        configured=tuple(configured),
        others_opted_out=others_out,
        event_id=event_id,
        answer=store.stop_answers.verdict_of(event) if event.verdict is Verdict.MAYBE_STOP else None,
        others_have_number=others_there,
    )
