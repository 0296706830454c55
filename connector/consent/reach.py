"""Whom an opt-out must reach: the CRM with the person's flag, or the providers that charge them. Pure."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from connector.consent.decide import Ruling
from connector.model.consent_fields import ConsentFields
from connector.model.event import Verdict
from connector.model.operation import ENDING, Operation, RecordWrite, ServiceCommand

ConsentOf = Callable[[str, str], ConsentFields | None]  # CRM, object → its consent fields


def crms_not_notified(
    ruling: Ruling, operations: Sequence[Operation], *, crms: Sequence[str], consent_of: ConsentOf
) -> Sequence[str]:
    """The CRM whose flag a provider's opt-out must set, but no operation sets; one of several CRMs is enough.

    `crms` are those that have a flag. The flag must be set as soon as no other subscription of the person runs.
    """
    if not crms or not ruling.may_set_flag:
        return ()
    for operation in operations:
        if sets_flag(operation, consent_of):
            return ()
    return crms[:1]


def providers_not_notified(
    ruling: Ruling, operations: Sequence[Operation], *, providers: Iterable[tuple[str, bool]]
) -> Sequence[str]:
    """The providers that a CRM's opt-out must reach, but that get no command to end a subscription.

    `providers` are those that can end one of this person's, each with whether the ledger knows a running one. A
    provider with a running subscription must be told. If none is known to run, it is enough to tell any provider.
    """
    if ruling.decision is None or ruling.decision.word is not Verdict.OPT_OUT:
        return ()
    notified = {one.sink for one in operations if isinstance(one, ServiceCommand) and one.action in ENDING}
    return [name for name, runs in providers if name not in notified and (runs or not notified)]


def sets_flag(operation: Operation, consent_of: ConsentOf) -> bool:
    """Whether the operation sets the opt-out flag of a record, new or existing.

    A flag under `create:` alone is not enough: an existing record would keep its own value.
    """
    if not isinstance(operation, RecordWrite) or not operation.consent:
        return False
    declared = consent_of(operation.sink, operation.object)
    if declared is None:
        return False
    if (written := operation.set.get(declared.flag)) is not None:
        return written is declared.opted_out or _comparable(written) == _comparable(declared.opted_out)
    flag, out = declared.flag.casefold(), _comparable(declared.opted_out)
    return any(name.casefold() == flag and _comparable(value) == out for name, value in operation.set.items())


def ends_subscriptions(commands: Collection[str]) -> bool:
    """Whether one of the commands ends a subscription."""
    return not ENDING.isdisjoint(commands)


def _comparable(value: Any) -> str:
    """A flag's value in the form for comparing: a mapping may write `true` or `"true"`."""
    return str(value).casefold()
