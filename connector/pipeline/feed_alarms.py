"""Alarms of a feed: flags that the CRM's automation changed, and opt-outs that the first poll found and did not send."""

from collections.abc import Sequence

from connector.delivery.channels import FeedChannel
from connector.model.event import Verdict
from connector.pipeline.cursor import Cursor
from connector.pipeline.feed_page import PageKept
from connector.store.store import Store
from connector.telemetry.log_events import Alarm

NAMED = 5  # records that an alarm names; `connector status` shows the opt-outs of all of them


def flags_rewritten(channel: FeedChannel, kept: PageKept) -> list[Alarm]:
    """The alarms for flags that we wrote and that automation of the CRM changed."""
    feed, flag = channel.feed, channel.consent.flag if channel.consent else ""
    alarms = []
    for word, records in kept.rewritten.items():
        named = _named(feed.object, records)
        if word is Verdict.OPT_IN:
            message = f"automation of {feed.crm} undoes opt-outs: it cleared {flag} of {named} while we saved it, or right after that"
            cure = (
                f"find the flow, trigger or rule that clears {flag}, and make sure that our user may read {flag}; then set {flag} "
                "again: `connector status` lists the records"
            )
        else:
            message = f"automation of {feed.crm} set {flag} of {named} again when we cleared it for a donor who joined"
            cure = f"find the flow, trigger or rule that sets {flag}, then clear {flag}; to opt the donor out, then set it again"
        alarms.append(Alarm(kind="flag_rewritten", about=feed.name, lasts=False, message=message, cure=cure))
    return alarms


def _named(name: str, records: Sequence[str]) -> str:
    more = f" and {len(records) - NAMED} more" if len(records) > NAMED else ""
    return f"{name} {', '.join(records[:NAMED])}{more}"


def opt_outs_not_held(store: Store, channel: FeedChannel, cursor: Cursor) -> Alarm | None:
    """The alarm at the end of a first poll that found people opted out in the CRM but not in the ledger."""
    feed, consent = channel.feed, channel.consent
    if consent is None or consent.flag in cursor.compared(feed, {}):
        return None
    people = store.consents.not_held(feed.crm, feed.object)
    if not people:
        return None
    return Alarm(
        kind="opt_outs_not_sent",
        about=feed.name,
        lasts=False,
        message=f"the first poll of {feed.name} found {people} people who are opted out there and not in our ledger; "
        "nothing was sent for them",
        cure="`connector consents baseline` shows what would be sent; with --send it sends it",
    )
