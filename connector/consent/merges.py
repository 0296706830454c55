"""How a merge of records affects consent: which opt-outs it would lose. Pure.

An administrator who merges two contacts chooses a value for every field, often without noticing the small box of the
opt-out. So a merge undoes no opt-out: any opt-out stays valid. Values that the kept record takes over are no change.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.consent.change_events import FLAG, MERGED_AWAY
from connector.consent.changes import CHANGED, NUMBER_CHANGED, is_opted_out
from connector.model.consent_fields import ConsentFields
from connector.model.event import Event, Verdict, joined_key
from connector.model.operation import ID_FIELD
from connector.model.phone import Phone
from connector.ports import Feed, Row

MERGED = "merge"  # the shape and the action of an opt-out that a merge would undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """A record that was merged into another, and what was known of both before."""

    merged_away: Row
    kept_id: str
    kept: Mapping[str, Any] | None  # as it is now; None if nothing is known of it
    before: Mapping[str, Any] | None  # the shadow of the record that was merged away
    kept_before: Mapping[str, Any] | None

    def lost_opt_out(self, consent: ConsentFields) -> Mapping[str, Any] | None:
        """The fields of the record whose opt-out the merge lost; None if none was lost or the kept record is opted out."""
        if self.kept is not None and is_opted_out(self.kept, consent):
            return None
        parties = (self.before, self.merged_away.fields, self.kept_before)
        return next((one for one in parties if one and is_opted_out(one, consent)), None)

    def was_opted_out(self, consent: ConsentFields) -> bool:
        """Whether the record that was merged away was opted out itself."""
        return any(one and is_opted_out(one, consent) for one in (self.before, self.merged_away.fields))

    def joins_opted_out(self, consent: ConsentFields) -> bool:
        """Whether a record that is not opted out was merged into one that was opted out already."""
        kept = (self.kept, self.kept_before)
        return not self.was_opted_out(consent) and all(one and is_opted_out(one, consent) for one in kept)


def merges_in(
    gone: Iterable[Row], living: Iterable[Row], shadows: Mapping[str, Mapping[str, Any]]
) -> tuple[Merge, ...]:
    """The merges that a page shows. `gone` are its newly deleted rows; a kept record may itself have been merged since."""
    now = {row.record_id: row.fields for row in living}
    merged_away = [row for row in gone if row.merged_into]
    merged_into = {row.record_id: row.merged_into for row in merged_away}
    merges = []
    for row in merged_away:
        kept = row.merged_into or ""
        followed = {row.record_id}
        while kept in merged_into and kept not in followed:
            followed.add(kept)
            kept = merged_into[kept] or ""
        merges.append(
            Merge(
                merged_away=row,
                kept_id=kept,
                kept=now.get(kept, shadows.get(kept)),
                before=shadows.get(row.record_id),
                kept_before=shadows.get(kept),
            )
        )
    return tuple(merges)


def values_taken_over(
    merges: Iterable[Merge],
    consent: ConsentFields | None,
    number: Callable[[Mapping[str, Any]], Phone | None],
    opted_out: Callable[[str], bool],
) -> dict[str, dict[str, list[Any]]]:
    """By kept record and field: values that are no change there, because a merged record with the same number had them.

    `number` gives the number of a record. `opted_out` says whether the person with a number (E.164) has opted out: the
    flag of somebody who has joined since is a change, because whoever merged the records has chosen it.
    """
    known: dict[str, dict[str, list[Any]]] = {}
    for merge in merges:
        if merge.kept is None or merge.before is None:
            continue
        mine, theirs = number(merge.before), number(merge.kept)
        if mine is None or mine != theirs:
            continue
        for name, value in merge.before.items():
            if (
                consent is None
                or name != consent.flag
                or (is_opted_out(merge.before, consent) and opted_out(mine.e164))
            ):
                known.setdefault(merge.kept_id, {}).setdefault(name, []).append(value)
    return known


def subscriber_questions(
    merge: Merge, numbers: Iterable[Phone], *, feed: Feed, consent: ConsentFields, poll: str, at: datetime
) -> list[Event]:
    """The events that ask a person whether the opt-out of the kept record is also for these numbers of the merged one.

    Nobody is asked about a number without a subscription: see planning.py. `at` is the time of arrival.
    """
    row, flag, phone = merge.merged_away, consent.flag, consent.phone
    if phone is None:
        return []
    return [
        Event(
            key=joined_key(feed.crm, NUMBER_CHANGED, row.record_id, f"{row.stamp:%Y%m%dT%H%M%S}", str(place)),
            provider=feed.crm,
            shape=CHANGED,
            action=NUMBER_CHANGED,
            received_at=at,
            occurred_at=row.stamp,
            msisdn=number,
            object=feed.object,
            record={**(merge.kept or {}), phone: number.e164, ID_FIELD: merge.kept_id},
            changed=(phone,),
            batch=poll,
            properties={FLAG: flag, MERGED_AWAY: row.record_id},
        )
        for place, number in enumerate(dict.fromkeys(numbers))
    ]


def review_event(
    merge: Merge, lost: Mapping[str, Any], *, crm: str, object_name: str, msisdn: Phone | None, received_at: datetime
) -> Event:
    """The event that asks a person about the merge. Its key is the merge's, because the feed shows a merge several times."""
    row = merge.merged_away
    return Event(
        key=joined_key(crm, MERGED, row.record_id, f"{row.stamp:%Y%m%dT%H%M%S}"),
        provider=crm,
        shape=MERGED,
        action=MERGED,
        verdict=Verdict.OPT_OUT,
        received_at=received_at,
        occurred_at=row.stamp,
        msisdn=msisdn,
        object=object_name,
        record={**lost, ID_FIELD: merge.kept_id},
        properties={MERGED_AWAY: row.record_id},
    )
