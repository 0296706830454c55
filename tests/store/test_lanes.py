"""Lanes compared with a sorted list as model, for all ways in which a unit is added, taken and returned."""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.model.event import Event
from connector.model.operation import RecordWrite
from connector.model.outcome import Reason
from connector.model.states import EventState, UnitState
from connector.store.inbox import Entry
from connector.store.store import Store
from connector.store.units import NewUnit, Planned, Settlement

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SINK = "salesforce"
LANES = ("+4790000001", "+4790000002", "+4790000003")
DELAY = timedelta(minutes=1)


class Mine:
    """What the model knows of one unit."""

    def __init__(self, event_id, lane, urgent, state):
        self.event_id, self.lane, self.urgent, self.state = event_id, lane, urgent, state
        self.due = self.unit_id = None
        self.overtaken = self.doubt = False

    @property
    def place(self):
        return not self.urgent, self.event_id

    @property
    def open(self):
        return self.state in {"queued", "claimed"}


class Lanes(RuleBasedStateMachine):
    """The store, and the same thing as a sorted list."""

    def __init__(self):
        super().__init__()
        self.worker = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "c.db"
        self.store = self.do(self.opened())
        self.now, self.start, self.units, self.unplanned = NOW, 0, {}, []

    async def opened(self):
        return Store.open(self.path)

    def do(self, step):
        return self.worker.run_until_complete(step)

    def teardown(self):
        self.do(self.store.close())
        self.worker.run_until_complete(self.worker.shutdown_default_executor())
        self.worker.close()
        self.directory.cleanup()

    def lane(self, name):
        return sorted((unit for unit in self.units.values() if unit.lane == name and unit.open), key=lambda u: u.place)

    def resting(self, unit):
        return unit.due is not None and unit.due > self.now

    @rule()
    def an_event_arrives(self):
        key = f"k{len(self.units) + len(self.unplanned) + 1}"
        event = Event(key=key, provider="strex", shape="message", received_at=self.now)
        entry = Entry(
            key=key, provider="strex", shape="message", msisdn=None, received_at=self.now, event=event, raw=b""
        )
        (kept,) = self.do(self.store.inbox.keep([entry]))
        self.unplanned.append(kept.id)

    @precondition(lambda self: self.unplanned)
    @rule(data=st.data(), lane=st.sampled_from(LANES), urgent=st.integers(0, 3), parked=st.integers(0, 9))
    def events_are_planned(self, data, lane, urgent, parked):
        chosen = data.draw(st.lists(st.sampled_from(self.unplanned), unique=True, min_size=1, max_size=3))
        write = RecordWrite(sink=SINK, object="Contact", key_field="K", key=lane, set={"A": 1})
        unit = NewUnit(sink=SINK, lane=lane, operations=(write,), urgent=urgent == 0, parked=parked == 0)
        plans = [Planned(event_id=event_id, state=EventState.DELIVERING, units=(unit,)) for event_id in chosen]
        self.do(self.store.plans.commit(plans, now=self.now))
        for event_id in chosen:
            self.unplanned.remove(event_id)
            self.units[event_id] = Mine(event_id, lane, unit.urgent, "dead" if unit.parked else "queued")
        self.overtake([self.units[event_id] for event_id in chosen if not unit.parked])

    def overtake(self, arrived):
        for unit in arrived:
            for other in self.units.values():
                if other.lane != unit.lane:
                    continue
                if unit.urgent and not other.urgent and other.open and other.event_id < unit.event_id:
                    other.overtaken = True
                if other.urgent and not unit.urgent and other.event_id > unit.event_id:
                    unit.overtaken = True

    @rule(limit=st.integers(1, 6))
    def units_are_claimed(self, limit):
        expected_heads, bound, room = [], {}, limit
        for head in sorted(
            (lane[0] for name in LANES if (lane := self.lane(name)) and self.may_go(lane)), key=lambda unit: unit.place
        ):
            bound[head.lane] = self.bound(head)
            if expected_heads and len(bound[head.lane]) > room:
                break
            room -= len(bound[head.lane])
            expected_heads.append(head)
        units = self.do(self.store.outbox.claim(SINK, limit, str(self.start), self.now))
        taken = [unit.event_id for unit in units]
        assert len(taken) <= max(limit, limit - room)
        assert {unit.event_id for unit in expected_heads} <= set(taken)
        for name in {self.units[event_id].lane for event_id in taken}:
            lane = self.lane(name)
            run = [event_id for event_id in taken if self.units[event_id].lane == name]
            assert lane[0] in expected_heads, "only lanes whose head was taken"
            assert run == [unit.event_id for unit in lane[: len(run)]], "a run from the head, in order, without a gap"
            sure = len(bound[name])
            assert len(run) >= sure, "all that is in doubt together"
            assert not any(self.resting(unit) for unit in lane[sure : len(run)]), "nothing else that has to rest"
            assert not (lane[0].urgent and len(run) > sure and self.doubtful(lane, urgent=False)), "no part of a doubt"
        for unit in units:
            mine = self.units[unit.event_id]
            mine.state, mine.unit_id, mine.due = "claimed", unit.id, None
            assert (unit.overtaken_by is not None) == mine.overtaken

    def bound(self, head):
        """The run from the head that goes out whole."""
        alike = [unit for unit in self.lane(head.lane) if unit.urgent == head.urgent]
        last = max((place for place, unit in enumerate(alike) if unit.doubt), default=0)
        return alike[: last + 1]

    def doubtful(self, lane, *, urgent):
        return any(unit.doubt and unit.urgent == urgent for unit in lane)

    def may_go(self, lane):
        return not self.resting(lane[0]) and not any(unit.state == "claimed" for unit in lane)

    @precondition(lambda self: any(unit.state == "claimed" for unit in self.units.values()))
    @rule(
        data=st.data(), state=st.sampled_from([UnitState.DELIVERED, UnitState.DEAD, UnitState.RESTING, UnitState.READY])
    )
    def units_are_settled(self, data, state):
        claimed = [unit for unit in self.units.values() if unit.state == "claimed"]
        chosen = data.draw(st.lists(st.sampled_from(claimed), unique=True, min_size=1, max_size=3))
        reason = None if state is UnitState.DELIVERED else Reason.TIMEOUT
        settlements = [
            Settlement(
                unit_id=unit.unit_id, state=state, reason=reason, delay=DELAY if state is UnitState.RESTING else None
            )
            for unit in chosen
        ]
        self.do(self.store.outbox.settle(settlements, now=self.now))
        for unit in chosen:
            unit.state = state.value if state in {UnitState.DELIVERED, UnitState.DEAD} else "queued"
            unit.due = self.now + DELAY if state is UnitState.RESTING else None
            unit.doubt = unit.doubt and unit.state == "queued"

    @rule()
    def dead_letters_are_retried(self):
        self.do(self.store.dead_letters.retry(now=self.now))
        self.do(self.store.dead_letters.release(now=self.now))
        back = [unit for unit in self.units.values() if unit.state == "dead"]
        for unit in back:
            unit.state, unit.due = "queued", None
        self.overtake(back)

    @rule(seconds=st.integers(1, 90))
    def time_goes_by(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule()
    def the_process_starts_again(self):
        self.do(self.store.close())
        self.store = self.do(self.opened())
        self.start += 1
        held = [unit for unit in self.units.values() if unit.state == "claimed"]
        assert self.do(self.store.outbox.free_claims(str(self.start), self.now)) == len(held)
        for unit in held:
            unit.state, unit.doubt = "queued", True

    @invariant()
    def every_lane_has_the_head_that_it_should(self):
        rows = self.do(
            self.store.writer.run(lambda connection: connection.execute("SELECT event_id, state FROM units").fetchall())
        )
        states = dict(rows)
        for name in LANES:
            lane = self.lane(name)
            held = any(unit.state == "claimed" for unit in lane)
            for place, unit in enumerate(lane):
                state = states[unit.event_id]
                if unit.state == "claimed":
                    assert state == "claimed"
                elif place == 0 and not held:
                    assert state in {"ready", "resting"}
                    assert state == "resting" or not self.resting(unit)
                else:
                    assert state == "waiting"

    @invariant()
    def the_books_balance(self):
        counts = self.store.outbox.counts(SINK)
        assert sum(counts.values()) == len(self.units)
        assert counts[UnitState.CLAIMED] == sum(unit.state == "claimed" for unit in self.units.values())
        events = self.store.inbox.counts()
        assert events[EventState.DEAD] == sum(unit.state == "dead" for unit in self.units.values())
        assert sum(events.values()) == self.store.inbox.received()


TestLanes = Lanes.TestCase
TestLanes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLanes.pytestmark = [pytest.mark.slow]
