"""Sends one batch to one sink: folds it, sends the parts of refused folds singly, and returns one outcome for each operation."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.delivery.http_client import Client
from connector.model.operation import Operation, RecordWrite, Repeat
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.ports import Sink, Task


class Fold(Struct, frozen=True):
    """One operation to send, and the indexes of the operations that it combines, in order.

    A CRM may refuse every row of a request whose key occurs in it twice, so a batch never holds a record twice.
    """

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
        folds[place] = Fold(merge_writes(earlier.operation, operation), (*earlier.parts, index))
    return folds


def merge_writes(earlier: RecordWrite, later: RecordWrite) -> RecordWrite:
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


def rounds(refused: Iterable[Fold]) -> list[list[tuple[Fold, int]]]:
    """The parts of rejected folds, to be sent one by one, so that only the failing part becomes a dead letter.

    First the first parts of all folds, then the second parts. So no round holds a record twice and each record keeps
    its order.
    """
    several = [folded for folded in refused if len(folded.parts) > 1]
    longest = max((len(folded.parts) for folded in several), default=0)
    return [[(folded, folded.parts[turn]) for folded in several if turn < len(folded.parts)] for turn in range(longest)]


class Written(Struct, frozen=True):
    """A record as it was written, by the index of the operation that is its last part."""

    index: int
    write: RecordWrite
    outcome: Delivered


class AlsoUpdated(Struct, frozen=True):
    """Other records that received an opt-out, by the index of the operation that brought it."""

    index: int
    write: RecordWrite
    record_ids: Sequence[str]


class ConsentSentAlone(Struct, frozen=True):
    """The consent fields of an operation (its index) were sent without the rest; the operation's outcome is that of the rest."""

    index: int
    write: RecordWrite
    outcome: Delivered


# Reasons that may come from a field or a parent that has nothing to do with consent.
MAY_CONCERN_ANOTHER_FIELD = frozenset(
    {
        Reason.FIELD_REQUIRED,
        Reason.VALIDATION,
        Reason.TRIGGER_LIMIT,
        Reason.TOO_LONG,
        Reason.PICKLIST,
        Reason.BAD_VALUE,
        Reason.DUPLICATE_RECORD,
        Reason.AMBIGUOUS_KEY,
        Reason.RECORD_DELETED,
        Reason.NO_ACCESS,
        Reason.CONFIGURATION,
        Reason.PARENT_MISSING,
        Reason.PARENT_WAITING,
        Reason.PARENT_FAILED,
        Reason.UNKNOWN,
        Reason.BUG,
    }
)


class Sent(Struct, frozen=True):
    """The result of a batch: an outcome for each operation, in order, and the records that were written."""

    outcomes: Sequence[Outcome]
    written: Sequence[Written]
    also_updated: Sequence[AlsoUpdated] = ()
    consent_sent_alone: Sequence[ConsentSentAlone] = ()


async def send(
    sink: Sink, client: Client, operations: Sequence[Operation], task: Callable[[Operation], Task] = Task
) -> Sent:
    """Send the operations, given in their order. `task` adds what is known of the record of an operation."""
    batch = _Batch(sink, client, operations, task)
    await batch.send()
    return Sent(
        [outcome or Retry(reason=Reason.HALTED) for outcome in batch.outcomes],
        batch.written,
        tuple(batch.also_updated),
        tuple(batch.consent_sent_alone),
    )


