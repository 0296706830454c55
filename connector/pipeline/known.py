"""What is known of an event's person besides the event: a plan depends on it."""

from collections.abc import Sequence

from connector.consent.change_events import DELETED
from connector.consent.merges import MERGED
from connector.model.consent import LedgerEntry, Subscription
from connector.model.event import Event, Verdict
from connector.model.operation import ID_FIELD
from connector.model.plan import Known
from connector.store.store import Store


def known_before(
    store: Store, event_id: int, event: Event, ledger: Sequence[LedgerEntry], configured: Sequence[Subscription]
) -> Known:
    """What was known before a stored event, so that it is planned as when it arrived.

    `ledger` is that of the person, oldest first. Other records with the number are as they are now.
    """
    return Known(
        ledger=tuple(one for one in ledger if one.event_id < event_id),
        configured=tuple(configured),
        others_opted_out=event.verdict is Verdict.OPT_IN and others_opted_out(store, event),
        event_id=event_id,
        answer=store.stop_answers.verdict_of(event),
        others_have_number=event.shape == DELETED and others_have_number(store, event),
    )


def others_opted_out(store: Store, event: Event) -> bool:
    """Whether another record with the event's number is opted out, or was until a merge that waits for a person."""
    if event.msisdn is None or event.object is None:
        return False
    number = event.msisdn.e164
    return store.inbox.in_review(number, MERGED) or store.records.opted_out_with_phone(
        event.provider, number, but=_record_of(event)
    )


def others_have_number(store: Store, event: Event) -> bool:
    """Whether another record has the event's number."""
    if event.msisdn is None or event.object is None:
        return False
    return store.records.has_phone(event.provider, event.object, event.msisdn.e164, but=_record_of(event))


def _record_of(event: Event) -> str:
    return str(event.record.get(ID_FIELD))
