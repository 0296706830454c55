"""A person's current consent: the ledger's decisions folded, oldest first."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.event import Verdict
from connector.model.text_folding import fold


class Membership(Struct, frozen=True):
    """One subscription of the person, and the last entry about it."""

    subscription: Subscription
    active: bool
    entry: LedgerEntry


class LedgerState(Struct, frozen=True):
    """A person's subscriptions and their last decision about consent."""

    memberships: tuple[Membership, ...] = ()
    last: LedgerEntry | None = None

    @property
    def active(self) -> tuple[Subscription, ...]:
        """The active subscriptions."""
        return tuple(one.subscription for one in self.memberships if one.active)

    @property
    def out(self) -> bool:
        """Whether the person has opted out: the last decision says so, and no subscription runs."""
        return self.last is not None and self.last.decision.word is Verdict.OPT_OUT and not self.active

    def find(self, subscription: Subscription) -> Membership | None:
        """The membership with the subscription's identity."""
        return next((one for one in self.memberships if same(one.subscription, subscription)), None)


def same(one: Subscription, other: Subscription) -> bool:
    """Whether both are one subscription: by subscription id, keyword id, service id, then the keyword (fold()).

    The first identity that both have decides. But different subscription ids prove nothing, because joining again
    changes them.
    """
    if one.provider != other.provider:
        return False
    if one.subscription_id and one.subscription_id == other.subscription_id:
        return True
    if one.short_number and other.short_number and one.short_number != other.short_number:
        return False
    if one.keyword_id and other.keyword_id:
        return one.keyword_id == other.keyword_id
    if one.service_id and other.service_id:
        return one.service_id == other.service_id
    if one.keyword and other.keyword:
        return one.keyword == other.keyword or fold(one.keyword) == fold(other.keyword)
    return False


def covers(decision: Decision, subscription: Subscription) -> bool:
    """Whether a decision applies to the subscription."""
    bound = decision.subscription
    match decision.scope:
        case Scope.EVERYTHING:
            return True
        case Scope.PROVIDER:
            return bound.provider == subscription.provider
        case Scope.SHORT_NUMBER:
            return bound.provider == subscription.provider and bound.short_number in {None, subscription.short_number}
        case Scope.SUBSCRIPTION:
            return same(bound, subscription)


def decisions(ledger: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """The entries that decide, without those that report the result of a decision."""
    return [entry for entry in ledger if entry.phase is Phase.DECIDED]


def fold_ledger(ledger: Sequence[LedgerEntry]) -> LedgerState:
    """Fold the ledger of one person."""
    members: list[Membership] = []
    last: LedgerEntry | None = None
    for entry in ledger:
        if entry.phase is not Phase.DECIDED:
            continue
        last = entry
        _fold(members, entry)
    return LedgerState(tuple(members), last)


def _fold(members: list[Membership], entry: LedgerEntry) -> None:
    decision = entry.decision
    joining = decision.word is Verdict.OPT_IN
    if decision.scope is not Scope.SUBSCRIPTION:
        if not joining:
            members[:] = [
                Membership(one.subscription, False, entry) if covers(decision, one.subscription) else one
                for one in members
            ]
        return
    for index, one in enumerate(members):
        if same(one.subscription, decision.subscription):
            members[index] = Membership(_merged(one.subscription, decision.subscription), joining, entry)
            return
    members.append(Membership(decision.subscription, joining, entry))


def _merged(known: Subscription, news: Subscription) -> Subscription:
    """The identity extended by the newer one; an alias does not replace the keyword that is known."""
    return replace(
        known,
        short_number=known.short_number or news.short_number,
        keyword=known.keyword or news.keyword,
        keyword_id=known.keyword_id or news.keyword_id,
        service_id=known.service_id or news.service_id,
        subscription_id=news.subscription_id or known.subscription_id,
    )
