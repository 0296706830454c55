"""Writes for an org, and their results."""

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.model.consent_fields import ConsentFields
from connector.model.operation import Parent, RecordWrite
from connector.ports import Task

CONSENT = ConsentFields(
    object="Contact", flag="SMS_Opt_Out__c", along=("SMS_Opt_Out_At__c",), phone="MobilePhone", opted_out=True
)


def sink(**how):
    return SalesforceSink("crm", api=Api(version="62.0", client="tests"), consent_fields={"Contact": CONSENT}, **how)


def contact(key, *, create=None, **fields):
    return RecordWrite(
        sink="crm",
        object="Contact",
        key_field="SMS_Key__c",
        key=key,
        set={"LastName": "Ås"} | fields,
        create=create or {},
    )


def event(key, parent=None, **fields):
    link = {"Contact__r": Parent("SMS_Key__c", parent)} if parent else {}
    return RecordWrite(
        sink="crm",
        object="SMS_Event__c",
        key_field="Event_Key__c",
        key=key,
        set={"Action__c": "Stop"} | link | fields,
    )


async def deliver(org, *writes, by=None):
    return list(await (by or sink()).write(org, [one if isinstance(one, Task) else Task(one) for one in writes]))


def reasons(outcomes):
    return [getattr(outcome, "reason", None) for outcome in outcomes]


def opt_in(key="k", **fields):
    fields = {"SMS_Opt_Out__c": False, "SMS_Opt_Out_At__c": None} | fields
    return RecordWrite(
        sink="crm",
        object="Contact",
        key_field="SMS_Key__c",
        key=key,
        set=fields,
        create={"LastName": "Ås"},
        consent=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"),
        clears_flag=True,
    )
