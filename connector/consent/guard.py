"""Limits planned operations to what consent allows. It is applied when they are planned and again when they are sent."""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from connector.consent.decide import Ruling
from connector.consent.ledger_state import covers
from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.consent_fields import ConsentFields
from connector.model.event import Verdict
from connector.model.operation import ENDING, Operation, RecordWrite, ServiceCommand, SinkCall


def without_consent(write: RecordWrite) -> RecordWrite:
    """The write without its consent fields."""
    return replace(
        write,
        set={name: value for name, value in write.set.items() if name not in write.consent},
        create={name: value for name, value in write.create.items() if name not in write.consent},
        consent=(),
        clears_flag=False,
    )


def allowed_at_planning(write: RecordWrite, ruling: Ruling, word: Verdict) -> tuple[RecordWrite, str | None]:
    """A consent write as the ruling allows it at planning, and what was removed from it, in plain words."""
    if write.clears_flag:
        if word is Verdict.OPT_IN and ruling.decision is not None:
            return write, None
        return without_consent(write), "the opt-out flag stays as it is: this event is not an opt-in that counts"
    if word is Verdict.OPT_OUT and not ruling.may_set_flag:
        return (
            without_consent(write),
            f"the opt-out flag stays as it is: {ruling.remaining} other subscription(s) of this person still run",
        )
    return write, None


def with_flag_at_creation(write: RecordWrite, consent: ConsentFields) -> RecordWrite:
    """A write for a person who has opted out: a record that is made gets the flag, and one that is there keeps its own.

    The contact that held the flag may have been deleted, or the opt-out may be older than this CRM.
    """
    flag = consent.flag.casefold()
    if not write.may_create or any(name.casefold() == flag for name in (*write.set, *write.create)):
        return write
    return replace(write, create={**write.create, consent.flag: consent.opted_out})


def carries_opt_out(operation: Operation, word: Verdict) -> bool:
    """Whether the operation makes its event overtake others, because it carries an opt-out."""
    if word is not Verdict.OPT_OUT:
        return False
    if isinstance(operation, ServiceCommand):
        return operation.action in ENDING
    return isinstance(operation, RecordWrite) and bool(operation.consent) and not operation.clears_flag


def allowed_at_sending(
    operation: Operation,
    *,
    event_id: int,
    overtaken: bool,
    newer: Collection[tuple[str, str, str, str]],
    ledger: Sequence[LedgerEntry],
) -> Operation | None:
    """The operation as it may be sent now; None if nothing of it is left.

    `ledger` is the person's. A flag is cleared only while the last decision is an opt-in. An overtaken write is sent
    without its consent fields. A flag is not set if it was cleared in the CRM since. No write carries a field that a
    newer event of the person has written (`newer`: object, key field, key, field). A command that ends a
    subscription is dropped if the person has joined it again since, or if the CRM has taken its opt-out back; and
    another one if a newer event has sent its like.
    """
    decided = [entry for entry in ledger if entry.phase is Phase.DECIDED]
    if isinstance(operation, ServiceCommand):
        outdated = operation.action not in ENDING and (*operation.record, "") in newer
        return None if outdated or _is_command_outdated(operation, event_id, decided) else operation
    if isinstance(operation, SinkCall):
        return operation
    allowed = operation
    last_word = decided[-1].decision.word if decided else Verdict.NONE
    not_notified = last_word is not Verdict.OPT_IN if operation.clears_flag else _crm_opted_in_since(event_id, decided)
    if operation.consent and (overtaken or not_notified):
        allowed = without_consent(operation)
    stale = {name for *record, name in newer if tuple(record) == operation.record}
    if stale:
        allowed = replace(
            allowed,
            set={name: value for name, value in allowed.set.items() if name not in stale},
            consent=tuple(name for name in allowed.consent if name not in stale),
        )
    emptied = allowed is not operation and not allowed.set and not allowed.create
    emptied |= allowed.consent_only and not allowed.consent
    return None if emptied else allowed


def _crm_opted_in_since(event_id: int, decided: Sequence[LedgerEntry]) -> bool:
    """Whether the CRM's latest decision after the event is an opt-in."""
    newer = [one.decision for one in decided if one.event_id > event_id and one.decision.scope is Scope.EVERYTHING]
    return bool(newer) and newer[-1].word is Verdict.OPT_IN


def _is_command_outdated(command: ServiceCommand, event_id: int, decided: Sequence[LedgerEntry]) -> bool:
    """Whether a command to end a subscription is outdated: the person has joined again, or the CRM has taken its opt-out back."""
    if command.action not in ENDING:
        return False
    target = Subscription(provider=command.sink, short_number=command.short_number, keyword=command.keyword)
    called_off = False
    asked: Decision | None = None
    for entry in decided:
        decision = entry.decision
        if entry.event_id == event_id:
            asked, called_off = decision, False
        elif asked is None or not covers(decision, target):
            continue
        elif decision.scope is Scope.SUBSCRIPTION:
            called_off = decision.word is Verdict.OPT_IN
        else:
            called_off = decision.word is Verdict.OPT_IN and decision.origin == asked.origin
    return called_off
