"""Names of states and decisions as people see them. Nothing is looked up or decided here."""

from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.event import Event, Verdict
from connector.model.states import EventState, UnitState

EVENT_STATES: dict[EventState, str] = {
    EventState.PENDING: "it waits to be planned",
    EventState.DELIVERING: "it is being delivered",
    EventState.DELIVERED: "everything was delivered",
    EventState.IGNORED: "a rule says that there is nothing to do",
    EventState.UNMATCHED: "no rule is for such an event",
    EventState.NO_CHANGE: "it repeats what is already known",
    EventState.SUPERSEDED: "a newer message of the same person counts",
    EventState.UNREADABLE: "it could not be read, and is stored as received",
    EventState.DEAD: "part of it failed, and waits for a person",
}
PLAN_STATES = EVENT_STATES | {
    EventState.DELIVERING: "it leads to these operations",
    EventState.DEAD: "it cannot be delivered, and would wait for a person",
}
UNIT_STATES: dict[UnitState, str] = {
    UnitState.WAITING: "waits for an earlier event of the same person",
    UnitState.READY: "goes out next",
    UnitState.RESTING: "is tried again later",
    UnitState.CLAIMED: "is being sent",
    UnitState.DELIVERED: "is done",
    UnitState.DEAD: "could not be done",
    UnitState.DISCARDED: "was discarded by a person",
}
SHAPES = {
    "message": "a text message",
    "delivery_report": "a delivery report",
    "poll_reply": "an answer to a poll",
    "form": "a form",
    "subscription": "a subscription that was begun on the web",
    "change": "a change of a record",
    "deletion": "a record that was deleted",
}
VERDICTS = {
    Verdict.OPT_IN: "it calls this an opt-in",
    Verdict.OPT_OUT: "it calls this an opt-out",
    Verdict.NONE: "it says nothing about consent",
    Verdict.MAYBE_STOP: "it may be an opt-out",
}


def event_sentence(event: Event, phone: str | None) -> str:
    """What an event is, in one sentence; `phone` is its number, masked if necessary."""
    about = [SHAPES.get(event.shape, event.shape), f"from {event.provider}"]
    if event.action and event.action != event.shape:
        about.append(f"({event.action})")
    if event.object:
        about.append(f"in {event.object}" + (f": {', '.join(event.changed)}" if event.changed else ""))
    if phone:
        about.append(f"for {phone}")
    if event.keyword or event.short_number:
        about.append(f"about {subscription_name(_named_subscription(event))}")
    sentence = " ".join(about)
    return f"{sentence[0].upper()}{sentence[1:]}; {VERDICTS[event.verdict]}"


def _named_subscription(event: Event) -> Subscription:
    """The subscription that an event names, without the person."""
    return Subscription(provider="", keyword=event.keyword, short_number=event.short_number)


def subscription_name(subscription: Subscription) -> str:
    """`KATT on 2002 (strex)`."""
    name = subscription.keyword or (f"keyword id {subscription.keyword_id}" if subscription.keyword_id else None)
    name = name or (f"service {subscription.service_id}" if subscription.service_id else None)
    name = name or (f"subscription {subscription.subscription_id}" if subscription.subscription_id else "everything")
    place = f" on {subscription.short_number}" if subscription.short_number else ""
    return f"{name}{place}" + (f" ({subscription.provider})" if subscription.provider else "")


def decision_sentence(decision: Decision) -> str:
    """What was decided."""
    out = decision.word is Verdict.OPT_OUT
    match decision.scope:
        case Scope.EVERYTHING:
            return "opted out of everything" if out else "the opt-out of everything was taken back"
        case Scope.PROVIDER:
            reach = f"everything at {decision.subscription.provider}"
        case Scope.SHORT_NUMBER:
            reach = f"everything on {decision.subscription.short_number} ({decision.subscription.provider})"
        case Scope.SUBSCRIPTION:
            reach = subscription_name(decision.subscription)
    return f"opted out of {reach}" if out else f"joined {reach}"


def entry_sentence(entry: LedgerEntry) -> str:
    """An entry of the ledger in words."""
    if entry.phase is Phase.DECIDED:
        by_rule = f", by {entry.decision.rule}" if entry.decision.rule else ""
        return f"{decision_sentence(entry.decision)}; said by {entry.decision.origin}{by_rule}"
    detail = f": {entry.detail}" if entry.detail else ""
    word = "confirmed by" if entry.phase is Phase.CONFIRMED else "refused by, or not sent to,"
    return f"{word} {entry.sink}{detail}"
