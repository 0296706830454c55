"""Nonprofit Cloud: donors are person accounts, gifts are commitments, schedules and transactions; and its validations.

Based on the Nonprofit Cloud Developer Guide (GiftCommitment, GiftCommitmentSchedule, GiftTransaction) and the
Agentforce Nonprofit Migration Guide, appendix B "Fundraising Validations". That guide describes the rules without their
messages: except for overlapping schedules, the messages are our own.
"""

from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.org import (
    checkbox,
    count,
    date,
    email,
    exact_key,
    full_name,
    key,
    moment,
    money,
    phone,
    picklist,
    reference,
    sobject,
    text,
)
from connector.sandbox.salesforce.refusals import RecordRefusedError
from connector.sandbox.salesforce.triggers import Check, Records, Saving, Triggers, find

PAYMENT_METHODS = (
    "Cash",
    "Check",
    "Credit Card",
    "ACH",
    "PayPal",
    "Venmo",
    "Cryptocurrency",
    "Stock",
    "Asset",
    "Unknown",
)
MOST_APART = 100  # periods between two transactions
PAID, REFUNDED = "Paid", "Fully Refunded"
# Fields that cannot change while a transaction has one of these statuses.
LOCKED = {
    "OriginalAmount": {PAID},
    "TransactionDate": {PAID},
    "DonorId": {PAID, REFUNDED},
    "GiftCommitmentId": {PAID, REFUNDED, "Canceled", "Failed", "Written-Off"},
}
FINAL = {REFUNDED: frozenset({REFUNDED}), PAID: frozenset({PAID, REFUNDED, "Unpaid", "Pending"})}

ADDED: dict[str, tuple[Field, ...]] = {"SMS_Event__c": (reference("Account__c", "Account"),)}
OBJECTS = (
    # Every account is a person here; a business account has no gifts by SMS.
    sobject(
        "Account",
        "001",
        text("LastName", 80, required=True),
        text("FirstName", 40),
        full_name(),
        phone("Phone"),
        phone("PersonMobilePhone"),
        email("PersonEmail"),
        key("SMS_Key__c", 80),
        checkbox("SMS_Opt_Out__c"),
        moment("SMS_Opt_Out_At__c"),
        text("SMS_Opt_Out_Source__c", 80),
        text("SMS_Keywords__c", 255),
        mergeable=True,
    ),
    sobject(
        "GiftCommitment",
        "6gc",
        text("Name", 255, required=True),
        reference("DonorId", "Account", required=True),
        picklist(
            "Status",
            *("Draft", "Active", "Failing", "Lapsed", "Paused", "Closed"),
            default="Draft",
            restricted=True,
        ),
        picklist("RecurrenceType", "OpenEnded", "FixedLength", default="OpenEnded", restricted=True),
        picklist("ScheduleType", "Recurring", "Custom", restricted=True),
        date("EffectiveStartDate"),
        date("ExpectedEndDate"),
        exact_key("SMS_Subscription__c", 120),
        phone("SMS_Phone__c"),
        text("SMS_Short_Number__c", 20),
        text("SMS_Keyword__c", 80),
        money("SMS_Monthly_Amount__c"),
        date("SMS_Next_Charge__c"),
    ),
    sobject(
        "GiftCommitmentSchedule",
        "6cs",
        text("Name", 255, formula="""'GCS-' || printf('%06d', "row")"""),
        reference("GiftCommitmentId", "GiftCommitment", required=True, create_only=True),
        date("StartDate", required=True),
        date("EndDate"),
        money("TransactionAmount"),
        picklist("TransactionPeriod", "Daily", "Weekly", "Monthly", "Yearly", "Custom", restricted=True),
        count("TransactionInterval"),
        picklist("TransactionDay", *(str(day) for day in range(1, 31)), "LastDay", restricted=True),
        picklist("Type", "CreateTransactions", "PauseTransactions", default="CreateTransactions", restricted=True),
        exact_key("SMS_Subscription__c", 120),
    ),
    sobject(
        "GiftTransaction",
        "6tr",
        text("Name", 255, required=True),
        reference("DonorId", "Account", required=True),
        money("CurrentAmount", formula='"OriginalAmount"'),
        money("OriginalAmount", required=True),
        picklist("PaymentMethod", *PAYMENT_METHODS, required=True, restricted=True),
        picklist(
            "Status",
            *("Unpaid", "Pending", PAID, "Failed", "Canceled", REFUNDED, "Written-Off"),
            default="Unpaid",
            restricted=True,
        ),
        picklist("GiftType", "Individual", "Organizational", default="Individual", restricted=True),
        date("TransactionDate"),
        date("TransactionDueDate", required=True),
        text("PaymentIdentifier", 255),
        reference("CampaignId", "Campaign"),
        reference("GiftCommitmentId", "GiftCommitment"),
        reference("GiftCommitmentScheduleId", "GiftCommitmentSchedule"),
        exact_key("SMS_Transaction__c", 120),
    ),
)


