"""The tables of a new sandbox org, its users and its ids. No logic.

Columns of the standard tables: Microsoft's table reference. The Fundraising preset: the solutions NonprofitCore and
SocialImpactFundraising of microsoft/Nonprofits.
"""

from typing import Any

from connector.sandbox.dynamics.columns import choice, day, flag, lookup, memo, moment, money, relation, text, whole
from connector.sandbox.dynamics.tables import Column, Key, Table, new_table

ORGANIZATION = "7d0c6a6e-0d5b-4f4f-8a3c-4f1f0a6f0001"
BUSINESS_UNIT = "7d0c6a6e-0d5b-4f4f-8a3c-4f1f0a6f0002"
INTEGRATION_USER = "7d0c6a6e-0d5b-4f4f-8a3c-4f1f0a6f0003"
PERSON_USER = "7d0c6a6e-0d5b-4f4f-8a3c-4f1f0a6f0004"
USERS = {"integration": INTEGRATION_USER, "person": PERSON_USER}
NORWEGIAN = 1044  # the org's base language, which every new label must have
SMS_PURPOSE = "10000000-0000-0000-0000-000000000003"  # the commercial purpose of a new org


def _contact() -> Table:
    return new_table(
        "contact",
        "Contact",
        text("FirstName", 50),
        text("LastName", 50, required="ApplicationRequired"),
        text("FullName", 160, on_create=False, on_update=False),
        text("MobilePhone", 50, format="Phone"),
        text("Telephone1", 50, format="Phone"),
        text("Telephone2", 50, format="Phone"),
        text("EMailAddress1", 100, format="Email"),
        text("ExternalUserIdentifier", 50),
        memo("Description"),
        text("Address1_Line1", 250),
        text("Address1_City", 80),
        text("Address1_PostalCode", 20),
        text("Address1_Country", 80),
        day("BirthDate"),
        choice("PreferredContactMethodCode", {1: "Any", 2: "Email", 3: "Phone", 4: "Fax", 5: "Mail"}, default=1),
        *(flag(name) for name in ("DoNotPhone", "DoNotEMail", "DoNotBulkEMail", "DoNotPostalMail", "DoNotSendMM")),
        Column(
            name="parentcustomerid", schema_name="ParentCustomerId", kind="Customer", targets=("account", "contact")
        ),
        set_name="contacts",
        primary_name="fullname",
        mergeable=True,
        relationships=(
            relation("parentcustomerid", "parentcustomerid_account", "account"),
            relation("parentcustomerid", "parentcustomerid_contact", "contact"),
        ),
    )


def _activity(name: str, schema_name: str, set_name: str, *more: Column) -> Table:
    return new_table(
        name,
        schema_name,
        text("Subject", 200),
        memo("Description"),
        moment("ScheduledEnd"),
        moment("ActualStart"),
        moment("ActualEnd"),
        lookup("RegardingObjectId", "contact", "account"),
        *more,
        set_name=set_name,
        primary_name="subject",
        primary_id="activityid",
        relationships=(
            relation("regardingobjectid", f"regardingobjectid_contact_{name}", "contact"),
            relation("regardingobjectid", f"regardingobjectid_account_{name}", "account"),
        ),
    )


def _consent() -> tuple[Table, Table]:
    purposes = new_table(
        "msdynmkt_purpose",
        "msdynmkt_purpose",
        text("msdynmkt_name", 100),
        set_name="msdynmkt_purposes",
        primary_name="msdynmkt_name",
        custom=True,
    )
    consents = new_table(
        "msdynmkt_contactpointconsent4",
        "msdynmkt_contactpointconsent4",
        text("msdynmkt_name", 400),
        text("msdynmkt_contactpointvalue", 400),
        choice(
            "msdynmkt_contactpointtype",
            {534120000: "Email", 534120001: "Text Message", 534120002: "Custom", 534120003: "Voice"},
        ),
        choice("msdynmkt_contactpointconsenttype", {534120000: "Purpose", 534120001: "Topic"}),
        choice("msdynmkt_value", {534120000: "Not Set", 534120001: "Opted In", 534120002: "Opted Out"}),
        choice("msdynmkt_source", {534120000: "Internal", 534120002: "Text message", 534120003: "LoadedConfig"}),
        choice("msdynmkt_logicalreason", {534119999: "No reasons", 534120003: "Opted out"}),
        text("msdynmkt_reason", 500),
        lookup("msdynmkt_PurposeId", "msdynmkt_purpose"),
        lookup("msdynmkt_TopicId", "msdynmkt_topic"),
        set_name="msdynmkt_contactpointconsent4s",
        primary_name="msdynmkt_name",
        custom=True,
        relationships=(relation("msdynmkt_purposeid", "msdynmkt_PurposeId", "msdynmkt_purpose"),),
    )
    return purposes, consents


