"""How many stored events two versions of the mappings treat differently. Pure: nothing is written or sent."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import Subscription
from connector.model.event import Event, Verdict
from connector.model.operation import Operation
from connector.model.plan import Known, Plan
from connector.pipeline.planning import plan


class Difference(Struct, frozen=True, kw_only=True):
    """The result of the comparison. Each event is taken by itself, without what the ledger knows of its person."""

    compared: int
    differing: int
    opt_outs: int  # of the differing ones


def treated_otherwise(
    events: Iterable[Event], before: Ruleset, after: Ruleset, *, configured: Sequence[Subscription]
) -> Difference:
    """Plan each event by both versions, and count those whose operations, decisions or states differ."""
    known = Known(configured=tuple(configured))
    compared = differing = opt_outs = 0
    for event in events:
        compared += 1
        if _effect(plan(event, before, known)) != _effect(plan(event, after, known)):
            differing += 1
            opt_outs += event.verdict is Verdict.OPT_OUT
    return Difference(compared=compared, differing=differing, opt_outs=opt_outs)


def _effect(made: Plan) -> tuple[Any, ...]:
    """What comes of an event, without the names of the rules."""
    return made.state, made.decisions, [_unnamed(one) for one in made.operations], made.not_reached


def _unnamed(operation: Operation) -> Operation:
    return replace(operation, rule="")
