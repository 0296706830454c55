"""A small CRM schema for checks of mappings."""

from connector.model.crm_schema import CrmSchema, FieldKind, FieldSchema, ObjectSchema

BOTH = {"createable": True, "updateable": True}


def field(name, kind=FieldKind.TEXT, **more):
    return FieldSchema(name=name, kind=kind, **{**BOTH, **more})


def key(name, **more):
    return field(name, length=80, external_id=True, unique=True, **more)


def parent(name, relationship, *parents, **more):
    return field(name, FieldKind.REFERENCE, relationship=relationship, parents=parents, **more)


CONTACT = ObjectSchema(
    name="Contact",
    label="Contact",
    fields=(
        FieldSchema(name="Id", kind=FieldKind.ID),
        field("LastName", length=80, required=True),
        field("FirstName", length=40),
        FieldSchema(name="Name", length=121),
        field("Email", FieldKind.EMAIL, length=80, id_lookup=True),
        field("MobilePhone", FieldKind.PHONE, length=40),
        field("Description", FieldKind.LONG_TEXT, length=32000),
        field("Birthdate", FieldKind.DATE),
        key("SMS_Key__c"),
        FieldSchema(name="Number__c", length=20, external_id=True, unique=True),
        field("Opt_Out__c", FieldKind.BOOLEAN),
        field("Opt_Out_At__c", FieldKind.DATETIME),
        field("Amount__c", FieldKind.NUMBER),
        field("Interest__c", FieldKind.CHOICE, length=255, choices=("Children", "Climate"), restricted=True),
        field("Topics__c", FieldKind.CHOICES, length=255, choices=("A", "B"), restricted=True),
        field("Salutation", FieldKind.CHOICE, length=40, choices=("Mr.", "Ms.")),
        FieldSchema(name="Origin__c", length=20, createable=True),
        FieldSchema(name="Later__c", length=20, updateable=True),
        parent("AccountId", "Account", "Account"),
    ),
)
ACCOUNT = ObjectSchema(
    name="Account", fields=(field("Name", length=255, required=True), key("Account_Key__c"), field("Site", length=80))
)
TASK = ObjectSchema(
    name="Task",
    label="Task",
    fields=(
        key("SMS_Key__c"),
        field("Subject", length=255),
        field("Number__c", FieldKind.NUMBER, external_id=True),
        parent("WhoId", "Who", "Contact", "Lead"),
        parent("Contact__c", "Contact__r", "Contact", required=True),
        parent("OwnerId", "Owner", "User"),
    ),
)
CRM = CrmSchema(crm="sf", objects=(CONTACT, ACCOUNT, TASK))
