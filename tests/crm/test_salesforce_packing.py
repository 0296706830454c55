"""Which writes wait for others, and how records share requests."""

from connector.crm.salesforce.write.dependencies import find_dependencies
from connector.crm.salesforce.write.requests import Item, split, to_batches, to_requests
from connector.crm.salesforce.write.writes import Write
from connector.model.operation import Parent, RecordWrite
from connector.ports import Task


def write(object_name, key, key_field="SMS_Key__c", **fields):
    return RecordWrite(sink="crm", object=object_name, key_field=key_field, key=key, set=fields)


def family(*records):
    """The writes of a batch, with their parents."""
    writes = [Write(task=Task(one), original=one, index=index) for index, one in enumerate(records)]
    find_dependencies(writes)
    return writes


def stages(*records):
    return [one.stage for one in family(*records)]


def parents(*records):
    """The positions of each write's parents."""
    return [[parent.index for parent in one.parents.values()] for one in family(*records)]


def item(index, object_name="Contact", key_field="SMS_Key__c", stage=0, body=b"{}"):
    return Item(index=index, stage=stage, object=object_name, key_field=key_field, fields={}, body=body)


def test_a_child_is_sent_after_its_parent_in_any_order_of_the_batch():
    records = write("SMS_Event__c", "e", Contact__r=Parent("SMS_Key__c", "K")), write("Contact", "k")
    assert stages(*records) == [1, 0]
    assert parents(*records) == [[1], []]


def test_a_parent_outside_the_batch_is_not_waited_for():
    assert stages(write("SMS_Event__c", "e", Contact__r=Parent("SMS_Key__c", "other"))) == [0]


def test_the_name_of_the_relationship_distinguishes_objects_with_the_same_key():
    known = parents(
        write("Contact", "k"), write("Campaign", "k"), write("Task", "t", Campaign__r=Parent("SMS_Key__c", "k"))
    )
    assert known[2] == [1]


def test_the_type_of_a_polymorphic_relationship_decides_the_parent():
    who = Parent("SMS_Key__c", "k", "Contact")
    known = parents(write("Campaign", "k"), write("Contact", "k"), write("Task", "t", Who=who))
    assert known[2] == [1]


def test_a_child_of_an_ambiguous_parent_waits_for_all_and_fails_with_none():
    *_, task = family(write("Lead", "k"), write("Contact", "k"), write("Task", "t", Donor__r=Parent("SMS_Key__c", "k")))
    assert sorted(parent.index for parent in task.wait_for) == [0, 1]
    assert task.parents == {}
    assert task.stage == 1


def test_grandchildren_come_after_children():
    known = stages(
        write("C__c", "c", B__r=Parent("SMS_Key__c", "b")),
        write("B__c", "b", A__r=Parent("SMS_Key__c", "a")),
        write("A__c", "a"),
    )
    assert known == [2, 1, 0]


def test_a_circle_of_parents_is_resolved():
    known = stages(
        write("A__c", "a", B__r=Parent("SMS_Key__c", "b")), write("B__c", "b", A__r=Parent("SMS_Key__c", "a"))
    )
    assert len(known) == 2


def test_a_record_is_not_its_own_parent():
    assert parents(write("Contact", "k", ReportsTo=Parent("SMS_Key__c", "k"))) == [[]]


def test_a_thousand_parents_and_their_children_are_two_requests():
    items = [item(index) for index in range(1000)] + [
        item(1000 + index, "SMS_Event__c", stage=1) for index in range(1000)
    ]
    requests = to_requests(to_batches(items), 5)
    assert [[len(record_batch.items) for record_batch in request] for request in requests] == [[200] * 5] * 2


def test_children_share_a_request_with_their_parents_if_there_is_room():
    items = [item(0, "SMS_Event__c", stage=1), item(1)]
    (request,) = to_requests(to_batches(items), 5)
    assert [record_batch.items[0].index for record_batch in request] == [1, 0]


def test_updates_by_id_share_a_collection_up_to_ten_types():
    items = [item(index, f"T{index % 12}__c", None) for index in range(60)]
    record_batches = to_batches(items)
    assert [len({one.object for one in record_batch.items}) for record_batch in record_batches] == [10, 2]
    for record_batch in record_batches:
        assert [one.object for one in record_batch.items] == sorted(one.object for one in record_batch.items)
        assert record_batch.collection.object is None


def test_a_record_with_text_like_a_reference_is_sent_outside_of_composites():
    items = [item(0), item(1, body=b'{"Text__c":"@{r0.id}"}'), item(2, "Task")]
    assert [
        [[one.index for one in record_batch.items] for record_batch in request]
        for request in to_requests(to_batches(items), 5)
    ] == [
        [[0]],
        [[1]],
        [[2]],
    ]


def test_splitting_a_batch_keeps_all_records():
    (record_batch,) = to_batches([item(index) for index in range(11)])
    parts = split(record_batch, 5)
    assert [one.index for part in parts for one in part.items] == list(range(11))
    assert [len(part.items) for part in parts] == [3, 3, 3, 2]
