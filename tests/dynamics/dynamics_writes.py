"""Writes to a Dynamics 365 org, for tests."""

from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.client.web_api import Gate
from connector.crm.dynamics.write.sink import DynamicsSink
from connector.model.consent_fields import ConsentFields
from connector.model.operation import IfMany, IfNone, Match, Parent, RecordWrite
from connector.model.phone import Phone
from connector.model.record_number import NumberReader
from connector.ports import Task

CONSENT = {
    "contact": ConsentFields(object="contact", flag="crmc_smsoptout", phone="mobilephone", along=("crmc_smsoptoutat",))
}


def sink(**options):
    options = {"consent_fields": CONSENT, "numbers": NumberReader(default="NO"), **options}
    return DynamicsSink("crm", gate=options.pop("gate", None) or Gate(), tables=Tables(), **options)


def contact(key, *, create=None, **fields):
    return RecordWrite(sink="crm", object="contact", key_field="crmc_smskey", key=key, set=fields, create=create or {})


def event(key, person, **fields):
    """An event row: the key is in the id column, and the row is only created."""
    own = {"crmc_contactid": Parent("crmc_smskey", person), **fields}
    return RecordWrite(sink="crm", object="crmc_smsevent", key_field="crmc_smseventid", key=key, create=own, exact=True)


def matched(number, *, none=IfNone.CREATE, many=IfMany.PARK, key=None, create=None, fields=("mobilephone",), **values):
    phone = Phone(number)
    return RecordWrite(
        sink="crm",
        object="contact",
        key_field="crmc_smskey" if key else "match:mobilephone",
        key=key or number,
        set=values,
        create=create or {},
        match=Match(phone=phone, fields=fields, none=none, many=many),
    )


async def deliver(org, *writes, **options):
    tasks = [one if isinstance(one, Task) else Task(one) for one in writes]
    return await sink(**options).write(org, tasks)


def reasons(outcomes):
    return [getattr(one, "reason", None) for one in outcomes]
