"""Opt-outs for a number of several records: sets the flag on all of them, whichever record the write was for."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Outcome, Rejected, Retry
from connector.ports import Task

WriteTasks = Callable[[Sequence[Task]], Awaitable[Sequence[Outcome]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The results for the other records."""

    done: tuple[str, ...]  # Ids of the updated records
    undone: tuple[str, Retry | Rejected] | None  # the first record that failed


async def mark(write: WriteTasks, wanted: Sequence[tuple[RecordWrite, Sequence[str]]]) -> list[Marked]:
    """Write the consent fields of each opt-out to the other records with its number (their Ids). Results in the same order."""
    marks: dict[tuple[str, str], RecordWrite] = {}
    for opt_out, ids in wanted:
        fields = {name: value for name, value in opt_out.set.items() if name in opt_out.consent}
        for record_id in ids:
            # If two numbers of a record are opted out together, one write is enough.
            marks[opt_out.object, record_id] = opt_out.at(record_id, fields)
    outcomes = await write([Task(one) for one in marks.values()])
    ends = dict(zip(marks, outcomes, strict=True))
    marked: list[Marked] = []
    for opt_out, ids in wanted:
        own = {record_id: ends[opt_out.object, record_id] for record_id in ids}
        marked.append(
            Marked(
                done=tuple(record_id for record_id, end in own.items() if isinstance(end, Delivered)),
                undone=next(((one, end) for one, end in own.items() if not isinstance(end, Delivered)), None),
            )
        )
    return marked


def with_others(outcome: Outcome, marked: Marked) -> Outcome:
    """The outcome of the whole opt-out. It is delivered only if all records were updated."""
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
