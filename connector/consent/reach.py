"""Whom an opt-out has to reach: the CRM that holds the person's flag, or the providers that charge them. Pure."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from connector.consent.decide import Ruling
from connector.consent.guard import ENDING
from connector.model.event import Event, Verdict
from connector.model.operation import Operation, RecordWrite, ServiceCommand
from connector.model.roles import ConsentFields

ConsentOf = Callable[[str, str], ConsentFields | None]  # CRM, object → the fields that bear consent


def unreached(
    event: Event,
    ruling: Ruling,
    operations: Sequence[Operation],
    *,
    crms: Sequence[str],
    providers: Iterable[tuple[str, bool]],
    consent_of: ConsentOf,
) -> tuple[str, ...]:
    """The CRMs and providers that an opt-out has to reach and that none of the event's operations tells of it.

    `crms` are those that hold a flag, and `providers` those that can end a subscription of this person, each with whether the
    ledger knows one that runs. A provider's opt-out must set the flag in one CRM as soon as no other subscription runs; a CRM's
    must be told to every provider where one runs, and to those where one may run unless another is told.
    """
    if ruling.decision is None or ruling.decision.word is not Verdict.OPT_OUT:
        return ()
    if event.object is not None:
        told = {one.sink for one in operations if isinstance(one, ServiceCommand) and one.action in ENDING}
        return tuple(name for name, runs in providers if name not in told and (runs or not told))
    if not crms or not ruling.ends_all or any(sets_flag(one, consent_of) for one in operations):
        return ()
    return tuple(crms[:1])


def sets_flag(operation: Operation, consent_of: ConsentOf) -> bool:
    """Whether the operation sets the opt-out flag of a record, new or known.

    A flag under `create:` alone is not enough: the record of somebody who is known would keep its own.
    """
    if not isinstance(operation, RecordWrite) or not operation.consent:
        return False
    declared = consent_of(operation.sink, operation.object)
    if declared is None:
        return False
    flag, out = declared.flag.casefold(), _word(declared.opted_out)
    return any(name.casefold() == flag and _word(value) == out for name, value in operation.set.items())


def ends_subscriptions(commands: Collection[str]) -> bool:
    """Whether one of the commands ends a subscription."""
    return not ENDING.isdisjoint(commands)


def _word(value: Any) -> str:
    """A flag's value as it is compared: a mapping may write `true` or `"true"`."""
    return str(value).casefold()
