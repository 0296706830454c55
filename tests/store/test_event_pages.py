"""Pages of events and the numbers beside the filters: what is found, in which order, and that no page reads all events."""

from datetime import timedelta
from itertools import count

import pytest
from store.conftest import ANNA, BERIT, NOW, keep

from connector.model.outcome import Reason
from connector.model.states import EventState, UnitState
from connector.store import event_pages
from connector.store.event_pages import EventPages
from connector.store.event_search import EventFilter, conditions, open_search

DEAD = EventFilter(states=(EventState.DEAD,))


def ids(page):
    return [one.id for one in page.events]


async def many(scene, number, **about):
    return [
        await scene.keep(f"k{place}", received_at=NOW + timedelta(minutes=place), **about) for place in range(number)
    ]


async def fail(scene, *event_ids):
    for one in event_ids:
        await scene.plan(one, lane=f"lane {one}")
    for unit in await scene.claim():
        await scene.settle(unit, UnitState.DEAD, reason=Reason.TOO_LONG, detail="too long")


async def test_pages_lead_to_older_and_back_to_newer_events(scene, store):
    stored = await many(scene, 7)
    first = store.event_pages.page(EventFilter(), 3)
    assert (ids(first), first.newer) == ([stored[6], stored[5], stored[4]], None)
    second = store.event_pages.page(EventFilter(), 3, before=first.older)
    assert ids(second) == [stored[3], stored[2], stored[1]]
    last = store.event_pages.page(EventFilter(), 3, before=second.older)
    assert (ids(last), last.older) == ([stored[0]], None)
    back = store.event_pages.page(EventFilter(), 3, after=last.newer)
    assert ids(back) == ids(second)
    assert ids(store.event_pages.page(EventFilter(), 3, after=back.newer)) == ids(first)
    assert store.event_pages.page(EventFilter(), 3, after=first.events[0].id).newer is None


async def test_an_empty_page_after_the_last_event_leads_back(scene, store):
    stored = await many(scene, 3)
    page = store.event_pages.page(EventFilter(), 3, before=stored[0])
    assert (ids(page), page.older) == ([], None)
    assert ids(store.event_pages.page(EventFilter(), 3, after=page.newer)) == stored[::-1]


async def test_each_state_is_found(scene, store):
    pending, dead, delivering, delivered, unread = await many(scene, 4) + [await scene.keep("u", unreadable="not JSON")]
    await fail(scene, dead)
    await scene.plan(delivered, lane="another")
    (unit,) = await scene.claim()
    await scene.settle(unit)
    await scene.plan(delivering, lane="third")
    for state, event_id in {
        EventState.PENDING: pending,
        EventState.DEAD: dead,
        EventState.DELIVERING: delivering,
        EventState.DELIVERED: delivered,
        EventState.UNREADABLE: unread,
    }.items():
        assert ids(store.event_pages.page(EventFilter(states=(state,)), 5)) == [event_id], state
    assert ids(store.event_pages.page(EventFilter(states=(EventState.DEAD, EventState.PENDING)), 5)) == [dead, pending]


async def test_texts_are_found_in_any_letter_case_and_in_bodies_that_could_not_be_read(scene, store):
    said = await scene.keep("a", text='Bjørn says "STOPP"')
    form = await scene.keep("b", properties={"Name": 'Åse "Ås" Berg'})
    unread = await scene.keep("c", unreadable="not JSON", raw="Årlig gave".encode())
    for text, event_id in {"bjørn SAYS": said, '"stopp"': said, 'åse "ås"': form, "årlig": unread}.items():
        assert ids(store.event_pages.page(EventFilter(text=text), 5)) == [event_id], text
    assert ids(store.event_pages.page(EventFilter(text="delivery_report"), 5)) == []


async def test_person_keyword_and_time_are_conditions_too(scene, store):
    first = await scene.keep("a", keyword="KATT")
    other = await scene.keep("b", phone=BERIT, keyword="HUND", received_at=NOW + timedelta(hours=2))
    assert ids(store.event_pages.page(EventFilter(phone=ANNA), 5)) == [first]
    assert ids(store.event_pages.page(EventFilter(keyword="hund"), 5)) == [other]
    assert ids(store.event_pages.page(EventFilter(since=NOW + timedelta(hours=1)), 5)) == [other]
    assert ids(store.event_pages.page(EventFilter(until=NOW + timedelta(hours=1)), 5)) == [first]


