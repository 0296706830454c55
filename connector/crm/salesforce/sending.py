"""Sending the ready records of one batch until each has its outcome: order, stopping, and isolating the guilty."""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum

from msgspec.structs import replace

from connector.crm.salesforce import decode, missing_parents, trigger_limits
from connector.crm.salesforce.decode import Failed
from connector.crm.salesforce.detours import Astray, Detours
from connector.crm.salesforce.duplicate_values import is_unclear
from connector.crm.salesforce.duplicate_values import settled as settled_duplicate
from connector.crm.salesforce.encode import Api
from connector.crm.salesforce.errors import missing_column, words
from connector.crm.salesforce.kin import Kin
from connector.crm.salesforce.parcels import COLLECTIONS, Item, Parcel, Shipment, pack, ship, split
from connector.crm.salesforce.poison import IN_A_ROW, Hunt
from connector.crm.salesforce.presence import Surprises
from connector.crm.salesforce.record_ids import PREFIXES, comparable
from connector.crm.salesforce.trigger_limits import TransactionSizes
from connector.model.exchange import Exchange, HttpCall, Reply
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry

SHORT = 16_384  # bytes of a record: whatever takes requests at all takes as much


class Composite(StrEnum):
    """What is known of upserts by external ID inside a composite: Salesforce's documents do not promise them."""

    UNTRIED = "untried"
    WORKS = "works"
    REFUSED = "refused"