class _Batch:
    """One batch while it is sent."""

    def __init__(
        self,
        sink: Sink,
        client: Client,
        operations: Sequence[Operation],
        task: Callable[[Operation], Task],
    ) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(operations)
        self.written: list[Written] = []
        self.consent_sent_alone: list[ConsentSentAlone] = []
        # Consent-only operations that are delivered although their fold is not.
        self._consent_done: dict[int, Delivered] = {}
        self.also_updated: list[AlsoUpdated] = []
        self._sink = sink
        self._client = client
        self._operations = operations
        self._task = task

    async def send(self) -> None:
        folds = fold(self._operations)
        refused: list[Fold] = []
        refused_children: list[Fold] = []
        for folded, outcome in zip(folds, await self._write_with_consent_first(folds), strict=True):
            # A decision by a person concerns all parts of the record.
            may_be_split = isinstance(outcome, Rejected) and outcome.reason is not Reason.NEEDS_PERSON
            if may_be_split and len(folded.parts) > 1:
                refused.append(folded)
                continue
            self._record(folded, outcome)
            if isinstance(outcome, Rejected) and outcome.reason is Reason.PARENT_FAILED:
                refused_children.append(folded)
        if refused:
            await self._send_parts(rounds(refused), refused_children)
        for part, answer in self._consent_done.items():
            self.outcomes[part] = answer

    async def _send_parts(self, turns: Sequence[Sequence[tuple[Fold, int]]], refused_children: Sequence[Fold]) -> None:
        children = _children(turns, refused_children)
        folds_to_retry: set[int] = set()  # folds with a part to retry: no later part may take effect before it
        waiting: set[int] = set()  # operations that wait for another one
        for number, turn in enumerate(turns):
            waiting.update(part for whole, part in turn if id(whole) in folds_to_retry)
            ready = [(whole, Fold(self._operations[part], (part,))) for whole, part in turn if part not in waiting]
            for child, parent in children.get(number, ()):
                if parent in waiting:
                    waiting.update(child.parts)
                    self._record(
                        child, Retry(reason=Reason.PARENT_WAITING, detail="an earlier write of its parent waits")
                    )
                else:
                    ready.append((child, child))
            answers = await self._write_with_consent_first([single for _, single in ready])
            for (whole, single), outcome in zip(ready, answers, strict=True):
                self._record(single, outcome)
                if isinstance(outcome, Retry):
                    folds_to_retry.add(id(whole))

    async def _write_with_consent_first(self, folds: Sequence[Fold]) -> Sequence[Outcome]:
        """Write them. If a write with consent fields fails, send its consent fields alone at once: another field may be the cause.

        If the consent fields are refused too, send the opt-out flag alone.
        """
        outcomes = list(await self._write(folds))
        failed = [
            (place, (folds[place], outcome))
            for place, outcome in enumerate(outcomes)
            # The parts of a refused fold are sent one by one first.
            if isinstance(outcome, Retry) or (isinstance(outcome, Rejected) and len(folds[place].parts) == 1)
        ]
        if not failed:
            return outcomes
        refused = _consent_folds(failed)
        alone: dict[int, Outcome] = {}
        while refused:
            answers = await self._write(list(refused.values()))
            alone |= zip(refused, answers, strict=True)
            for place, folded in refused.items():
                if isinstance(answer := alone[place], Delivered):
                    self._record(folded, answer)
                    self._record_consent_alone(folded, answer)
            refused = _consent_folds((place, (folded, alone[place])) for place, folded in refused.items())
        for place, answer in alone.items():
            outcomes[place] = with_consent_outcome(outcomes[place], answer)
        return outcomes

    def _record_consent_alone(self, folded: Fold, answer: Delivered) -> None:
        """Record that these consent fields of all parts of a write are delivered."""
        assert isinstance(folded.operation, RecordWrite)  # noqa: S101 - nothing else holds consent.
        delivered = set(folded.operation.consent)
        for part in folded.parts:
            operation = self._operations[part]
            assert isinstance(operation, RecordWrite)  # noqa: S101 - the same.
            write = operation if operation.consent else None
            while write is not None and not delivered.issuperset(
                write.consent if write.consent_only else (*write.set, *write.create)
            ):
                write = write.narrowed()
            if write is operation:
                self._consent_done[part] = answer
            elif write is not None:
                self.consent_sent_alone.append(ConsentSentAlone(part, write, answer))

    def _record(self, folded: Fold, outcome: Outcome) -> None:
        for part in folded.parts:
            self.outcomes[part] = outcome
        if not isinstance(folded.operation, RecordWrite) or isinstance(outcome, Retry):
            return
        if outcome.also_updated:
            self.also_updated.append(AlsoUpdated(folded.parts[-1], folded.operation, outcome.also_updated))
        if isinstance(outcome, Delivered) and not outcome.absent:
            self.written.append(Written(folded.parts[-1], folded.operation, outcome))

    def _tasks(self, folds: Sequence[Fold]) -> list[Task]:
        """The tasks, whose shadows have the values that this batch has just written: they are not a person's changes."""
        tasks = [self._task(folded.operation) for folded in folds]
        return [self._with_own_values(task) for task in tasks] if self.written else tasks

    def _with_own_values(self, task: Task) -> Task:
        """The task, with the values that this batch has written to its record added to the shadow."""
        write = task.operation
        if not isinstance(write, RecordWrite) or not write.clears_flag:
            return task
        own_writes = [written for written in self.written if written.write.record == write.record]
        fields = {
            name: value
            for own in own_writes
            for name, value in {**(own.write.create if own.outcome.created else {}), **own.write.set}.items()
            if name not in own.outcome.left_out
        }
        return replace(task, shadow={**(task.shadow or {}), **fields}) if own_writes else task

    async def _write(self, folds: Sequence[Fold]) -> Sequence[Outcome]:
        if not folds:
            return []
        tasks = self._tasks(folds)
        try:
            outcomes = await self._sink.write(self._client, tasks)
        except Exception as error:  # noqa: BLE001 - a bug of an adapter may cost one operation, not the whole pipeline.
            return await self._bisect(folds, type(error).__name__)
        if len(outcomes) != len(tasks):
            return await self._bisect(folds, f"{len(outcomes)} outcomes for {len(tasks)} operations")
        return outcomes

    async def _bisect(self, folds: Sequence[Fold], bug: str) -> Sequence[Outcome]:
        """Bisect the operations for which an adapter has raised, until the failing one is alone."""
        detail = f"{bug} in the adapter of {self._sink.name}: please report this bug"
        answers: dict[int, Outcome] = {}
        again: list[int] = []
        for index, folded in enumerate(folds):
            if folded.operation.repeat is Repeat.NEVER:
                answers[index] = Retry(reason=Reason.UNKNOWN, detail=detail, in_doubt=True)
            elif len(folds) == 1:
                answers[index] = Rejected(reason=Reason.BUG, detail=detail)
            else:
                again.append(index)
        middle = (len(again) + 1) // 2
        for half in (again[:middle], again[middle:]):
            answers.update(zip(half, await self._write([folds[index] for index in half]), strict=True))
        return [answers[index] for index in range(len(folds))]


