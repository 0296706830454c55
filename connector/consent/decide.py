"""Which decision counts: one event about consent, compared with the ledger."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from connector.consent.ledger_state import LedgerState, Membership, covers, same
from connector.consent.opt_out_words import NOTHING, STANDARD
from connector.model.consent import CLOCK_TOLERANCE, Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.event import Event, Verdict
from connector.model.operation import ID_FIELD

# A provider may give times in whole minutes: two closer times cannot be ordered.
TIME_PRECISION = timedelta(minutes=1)


class Ruling(Struct, frozen=True, kw_only=True):
    """The decision of an event."""

    decision: Decision | None = None
    superseded_by: str | None = None  # key of the event whose decision stays valid
    changes_consent: bool = False  # false for a repeat, or the confirmation of a command of ours
    remaining: int = 0  # active subscriptions of the person afterwards
    note: str | None = None

    @property
    def scope(self) -> Scope | None:
        """The scope of the decision."""
        return self.decision.scope if self.decision else None

    @property
    def may_set_flag(self) -> bool:
        """Whether the person's flag may be set. A keyword's opt-out sets it only if no other subscription runs."""
        if self.decision is None or self.decision.word is not Verdict.OPT_OUT:
            return False
        return self.remaining == 0 or self.decision.scope in {Scope.PROVIDER, Scope.EVERYTHING}


def strongest(words: Sequence[str]) -> Verdict:
    """opt_out > opt_in > none: a mapping may widen a provider's opt-out and never cancels it."""
    if Verdict.OPT_OUT in words:
        return Verdict.OPT_OUT
    return Verdict.OPT_IN if Verdict.OPT_IN in words else Verdict.NONE


def decide(
    event: Event,
    word: Verdict,
    *,
    ledger_state: LedgerState,
    ledger: Sequence[LedgerEntry],
    others_out: bool = False,
    tolerance: timedelta = CLOCK_TOLERANCE,
    event_id: int | None = None,
    unseen: bool = False,
) -> Ruling:
    """Decide about the event, given its verdict `word` (the provider's own, or a mapping's).

    `ledger` holds the person's decisions, oldest first. An event without a number decides nothing, because it names
    no person. `others_out`: another CRM record with the same number holds an opt-out. `tolerance`: how far the
    clocks of senders may differ. `event_id`: of an event that is planned again, so that later decisions stay valid.
    `unseen`: see opt_out_not_yet_in_crm().
    """
    if word is Verdict.NONE or event.msisdn is None:
        return Ruling(remaining=len(ledger_state.active))
    if event.object is not None:
        return _decide_crm_change(event, word, ledger_state, others_out=others_out, unseen=unseen)
    if word is Verdict.OPT_OUT:
        return _decide_opt_out(event, ledger_state, ledger, tolerance, event_id)
    return _decide_opt_in(event, ledger_state, ledger, tolerance)


def named_subscription(event: Event) -> Subscription:
    """The subscription that the event names."""
    return Subscription(
        provider=event.provider,
        short_number=event.short_number,
        keyword=event.keyword,
        keyword_id=event.keyword_id,
        service_id=event.service_id,
        subscription_id=event.subscription_id,
    )


def _decide_crm_change(
    event: Event, word: Verdict, ledger_state: LedgerState, *, others_out: bool, unseen: bool
) -> Ruling:
    """A person set or cleared the flag in the CRM: this applies to everything."""
    if word is Verdict.OPT_IN and others_out:
        return Ruling(
            remaining=len(ledger_state.active),
            note="another record with this number is opted out, and any opt-out holds",
        )
    last = ledger_state.last
    if (
        word is Verdict.OPT_IN
        and last is not None
        and (unseen or _opted_out_later(last.decision, event) or _opted_out_on_other_record(last.decision, event))
    ):
        return Ruling(superseded_by=last.event_key, remaining=len(ledger_state.active))
    decision = replace(
        _new_decision(event, word, Scope.EVERYTHING, Subscription(provider=event.provider)), record=_record_id(event)
    )
    remaining = 0 if word is Verdict.OPT_OUT else len(ledger_state.active)
    return Ruling(decision=decision, changes_consent=True, remaining=remaining)


