"""Opaque ids of people."""

from store.conftest import ANNA, BERIT, CARL

from connector.store.people import forget_id


async def test_a_person_keeps_the_same_id(store):
    anna = await store.people.id_of(ANNA)
    assert await store.people.id_of(ANNA) == anna
    assert store.people.phone_of(anna) == ANNA


async def test_many_people_get_ids_at_once_and_known_ones_keep_theirs(store):
    anna = await store.people.id_of(ANNA)
    ids = await store.people.ids_of([BERIT, ANNA, CARL, BERIT])
    assert ids[ANNA] == anna
    assert len(set(ids.values())) == 3
    assert {store.people.phone_of(one) for one in ids.values()} == {ANNA, BERIT, CARL}
    assert await store.people.ids_of([]) == {}


async def test_an_id_does_not_reveal_the_phone_number(store):
    anna = await store.people.id_of(ANNA)
    assert not any(part in anna for part in (ANNA[1:], ANNA[3:], ANNA[-6:]))


async def test_the_id_of_a_forgotten_person_finds_nobody(store):
    anna, berit = await store.people.id_of(ANNA), await store.people.id_of(BERIT)
    assert await store.writer.run(lambda connection: forget_id(connection, ANNA)) == 1
    assert store.people.phone_of(anna) is None
    assert store.people.phone_of(berit) == BERIT
    assert await store.people.id_of(ANNA) != anna


async def test_an_unknown_id_finds_nobody(store):
    assert store.people.phone_of("0" * 24) is None
    assert store.people.phone_of(ANNA) is None
