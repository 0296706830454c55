"""An opt-out by a number that several records have: the flag is set on all of them, whichever of them the write was for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from connector.model.http import Exchange
from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Outcome, Rejected, Retry
from connector.ports import Task

Write = Callable[[Sequence[Task]], Exchange[Sequence[Outcome]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What became of the others."""

    done: tuple[str, ...]  # their Ids
    undone: tuple[str, Retry | Rejected] | None  # the first that did not take it


def mark(write: Write, wanted: Mapping[int, tuple[RecordWrite, Sequence[str]]]) -> Exchange[dict[int, Marked]]:
    """Write the consent fields of each opt-out to the other records with its number; answers by the index of the opt-out."""
    marks: dict[tuple[str, str], RecordWrite] = {}
    for opt_out, ids in wanted.values():
        fields = {name: value for name, value in opt_out.set.items() if name in opt_out.consent}
        for record_id in ids:
            # Where two numbers of a record are opted out at once, either says it.
            marks[opt_out.object, record_id] = opt_out.at(record_id, fields)
    outcomes = yield from write([Task(one) for one in marks.values()])
    ends = dict(zip(marks, outcomes, strict=True))
    marked: dict[int, Marked] = {}
    for index, (opt_out, ids) in wanted.items():
        own = {record_id: ends[opt_out.object, record_id] for record_id in ids}
        marked[index] = Marked(
            done=tuple(record_id for record_id, end in own.items() if isinstance(end, Delivered)),
            undone=next(((one, end) for one, end in own.items() if not isinstance(end, Delivered)), None),
        )
    return marked


def with_others(outcome: Outcome, marked: Marked) -> Outcome:
    """The outcome of the opt-out as a whole. What was not done everywhere is not done."""
    if isinstance(outcome, Retry):
        return outcome
    if marked.undone is None or isinstance(outcome, Rejected):
        return replace(outcome, also_updated=marked.done)
    record_id, refused = marked.undone
    if isinstance(refused, Retry):
        return replace(refused, in_doubt=True)
    own = (outcome.record_id,) if outcome.record_id else ()
    detail = f"{record_id} has this number too and did not take the opt-out: {refused.detail}"
    return Rejected(reason=refused.reason, detail=detail, also_updated=(*own, *marked.done))