def opt_out_not_yet_in_crm(event: Event, ledger: Sequence[LedgerEntry]) -> bool:
    """Whether the CRM had not received the person's last opt-out when it showed the change.

    The cleared flag was then an older one: a person in the CRM cannot have decided about an opt-out that is still on
    its way. `ledger` holds the sinks' answers too.
    """
    last = next((one for one in reversed(ledger) if one.phase is Phase.DECIDED), None)
    if last is None or last.decision.word is not Verdict.OPT_OUT or last.decision.origin == event.provider:
        return False
    return not any(
        one.event_id == last.event_id
        and one.phase is Phase.CONFIRMED
        and one.sink == event.provider
        and one.recorded_at <= event.received_at
        for one in ledger
    )


def _opted_out_later(decision: Decision, event: Event) -> bool:
    """Whether the donor's own opt-out is later than a change that the CRM shows only now. CRMs give times to the second."""
    if decision.word is not Verdict.OPT_OUT or decision.origin == event.provider:
        return False
    decided_at, changed = decision.occurred_at, event.occurred_at
    return decided_at is not None and changed is not None and changed < decided_at.replace(microsecond=0)


def _record_id(event: Event) -> str | None:
    record_id = event.record.get(ID_FIELD)
    return None if record_id is None else str(record_id)


def _opted_out_on_other_record(decision: Decision, event: Event) -> bool:
    """Whether the opt-out was made on another record with the number, and perhaps after the flag was cleared on this one.

    The changes of one record come in their order. Those of two records may not, and CRMs give times to the second.
    """
    if decision.word is not Verdict.OPT_OUT or decision.origin != event.provider:
        return False
    if decision.record is None or decision.record == _record_id(event):
        return False
    decided_at, changed = decision.occurred_at, event.occurred_at
    return decided_at is not None and changed is not None and changed.replace(microsecond=0) <= decided_at


def _decide_opt_out(
    event: Event, ledger_state: LedgerState, ledger: Sequence[LedgerEntry], tolerance: timedelta, event_id: int | None
) -> Ruling:
    scope, subscription = _scope_of_opt_out(event, ledger_state)
    member = ledger_state.find(subscription) if scope is Scope.SUBSCRIPTION else None
    # An opt-out that a person confirms days later does not end subscriptions that the donor joined since.
    since = (
        []
        if event_id is None
        else [one for one in ledger_state.memberships if one.active and one.entry.event_id > event_id]
    )
    if member is not None and member.active:
        newer = _newer_opt_in(event, member, ledger, tolerance)
        if newer is not None:
            return Ruling(superseded_by=newer.event_key, remaining=len(ledger_state.active))
        # The opt-out ends this subscription, whatever its name here: a late opt-in with the same id is then recognised
        # as old.
        joined = member.subscription.subscription_id
        subscription = replace(subscription, subscription_id=event.subscription_id or joined)
    decision = _new_decision(event, Verdict.OPT_OUT, scope, subscription)
    running = [one for one in ledger_state.memberships if one.active]
    reached = [one for one in running if one not in since and covers(decision, one.subscription)]
    joined_again = [one for one in since if covers(decision, one.subscription)]
    if joined_again and not reached:
        return Ruling(superseded_by=joined_again[-1].entry.event_key, remaining=len(running))
    return Ruling(
        decision=decision,
        changes_consent=bool(reached) or not _already_opted_out(decision, ledger),
        remaining=len(running) - len(reached),
    )


def _scope_of_opt_out(event: Event, ledger_state: LedgerState) -> tuple[Scope, Subscription]:
    """How far the opt-out reaches. The wider scope in doubt: one opt-out too many is less harmful."""
    subscription = named_subscription(event)
    # No provider has read the text, if a mapping makes it an opt-out.
    read = STANDARD.read(event.text, any_keyword=True) if event.shape == "message" else NOTHING
    said = read if read.verdict is Verdict.OPT_OUT else NOTHING
    if event.opt_out_scope is Scope.PROVIDER or said.scope is Scope.PROVIDER:
        return Scope.PROVIDER, Subscription(provider=event.provider)
    if event.opt_out_scope is Scope.SHORT_NUMBER:
        return _widest_scope(event)
    if subscription.keyword is None and said.scope is Scope.SUBSCRIPTION:
        subscription = replace(subscription, keyword=said.keyword)
    if ledger_state.find(subscription) is not None:
        return Scope.SUBSCRIPTION, subscription
    others = [one for one in ledger_state.active if _may_share_short_number(one, subscription)]
    if _has_identity(subscription) and all(_certainly_another(one, subscription) for one in others):
        return Scope.SUBSCRIPTION, subscription
    return _widest_scope(event)


