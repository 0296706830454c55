"""What is left to do of a new plan."""

from msgspec.structs import replace

from connector.model.operation import RecordWrite
from connector.model.remaining import still_to_do

WANTED = RecordWrite(
    sink="crm",
    object="Contact",
    key_field="Key__c",
    key="k",
    set={"Out__c": True, "Note__c": "a note"},
    create={"LastName": "Unknown", "FirstName": "Kari"},
    consent=("Out__c",),
)


def test_fields_for_a_new_record_follow_where_the_consent_fields_alone_created_it():
    alone = replace(WANTED, set={"Out__c": True}, create={"LastName": "Unknown"}, consent_only=True)
    (rest,) = still_to_do([WANTED], [alone])
    assert (rest.set, rest.create, rest.consent) == ({"FirstName": "Kari", "Note__c": "a note"}, {}, ())


def test_they_stay_for_a_new_record_where_the_record_was_there():
    alone = replace(WANTED, set={"Out__c": True}, create={}, consent_only=True)
    (rest,) = still_to_do([WANTED], [alone])
    assert (rest.set, rest.create) == ({"Note__c": "a note"}, WANTED.create)


def test_what_was_written_is_not_written_again():
    assert still_to_do([WANTED], [WANTED]) == []
