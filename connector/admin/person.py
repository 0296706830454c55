"""A person's rights: everything that is held is shown, exported and forgotten (GDPR, Articles 15, 17 and 20).

The CLI, the admin API and the console use these functions.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from connector.admin.context import AdminContext, get_field, get_flag, reject_unknown
from connector.admin.explain import person_document
from connector.admin.masking import Masked, iso_time
from connector.admin.nightly_backup import kept_backups
from connector.model.charge import Charge
from connector.model.errors import ConnectorError
from connector.model.phone import Phone
from connector.store.audit import AuditEntry
from connector.store.forgetting import OpenItems
from connector.store.sql import moment

MAX_CHARGES = 1000
LISTED = 10  # ids in a sentence
TRIES = 3  # to empty the write-ahead log; after that the daemon goes on trying
DAY = timedelta(days=1)

KEEPS = (
    (
        "the opt-out and the order of decisions about consent, under a keyed hash of the number: a STOP still holds if the "
        "person's data comes back, and a new start goes on from there"
    ),
    "the records of charges: amount, day and result of each charge, and the provider's id of it, under the same hash",
    "a hash of each erased event's id until its retention ends, so that a callback that is sent again is recognised",
    "how many events there were, by state: the counts still add up",
    "ids that the provider gave to a subscription",
    "this request in the audit log, without the number",
)
ELSEWHERE = (
    (
        "The CRM keeps its own records of this person: contact, gifts, SMS events. Erase them there, if nothing obliges you "
        "to keep them."
    ),
    "The provider keeps its own logs and subscriptions. Ask it to erase them.",
    (
        "While the CRM still has the contact, the feed shows it again when somebody changes it, and at the next nightly "
        "comparison: then it is stored here again. Erase it in the CRM first, and forget the person here afterwards."
    ),
    "A callback about this person that comes later is stored as new.",
    "Files that people made stay: exports, files of a backfill, copies of backups in other places.",
)


async def person_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is held about a person. Looking at unmasked numbers is recorded in the audit log."""
    reject_unknown(payload, "phone", "reveal", "by")
    phone, reveal = context.phone(payload.get("phone")), get_flag(payload, "reveal")
    if reveal:
        await _write_audit(context, payload, phone, "show a person")
    return _held_about(context, phone, reveal=reveal)