def connector_columns(table: Table) -> None:
    """What `connector dynamics setup` adds to the contact."""
    for column in (
        text("crmc_SmsKey", 20, custom=True),
        flag("crmc_SmsOptOut", custom=True),
        moment("crmc_SmsOptOutAt", custom=True),
        text("crmc_SmsOptOutSource", 80, custom=True),
        text("crmc_SmsKeywords", 255, custom=True),
        Column(
            name="crmc_smsmonthlyamount",
            schema_name="crmc_SmsMonthlyAmount",
            kind="Decimal",
            least=0,
            most=1e9,
            custom=True,
        ),
    ):
        table.add(column)
    table.keys["crmc_smskey"] = Key(name="crmc_smskey", schema_name="crmc_SmsKeyKey", columns=("crmc_smskey",))


def connector_schedule_columns(table: Table) -> None:
    """What `connector dynamics setup` adds to the payment schedule of the Fundraising app."""
    for column in (
        text("crmc_SmsPhone", 20, custom=True),
        text("crmc_SmsShortNumber", 20, custom=True),
        text("crmc_SmsKeyword", 80, custom=True),
        flag("crmc_SmsEnded", custom=True),
    ):
        table.add(column)


def connector_event_table() -> Table:
    """The event table that `connector dynamics setup` creates."""
    return new_table(
        "crmc_smsevent",
        "crmc_SmsEvent",
        text("crmc_Name", 100),
        text("crmc_EventKey", 80),
        text("crmc_Action", 80),
        text("crmc_Provider", 40),
        text("crmc_Shape", 40),
        text("crmc_Keyword", 80),
        text("crmc_ShortNumber", 20),
        memo("crmc_Text", 4000),
        Column(name="crmc_amount", schema_name="crmc_Amount", kind="Decimal", least=-1e9, most=1e9),
        text("crmc_Currency", 3),
        text("crmc_Status", 80),
        text("crmc_StatusDetail", 80),
        text("crmc_Result", 20),
        text("crmc_Transaction", 120),
        moment("crmc_OccurredAt"),
        text("crmc_Journey", 255),
        flag("crmc_ServiceCommand"),
        lookup("crmc_ContactId", "contact"),
        set_name="crmc_smsevents",
        primary_name="crmc_name",
        custom=True,
        relationships=(relation("crmc_contactid", "crmc_ContactId", "contact"),),
        keys={
            "crmc_smseventkey": Key(name="crmc_smseventkey", schema_name="crmc_SmsEventKey", columns=("crmc_eventkey",))
        },
    )


def connector_donation_table() -> Table:
    """The table of donations that `connector dynamics setup` creates."""
    return new_table(
        "crmc_smsdonation",
        "crmc_SmsDonation",
        text("crmc_Name", 120),
        text("crmc_Transaction", 120),
        text("crmc_Stage", 20),
        day("crmc_Date"),
        Column(name="crmc_amount", schema_name="crmc_Amount", kind="Decimal", least=0, most=1e9),
        lookup("crmc_ContactId", "contact"),
        set_name="crmc_smsdonations",
        primary_name="crmc_name",
        custom=True,
        relationships=(relation("crmc_contactid", "crmc_ContactId", "contact"),),
    )


