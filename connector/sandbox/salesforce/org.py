"""The data of a new sandbox org: its objects with their fields, its users, its own id. No logic."""

from typing import Any

from connector.sandbox.salesforce.fields import Field, Kind, SObject

ORGANIZATION = "00D5f000003sANDEAM"
INTEGRATION_USER = "0055f0000041pGMAAY"
PERSON_USER = "0055f0000041pGNAAY"
API_LICENSE, API_PROFILE = "1005f0000000001AAA", "00e5f0000000001AAA"
PERSON_LICENSE, PERSON_PROFILE = "1005f0000000002AAA", "00e5f0000000002AAA"
USERS = {
    INTEGRATION_USER: {
        "Username": "integration@sandbox.example",
        "LastName": "Integration",
        "LanguageLocaleKey": "en_US",
        "ProfileId": API_PROFILE,
    },
    PERSON_USER: {
        "Username": "person@sandbox.example",
        "LastName": "Person",
        "LanguageLocaleKey": "en_US",
        "ProfileId": PERSON_PROFILE,
    },
}
# The initial records of a new org, by object.
SEED = {
    "UserLicense": {API_LICENSE: {"Name": "Salesforce Integration"}, PERSON_LICENSE: {"Name": "Salesforce"}},
    "Profile": {
        API_PROFILE: {"Name": "Minimum Access - API Only Integrations", "UserLicenseId": API_LICENSE},
        PERSON_PROFILE: {"Name": "Standard User", "UserLicenseId": PERSON_LICENSE},
    },
    "User": USERS,
}


def text(name: str, length: int, **more: Any) -> Field:
    """A line of text."""
    return Field(name=name, kind=Kind.TEXT, length=length, **more)


def key(name: str, length: int) -> Field:
    """A text that is a unique external ID, without letter case."""
    return Field(name=name, kind=Kind.TEXT, length=length, unique=True, external_id=True)


def exact_key(name: str, length: int) -> Field:
    """A text that is a unique, case-sensitive external ID."""
    return Field(name=name, kind=Kind.TEXT, length=length, unique=True, external_id=True, case_sensitive=True)


def long_text(name: str, length: int = 32_000) -> Field:
    """A text that can be read, but not filtered or sorted by."""
    return Field(name=name, kind=Kind.LONG_TEXT, length=length)


def phone(name: str) -> Field:
    """A phone number: any 40 characters."""
    return Field(name=name, kind=Kind.PHONE, length=40)


def email(name: str, **more: Any) -> Field:
    """An email address."""
    return Field(name=name, kind=Kind.EMAIL, length=80, **more)


def picklist(name: str, *values: str, **more: Any) -> Field:
    """A picklist value; only a restricted picklist rejects other values."""
    return Field(name=name, kind=Kind.PICKLIST, values=values, **{"length": 255, **more})


def checkbox(name: str, **more: Any) -> Field:
    """True or false, never null."""
    return Field(name=name, kind=Kind.BOOLEAN, default=False, **more)


def date(name: str, **more: Any) -> Field:
    """A day."""
    return Field(name=name, kind=Kind.DATE, **more)


def moment(name: str, **more: Any) -> Field:
    """A point in time, in whole seconds."""
    return Field(name=name, kind=Kind.DATETIME, **more)


def money(name: str, **more: Any) -> Field:
    """A number with 16 digits before and 2 after the decimal point."""
    return Field(name=name, kind=Kind.CURRENCY, **more)


def count(name: str) -> Field:
    """A plain number."""
    return Field(name=name, kind=Kind.NUMBER)


def reference(name: str, *targets: str, **more: Any) -> Field:
    """The id of another record; the relationship of `AccountId` is Account, that of `Contact__c` is Contact__r."""
    relationship = f"{name[:-3]}__r" if name.endswith("__c") else name.removesuffix("Id")
    return Field(name=name, kind=Kind.REFERENCE, length=18, targets=targets, relationship=relationship, **more)


def full_name() -> Field:
    """A person's name, built from its parts."""
    return text("Name", 121, formula="""trim(coalesce("FirstName", '') || ' ' || coalesce("LastName", ''))""")


def sobject(
    name: str,
    prefix: str,
    *fields: Field,
    plural: str = "",
    mergeable: bool = False,
    owners: tuple[str, ...] = ("User",),
) -> SObject:
    """An object with its own fields and those that every record has."""
    system = (
        Field(name="IsDeleted", kind=Kind.BOOLEAN, default=False, read_only=True),
        reference("OwnerId", *owners, default=INTEGRATION_USER),
        moment("CreatedDate", read_only=True),
        reference("CreatedById", "User", read_only=True),
        moment("LastModifiedDate", read_only=True),
        reference("LastModifiedById", "User", read_only=True),
        moment("SystemModstamp", read_only=True),
    )
    merged = (reference("MasterRecordId", name, read_only=True),) if mergeable else ()
    identity = Field(name="Id", kind=Kind.ID, length=18, read_only=True, id_lookup=True)
    return SObject(name, prefix, (identity, *fields, *merged, *system), plural=plural, mergeable=mergeable)


