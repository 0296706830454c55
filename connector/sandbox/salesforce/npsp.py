"""The Nonprofit Success Pack (NPSP): its objects, what its triggers reject, and the records that they create.

Based on the package's source: RD2_ValidationService, PMT_ValidationService, PMT_PaymentCreator,
OPP_OpportunityContactRoles_TDTM and the field definitions (SalesforceFoundation/NPSP, force-app/main/default), with the
texts of its labels.
"""

from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.governor import GovernorLimit
from connector.sandbox.salesforce.org import (
    checkbox,
    count,
    date,
    exact_key,
    key,
    money,
    phone,
    picklist,
    reference,
    sobject,
    text,
)
from connector.sandbox.salesforce.refusals import RecordRefusedError
from connector.sandbox.salesforce.triggers import Records, Saving, Triggers, Writes, find

PERIODS = ("Monthly", "Yearly", "Weekly", "1st and 15th", "Daily", "Quarterly")
DAYS = (*(str(day) for day in range(1, 32)), "Last_Day")
MOST_FREQUENT = 20  # periods between two installments
LATEST_DAY = 30  # of a month: the picklist also has 31, which the trigger rejects

# Fields that the package adds to standard objects, and those that an administrator creates for the connector.
ADDED: dict[str, tuple[Field, ...]] = {
    "Contact": (checkbox("npsp__Do_Not_Contact__c"), checkbox("npsp__Deceased__c")),
    "Opportunity": (
        reference("npsp__Primary_Contact__c", "Contact"),
        reference("npe03__Recurring_Donation__c", "npe03__Recurring_Donation__c"),
        checkbox("npe01__Do_Not_Automatically_Create_Payment__c"),
    ),
}
OBJECTS = (
    sobject(
        "npe03__Recurring_Donation__c",
        "a0N",
        text("Name", 80),
        money("npe03__Amount__c"),
        reference("npe03__Contact__c", "Contact"),
        reference("npe03__Organization__c", "Account"),
        picklist("npe03__Installment_Period__c", *PERIODS),
        count("npsp__InstallmentFrequency__c"),
        picklist("npsp__Day_of_Month__c", *DAYS, restricted=True),
        picklist(
            "npsp__Status__c", "Active", "Lapsed", "Closed", "Paused", "Failing", default="Active", restricted=True
        ),
        picklist("npsp__ClosedReason__c", "Commitment Completed", "No Longer Interested", "Unknown"),
        picklist("npsp__RecurringType__c", "Open", "Fixed", default="Open", restricted=True),
        date("npsp__StartDate__c"),
        date("npsp__EndDate__c"),
        date("npe03__Date_Established__c"),
        picklist("npsp__PaymentMethod__c", "Credit Card", "Check", "ACH"),
        checkbox("npsp__DisableFirstInstallment__c"),
        key("npsp__CommitmentId__c", 255),
        exact_key("SMS_Subscription__c", 120),
        phone("SMS_Phone__c"),
        text("SMS_Short_Number__c", 20),
        text("SMS_Keyword__c", 80),
        date("SMS_Next_Charge__c"),
    ),
    sobject(
        "npe01__OppPayment__c",
        "a01",
        text("Name", 80, formula="""'PMT-' || printf('%08d', "row")"""),
        reference("npe01__Opportunity__c", "Opportunity", required=True, create_only=True),
        money("npe01__Payment_Amount__c"),
        date("npe01__Payment_Date__c"),
        date("npe01__Scheduled_Date__c"),
        checkbox("npe01__Paid__c"),
        checkbox("npe01__Written_Off__c"),
        picklist("npe01__Payment_Method__c", "Cash", "Check", "Credit Card"),
        text("npsp__Gateway_Payment_ID__c", 80, external_id=True),
        exact_key("SMS_Transaction__c", 120),
    ),
)


def _refused(message: str) -> RecordRefusedError:
    return RecordRefusedError("FIELD_CUSTOM_VALIDATION_EXCEPTION", message)


def check_recurring_donation(database: Records, saving: Saving) -> RecordRefusedError | None:
    """The rejections of RD2_ValidationService."""
    now = saving.after
    message = None
    if now["npsp__Status__c"] != "Closed":
        message = _open_fault(saving)
    frequency = now["npsp__InstallmentFrequency__c"]
    if not isinstance(frequency, int | float) or not 1 <= frequency <= MOST_FREQUENT:
        message = message or "Installment Frequency is required. Enter a value between 1 and 20."
    if now["npe03__Contact__c"] is None and now["npe03__Organization__c"] is None:
        message = message or "You must select an Account or Contact."
    if saving.changed("npe03__Contact__c") and find(
        database, "Opportunity", """"npe03__Recurring_Donation__c" = ? AND "StageName" LIKE 'Closed%'""", now["Id"]
    ):
        message = (
            message
            or "You can't change the Household Account or Contact on a Recurring Donation that has Closed Opportunities."
        )
    return _refused(message) if message else None


