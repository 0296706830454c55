"""Pure: operations on one record fold into one write, and its outcome is given to all of them.

A CRM may refuse every row of a request whose key occurs in it twice, so a batch never holds a record twice.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.model.operation import Operation, RecordWrite


class Fold(Struct, frozen=True):
    """One operation to send, and the indexes of those that it stands for, in order."""

    operation: Operation
    parts: tuple[int, ...]


def fold(operations: Sequence[Operation]) -> list[Fold]:
    """Fold the operations, given in their order: for each field the later value wins. Commands are never folded."""
    places: dict[tuple[str, str, str], int] = {}
    folds: list[Fold] = []
    for index, operation in enumerate(operations):
        if not isinstance(operation, RecordWrite):
            folds.append(Fold(operation, (index,)))
            continue
        record = operation.record
        place = places.get(record)
        if place is None:
            places[record] = len(folds)
            folds.append(Fold(operation, (index,)))
            continue
        earlier = folds[place]
        assert isinstance(earlier.operation, RecordWrite)  # noqa: S101 - only record writes have a place.
        folds[place] = Fold(together(earlier.operation, operation), (*earlier.parts, index))
    return folds


def together(earlier: RecordWrite, later: RecordWrite) -> RecordWrite:
    """Two writes of one record as one.

    A field that the earlier write sets always and the later one only at creation stays set always: on a new record the
    two writes, sent one after the other, would have this result.
    """
    values = {**earlier.set, **later.set}
    flags = [write for write in (earlier, later) if write.consent]
    return replace(
        later,
        set=values,
        create={name: value for name, value in {**later.create, **earlier.create}.items() if name not in values},
        may_create=earlier.may_create or later.may_create,
        consent=tuple(dict.fromkeys((*earlier.consent, *later.consent))),
        clears_flag=flags[-1].clears_flag if flags else False,
        match=later.match or earlier.match,
        consent_only=earlier.consent_only and later.consent_only,
    )


def rounds(broken: Iterable[Fold]) -> list[list[tuple[Fold, int]]]:
    """The parts of rejected folds, to be sent again singly so that only the part at fault becomes a dead letter.

    First the first parts of all folds, then the second parts. So no round holds a record twice and each record keeps
    its order.
    """
    several = [one for one in broken if len(one.parts) > 1]
    longest = max((len(one.parts) for one in several), default=0)
    return [[(one, one.parts[turn]) for one in several if turn < len(one.parts)] for turn in range(longest)]
