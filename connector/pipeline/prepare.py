"""Claimed units → the operations that are still sent: consent is asked again, and what is superseded is left out."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.consent.guard import as_sendable
from connector.model.crm_traits import CrmTraits
from connector.model.operation import ID_FIELD, Operation, RecordWrite, ServiceCommand
from connector.model.outcome import Delivered
from connector.store.store import Store
from connector.store.units import Unit

SUPERSEDED = Delivered(detail="superseded by what came after it")


class PendingWrite(Struct, frozen=True):
    """One operation of a claimed unit as it may go out; None where nothing is left of it."""

    unit: int  # place in the claim
    index: int  # place in the unit
    operation: Operation | None


def drop_superseded(units: Sequence[Unit], store: Store, traits: CrmTraits) -> list[PendingWrite]:
    """Ask consent again before anything goes out: the world has gone on since the plan was made.

    A plan of an earlier version may name a record by another form of its id than the full one.
    """
    consent = {unit.id for unit in units if any(map(_concerns_consent, unit.operations))}
    ledgers = store.consents.of_many(sorted({unit.lane for unit in units if unit.id in consent}))
    pending: list[PendingWrite] = []
    for place, unit in enumerate(units):
        newer = [
            (one.object, one.key_field, _full_key(one.key_field, one.key, traits), one.field) for one in unit.newer
        ]
        for index, planned in zip(unit.indexes, unit.operations, strict=True):
            operation: Operation | None = planned
            if isinstance(planned, RecordWrite) and planned.key_field == ID_FIELD:
                operation = replace(planned, key=traits.full_id(planned.key))
            if operation is not None and (newer or unit.id in consent):
                operation = as_sendable(
                    operation,
                    event_id=unit.event_id,
                    overtaken=unit.overtaken_by is not None,
                    newer=newer,
                    ledger=ledgers.get(unit.lane, ()),
                )
            pending.append(PendingWrite(place, index, operation))
    return pending


def _concerns_consent(operation: Operation) -> bool:
    """Whether the person's consent decides about the operation."""
    if isinstance(operation, RecordWrite):
        return bool(operation.consent) or operation.consent_only
    return isinstance(operation, ServiceCommand)


def _full_key(key_field: str, key: str, traits: CrmTraits) -> str:
    return traits.full_id(key) if key_field == ID_FIELD else key
