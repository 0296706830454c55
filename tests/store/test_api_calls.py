"""Calls to a CRM are stored for a day."""

from connector.store.store import Store


async def test_calls_add_up_over_restarts_and_are_forgotten_after_a_day(tmp_path):
    path = tmp_path / "c.db"
    for hour, n in ((100, 3), (100, 2), (123, 1)):
        store = Store.open(path)
        await store.calls.add("crm", {hour: n})
        await store.close()
    store = Store.open(path)
    assert store.calls.of("crm") == {100: 5, 123: 1}
    assert store.calls.of("other") == {}
    await store.calls.add("crm", {124: 1})
    assert store.calls.of("crm") == {123: 1, 124: 1}
    await store.close()
