"""An opt-out by a number that several records have: the flag is set on all of them, whichever of them the write was for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector.crm.salesforce.encode import Api, Unencodable, record
from connector.crm.salesforce.kin import Kin
from connector.crm.salesforce.parcels import Item
from connector.crm.salesforce.sending import Composite, Sending
from connector.model.exchange import Exchange
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What became of the others."""

    done: tuple[str, ...]  # their Ids
    undone: tuple[str, Retry | Rejected] | None  # the first that did not take it


def mark(
    api: Api, composite: Composite, wanted: Mapping[int, tuple[RecordWrite, Sequence[str]]]
) -> Exchange[dict[int, Marked]]:
    """Write the consent fields of each opt-out to the other records with its number; answers by the index of the write."""
    items: dict[tuple[str, str], Item] = {}
    outcomes: dict[int, Outcome] = {}
    for write, ids in wanted.values():
        fields = {name: value for name, value in write.set.items() if name in write.consent}
        for record_id in ids:
            place = (write.object, record_id)
            if place in items:
                continue  # two of its numbers were opted out at once: either says it
            try:
                body = record(write.object, ID_FIELD, record_id, fields)
            except Unencodable as error:
                outcomes[len(items)] = Rejected(reason=Reason.BAD_VALUE, detail=str(error))
                body = b""
            items[place] = Item(
                index=len(items), stage=0, object=write.object, key_field=None, fields=fields, body=body
            )
    alone: Mapping[int, Sequence[int]] = dict.fromkeys(range(len(items)), ())
    kin = Kin(before=alone, parents=alone, stages=dict.fromkeys(alone, 0))
    sending = Sending(api, kin, outcomes, composite)
    yield from sending.run([one for one in items.values() if one.index not in outcomes])
    marked: dict[int, Marked] = {}
    for index, (write, ids) in wanted.items():
        ends = {record_id: outcomes[items[write.object, record_id].index] for record_id in ids}
        marked[index] = Marked(
            done=tuple(record_id for record_id, end in ends.items() if isinstance(end, Delivered)),
            undone=next(((one, end) for one, end in ends.items() if not isinstance(end, Delivered)), None),
        )
    return marked


def with_others(outcome: Outcome, marked: Marked) -> Outcome:
    """The outcome of the opt-out as a whole. What was not done everywhere is not done."""
    if isinstance(outcome, Retry):
        return outcome
    if marked.undone is None or isinstance(outcome, Rejected):
        return replace(outcome, beside=marked.done)
    record_id, refused = marked.undone
    if isinstance(refused, Retry):
        return replace(refused, in_doubt=True)
    own = (outcome.record_id,) if outcome.record_id else ()
    detail = f"{record_id} has this number too and did not take the opt-out: {refused.detail}"
    return Rejected(reason=refused.reason, detail=detail, beside=(*own, *marked.done))
