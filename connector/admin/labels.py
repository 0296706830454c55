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


def came(event: Event, phone: str | None) -> str:
    """What an event is, in one sentence; `phone` is its number, masked if necessary."""
    about = [SHAPES.get(event.shape, event.shape), f"from {event.provider}"]
    if event.action and event.action != event.shape:
        about.append(f"({event.action})")
    if event.object:
        about.append(f"in {event.object}" + (f": {', '.join(event.changed)}" if event.changed else ""))
    if phone:
        about.append(f"for {phone}")
    if event.keyword or event.short_number:
        about.append(f"about {subscription(named(event))}")
    sentence = " ".join(about)
    return f"{sentence[0].upper()}{sentence[1:]}; {VERDICTS[event.verdict]}"


def named(event: Event) -> Subscription:
    """The subscription that an event names, without the person."""
    return Subscription(provider="", keyword=event.keyword, short_number=event.short_number)


def subscription(one: Subscription) -> str:
    """`KATT on 2002 (strex)`."""
    name = one.keyword or (f"keyword id {one.keyword_id}" if one.keyword_id else None)
    name = name or (f"service {one.service_id}" if one.service_id else None)
    name = name or (f"subscription {one.subscription_id}" if one.subscription_id else "everything")
    place = f" on {one.short_number}" if one.short_number else ""
    return f"{name}{place}" + (f" ({one.provider})" if one.provider else "")


def decision(one: Decision) -> str:
    """What was decided."""
    out = one.word is Verdict.OPT_OUT
    match one.scope:
        case Scope.EVERYTHING:
            return "opted out of everything" if out else "the opt-out of everything was taken back"
        case Scope.PROVIDER:
            reach = f"everything at {one.subscription.provider}"
        case Scope.SHORT_NUMBER:
            reach = f"everything on {one.subscription.short_number} ({one.subscription.provider})"
        case Scope.SUBSCRIPTION:
            reach = subscription(one.subscription)
    return f"opted out of {reach}" if out else f"joined {reach}"


def entry(one: LedgerEntry) -> str:
    """An entry of the ledger in words."""
    if one.phase is Phase.DECIDED:
        said = f", by {one.decision.rule}" if one.decision.rule else ""
        return f"{decision(one.decision)}; said by {one.decision.origin}{said}"
    detail = f": {one.detail}" if one.detail else ""
    word = "confirmed by" if one.phase is Phase.CONFIRMED else "refused by, or not sent to,"
    return f"{word} {one.sink}{detail}"