class Sending:
    """One batch on its way. `outcomes` may hold some from the start: of records that are not sent.

    What was taken for new or for known and proves to be otherwise has no outcome at the end: `surprises` tells of it.
    """

    def __init__(
        self,
        api: Api,
        kin: Kin,
        outcomes: dict[int, Outcome],
        composite: Composite,
        *,
        detours: Detours,
        hunt: Hunt,
        sizes: TransactionSizes,
    ) -> None:
        self._api = api
        self._kin = kin
        self._outcomes = outcomes
        self._room = 1 if composite is Composite.REFUSED else COLLECTIONS
        self._queue: deque[Shipment] = deque()
        self._later: list[Item] = []  # children whose parents are still being isolated
        self._waited: set[int] = set()
        self._detours = detours
        self._astray: dict[int, Astray] = {}  # for which a way around is to be found
        self._went_astray: set[int] = set()
        self._hunt = hunt
        self._sizes = sizes
        self._divided: set[int] = set()  # records whose request was divided for a limit of a trigger
        self._waiting: dict[str, Retry] = {}  # objects of which no more is sent in this batch
        self._fruitless = 0  # such requests since a record went through
        self._locked_alone = 0  # the same: single records that a trigger could not lock
        self._refused = 0  # requests in a row, with a code that may concern the whole org
        self.surprises = Surprises()
        self.stopped: Retry | Rejected | None = None  # Salesforce cannot be worked with now
        self.composite = composite

    def run(self, items: Sequence[Item]) -> Exchange[None]:
        """Send them. Afterwards each of them has an outcome, or is a surprise."""
        self._queue.extend(ship(pack(items), self._room))
        while self._queue or self._astray or self._later:
            if not self._queue:
                if self._astray:
                    again = yield from self._around()
                else:
                    again, self._later = self._later, []
                self._queue.extend(ship(pack(again), self._room))
                continue
            shipment = self._without_orphans(self._queue.popleft())
            shipment = self._sizes.fit(shipment)
            if len(shipment) > self._room:
                self._first(ship(shipment, self._room))
            elif shipment:
                replies = yield [self._call(shipment)]
                self._take(shipment, replies[0])

    def _around(self) -> Exchange[list[Item]]:
        """The ways around for the records that went astray; what has none gets its outcome."""
        astray, self._astray = self._astray, {}
        ways = yield from self._detours.find(list(astray.values()))
        again: list[Item] = []
        for place, one in astray.items():
            way = ways.get(place, one.outcome)
            if isinstance(way, Retry) and way.reason is Reason.TRIGGER_LIMIT:
                way = trigger_limits.alone(way)  # the way around was a request of its own
            if isinstance(way, Item):
                again.append(way)
            else:
                self._settle(one.item, way)
        return again

    def take_surprises(self) -> Surprises:
        """The surprises so far. What is sent from now on is sent knowing them, and brings none."""
        surprises, self.surprises = self.surprises, Surprises()
        self._went_astray = set()
        return surprises

    def _call(self, shipment: Shipment) -> HttpCall:
        if len(shipment) == 1:
            return self._api.collection(shipment[0].collection)
        return self._api.collections([parcel.collection for parcel in shipment])

    def _take(self, shipment: Shipment, reply: Reply) -> None:
        whole = decode.answer(reply)
        if isinstance(whole, Failed):
            self._stop(shipment, whole.outcome)
        elif len(shipment) == 1:
            results = _records(whole, shipment[0])
            if isinstance(results, Failed):
                self._take_failure(shipment, results)
                return
            if self._room == 1 and self.composite is Composite.UNTRIED and shipment[0].upserted:
                # Alone it goes and inside a composite it does not: the org refuses the way, not the records.
                self.composite = Composite.REFUSED
            self._answered()
            self._first(ship(self._settle_results(shipment[0], results, alone=True), self._room))
        else:
            parts = decode.subanswers(whole, len(shipment))
            if isinstance(parts, Failed):
                self._take_failure(shipment, parts)
            else:
                self._take_parts(shipment, parts)

    def _take_parts(self, shipment: Shipment, parts: Sequence[decode.Answer | Failed]) -> None:
        results = [
            part if isinstance(part, Failed) else _records(part, parcel)
            for parcel, part in zip(shipment, parts, strict=True)
        ]
        upserts = [result for parcel, result in zip(shipment, results, strict=True) if parcel.upserted]
        if self.composite is Composite.UNTRIED and upserts:
            if all(isinstance(result, Failed) and result.no_such_path for result in upserts):
                self._room = 1
            elif not all(isinstance(result, Failed) for result in upserts):
                self.composite = Composite.WORKS
        first: list[Parcel] = []
        for parcel, result in zip(shipment, results, strict=True):
            if not isinstance(result, Failed):
                self._answered()
                first += self._settle_results(parcel, result, alone=False)
            elif self._room == 1 and result.no_such_path and parcel.upserted:
                first.append(parcel)
            elif self._one_may_be_guilty(result, [parcel]):
                first += [piece for pieces in self._isolate([parcel], result) for piece in pieces]
            else:
                self._settle_all(parcel, [result.outcome] * len(parcel.items))
        self._first(ship(first, self._room))

    def _take_failure(self, shipment: Shipment, failed: Failed) -> None:
        """A whole request failed."""
        if self._one_may_be_guilty(failed, shipment):
            self._first(self._isolate(shipment, failed))
        elif len(shipment) > 1 and failed.no_such_path:
            self._stop(shipment, Retry(reason=Reason.WRONG_ADDRESS, detail=failed.outcome.detail))
        elif isinstance(failed.outcome, Retry):
            self._stop(shipment, failed.outcome)
        else:
            for parcel in shipment:
                self._settle_all(parcel, [failed.outcome] * len(parcel.items))

    def _one_may_be_guilty(self, failed: Failed, shipment: Shipment) -> bool:
        """Whether what failed is to be divided. So many refusals in a row say that it is the org and not a record."""
        if not failed.spoiled:
            return failed.crashed and self._hunt.goes_on(shipment)
        if failed.outcome.reason in {Reason.UNKNOWN_CODE, Reason.SINK_REFUSES}:
            self._refused += 1
        return self._refused <= IN_A_ROW

    def _settle_results(self, parcel: Parcel, results: Sequence[Outcome], *, alone: bool) -> list[Parcel]:
        """Settle them, but for those that were too many for a trigger: these are sent again in smaller requests, which are given.

        `alone`: nothing else was in the request.
        """
        crowded: list[tuple[Item, Retry]] = []
        for item, outcome in zip(parcel.items, results, strict=True):
            if not isinstance(outcome, Retry) or not trigger_limits.too_many(outcome):
                self._settle(item, outcome)
            elif alone and len(parcel.items) == 1:
                self._fruitless += 1
                self._settle(item, trigger_limits.alone(outcome))
                self._locked_alone += outcome.reason is Reason.ROW_LOCKED
                if self._locked_alone >= trigger_limits.LOCKED_ALONE:
                    self._waiting[item.object] = outcome
            else:
                crowded.append((item, outcome))
        if not crowded:
            if any(isinstance(outcome, Delivered) for outcome in results):
                self._fruitless = self._locked_alone = 0
                self._sizes.taken(parcel.items)
            return []
        self._fruitless += 1
        if self._fruitless > trigger_limits.FRUITLESS:
            for item, outcome in crowded:
                self._waiting[item.object] = outcome
                self._settle(item, outcome)
            return []
        self._divided.update(item.index for item, _ in crowded)
        return trigger_limits.divided(crowded, self._sizes)

    def _answered(self) -> None:
        self._refused = 0
        self._hunt.answered()

    def _isolate(self, parcels: Shipment, failed: Failed) -> list[Shipment]:
        """One record has spoiled these: settle it where it is known, and divide the rest until it is."""
        guilty = _guilty(parcels, failed)
        if guilty:
            for item, outcome in guilty:
                self._settle(item, outcome)
            settled = {item.index for item, _ in guilty}
            rest = [[item for item in parcel.items if item.index not in settled] for parcel in parcels]
            return ship([Parcel(items) for items in rest if items], self._room)
        if len(parcels) > 1:
            middle = len(parcels) // 2
            return [parcels[:middle], parcels[middle:]]
        if len(parcels[0].items) == 1:
            if failed.too_long and len(parcels[0].items[0].body) < SHORT:
                self._stop(parcels, decode.too_long_at_all(failed))
            else:
                self._settle(parcels[0].items[0], trigger_limits.alone(failed.outcome))
            return []
        return ship(split(parcels[0], max(self._room, 2)), self._room)

    def _stop(self, shipment: Shipment, outcome: Retry | Rejected) -> None:
        """Salesforce cannot be worked with now: nothing more of the batch is sent, and what was not sent is not in doubt."""
        for parcel in shipment:
            self._settle_all(parcel, [outcome] * len(parcel.items))
        unsent = replace(outcome, in_doubt=False) if isinstance(outcome, Retry) else outcome
        self.stopped = unsent
        for item in self._later + [item for waiting in self._queue for parcel in waiting for item in parcel.items]:
            self._outcomes[item.index] = unsent
        self._outcomes |= dict.fromkeys(self._astray, unsent)
        self._later, self._astray = [], {}
        self._queue.clear()

    def _first(self, shipments: Sequence[Shipment]) -> None:
        self._queue.extendleft(reversed(shipments))

    def _without_orphans(self, shipment: Shipment) -> Shipment:
        """The shipment without the children whose parents are known not to be there."""
        kept: list[Parcel] = []
        for parcel in shipment:
            items: list[Item] = []
            for item in parcel.items:
                if self.surprises.orphaned(item.index, self._kin.before[item.index]):
                    continue
                fate = self._fate(item) or self._waiting.get(item.object)
                if fate is None:
                    items.append(item)
                else:
                    self._outcomes[item.index] = fate
            if items:
                kept.append(Parcel(items))
        return kept

    def _fate(self, item: Item) -> Retry | Rejected | None:
        """What follows for a child from the outcomes of its parents in the batch; None where nothing does."""
        fates = [self._outcomes.get(parent) for parent in self._kin.parents[item.index]]
        for fate in fates:
            if isinstance(fate, Rejected) and fate.reason is not Reason.CONFIGURATION:
                return Rejected(reason=Reason.PARENT_FAILED, detail=f"its parent record was refused: {fate.reason}")
        for fate in fates:
            # What the set-up forbids is written as soon as that is mended.
            if isinstance(fate, Retry | Rejected):
                return Retry(reason=Reason.PARENT_WAITING, detail=f"its parent record waits: {fate.reason}")
        return None

    def _settle_all(self, parcel: Parcel, outcomes: Sequence[Outcome]) -> None:
        for item, outcome in zip(parcel.items, outcomes, strict=True):
            self._settle(item, outcome)

    def _settle(self, item: Item, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered) and (item.left_out or item.insert or item.index in self._divided):
            outcome = replace(
                outcome,
                left_out=item.left_out,
                created=outcome.created or item.insert,
                divided=item.index in self._divided,
            )
        if isinstance(outcome, Delivered) and item.elsewhere:
            # The key of the write does not name this record.
            outcome = replace(outcome, record_id=None, detail=f"written to the {item.object} {item.record_id}")
        if isinstance(outcome, Retry) and outcome.reason is Reason.PARENT_MISSING:
            if self.surprises.orphaned(item.index, self._kin.before[item.index], missing=True):
                return
            fate = self._fate(item)
            if fate is None and item.index not in self._waited and self._parents_open(item):
                self._waited.add(item.index)
                self._later.append(item)
                return
            outcome = fate or outcome
        again = item.index in self._went_astray
        if again and isinstance(outcome, Retry) and is_unclear(outcome, item.key_field):
            outcome = settled_duplicate(outcome)
        if isinstance(outcome, Retry | Rejected) and self._detours.know(outcome, item, again=again):
            self._went_astray.add(item.index)
            self._astray[item.index] = Astray(item=item, outcome=outcome)
        elif not self.surprises.met(item, outcome):
            self._outcomes[item.index] = outcome

    def _parents_open(self, item: Item) -> bool:
        return any(parent not in self._outcomes for parent in self._kin.before[item.index])


def _records(part: decode.Answer, parcel: Parcel) -> Sequence[Outcome] | Failed:
    begin = [
        comparable(item.record_id) if item.record_id else PREFIXES.get(item.object.casefold(), "")
        for item in parcel.items
    ]
    return decode.records(part, len(begin), key_field=parcel.key_field or "", beginnings=begin)


def _guilty(parcels: Shipment, failed: Failed) -> list[tuple[Item, Outcome]]:
    """The records that name a column which the org has not, by the words with which the request was refused."""
    items = [item for parcel in parcels for item in parcel.items]
    column = missing_column(failed.message)
    if column is not None:
        return [(item, failed.outcome) for item in items if item.uses(*column)]
    if failed.code != missing_parents.CODE or not isinstance(failed.outcome, Rejected):
        return []
    named = words(failed.message)
    return [(item, replace(failed.outcome, field=name)) for item in items if (name := item.named_in(named))]
