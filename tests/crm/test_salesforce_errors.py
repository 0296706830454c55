"""The meaning of Salesforce's error codes: the catalogue, code by code."""

import pytest

from connector.crm.salesforce.client.error_catalogue import CATALOGUE, cure_of
from connector.crm.salesforce.client.error_codes import classify, known, missing_column
from connector.crm.salesforce.client.org_errors import ORG_ERRORS
from connector.delivery.retry import POLICIES
from connector.model.outcome import Reason, Rejected, Retry

FOREIGN_KEY = "Foreign key external ID: k9 not found for field SMS_Key__c in entity Contact"


@pytest.mark.parametrize(
    ("code", "message", "expected", "reason"),
    [
        ("INVALID_SESSION_ID", "Session expired or invalid", Retry, Reason.CREDENTIALS),
        ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", Retry, Reason.QUOTA_EXHAUSTED),
        (
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            Retry,
            Reason.RATE_LIMITED,
        ),
        ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", Retry, Reason.ROW_LOCKED),
        ("SERVER_UNAVAILABLE", "", Retry, Reason.UNAVAILABLE),
        ("UNKNOWN_EXCEPTION", "An unexpected error occurred", Retry, Reason.SERVER_ERROR),
        ("TXN_SECURITY_METERING_ERROR", "", Retry, Reason.RATE_LIMITED),
        ("ALL_OR_NONE_OPERATION_ROLLED_BACK", "", Retry, Reason.HALTED),
        ("PROCESSING_HALTED", "", Retry, Reason.HALTED),
        ("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", Retry, Reason.STORAGE_FULL),
        ("INVALID_FIELD", FOREIGN_KEY, Retry, Reason.PARENT_MISSING),
        ("INVALID_FIELD", "No such column 'X__c' on sobject of type Contact", Rejected, Reason.CONFIGURATION),
        ("DUPLICATE_VALUE", "duplicate value found: SMS_Key__c duplicates value on record", Retry, Reason.RACE),
        ("DUPLICATE_VALUE", "duplicate value found: sms_key__c duplicates value on record", Retry, Reason.RACE),
        ("DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record", Retry, Reason.RACE),
        ("DUPLICATE_VALUE", "Duplicate external id specified: k1", Retry, Reason.RACE),
        ("DUPLICATE_VALUE", "duplicate value found: Email__c duplicates value", Rejected, Reason.DUPLICATE_RECORD),
        ("DUPLICATE_VALUE", "Already a campaign member.", Rejected, Reason.DUPLICATE_RECORD),
        (
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            "T: execution of AfterInsert caused by: UNABLE_TO_LOCK_ROW",
            Retry,
            Reason.ROW_LOCKED,
        ),
        (
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            "T: System.LimitException: Apex CPU time limit exceeded",
            Retry,
            Reason.TRIGGER_LIMIT,
        ),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: null pointer", Rejected, Reason.VALIDATION),
        ("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", Rejected, Reason.FIELD_REQUIRED),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Enter a valid Amount", Rejected, Reason.VALIDATION),
        ("STRING_TOO_LONG", "First Name: data value too large", Rejected, Reason.TOO_LONG),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value", Rejected, Reason.PICKLIST),
        ("INVALID_EMAIL_ADDRESS", "", Rejected, Reason.BAD_VALUE),
        ("MALFORMED_ID", "id value of incorrect type", Rejected, Reason.BAD_VALUE),
        ("JSON_PARSER_ERROR", "Cannot deserialize instance of datetime", Rejected, Reason.BAD_VALUE),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "", Rejected, Reason.CONFIGURATION),
        ("INVALID_TYPE", "", Rejected, Reason.CONFIGURATION),
        ("NOT_FOUND", "", Rejected, Reason.CONFIGURATION),
        ("ENTITY_IS_DELETED", "entity is deleted", Rejected, Reason.RECORD_DELETED),
        ("DUPLICATES_DETECTED", "Use one of these records?", Rejected, Reason.DUPLICATE_RECORD),
        ("DUPLICATE_EXTERNAL_ID", "", Rejected, Reason.AMBIGUOUS_KEY),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "", Rejected, Reason.NO_ACCESS),
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "", Rejected, Reason.NO_ACCESS),
        ("API_DISABLED_FOR_ORG", "", Retry, Reason.CREDENTIALS),
        ("API_CURRENTLY_DISABLED", "", Retry, Reason.CREDENTIALS),
        ("NEVER_MET_BEFORE", "hello", Retry, Reason.UNKNOWN_CODE),
    ],
)
def test_each_code_has_its_outcome(code, message, expected, reason):
    outcome = classify(code, message, key_field="SMS_Key__c")
    assert type(outcome) is expected
    assert outcome.reason is reason
    assert outcome.detail == f"{code}: {message}"
    assert outcome.code == code
    assert known(code) is (code != "NEVER_MET_BEFORE")


LOCKED_TEXTS = [
    "We can't save this record because the process failed. UNABLE_TO_LOCK_ROW: unable to obtain exclusive access",
    "Impossible d'enregistrer. UNABLE_TO_LOCK_ROW: impossible d'obtenir l'accès exclusif",
    "この処理は失敗しました。UNABLE_TO_LOCK_ROW",
]


@pytest.mark.parametrize("message", LOCKED_TEXTS)
@pytest.mark.parametrize(
    "code", ["CANNOT_EXECUTE_FLOW_TRIGGER", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "FLOW_EXCEPTION", "APEX_ERROR"]
)
def test_a_lock_inside_a_trigger_or_flow_is_recognised_in_every_language(code, message):
    assert classify(code, message).reason is Reason.ROW_LOCKED
    assert classify(code, "Something else, in any language").reason is Reason.VALIDATION


