"""Error codes of single records."""

import re

from connector.crm.salesforce.client.error_rows import (
    COMPOSITE,
    DUPLICATES,
    ERRORS,
    QUERY,
    STATUS,
    TOGETHER,
    UPSERT,
    Row,
    again,
    refused,
    says,
)
from connector.crm.salesforce.write import duplicate_values
from connector.crm.salesforce.write.duplicate_values import names_key, unclear
from connector.model.outcome import Reason

# A lock's code is in the text of the trigger or flow that failed on it, in every language.
LOCK = "UNABLE_TO_LOCK_ROW"
BUSY = re.compile(rf"{LOCK}|unable to obtain exclusive access", re.IGNORECASE)
# The names of Apex exceptions are never translated either. Some flows report limits without them.
LIMIT = re.compile(
    r"\b(?:Limit|Async)Exception\b|\b\d+ chunks\b|\bApex (?:CPU time|heap size)|"
    r"\bToo many (?:SOQL|SOSL|DML|query rows|queueable|future|callouts|retrieved)",
    re.IGNORECASE,
)


def in_triggers(code: str, means: str) -> tuple[Row, ...]:
    """Rows for a failed trigger, flow or process: because of a lock, a governor limit, or a reason of its own."""
    return (
        again(
            code,
            Reason.ROW_LOCKED,
            f"{means} met a locked record: the request is divided at once",
            STATUS,
            "UNABLE_TO_LOCK_ROW …",
            lambda message, _: BUSY.search(message) is not None,
        ),
        again(
            code,
            Reason.TRIGGER_LIMIT,
            f"{means} met a governor limit: the request is divided at once, and a record that fails alone is a dead letter",
            STATUS,
            "System.LimitException, System.AsyncException, 10 chunks …",
            lambda message, _: LIMIT.search(message) is not None,
        ),
        again(
            code,
            Reason.RACE,
            f"{means} has made a record that another transaction made at the same moment",
            STATUS,
            "DUPLICATE_VALUE …",
            lambda message, _: duplicate_values.CODE in message,
        ),
        refused(code, Reason.VALIDATION, f"{means} of the org failed"),
    )