def _open_fault(saving: Saving) -> str | None:
    now = saving.after
    amount, period, day = now["npe03__Amount__c"], now["npe03__Installment_Period__c"], now["npsp__Day_of_Month__c"]
    if not isinstance(amount, int | float) or amount <= 0:
        return "Enter a valid Amount. The Amount cannot be zero, negative, or blank."
    if period not in PERIODS:
        return (
            f"{period} is not a supported value for Installment Period. "
            "Select Daily, Weekly, 1st and 15th, Monthly, or Yearly."
        )
    if period == "Monthly" and day is None:
        return "You must enter a value for Day of Month when Installment Period is Monthly."
    if period == "Monthly" and day == str(LATEST_DAY + 1):
        return (
            f"{day} is not a supported value for Day of Month. "
            "Select a value between 1 and 30 or select Last Day of Month."
        )
    return None


def check_payment(_: Records, saving: Saving) -> RecordRefusedError | None:
    """The rejections of PMT_ValidationService that apply in every org."""
    if saving.after["npe01__Paid__c"] and saving.after["npe01__Written_Off__c"]:
        return _refused("A Payment can't be both paid and written off. You must deselect one or both checkboxes.")
    return None


def household(database: Records, writes: Writes, saving: Saving, author: Author) -> None:
    """Create a household for a new contact without an account."""
    if saving.before is None and saving.after["AccountId"] is None:
        accounts = database.schema.objects["Account"]
        writes.insert(accounts, [{"Name": f"{saving.after['LastName']} Household"}], author)
        (made,) = find(database, "Account", '"row" = (SELECT max("row") FROM "Account")')
        contacts = database.schema.objects["Contact"]
        writes.update(contacts, [{"Id": saving.after["Id"], "AccountId": made["Id"]}], author)


def first_installment(database: Records, writes: Writes, saving: Saving, author: Author) -> None:
    """Create the first opportunity of a new recurring donation, unless it says not to."""
    now = saving.after
    if saving.before is not None or now["npsp__DisableFirstInstallment__c"] or now["npsp__Status__c"] == "Closed":
        return
    pledged = {
        "Name": f"{now['Name']} Donation (1)",
        "StageName": "Pledged",
        "CloseDate": now["npsp__StartDate__c"] or author.stamp,
        "Amount": now["npe03__Amount__c"],
        "npsp__Primary_Contact__c": now["npe03__Contact__c"],
        "npe03__Recurring_Donation__c": now["Id"],
    }
    writes.insert(database.schema.objects["Opportunity"], [pledged], author)


def payments(database: Records, writes: Writes, saving: Saving, author: Author) -> None:
    """Set an opportunity's account from its contact, and create its payment; write off unpaid amounts of a lost one."""
    now = saving.after
    if now["AccountId"] is None and now["npsp__Primary_Contact__c"] is not None:
        (donor,) = find(database, "Contact", '"Id" = ?', now["npsp__Primary_Contact__c"])
        if donor["AccountId"] is not None:
            filled = {"Id": now["Id"], "AccountId": donor["AccountId"]}
            writes.update(database.schema.objects["Opportunity"], [filled], author)
    sobject = database.schema.objects["npe01__OppPayment__c"]
    there = find(database, sobject.name, '"npe01__Opportunity__c" = ?', now["Id"])
    amount = now["Amount"]
    if not there and not now["npe01__Do_Not_Automatically_Create_Payment__c"] and amount and saving.before is None:
        won = now["StageName"] == "Closed Won"
        day = {"npe01__Payment_Date__c" if won else "npe01__Scheduled_Date__c": now["CloseDate"]}
        made = {"npe01__Opportunity__c": now["Id"], "npe01__Payment_Amount__c": amount, "npe01__Paid__c": won, **day}
        writes.insert(sobject, [made], author)
    if saving.became("StageName", "Closed Lost"):
        unpaid = [each for each in there if not each["npe01__Paid__c"] and not each["npe01__Written_Off__c"]]
        writes.update(sobject, [{"Id": each["Id"], "npe01__Written_Off__c": True} for each in unpaid], author)


# NPSP runs its own code on these. No document says whose queries a large transaction uses up; the maintainers recommend
# batches of 50 (SalesforceFoundation/NPSP issues 1268, 2240, 6757).
LIMIT = GovernorLimit(
    records=50,
    objects=frozenset({"Account", "Contact", "Opportunity", "npe03__Recurring_Donation__c", "npe01__OppPayment__c"}),
)
TRIGGERS = Triggers(
    limits=(LIMIT,),
    checks={"npe03__Recurring_Donation__c": check_recurring_donation, "npe01__OppPayment__c": check_payment},
    afters={"Contact": household, "npe03__Recurring_Donation__c": first_installment, "Opportunity": payments},
)