def _fundraising(contact: Table) -> tuple[Table, ...]:
    """Tables of the Fundraising template app on the Common Data Model for Nonprofits."""
    contact.add(choice("msnfp_PrimaryConstituentType", {100000000: "Donor", 100000001: "Volunteer"}))
    transaction = new_table(
        "msnfp_transaction",
        "msnfp_Transaction",
        text("msnfp_Name", 160, required="ApplicationRequired"),
        money("msnfp_Amount", required="ApplicationRequired"),
        day("msnfp_BookDate"),
        day("msnfp_ReceivedDate", required="ApplicationRequired"),
        flag("msnfp_IsAdjusted", required="ApplicationRequired"),
        choice("msnfp_AdjustmentType", {844060003: "Full Refund", 844060005: "Void"}),
        text("msnfp_DataEntryReference", 255),
        text("msnfp_OriginatingSourceCode", 255),
        lookup("msnfp_ReceiptOnContactId", "contact"),
        lookup("msnfp_Transaction_PaymentScheduleId", "msnfp_paymentschedule"),
        lookup("sifund_Donor", "contact", "account"),
        text("sifund_MobilePhone", 25),
        text("sifund_FirstName", 80),
        text("sifund_LastName", 80),
        text("sifund_EmailAddress1", 100),
        choice("sifund_TypeCode", {844060000: "Donation", 844060001: "Soft Credit", 844060002: "Membership"}),
        choice(
            "sifund_PaymentTypeCode",
            {844060008: "Other", 844060010: "Direct Debit", 844060012: "External Credit/Debit"},
        ),
        set_name="msnfp_transactions",
        primary_name="msnfp_name",
        custom=True,
        relationships=(
            relation("msnfp_receiptoncontactid", "msnfp_receiptoncontactid", "contact"),
            relation(
                "msnfp_transaction_paymentscheduleid", "msnfp_Transaction_PaymentScheduleId", "msnfp_paymentschedule"
            ),
            relation("sifund_donor", "sifund_Donor_contact", "contact"),
            relation("sifund_donor", "sifund_Donor_account", "account"),
        ),
    )
    schedule = new_table(
        "msnfp_paymentschedule",
        "msnfp_PaymentSchedule",
        text("msnfp_Name", 160),
        money("msnfp_RecurringAmount"),
        choice("msnfp_Frequency", {844060000: "Daily", 844060001: "Weekly", 844060002: "Monthly", 844060003: "Yearly"}),
        whole("msnfp_FrequencyInterval"),
        day("msnfp_FirstPaymentDate"),
        day("msnfp_NextPaymentDate"),
        lookup("msnfp_omtSched_defaultHardCreditToCustomer", "contact", "account"),
        day("sifund_BookDate", required="ApplicationRequired"),
        choice(
            "sifund_FrequencyStartCode",
            {844060000: "Current Day", 844060001: "1st", 844060002: "15th"},
            required="ApplicationRequired",
        ),
        choice(
            "sifund_PaymentTypeCode",
            {844060008: "Other", 844060010: "Direct Debit", 844060012: "External Credit/Debit"},
            required="ApplicationRequired",
        ),
        set_name="msnfp_paymentschedules",
        primary_name="msnfp_name",
        custom=True,
        tracked=False,
        relationships=(
            relation(
                "msnfp_omtsched_defaulthardcredittocustomer",
                "msnfp_omtSched_defaultHardCreditToCustomer_contact",
                "contact",
            ),
        ),
    )
    return transaction, schedule


PRESETS = ("plain", "fundraising")


def tables(*, preset: str = "plain", bare: bool = False, consent_table: bool = False) -> dict[str, Table]:
    """The tables of a new org by logical name. A `bare` one has nothing that the connector's setup creates."""
    contact = _contact()
    made = [
        new_table(
            "systemuser",
            "SystemUser",
            text("FullName", 200),
            text("DomainName", 1024),
            set_name="systemusers",
            primary_name="fullname",
            tracked=False,
        ),
        new_table(
            "organization",
            "Organization",
            text("Name", 160),
            whole("ExpireChangeTrackingInDays", 0, 365),
            whole("LanguageCode"),
            set_name="organizations",
            primary_name="name",
            tracked=False,
        ),
        new_table(
            "publisher",
            "Publisher",
            text("UniqueName", 256),
            text("FriendlyName", 256),
            text("CustomizationPrefix", 8),
            whole("CustomizationOptionValuePrefix", 10_000, 99_999),
            set_name="publishers",
            primary_name="friendlyname",
            tracked=False,
        ),
        new_table(
            "solution",
            "Solution",
            text("UniqueName", 65),
            text("FriendlyName", 256),
            text("Version", 256),
            lookup("PublisherId", "publisher"),
            set_name="solutions",
            primary_name="friendlyname",
            tracked=False,
            relationships=(relation("publisherid", "publisherid", "publisher"),),
        ),
        new_table(
            "account",
            "Account",
            text("Name", 160, required="ApplicationRequired"),
            text("Telephone1", 50),
            set_name="accounts",
            primary_name="name",
        ),
        contact,
        _activity("task", "Task", "tasks", choice("PriorityCode", {0: "Low", 1: "Normal", 2: "High"}, default=1)),
        _activity(
            "phonecall", "PhoneCall", "phonecalls", text("PhoneNumber", 200), flag("DirectionCode", default=True)
        ),
    ]
    if consent_table:
        made += _consent()
    if preset == "fundraising":
        made += _fundraising(contact)
    if not bare:
        connector_columns(contact)
        if preset == "fundraising":
            connector_schedule_columns(made[-1])
        made += [connector_event_table(), connector_donation_table()]
    return {one.name: one for one in made}


def records(*, consent_table: bool = False) -> dict[str, list[dict[str, Any]]]:
    """The records that a new org has, by table."""
    made: dict[str, list[dict[str, Any]]] = {
        "systemuser": [
            {"systemuserid": INTEGRATION_USER, "fullname": "# Connector", "domainname": "connector@sandbox.example"},
            {"systemuserid": PERSON_USER, "fullname": "Person", "domainname": "person@sandbox.example"},
        ],
        "organization": [
            {
                "organizationid": ORGANIZATION,
                "name": "sandbox",
                "expirechangetrackingindays": 7,
                "languagecode": NORWEGIAN,
            },
        ],
    }
    if consent_table:
        made["msdynmkt_purpose"] = [{"msdynmkt_purposeid": SMS_PURPOSE, "msdynmkt_name": "Commercial"}]
    return made