def test_every_permanent_code_of_the_whole_org_has_a_cure():
    for row in ORG_ERRORS:
        if row.reason in {Reason.SINK_REFUSES, Reason.MAINTENANCE} or row.code == "ORG_NOT_OWNED_BY_INSTANCE":
            assert row.cure, row.code
            assert classify(row.code, "").cure == row.cure == cure_of(row.code)


@pytest.mark.parametrize(
    ("code", "word"),
    [("CANNOT_UPDATE_CONVERTED_LEAD", "contact that the lead became"), ("ENTITY_IS_LOCKED", "approval")],
)
def test_a_record_may_have_a_cure_of_its_own(code, word):
    assert word in cure_of(code)
    assert cure_of("STRING_TOO_LONG") == cure_of("NEVER_MET_BEFORE") == ""


# Those that restforce lists as documented and that a write of records can meet (crm-side report K5).
DOCUMENTED = """ALREADY_IN_PROCESS APEX_ERROR API_CURRENTLY_DISABLED CANNOT_EXECUTE_FLOW_TRIGGER CANNOT_REPARENT_RECORD
    CANNOT_UPDATE_CONVERTED_LEAD CIRCULAR_DEPENDENCY DEPENDENCY_EXISTS ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE ENTITY_IS_ARCHIVED
    ENTITY_IS_LOCKED FORBIDDEN FUNCTIONALITY_NOT_ENABLED INACTIVE_OWNER_OR_USER INVALID_ASSIGNMENT_RULE INVALID_BATCH_OPERATION
    INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE INVALID_CROSS_REFERENCE_TYPE_FOR_FIELD INVALID_CURRENCY_ISO
    INVALID_OPERATION_WITH_EXPIRED_PASSWORD INVALID_PERSON_ACCOUNT_OPERATION INVALID_READ_ONLY_USER_DML INVALID_STATUS
    INVALID_TYPE_FOR_OPERATION LICENSE_LIMIT_EXCEEDED LIMIT_EXCEEDED MANAGER_NOT_DEFINED NO_APPLICABLE_PROCESS
    OP_WITH_INVALID_USER_TYPE_EXCEPTION OPERATION_TOO_LARGE ORG_LOCKED PACKAGE_LICENSE_REQUIRED RECORD_IN_USE_BY_WORKFLOW
    SELF_REFERENCE_FROM_TRIGGER SHARE_NEEDED_FOR_CHILD_OWNER TERRITORY_REALIGN_IN_PROGRESS TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET
    TOO_MANY_APEX_REQUESTS TOO_MANY_ENUM_VALUE TRANSFER_REQUIRES_READ UNAVAILABLE_RECORDTYPE_EXCEPTION
    UNSUPPORTED_APEX_TRIGGER_OPERATION"""


@pytest.mark.parametrize("code", DOCUMENTED.split())
def test_the_documented_codes_of_writes_are_in_the_table(code):
    assert known(code)
    assert classify(code, "").reason is not Reason.UNKNOWN_CODE


def test_every_retried_reason_has_a_row_in_the_retry_table():
    assert {row.reason for row in CATALOGUE if row.outcome is Retry} <= set(POLICIES)


def test_only_the_last_meaning_of_a_code_has_no_test_of_the_message():
    for row in CATALOGUE:
        same = [one for one in CATALOGUE if one.code == row.code]
        assert [one.test is None for one in same] == [False] * (len(same) - 1) + [True], row.code
        assert all(one.saying for one in same[:-1])


@pytest.mark.parametrize(
    ("code", "message", "fields", "field"),
    [
        ("INVALID_FIELD", "No such column 'X__c' on sobject of type Contact", [], "X__c"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: X__c. Please check", ["X__c"], "X__c"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "not this field", ["X__c"], "X__c"),
        ("INVALID_TYPE", "sObject type 'X' is not supported.", [], ""),
    ],
)
def test_a_configuration_error_names_its_field(code, message, fields, field):
    assert classify(code, message, fields=fields) == Rejected(
        reason=Reason.CONFIGURATION, detail=f"{code}: {message}", code=code, field=field
    )


def test_missing_access_to_one_record_is_no_configuration_error():
    assert classify("INSUFFICIENT_ACCESS_OR_READONLY", "not this record").reason is Reason.NO_ACCESS


def test_a_long_message_of_a_validation_rule_is_truncated():
    assert len(classify("FIELD_CUSTOM_VALIDATION_EXCEPTION", "x" * 10_000).detail) == 1000


def test_a_missing_column_names_its_field_and_object():
    assert missing_column("No such column 'X__c' on sobject of type Contact") == ("X__c", "Contact")
    assert missing_column("No such column 'X__c' on entity 'Contact'. If you are") == ("X__c", "Contact")
    assert missing_column("something else") is None


def test_a_forbidden_record_type_is_a_configuration_error_and_no_missing_parent():
    message = "Record Type ID: this ID value isn't valid for the user: 012000000000001"
    outcome = classify("INVALID_CROSS_REFERENCE_KEY", message, key_field="SMS_Key__c", fields=["RecordTypeId"])
    assert (outcome.reason, outcome.field) == (Reason.CONFIGURATION, "RecordTypeId")
    other = classify("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=["AccountId"])
    assert other.reason is Reason.PARENT_MISSING