async def test_a_search_ends_after_its_time_and_can_be_continued(scene, store):
    await many(scene, 6)
    await scene.rows("UPDATE inbox SET id = id * :window", event_pages.WINDOW)  # one event in each window
    stored = [one.id for one in store.inbox.pending(6)]
    ticks = count(step=event_pages.SEARCH_TIME.total_seconds() / 4.5)
    pages = EventPages(store.path, clock=lambda: next(ticks))
    page = pages.page(DEAD, 5)
    assert (ids(page), page.older) == ([], stored[3] + 1)
    assert page.searched_to == NOW + timedelta(minutes=4)
    assert pages.page(DEAD, 5, before=page.older).older == stored[1] + 1
    assert pages.page(DEAD, 5, after=stored[0]).newer == stored[2]


async def test_counts_beside_a_filter_obey_all_other_filters(scene, store):
    await scene.keep("a", keyword="KATT")
    await scene.keep("b", keyword="HUND", text="hello")
    dead = await scene.keep("c", keyword="HUND", phone=BERIT)
    await fail(scene, dead)
    plain = store.event_pages.counts(EventFilter())
    assert (plain.states, plain.all_states, plain.counted, plain.more) == ({"pending": 2, "dead": 1}, True, 3, False)
    assert (plain.keywords, plain.providers) == ({"KATT": 1, "HUND": 2}, {"strex": 3})
    hund = store.event_pages.counts(EventFilter(keyword="hund"))
    assert (hund.states, hund.all_states, hund.keywords) == ({"pending": 1, "dead": 1}, False, {"KATT": 1, "HUND": 2})
    both = store.event_pages.counts(EventFilter(keyword="HUND", states=(EventState.DEAD,)))
    assert (both.states, both.keywords) == ({"pending": 1, "dead": 1}, {"HUND": 1})
    assert store.event_pages.counts(EventFilter(text="hello")).states == {"pending": 1}
    assert store.event_pages.counts(EventFilter(phone=BERIT)).states == {"dead": 1}


async def test_rules_are_counted_once_for_each_event(scene, store):
    written = await scene.keep("a")
    operations = (scene.write("1"), scene.write("2"))
    operations = tuple(type(one)(**{**as_fields(one), "rule": "a.yaml: joined"}) for one in operations)
    await scene.plan(written, operations=operations)
    await scene.keep("b")
    counts = store.event_pages.counts(EventFilter())
    assert counts.rules == {"a.yaml: joined": 1}
    assert store.event_pages.counts(EventFilter(rule="a.yaml")).states == {"delivering": 1}
    assert ids(store.event_pages.page(EventFilter(rule="a.yaml: joined"), 5)) == [written]


def as_fields(one):
    return {name: getattr(one, name) for name in one.__struct_fields__}


async def test_deleted_events_are_not_counted(scene, store):
    event_id = await scene.unit("a")
    (unit,) = await scene.claim()
    await scene.settle(unit)
    await store.retention.sweep(NOW + timedelta(days=9), keep(delivered=timedelta(days=4)))
    assert store.inbox.get(event_id) is None
    assert store.event_pages.counts(EventFilter()).states == {}


@pytest.mark.parametrize("state", sorted(set(EventState) - {EventState.DELIVERED}))
def test_an_index_finds_the_events_of_rare_states(store, state):
    wanted = EventFilter(states=(state,))
    where, parameters = conditions(wanted)
    found = f"{event_pages._source(wanted)} AND {where} AND id < :before"
    query = f"EXPLAIN QUERY PLAN SELECT * FROM inbox {found} ORDER BY id DESC LIMIT 9"
    reader = open_search(store.path)
    steps = [row[3] for row in reader.execute(query, {**parameters, "first": 1, "before": 2})]
    reader.close()
    assert not [one for one in steps if one.startswith("SCAN") and "unit_totals" not in one], steps
    assert not [one for one in steps if "TEMP B-TREE" in one], steps
