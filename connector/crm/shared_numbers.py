"""Opt-outs for a number of several records: sets the flag on all of them, whichever record the write was for."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Outcome, Rejected, Retry
from connector.ports import Task

WriteTasks = Callable[[Sequence[Task]], Awaitable[Sequence[Outcome]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersResult:
    """The results for the other records."""

    updated: tuple[str, ...]  # Ids of the updated records
    failed: tuple[str, Retry | Rejected] | None  # the first record that failed


async def opt_out_others(write: WriteTasks, wanted: Sequence[tuple[RecordWrite, Sequence[str]]]) -> list[OthersResult]:
    """Write the consent fields of each opt-out to the other records with its number (their Ids). Results in the same order."""
    writes: dict[tuple[str, str], RecordWrite] = {}
    for opt_out, ids in wanted:
        fields = {name: value for name, value in opt_out.set.items() if name in opt_out.consent}
        for record_id in ids:
            # If two numbers of a record are opted out together, one write is enough.
            writes[opt_out.object, record_id] = opt_out.at(record_id, fields)
    outcomes = await write([Task(one) for one in writes.values()])
    outcome_of = dict(zip(writes, outcomes, strict=True))
    results: list[OthersResult] = []
    for opt_out, ids in wanted:
        own = {record_id: outcome_of[opt_out.object, record_id] for record_id in ids}
        results.append(
            OthersResult(
                updated=tuple(record_id for record_id, outcome in own.items() if isinstance(outcome, Delivered)),
                failed=next(
                    ((record_id, outcome) for record_id, outcome in own.items() if not isinstance(outcome, Delivered)),
                    None,
                ),
            )
        )
    return results


def outcome_with_others(outcome: Outcome, others: OthersResult) -> Outcome:
    """The outcome of the whole opt-out. It is delivered only if all records were updated."""
    if isinstance(outcome, Retry):
        return outcome
    if others.failed is None or isinstance(outcome, Rejected):
        return replace(outcome, also_updated=others.updated)
    record_id, refused = others.failed
    if isinstance(refused, Retry):
        return replace(refused, in_doubt=True)
    own = (outcome.record_id,) if outcome.record_id else ()
    detail = f"{record_id} has this number too and did not take the opt-out: {refused.detail}"
    return Rejected(reason=refused.reason, detail=detail, also_updated=(*own, *others.updated))
