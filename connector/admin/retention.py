"""What is held, for how long and why, and what the next sweep takes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.admin.context import AdminContext, reject_unknown
from connector.admin.masking import iso_time
from connector.config.units import duration_text
from connector.delivery.channels import OpenAlarms
from connector.model.crm_traits import PLAIN
from connector.registry import LoadedConfig
from connector.store.retention import NEEDS_BODY, WARNED, Held, Keep, Kind
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Emit

REASONS: Mapping[Kind, str] = {
    Kind.RAW: "to read an event again after an update of its reader",
    Kind.DELIVERED: "to explain what was written, to recognise repeats, and to try new mappings on past events",
    Kind.IGNORED: "to find out why nothing was written, and to replay it after a rule is added",
    Kind.DEAD: "a person may still deliver it; an opt-out that is not delivered stays in any case",
    Kind.UNREADABLE: "it may be read after an update",
    Kind.GONE_RECORDS: "the CRM can restore a deleted record for so long",
    Kind.AUDIT: "to find out who looked at a person's data, or changed something",
    Kind.SESSIONS: "a browser that was not used for so long has to sign in again",
}
DELETION_NEAR = "deletion_near"
WORDS = {
    Kind.DEAD: ("dead letters", "see `connector dead list`, and retry or discard them"),
    Kind.UNREADABLE: (
        "callbacks that could not be read",
        "see `connector events --state unreadable`; one may be a STOP: replay or discard each",
    ),
}
FOR_EVER = {
    "ledger": "the proof of consent, and the opt-outs; of a forgotten person under a keyed hash",
    "charges": "the records of charges; of a forgotten person under a keyed hash",
}


def keep_of(loaded: LoadedConfig) -> Keep:
    """How long each kind is kept, by the config and the CRMs."""
    settings = loaded.settings.store.retention
    traits = [loaded.crm_types[type(one)].TRAITS for one in loaded.crms.values()]
    restorable = max((one.deleted_kept for one in traits), default=PLAIN.deleted_kept)
    return Keep(
        raw=settings.raw,
        delivered=settings.delivered,
        ignored=settings.ignored or settings.delivered,
        dead=settings.dead,
        unreadable=settings.unreadable,
        gone_records=max(settings.gone_records or restorable, restorable),
        audit=settings.audit,
        sessions=settings.sessions,
    )


async def retention_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Each kind: how long it is kept and why, how many there are, how old, and what the next sweep deletes."""
    reject_unknown(payload)
    keep = keep_of(context.loaded)
    held = await context.store.retention.held(context.now(), keep)
    people, unfinished = context.store.forgetting.counts()
    return {
        "kinds": [
            {
                "kind": one.kind.value,
                "kept": duration_text(keep.of(one.kind)),
                "why": REASONS[one.kind],
                "count": one.count,
                "oldest": iso_time(one.oldest),
                "next_sweep": one.due,
                "in_two_weeks": one.soon,
            }
            for one in held
        ],
        "kept_for_ever": [{"kind": kind, "why": why} for kind, why in FOR_EVER.items()],
        "forgotten": {"people": people, "unfinished": unfinished},
    }


def deletion_alarms(held: Sequence[Held], keep: Keep) -> dict[Kind, Alarm | None]:
    """By kind: the alarm before what a person may still need is deleted; None where there is nothing to tell."""
    alarms: dict[Kind, Alarm | None] = {}
    for one in held:
        if one.kind in NEEDS_BODY:
            words, command = WORDS[one.kind]
            alarms[one.kind] = (
                None
                if not one.soon
                else Alarm(
                    kind=DELETION_NEAR,
                    about=one.kind.value,
                    message=f"{one.soon} {words} are deleted within {WARNED.days} days: "
                    f"they are kept for {duration_text(keep.of(one.kind))}",
                    cure=f"{command}; to keep them longer, set `store: retention: {one.kind.value}:`",
                )
            )
    return alarms


async def sweep(store: Store, keep: Keep, now: datetime, alarms: OpenAlarms, emit: Emit) -> None:
    """Delete what is older than its kind is kept, and raise an alarm for what a person may need and is deleted soon."""
    await store.retention.sweep(now, keep)
    for kind, alarm in deletion_alarms(await store.retention.held(now, keep), keep).items():
        holder = f"{DELETION_NEAR} {kind.value}"
        if alarm is None:
            alarms.clear(holder, emit)
        else:
            alarms.start(alarm, holder, emit)