RECORD_ERRORS: tuple[Row, ...] = (
    again("UNABLE_TO_LOCK_ROW", Reason.ROW_LOCKED, "another program or person writes the record or its parent", STATUS),
    again(
        "ENTITY_IS_LOCKED",
        Reason.ROW_LOCKED,
        "an approval process has locked the record",
        STATUS,
        cure="let the approval end, or let the integration user edit locked records; then `connector dead retry`",
    ),
    again(
        "RECORD_IN_USE_BY_WORKFLOW",
        Reason.ROW_LOCKED,
        "a workflow of the org works on the record",
        STATUS,
    ),
    again("ALREADY_IN_PROCESS", Reason.ROW_LOCKED, "the record is in an approval process already", STATUS),
    again(
        "COLLISION_DETECTED",
        Reason.ROW_LOCKED,
        "another program or person writes the record at the same moment",
        STATUS,
    ),
    again(
        "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE",
        Reason.RACE,
        "the record was changed since it was read",
        STATUS,
    ),
    again("MATCH_SERVICE_TIMED_OUT", Reason.SERVER_ERROR, "the org's duplicate rules took too long", STATUS),
    again("MATCH_SERVICE_UNAVAILABLE_ERROR", Reason.SERVER_ERROR, "the org's duplicate rules do not answer", STATUS),
    again("INTERNAL_ERROR", Reason.SERVER_ERROR, "a fault inside Salesforce", STATUS),
    again("ALL_OR_NONE_OPERATION_ROLLED_BACK", Reason.HALTED, "another record of the request was refused", TOGETHER),
    again("PROCESSING_HALTED", Reason.HALTED, "another part of the request was refused", COMPOSITE),
    again(
        "INVALID_FIELD",
        Reason.PARENT_MISSING,
        "the parent record is not there (yet)",
        UPSERT,
        "Foreign key external ID …",
        says("foreign key external id"),
    ),
    refused("INVALID_FIELD", Reason.CONFIGURATION, "no such field, or the integration user may not see it", ERRORS),
    again(
        "DUPLICATE_VALUE",
        Reason.RACE,
        "another program has just created our key: the next try updates it",
        UPSERT,
        "… of the key itself",
        names_key,
    ),
    again(
        "DUPLICATE_VALUE",
        Reason.RACE,
        "perhaps the same: sent once more at once, and refused for good when that changes nothing",
        UPSERT,
        "<unknown>, no field, another language",
        unclear,
    ),
    refused(
        "DUPLICATE_VALUE",
        Reason.DUPLICATE_RECORD,
        "another record holds a value that must be unique; the dead letter has its Id",
    ),
    *in_triggers("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "a trigger or flow"),
    *in_triggers("CANNOT_EXECUTE_FLOW_TRIGGER", "a flow or process"),
    *in_triggers("FLOW_EXCEPTION", "a flow"),
    *in_triggers("APEX_ERROR", "Apex code"),
    *in_triggers("CUSTOM_APEX_ERROR", "Apex code"),
    refused("REQUIRED_FIELD_MISSING", Reason.FIELD_REQUIRED, "the record lacks a field that the org requires"),
    refused("MISSING_ARGUMENT", Reason.FIELD_REQUIRED, "the record lacks its key"),
    refused(
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        Reason.VALIDATION,
        "a validation rule refuses the record; the message is the admin's",
    ),
    refused("FIELD_INTEGRITY_EXCEPTION", Reason.VALIDATION, "fields of the record contradict each other"),
    refused("FIELD_FILTER_VALIDATION_EXCEPTION", Reason.VALIDATION, "a lookup filter refuses the record"),
    refused(
        "CANNOT_UPDATE_CONVERTED_LEAD",
        Reason.VALIDATION,
        "the lead was converted, and is read-only since",
        cure="let the rule write the contact that the lead became, which the detail names; an opt-out follows by itself where "
        "consent_fields: names the opt-out field of Contact",
    ),
    refused(
        "INVALID_PERSON_ACCOUNT_OPERATION",
        Reason.VALIDATION,
        "a person account's contact cannot be written by itself",
        cure="let the rule write the Account; see docs/nonprofit-cloud.md",
    ),
    refused(
        "CANNOT_REPARENT_RECORD",
        Reason.VALIDATION,
        "the parent of such a record cannot be changed",
        cure="put the relationship under `create:` in the rule",
    ),
    refused("CIRCULAR_DEPENDENCY", Reason.VALIDATION, "the record would be its own parent"),
    refused("DEPENDENCY_EXISTS", Reason.VALIDATION, "another record depends on this one"),
    refused("ENTITY_IS_ARCHIVED", Reason.VALIDATION, "the record is archived, and cannot be changed"),
    refused("ENTITY_SAVE_ERROR", Reason.VALIDATION, "the org could not save the record"),
    refused("ENTITY_SAVE_VALIDATION_ERROR", Reason.VALIDATION, "the org could not save the record"),
    refused("NO_APPLICABLE_PROCESS", Reason.VALIDATION, "an approval was asked for, and no process fits the record"),
    refused("MANAGER_NOT_DEFINED", Reason.VALIDATION, "an approval was asked for, and the user has no manager"),
    refused("MAX_DEPTH_IN_FLOW_EXECUTION", Reason.VALIDATION, "flows of the org call one another without end"),
    refused("SELF_REFERENCE_FROM_TRIGGER", Reason.VALIDATION, "a trigger of the org writes its own record again"),
    refused("MIXED_DML_OPERATION", Reason.VALIDATION, "a trigger of the org mixes records with users or groups"),
    refused("UNSUPPORTED_APEX_TRIGGER_OPERATION", Reason.VALIDATION, "a trigger of the org cannot take this change"),
    refused(
        "INVALID_ASSIGNMENT_RULE",
        Reason.VALIDATION,
        "an assignment rule of the org fails",
        cure="in Setup, correct the assignment rule, then `connector dead retry`",
    ),
    refused(
        "STANDARD_PRICE_NOT_DEFINED",
        Reason.VALIDATION,
        "a product of the opportunity has no standard price",
    ),
    refused("STRING_TOO_LONG", Reason.TOO_LONG, "the text is longer than its field"),
    refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Reason.PICKLIST, "the picklist does not have the value"),
    refused(
        "INVALID_CURRENCY_ISO",
        Reason.BAD_VALUE,
        "the org does not have this currency",
        cure="in Setup, Manage Currencies, activate the currency, then `connector dead retry`",
    ),
    refused("INVALID_STATUS", Reason.PICKLIST, "the record cannot have this status"),
    refused("TOO_MANY_ENUM_VALUE", Reason.PICKLIST, "more choices than the field takes"),
    refused(
        "TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET", Reason.BAD_VALUE, "the text has characters that the org cannot keep"
    ),
    refused("INVALID_ARGUMENT_TYPE", Reason.BAD_VALUE, "the value is of another kind than its field"),
    refused("INVALID_INPUT", Reason.BAD_VALUE, "a value cannot be used; its record is looked for", ERRORS),
    refused("INVALID_CROSS_REFERENCE_TYPE_FOR_FIELD", Reason.BAD_VALUE, "the Id is of another object"),
    refused("INVALID_OWNER", Reason.BAD_VALUE, "the owner cannot own such a record"),
    refused("INVALID_EMAIL_ADDRESS", Reason.BAD_VALUE, "this is not an e-mail address"),
    refused("NUMBER_OUTSIDE_VALID_RANGE", Reason.BAD_VALUE, "the number does not fit its field"),
    refused("INVALID_TYPE_ON_FIELD_IN_RECORD", Reason.BAD_VALUE, "the value is of another kind than its field"),
    refused("MALFORMED_ID", Reason.BAD_VALUE, "this is not an Id, or one of another object"),
    refused(
        "INVALID_CROSS_REFERENCE_KEY",
        Reason.PARENT_MISSING,
        "the Id of a parent leads to no record",
        saying="of a record that has an external ID, or with the lookup field named",
        test=lambda _, key_field: bool(key_field),
    ),
    refused("INVALID_CROSS_REFERENCE_KEY", Reason.RECORD_MISSING, "there is no record with this Id"),
    refused("INVALID_ID_FIELD", Reason.BAD_VALUE, "this is not an Id"),
    refused(
        "JSON_PARSER_ERROR",
        Reason.BAD_VALUE,
        "a value cannot be read; a number in a text field is sent again as text",
        ERRORS,
    ),
    refused("INVALID_FIELD_FOR_INSERT_UPDATE", Reason.CONFIGURATION, "the integration user may not write the field"),
    refused("FIELD_NOT_UPDATABLE", Reason.CONFIGURATION, "the field cannot be changed"),
    refused("INVALID_TYPE_FOR_OPERATION", Reason.CONFIGURATION, "such an object cannot be written so"),
    refused("INVALID_ENTITY_FOR_UPSERT", Reason.CONFIGURATION, "such an object cannot be written by its external ID"),
    refused("INVALID_TYPE", Reason.CONFIGURATION, "no such object, or the integration user may not see it", ERRORS),
    refused("NOT_FOUND", Reason.CONFIGURATION, "no such object or external ID", ERRORS),
    refused("METHOD_NOT_ALLOWED", Reason.CONFIGURATION, "the object cannot be written so", ERRORS),
    refused("ENTITY_IS_DELETED", Reason.RECORD_DELETED, "the record was deleted or merged; merges are followed"),
    refused(
        "DUPLICATES_DETECTED",
        Reason.DUPLICATE_RECORD,
        "a duplicate rule finds similar records: see `duplicates:` above",
        DUPLICATES,
    ),
    refused("DUPLICATE_EXTERNAL_ID", Reason.AMBIGUOUS_KEY, "several records have the key", UPSERT),
    refused("INSUFFICIENT_ACCESS", Reason.NO_ACCESS, "the integration user may not do this"),
    refused("INSUFFICIENT_ACCESS_OR_READONLY", Reason.NO_ACCESS, "the integration user may not write this record"),
    refused("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", Reason.NO_ACCESS, "the same, of its parent or owner"),
    refused(
        "INACTIVE_OWNER_OR_USER",
        Reason.NO_ACCESS,
        "the record belongs to a user who is no longer active",
        cure="give the record another owner, or let the integration user set inactive owners; then `connector dead retry`",
    ),
    refused(
        "UNAVAILABLE_RECORDTYPE_EXCEPTION",
        Reason.NO_ACCESS,
        "the integration user has no record type for it",
        cure="give the integration user's permission set the record type, then `connector dead retry`",
    ),
    refused("TRANSFER_REQUIRES_READ", Reason.NO_ACCESS, "the new owner may not see the record"),
    refused("SHARE_NEEDED_FOR_CHILD_OWNER", Reason.NO_ACCESS, "the owner of a child may not see its parent"),
    refused("APEX_DATA_ACCESS_RESTRICTION", Reason.NO_ACCESS, "Apex code of the org may not see the record"),
    refused("MALFORMED_QUERY", Reason.BUG, "Salesforce does not understand our query", QUERY),
    refused("QUERY_TOO_COMPLICATED", Reason.BUG, "our query is too long", QUERY),
    refused("UNSUPPORTED_MEDIA_TYPE", Reason.BUG, "Salesforce does not understand our request", ERRORS),
    refused("INVALID_CONTENT_TYPE", Reason.BUG, "Salesforce does not understand our request"),
    refused("INVALID_BATCH_OPERATION", Reason.BUG, "Salesforce does not understand our request"),
    refused("EXCEEDED_MAX_SIZE_REQUEST", Reason.BUG, "more in one request than Salesforce accepts; it is divided"),
    refused("OPERATION_TOO_LARGE", Reason.BUG, "more in one request than Salesforce accepts; it is divided"),
    refused("EXCEEDED_ID_LIMIT", Reason.BUG, "more records in one request than Salesforce accepts", TOGETHER),
)