def _consent_folds(answered: Iterable[tuple[int, tuple[Fold, Outcome]]]) -> dict[int, Fold]:
    """The consent fields of refused writes (by position), to be sent without their other fields."""
    narrowed: dict[int, Fold] = {}
    for place, (folded, outcome) in answered:
        if isinstance(outcome, Delivered) or outcome.reason not in MAY_CONCERN_ANOTHER_FIELD:
            continue
        if isinstance(folded.operation, RecordWrite):
            write = folded.operation.narrowed()
            if write is not None:
                narrowed[place] = Fold(write, folded.parts)
    return narrowed


def with_consent_outcome(outcome: Outcome, alone: Outcome) -> Outcome:
    """The outcome of an operation that was refused, when its consent fields were sent alone."""
    assert isinstance(outcome, Rejected | Retry)  # noqa: S101 - nothing else is sent again.
    if isinstance(alone, Retry):
        return alone
    if outcome.reason is Reason.CONFIGURATION and isinstance(alone, Delivered):
        return outcome  # its detail becomes that of a suspension, which concerns more than this operation
    described = (
        f"{outcome.field}: {outcome.detail}" if isinstance(outcome, Rejected) and outcome.field else outcome.detail
    )
    if isinstance(alone, Rejected):
        return replace(outcome, detail=f"{described}; the consent fields alone were refused too: {alone.detail}")
    return replace(outcome, detail=f"{described}; the consent fields went out without the rest")


def _children(
    turns: Sequence[Sequence[tuple[Fold, int]]], refused_children: Sequence[Fold]
) -> Mapping[int, Sequence[tuple[Fold, int]]]:
    """For each turn the children to send with it, each with the part of its parent (an index).

    They were rejected because of a refused fold, although perhaps only a part of another event failed.
    """
    parents: dict[tuple[str, str], list[tuple[int, int]]] = {}  # key → the parts of it: index, turn

    def add(write: Operation, index: int, number: int) -> None:
        if isinstance(write, RecordWrite):
            parents.setdefault((write.key_field.casefold(), write.key.lower()), []).append((index, number))

    for number, turn in enumerate(turns):
        for whole, part in turn:
            add(whole.operation, part, number)
    children: dict[int, list[tuple[Fold, int]]] = {}
    for child in refused_children:
        assert isinstance(child.operation, RecordWrite)  # noqa: S101 - commands have no parents.
        position = child.parts[0]
        own_parts: list[tuple[int, int]] = []
        for parent in child.operation.parents:
            parts = parents.get((parent.key_field.casefold(), parent.key.lower()), [])
            if parts:
                own_parts.append(max((part for part in parts if part[0] < position), default=min(parts)))
        if own_parts:
            index, number = max(own_parts, key=lambda part: part[1])
            children.setdefault(number, []).append((child, index))
            add(child.operation, position, number)
    return children