OBJECTS = (
    sobject("UserLicense", "100", text("Name", 80)),
    sobject("Profile", "00e", text("Name", 80), reference("UserLicenseId", "UserLicense")),
    sobject(
        "User",
        "005",
        text("Username", 80),
        text("FirstName", 40),
        text("LastName", 80),
        full_name(),
        text("LanguageLocaleKey", 40),
        reference("ProfileId", "Profile"),
    ),
    sobject("Group", "00G", text("Name", 40)),
    sobject(
        "Account", "001", text("Name", 255, required=True), phone("Phone"), long_text("Description"), mergeable=True
    ),
    sobject(
        "Contact",
        "003",
        text("LastName", 80, required=True),
        text("FirstName", 40),
        picklist("Salutation", "Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", length=40),
        full_name(),
        email("Email", id_lookup=True),
        phone("Phone"),
        phone("MobilePhone"),
        phone("HomePhone"),
        long_text("MailingStreet", 255),
        text("MailingCity", 40),
        text("MailingPostalCode", 20),
        text("MailingCountry", 80),
        text("MailingCountryCode", 10),  # in orgs with state and country picklists
        date("Birthdate"),
        long_text("Description"),
        reference("AccountId", "Account"),
        checkbox("HasOptedOutOfEmail"),
        checkbox("DoNotCall"),
        key("SMS_Key__c", 80),
        checkbox("SMS_Opt_Out__c"),
        moment("SMS_Opt_Out_At__c"),
        text("SMS_Opt_Out_Source__c", 80),
        text("SMS_Keywords__c", 255),
        money("SMS_Monthly_Amount__c"),
        date("SMS_Next_Charge__c"),
        picklist("Gift_Interest__c", "Children", "Climate", "Other", restricted=True),
        mergeable=True,
    ),
    sobject(
        "Lead",
        "00Q",
        text("LastName", 80, required=True),
        text("FirstName", 40),
        text("Company", 255, required=True),
        full_name(),
        email("Email", id_lookup=True),
        phone("Phone"),
        phone("MobilePhone"),
        picklist("Status", "Open - Not Contacted", "Working - Contacted", default="Open - Not Contacted"),
        long_text("Description"),
        checkbox("IsConverted", read_only=True),
        reference("ConvertedContactId", "Contact", read_only=True),
        reference("ConvertedAccountId", "Account", read_only=True),
        key("SMS_Key__c", 80),
        checkbox("SMS_Opt_Out__c"),
        moment("SMS_Opt_Out_At__c"),
        mergeable=True,
        owners=("Group", "User"),
    ),
    sobject(
        "Task",
        "00T",
        text("Subject", 255),
        picklist("Status", "Not Started", "In Progress", "Completed", default="Not Started"),
        picklist("Priority", "High", "Normal", "Low", default="Normal"),
        date("ActivityDate"),
        long_text("Description"),
        picklist("TaskSubtype", "Task", "Email", "Call", default="Task"),
        reference("WhoId", "Contact", "Lead"),
        reference("WhatId", "Account", "Opportunity", "Campaign", "SMS_Event__c"),
        key("SMS_Key__c", 80),
    ),
    sobject(
        "Event",
        "00U",
        text("Subject", 255),
        moment("StartDateTime"),
        moment("EndDateTime"),
        checkbox("IsAllDayEvent"),
        text("Location", 255),
        long_text("Description"),
        reference("WhoId", "Contact", "Lead"),
        reference("WhatId", "Account", "Opportunity", "Campaign", "SMS_Event__c"),
    ),
    sobject(
        "Campaign",
        "701",
        text("Name", 80, required=True),
        checkbox("IsActive"),
        date("StartDate"),
        date("EndDate"),
        reference("ParentId", "Campaign"),
        key("SMS_Key__c", 80),
    ),
    sobject(
        "CampaignMember",
        "00v",
        reference("CampaignId", "Campaign", required=True),
        reference("ContactId", "Contact"),
        reference("LeadId", "Lead"),
        picklist("Status", "Sent", "Responded", default="Sent"),
        Field(name="HasResponded", kind=Kind.BOOLEAN, formula="""coalesce("Status" = 'Responded', 0)"""),
        key("SMS_Key__c", 80),
        text("SMS_Reply__c", 255),
        text("SMS_Label__c", 255),
    ),
    sobject(
        "Opportunity",
        "006",
        text("Name", 120, required=True, id_lookup=True),
        picklist("StageName", "Prospecting", "Pledged", "Posted", "Closed Won", "Closed Lost", required=True),
        date("CloseDate", required=True),
        money("Amount"),
        long_text("Description"),
        reference("AccountId", "Account"),
        reference("CampaignId", "Campaign"),
        exact_key("SMS_Transaction__c", 120),
        reference("SMS_Donor__c", "Contact"),
        plural="Opportunities",
    ),
    sobject(
        "SMS_Event__c",
        "a0S",
        text("Name", 80, formula="""'SE-' || printf('%06d', "row")"""),
        exact_key("Event_Key__c", 80),
        reference("Contact__c", "Contact"),
        text("Action__c", 80),
        text("Provider__c", 40),
        text("Shape__c", 40),
        text("Keyword__c", 80),
        text("Short_Number__c", 20),
        long_text("Text__c"),
        money("Amount__c"),
        text("Currency__c", 3),
        text("Status__c", 80),
        text("Status_Detail__c", 80),
        text("Result__c", 20),
        text("Transaction__c", 120),
        moment("Occurred_At__c"),
        text("Journey__c", 255),
        checkbox("Service_Command__c"),
    ),
    sobject("PermissionSet", "0PS", text("Name", 80, required=True), text("Label", 80)),
    sobject(
        "FieldPermissions",
        "01k",
        reference("ParentId", "PermissionSet", required=True),
        text("SobjectType", 255),
        text("Field", 255),
        checkbox("PermissionsRead"),
        checkbox("PermissionsEdit"),
    ),
    sobject(
        "ObjectPermissions",
        "110",
        reference("ParentId", "PermissionSet", required=True),
        text("SobjectType", 255),
        checkbox("PermissionsRead"),
        checkbox("PermissionsCreate"),
        checkbox("PermissionsEdit"),
    ),
    sobject(
        "PermissionSetAssignment",
        "0Pa",
        reference("PermissionSetId", "PermissionSet", required=True),
        reference("AssigneeId", "User", required=True),
    ),
)
