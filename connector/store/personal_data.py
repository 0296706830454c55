"""What forgetting a person does to each column of each table. A test compares this list with the live database.

A new table or column must be added here. Whoever adds it decides what becomes of a forgotten person's data in it, and
lets forgetting.py do that.
"""

from collections.abc import Mapping
from enum import StrEnum


class Treatment(StrEnum):
    """What becomes of a column when a person is forgotten."""

    ROW = "goes with the person's row"
    TEXT = "goes with the person's row; in other rows the number is taken out of the text"
    HASH = "a keyed hash takes its place"
    EMPTY = "is emptied"
    KEPT = "stays: it says nothing about a person, or holds nothing but what a provider or the CRM calls a thing by"


ROW, TEXT, HASH, EMPTY, KEPT = Treatment

TREATMENTS: Mapping[str, Mapping[str, Treatment]] = {
    # Deleted with the person's events. Their number is still counted, as after a sweep.
    "inbox": {
        "id": ROW, "key": ROW, "provider": ROW, "shape": ROW, "verdict": ROW, "msisdn": ROW, "received_at": ROW,
        "state": ROW, "detail": TEXT, "reason": ROW, "mapping": ROW, "event": TEXT, "raw": TEXT, "asks": ROW,
        "meaning": ROW,
    },
    "units": {
        "id": ROW, "event_id": ROW, "sink": ROW, "lane": ROW, "state": ROW, "open": ROW, "urgent": ROW, "alone": ROW,
        "operations": TEXT, "size": ROW, "done": ROW, "wrote": ROW, "attempts": ROW, "overtaken_by": ROW, "late": ROW,
        "in_doubt": ROW, "started_at": ROW, "due_at": ROW, "first_try_at": ROW, "settled_at": ROW, "claim": ROW,
        "reason": ROW, "detail": TEXT, "unmade": TEXT, "replan": ROW,
    },
    "causes": {"unit_id": ROW, "rule": ROW, "code": ROW},
    "notes": {"event_id": ROW, "number": ROW, "rule": ROW, "operation": ROW, "field": ROW, "why": TEXT},
    "questions": {
        "event_id": ROW, "provider": ROW, "msisdn": ROW, "asked": ROW, "started_at": ROW, "due_at": ROW,
        "deadline_at": ROW,
    },
    "stop_answers": {
        "provider": ROW, "keyword": ROW, "text": ROW, "answer": ROW, "event_id": ROW, "answered_at": ROW, "person": ROW,
    },
    "shadows": {
        "crm": ROW, "object": ROW, "record_id": ROW, "fields": ROW, "phone": ROW, "opted_out": ROW, "seen_at": ROW,
        "gone_at": ROW, "merged_into": ROW, "last_write": ROW,
    },
    "links": {"crm": ROW, "object": ROW, "key_field": ROW, "key": ROW, "record_id": ROW, "moved_from": ROW},
    "pointers": {"id": ROW, "crm": ROW, "object": ROW, "record_id": ROW},
    "people": {"id": ROW, "msisdn": ROW},
    # The opt-out and the books stay, under a keyed hash.
    "ledger": {
        "id": KEPT, "event_id": KEPT, "event_key": HASH, "msisdn": HASH, "phase": KEPT, "decision": HASH, "of_id": KEPT,
        "sink": KEPT, "detail": EMPTY, "recorded_at": KEPT,
    },
    # An open one is waited for. A closed one goes.
    "obligations": {
        "event_id": ROW, "event_key": ROW, "sink": ROW, "since": ROW, "failed": TEXT, "closed_at": ROW,
    },
    "agreements": {
        "id": KEPT, "provider": KEPT, "msisdn": HASH, "service_id": KEPT, "short_number": KEPT, "keyword": KEPT,
        "subscription_id": KEPT, "amount": KEPT, "amount_event_id": KEPT, "event_id": KEPT, "began_at": KEPT,
        "last_period": KEPT, "failed_periods": KEPT, "ended_at": KEPT, "ended_why": TEXT,
    },
    "charges": {
        "id": KEPT, "agreement_id": KEPT, "provider": KEPT, "period": KEPT, "reference": KEPT, "state": KEPT,
        "due_day": KEPT, "last_day": KEPT, "first_day": KEPT, "attempt": KEPT, "amount": KEPT, "transaction_id": KEPT,
        "status": KEPT, "detail": EMPTY, "sent_at": KEPT, "run_day": KEPT, "asked": KEPT, "started_at": KEPT,
        "next_at": KEPT, "changed_at": KEPT,
    },
    "charge_log": {"id": KEPT, "charge_id": KEPT, "at": KEPT, "state": KEPT, "detail": EMPTY},
    "forgotten": {"person": HASH, "number": EMPTY, "last_event_id": KEPT, "asked_at": KEPT, "erased_at": KEPT},
    "erased_records": {"crm": KEPT, "object": KEPT, "record": HASH, "opted_out": KEPT},
    "erased_events": {"key": HASH, "meaning": HASH, "event_id": KEPT, "expires_at": KEPT},
    # An administrator wrote these: samples and remarks may name a donor.
    "mappings": {
        "id": KEPT, "version": KEPT, "files": TEXT, "accepted_at": KEPT, "problems": TEXT, "refused_at": KEPT,
    },
    "audit": {"id": KEPT, "at": KEPT, "who": KEPT, "role": KEPT, "action": KEPT, "about": KEPT, "why": TEXT},
    "actions": {"id": KEPT, "at": KEPT, "who": KEPT, "words": TEXT, "events": KEPT},
    "sent_alarms": {"kind": KEPT, "about": KEPT, "message": TEXT, "sent_at": KEPT},
    "stops": {
        "sink": KEPT, "rule": KEPT, "object": KEPT, "field": KEPT, "detail": TEXT, "since": KEPT, "probe_at": KEPT,
    },
    # Nothing about a donor.
    "event_totals": {"state": KEPT, "n": KEPT},
    "swept_totals": {"state": KEPT, "n": KEPT},
    "unit_totals": {"sink": KEPT, "state": KEPT, "n": KEPT},
    "nonces": {"nonce": KEPT, "expires_at": KEPT},
    "cursors": {"name": KEPT, "value": KEPT},
    "calls": {"crm": KEPT, "hour": KEPT, "n": KEPT},
    "activity": {"hour": KEPT, "kind": KEPT, "name": KEPT, "n": KEPT, "last_at": KEPT},
    "charge_runs": {
        "provider": KEPT, "day": KEPT, "size": KEPT, "state": KEPT, "why": KEPT, "planned": KEPT, "results": KEPT,
        "failures": KEPT,
    },
    "charge_control": {
        "provider": KEPT, "since": KEPT, "paused_at": KEPT, "paused_why": KEPT, "hold": KEPT, "restored_at": KEPT,
    },
    "console_sessions": {
        "hash": KEPT, "user": KEPT, "role": KEPT, "how": KEPT, "created_at": KEPT, "seen_at": KEPT, "reveal_until": KEPT,
    },
}  # fmt: skip

# The columns in which the number is searched and replaced.
TEXTS: Mapping[str, tuple[str, ...]] = {
    table: found
    for table, columns in TREATMENTS.items()
    if (found := tuple(name for name, treatment in columns.items() if treatment is TEXT))
}