def _refused(message: str, *fields: str) -> RecordRefusedError:
    return RecordRefusedError("FIELD_INTEGRITY_EXCEPTION", message, *fields)


def check_transaction(_: Records, saving: Saving) -> RecordRefusedError | None:
    """Gift Transaction Validations."""
    now = saving.after
    amount = now["OriginalAmount"]
    if isinstance(amount, int | float) and amount < 0:
        return _refused("The original amount is zero or more.", "OriginalAmount")
    if now["Status"] in {PAID, REFUNDED} and now["TransactionDate"] is None:
        return _refused("A paid or refunded transaction has a completion date.", "TransactionDate")
    if saving.before is None:
        return None
    before = str(saving.before["Status"])
    if now["Status"] not in FINAL.get(before, {now["Status"]}):
        return _refused(f"The status cannot change from {before} to {now['Status']}.", "Status")
    for name, statuses in LOCKED.items():
        if before in statuses and saving.changed(name):
            return _refused(f"{name} cannot be changed when the status is {before}.", name)
    return None


def check_schedule(database: Records, saving: Saving) -> RecordRefusedError | None:
    """Gift Commitment Schedule Validations."""
    now = saving.after
    interval, amount = now["TransactionInterval"], now["TransactionAmount"]
    if not isinstance(interval, int | float) or not 0 < interval <= MOST_APART:
        return _refused("The transaction interval is between 1 and 100.", "TransactionInterval")
    if isinstance(amount, int | float) and amount < 0:
        return _refused("The transaction amount is zero or more.", "TransactionAmount")
    if now["TransactionPeriod"] == "Monthly" and now["TransactionDay"] is None:
        return _refused("A monthly schedule has a transaction day.", "TransactionDay")
    if saving.before is not None:
        return None
    (commitment,) = find(database, "GiftCommitment", '"Id" = ?', now["GiftCommitmentId"])
    if commitment["ScheduleType"] != ("Custom" if now["TransactionPeriod"] == "Custom" else "Recurring"):
        return _refused("The schedule does not fit the schedule type of its commitment.", "TransactionPeriod")
    others = find(
        database,
        "GiftCommitmentSchedule",
        '"GiftCommitmentId" = ? AND ("EndDate" IS NULL OR "EndDate" >= ?) AND (? IS NULL OR "StartDate" <= ?)',
        *(now["GiftCommitmentId"], now["StartDate"], now["EndDate"], now["EndDate"]),
    )
    if others:
        return _refused(
            "You can create the gift commitment schedule only when it doesn't overlap with an existing schedule."
        )
    return None


def check_commitment(database: Records, saving: Saving) -> RecordRefusedError | None:
    """Gift Commitment Validations: with transactions, Closed can only change to Active."""
    if saving.before is None or saving.before["Status"] != "Closed" or saving.after["Status"] in {"Closed", "Active"}:
        return None
    if find(database, "GiftTransaction", '"GiftCommitmentId" = ?', saving.after["Id"]):
        return _refused("A closed commitment with transactions can only become active again.", "Status")
    return None


_CHECKS: dict[str, Check] = {
    "GiftTransaction": check_transaction,
    "GiftCommitmentSchedule": check_schedule,
    "GiftCommitment": check_commitment,
}
TRIGGERS = Triggers(checks=_CHECKS)