async def person_export(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is held, unmasked and with the bodies as received, for the answer to a person's request. It is recorded."""
    reject_unknown(payload, "phone", "by")
    phone = context.phone(payload.get("phone"))
    named = await context.store.forgetting.named_elsewhere(phone)
    document = _held_about(context, phone, reveal=True)
    for one in document["history"]:
        one["as_received"] = _body(context, one["id"])
    document["unreadable"] = [{"id": one, "as_received": _body(context, one)} for one in named.unreadable]
    document["named_in_events_of_others"] = len(named.others)
    document["exported_at"] = iso_time(context.now())
    document["timezone"] = context.loaded.settings.timezone
    await _write_audit(context, payload, phone, "export a person")
    return document


async def person_forget(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Show what forgetting a person erases, keeps and waits for; with `confirm`, do it. It is recorded."""
    reject_unknown(payload, "phone", "confirm", "reveal", "by")
    phone = context.phone(payload.get("phone"))
    confirmed = get_flag(payload, "confirm")
    document = await _preview(context, phone, reveal=get_flag(payload, "reveal"))
    document["confirmed"] = confirmed
    if confirmed:
        await context.store.forgetting.ask(phone, now=context.now())
        await _write_audit(context, payload, phone, "forget a person")
        recognise = context.loaded.settings.store.retention.delivered
        erased = await context.store.forgetting.erase(phone, now=context.now(), recognise=recognise)
        emptied = False
        for _ in range(TRIES):
            emptied = emptied or await context.store.forgetting.empty_log()
        document |= {
            "erased_events": erased.events,
            "waits": _waits(erased.waits),
            "finished": not erased.waits,
            "log_emptied": emptied,
        }
    return document


async def person_new_key(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Make a new key, because the old one is lost. Raises ConnectorError if it is not."""
    reject_unknown(payload)
    if not context.store.forgetting.key_is_missing():
        raise ConnectorError("the key is there: a new one would make the opt-outs of forgotten people unrecognisable")
    people, _ = context.store.forgetting.counts()
    await context.store.forgetting.make_new_key()
    return {"not_recognised": people}


def _held_about(context: AdminContext, phone: Phone, *, reveal: bool) -> dict[str, Any]:
    masked = Masked(reveal=reveal, person=phone)
    store = context.store
    forgotten = store.forgetting.forgotten(phone)
    document = person_document(context, phone, reveal=reveal)
    return {
        **document,
        "forgotten": None
        if forgotten is None
        else {"asked_at": iso_time(forgotten.asked_at), "erased_at": iso_time(forgotten.erased_at)},
        "records": [
            {
                "crm": crm,
                "object": name,
                "id": record_id,
                "fields": masked.value(known.fields),
                "opted_out": known.opted_out,
                "deleted_at": None if known.gone_at is None else iso_time(moment(known.gone_at)),
                "seen_at": iso_time(moment(known.seen_at)),
            }
            for crm, name, record_id, known in store.records.of_phone(phone.e164)
        ],
        "gifts": [
            {
                "provider": one.provider,
                "keyword": one.keyword,
                "short_number": one.short_number,
                "amount": None if one.amount is None else str(one.amount),
                "began_at": iso_time(one.began_at),
                "ended_at": iso_time(one.ended_at),
                "ended_why": one.ended_why,
            }
            for one in store.agreements.of_phone(phone.e164)
        ],
        "charges": [_charge(one) for one in store.charges.listed(phone=phone.e164, limit=MAX_CHARGES)],
        "answers": [
            {
                "text": masked.text(one.question.text),
                "answer": one.answer.value,
                "answered_at": iso_time(one.answered_at),
            }
            for one in store.stop_answers.of_person(phone.e164)
        ],
        "backups": _backups(context),
        "elsewhere": list(ELSEWHERE[:2]),
    }


async def _preview(context: AdminContext, phone: Phone, *, reveal: bool) -> dict[str, Any]:
    held, named = _held_about(context, phone, reveal=reveal), await context.store.forgetting.named_elsewhere(phone)
    stored = [one for one in held["history"] if one["event"] is not None]
    counts = {
        "events": (len(stored), "events with text, body, and what the CRM answered"),
        "records": (len(held["records"]), "records of the CRM as last seen, and the keys that name them"),
        "ledger": (len(held["ledger"]), "entries about consent: the number and the details; the decisions stay"),
        "gifts": (len(held["gifts"]), "agreements on monthly gifts: the number; the amounts stay"),
        "answers": (len(held["answers"]), "answers about texts of this person that may be opt-outs"),
        "unreadable": (len(named.unreadable), "callbacks that could not be read and name the number"),
        "others": (len(named.others), "events of other people that name the number: it is taken out of them"),
    }
    return {
        "phone": held["phone"],
        "forgotten": held["forgotten"],
        "erases": [{"what": what, "count": count, "words": words} for what, (count, words) in counts.items() if count],
        "keeps": list(KEEPS),
        "waits": _waits(context.store.forgetting.would_wait_for(phone)),
        "warnings": _warnings(held, stored, named.unreadable, names_mapping=named.mappings),
        "backups": held["backups"],
        "elsewhere": list(ELSEWHERE),
    }


def _warnings(
    held: Mapping[str, Any], stored: Sequence[Mapping[str, Any]], unreadable: Sequence[int], *, names_mapping: bool
) -> list[str]:
    """What a person should look at before they confirm."""
    found = [
        f"the subscription {one['words']} runs: forgetting does not end it at the provider, which continues to charge. "
        "End it there, or let the person send STOP, before you forget them"
        for one in held["subscriptions"]
        if one["active"]
    ]
    running = sum(one["ended_at"] is None for one in held["gifts"])
    if running:
        found.append(f"{running} agreement(s) on a monthly gift end now: the connector charges nothing any more")
    dead = [one["id"] for one in stored if one["state"] == "dead"]
    if dead:
        found.append(
            f"dead letters of this person never reach the CRM: events {_first_ids(dead)}. `connector dead show EVENT` shows "
            "what they were to do; what may be an opt-out is kept until you have decided"
        )
    if unreadable:
        found.append(
            f"one of the unreadable callbacks may be a STOP: read events {_first_ids(unreadable)} first, with "
            "`connector replay EVENT` after an update"
        )
    if names_mapping:
        found.append(
            "a mapping file names this number, in a test or a remark: take it out of the file, then `connector reload`"
        )
    return found


def _waits(waits: OpenItems) -> list[dict[str, Any]]:
    """What is finished first, each with what a person can do."""
    several = (
        (waits.delivering, "wait to be delivered: they are delivered first", "nothing: this ends by itself"),
        (
            waits.not_confirmed,
            "are opt-outs that the CRM or the provider has not confirmed: they are kept until it has",
            "`connector explain EVENT` shows why; retry or discard a dead letter",
        ),
        (
            waits.undecided,
            "are opt-outs, or may be, and wait for a person: they are kept until you have decided",
            "`connector parked list` and `connector dead list` show how",
        ),
    )
    found = [{"events": list(ids), "charges": [], "words": words, "cure": cure} for ids, words, cure in several if ids]
    if waits.charges:
        words = "have no result yet: the money may have been taken"
        cure = "`connector charges list --state in_doubt` shows those that you decide; the others end by themselves"
        found.append({"events": [], "charges": list(waits.charges), "words": words, "cure": cure})
    return found


def _backups(context: AdminContext) -> dict[str, Any]:
    """Until when backups hold what is stored now, and the copies that nobody deletes by itself."""
    settings = context.loaded.settings.store.backup
    database = context.store.path
    kept = kept_backups(context.loaded)
    until = context.now() + settings.keep * DAY if settings.enabled else None
    return {
        "files": [one.path.name for one in kept],
        "until": iso_time(until) if kept else None,
        "by_hand": sorted(
            one.name for one in database.parent.glob(f"{database.stem}-before-restore-*.db") if one.is_file()
        )
        + ([] if settings.enabled else [one.path.name for one in kept]),
    }


def _body(context: AdminContext, event_id: int) -> str | None:
    raw = context.store.inbox.raw(event_id)
    return raw.decode("utf-8", "replace") if raw else None


def _charge(charge: Charge) -> dict[str, Any]:
    return {
        "provider": charge.agreement.provider,
        "period": charge.period,
        "state": charge.state.value,
        "amount": None if charge.amount is None else str(charge.amount),
        "transaction_id": charge.transaction_id,
        "changed_at": iso_time(charge.changed_at),
    }


async def _write_audit(context: AdminContext, payload: Mapping[str, Any], phone: Phone, action: str) -> None:
    """Write it to the audit log, under the pseudonym of the person."""
    who = get_field(payload, "by", str) or "command line"
    about = context.store.forgetting.pseudonym(phone) or "a person"
    await context.store.audit.add(AuditEntry(at=context.now(), who=who, role="admin", action=action, about=about))


def _first_ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:LISTED])) + (f" and {len(ids) - LISTED} more" if len(ids) > LISTED else "")