def _widest_scope(event: Event) -> tuple[Scope, Subscription]:
    """The scope of the event's short number, or of the provider if it names none."""
    wide = Subscription(provider=event.provider, short_number=event.short_number)
    return (Scope.SHORT_NUMBER if event.short_number else Scope.PROVIDER), wide


def _may_share_short_number(one: Subscription, other: Subscription) -> bool:
    return one.provider == other.provider and (
        not one.short_number or not other.short_number or one.short_number == other.short_number
    )


def _has_identity(subscription: Subscription) -> bool:
    return bool(
        subscription.subscription_id or subscription.keyword_id or subscription.service_id or subscription.keyword
    )


def _certainly_another(one: Subscription, other: Subscription) -> bool:
    """Whether two subscriptions surely differ. Another keyword text may be an alias; another id is another subscription."""
    for mine, theirs in ((one.keyword_id, other.keyword_id), (one.service_id, other.service_id)):
        if mine and theirs:
            return mine != theirs
    return False


def _newer_opt_in(
    event: Event, member: Membership, ledger: Sequence[LedgerEntry], tolerance: timedelta
) -> LedgerEntry | None:
    """The opt-in that the opt-out is too old to end, if there is one.

    A time alone proves it only against a subscription with an id of its own. Senders' clocks may be hours wrong, so
    without such an id the opt-out that arrived last is valid.
    """
    joined = member.entry.decision
    mine, theirs = event.subscription_id, member.subscription.subscription_id
    if mine and mine == theirs:
        return None
    if mine and theirs and any(entry.decision.subscription.subscription_id == mine for entry in ledger):
        return member.entry
    if mine is None and theirs and _is_earlier(event.occurred_at, joined.occurred_at, by=tolerance):
        return member.entry
    return None


def _decide_opt_in(
    event: Event, ledger_state: LedgerState, ledger: Sequence[LedgerEntry], tolerance: timedelta
) -> Ruling:
    subscription = named_subscription(event)
    running = len(ledger_state.active)
    if not _has_identity(subscription):
        return Ruling(remaining=running, note="the opt-in names no subscription, so it restores nothing else")
    stands = _opt_out_against(event, subscription, ledger, tolerance)
    if stands is not None:
        return Ruling(superseded_by=stands.event_key, remaining=running)
    member = ledger_state.find(subscription)
    return Ruling(
        decision=_new_decision(event, Verdict.OPT_IN, Scope.SUBSCRIPTION, subscription),
        changes_consent=member is None or not member.active,
        remaining=running if member is not None and member.active else running + 1,
    )


def _opt_out_against(
    event: Event, subscription: Subscription, ledger: Sequence[LedgerEntry], tolerance: timedelta
) -> LedgerEntry | None:
    """The valid opt-out that prevents the opt-in."""
    mine = event.subscription_id
    joined_before = False
    against: LedgerEntry | None = None
    for entry in ledger:
        decision = entry.decision
        if decision.word is Verdict.OPT_IN:
            joined_before |= bool(mine) and decision.subscription.subscription_id == mine
            if same(decision.subscription, subscription):
                against = None
            continue
        if mine and decision.subscription.subscription_id == mine:
            return entry
        if covers(decision, subscription):
            if joined_before:
                return entry
            against = entry
    if against is None:
        return None
    decided_at, now = against.decision.occurred_at, event.occurred_at
    if mine:
        # An unknown subscription id is a new subscription, unless its time is before the opt-out.
        return against if _is_earlier(now, decided_at, by=TIME_PRECISION) else None
    if event.time_from_arrival and against.decision.time_from_arrival:
        tolerance = timedelta()  # both times are by our own clock
    return None if decided_at is not None and now is not None and now > decided_at + tolerance else against


def _already_opted_out(decision: Decision, ledger: Sequence[LedgerEntry]) -> bool:
    for entry in reversed(ledger):
        if covers(entry.decision, decision.subscription):
            return entry.decision.word is Verdict.OPT_OUT
    return False


def _is_earlier(one: datetime | None, other: datetime | None, *, by: timedelta) -> bool:
    """Whether the first time is earlier than the other by at least `by`."""
    return one is not None and other is not None and one + by <= other


def _new_decision(event: Event, word: Verdict, scope: Scope, subscription: Subscription) -> Decision:
    assert event.msisdn is not None  # noqa: S101 - decide() handles events without a number.
    return Decision(
        phone=event.msisdn,
        word=word,
        scope=scope,
        subscription=subscription,
        origin=event.provider,
        occurred_at=event.occurred_at,
        time_from_arrival=event.time_from_arrival,
    )
