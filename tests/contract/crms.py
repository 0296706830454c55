"""The CRMs that the flow tests run on: each with its sandbox, its part of the config, its mappings and its names.

The tests speak of records in words of their own (`opted_out` of a `contact`); `words` has a CRM's names for them. A
new CRM is one more entry of CRMS. Its sandbox has the control interface of the others.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from contract.madeup import adapter as madeup
from contract.madeup.org import OUR_USER, PERSON
from contract.madeup.server import Server
from pydantic import BaseModel

from connector import registry
from connector.sandbox.dynamics import app as dynamics
from connector.sandbox.salesforce import app as salesforce
from connector.sandbox.salesforce.org import INTEGRATION_USER, PERSON_USER

MAPPINGS = Path(__file__).parent.parent.parent / "mappings"


@dataclass(frozen=True, kw_only=True)
class CrmUnderTest:
    """One CRM, as the tests need it."""

    name: str  # in the config
    sandbox: Callable[..., web.Application]
    settings: str  # its part of the config, with {url}
    user: str  # who the daemon is, in the sandbox's history
    person: str  # and who a person is
    words: Mapping[str, str] = field(default_factory=dict)  # a word of the tests → the CRM's own name
    key: Callable[[str], str] = str  # a phone number as the key of a contact
    types: Mapping[type[BaseModel], ModuleType] = field(default_factory=lambda: registry.CRMS)
    deleted: Callable[[Mapping[str, Any]], bool] = lambda raw: raw["deleted"]  # of a record that its sandbox lists
    restores: bool = True  # whether a person can bring a deleted record back
    lacks: frozenset[str] = frozenset()  # faults that its sandbox does not have
    taken: str = "key_taken"  # what its sandbox answers to a person who gives a record a key of another one
    translate: Callable[[str], str] = str  # a shipped mapping, which is Salesforce's → the same for this CRM

    def named(self, word: str) -> str:
        """The CRM's name of an object or field."""
        return self.words.get(word, word)

    def fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fields by the CRM's names."""
        return {
            self.named(name): self.key(value) if name == "sms_key" and value else value
            for name, value in values.items()
        }

    def record(self, raw: Mapping[str, Any]) -> "Record":
        """A record of the sandbox, with the tests' words."""
        return Record(raw, self)

    def text(self, text: str) -> str:
        """A mapping or a rule in which $words stand for the CRM's names, and $number_key for the key of a contact."""
        return Template(text).substitute({**self.words, "crm": self.name})

    def mappings(self, directory: Path) -> Path:
        """Make a directory of the plain mappings for this CRM."""
        directory.mkdir()
        for file in MAPPINGS.glob("*.yaml"):
            (directory / file.name).write_text(self.translate(file.read_text()))
        return directory


class Record(dict[str, Any]):
    """A record with the CRM's own names, which also answers to the tests' words."""

    def __init__(self, raw: Mapping[str, Any], crm: CrmUnderTest) -> None:
        super().__init__(raw)
        self._crm = crm

    def __missing__(self, word: str) -> Any:
        return self._crm.deleted(self) if word == "deleted" else self[self._crm.words[word]]

    def get(self, word: str, default: Any = None) -> Any:
        return super().get(self._crm.named(word), default)

    def __contains__(self, word: object) -> bool:
        return super().__contains__(self._crm.named(str(word)))


SALESFORCE = CrmUnderTest(
    name="salesforce",
    sandbox=salesforce.build,
    settings="""
    url: {url}
    sign_in: {{client_id: sandbox, client_secret: {{env: SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
""",
    user=INTEGRATION_USER,
    person=PERSON_USER,
    deleted=lambda raw: raw["IsDeleted"],
    taken="DUPLICATE_VALUE",
    words={
        "contact": "Contact",
        "sms_event": "SMS_Event__c",
        "gift": "Opportunity",
        "id": "Id",
        "changed_by": "LastModifiedById",
        "first_name": "FirstName",
        "last_name": "LastName",
        "mobile": "MobilePhone",
        "home_phone": "HomePhone",
        "note": "Description",
        "email": "Email",
        "city": "MailingCity",
        "street": "MailingStreet",
        "sms_key": "SMS_Key__c",
        "opted_out": "SMS_Opt_Out__c",
        "opted_out_at": "SMS_Opt_Out_At__c",
        "opted_out_source": "SMS_Opt_Out_Source__c",
        "amount": "SMS_Monthly_Amount__c",
        "keywords": "SMS_Keywords__c",
        "event_key": "Event_Key__c",
        "donor": "Contact__r",  # the relationship of an event to its contact
        "donor_id": "Contact__c",  # and its column
        "action": "Action__c",
        "keyword": "Keyword__c",
        "provider": "Provider__c",
        "shape": "Shape__c",
        "status": "Status__c",
        "status_detail": "Status_Detail__c",
        "result": "Result__c",
        "transaction": "Transaction__c",
        "text": "Text__c",
        "short_number": "Short_Number__c",
        "occurred_at": "Occurred_At__c",
        "event_amount": "Amount__c",
        "currency": "Currency__c",
        "service_command": "Service_Command__c",
        "journey": "Journey__c",
        "giver": "SMS_Donor__r",  # the relationship of a gift to its contact
        "sms_transaction": "SMS_Transaction__c",
        "title": "Name",
        "stage": "StageName",
        "close_date": "CloseDate",
        "gift_amount": "Amount",
        "number_key": '"{msisdn}"',
    },
)

# The made-up CRM calls everything by the tests' own words.
_OWN = {own: word for word, own in SALESFORCE.words.items() if word not in {"id", "number_key"}}
_NAMES = re.compile(rf"(?<![\w.])(record\.)?({'|'.join(sorted(_OWN, key=len, reverse=True))})\b")


def _madeup_mapping(text: str) -> str:
    """The same mapping for the made-up CRM: its own names, and keys without a plus sign."""
    named = _NAMES.sub(
        lambda found: (found[1] or "") + _OWN[found[2]], text.replace("salesforce.change", "madeup.change")
    )
    keyed = named.replace('sms_key: "{msisdn}"', "sms_key: {from: msisdn, phone: digits}")
    return re.sub(r'sms_key: "\+(\d+)"', r'sms_key: "\1"', keyed)


MADE_UP = CrmUnderTest(
    name="madeup",
    sandbox=lambda **_: Server().app(),
    settings="""
    url: {url}
    secret: {{env: MADEUP_SECRET}}
    consent_fields:
      contact: {{flag: opted_out, phone: mobile, along: [opted_out_at, opted_out_source]}}
""",
    user=OUR_USER,
    person=PERSON,
    lacks=frozenset({"no_composite_upsert"}),
    words={**{word: word for word in SALESFORCE.words}, "number_key": "{from: msisdn, phone: digits}"},
    key=lambda number: number.removeprefix("+"),
    types=registry.CRMS | {madeup.MadeUpSettings: madeup},
    translate=_madeup_mapping,
)


class DynamicsUnderTest(CrmUnderTest):
    """It has mappings of its own."""

    def mappings(self, directory: Path) -> Path:
        """A copy of the shipped set."""
        shutil.copytree(MAPPINGS / "dynamics" / "plain", directory)
        return directory


DYNAMICS = DynamicsUnderTest(
    name="dynamics",
    sandbox=dynamics.build,
    settings="""
    url: {url}
    sign_in: {{tenant: sandbox, client_id: sandbox, client_secret: {{env: DYNAMICS_SECRET}}}}
    consent_fields:
      contact: {{flag: crmc_smsoptout, phone: mobilephone, along: [crmc_smsoptoutat, crmc_smsoptoutsource]}}
""",
    user=dynamics.org.INTEGRATION_USER,
    person=dynamics.org.PERSON_USER,
    deleted=lambda raw: raw.get("merged") is True or "deleted" in raw,
    restores=False,
    lacks=frozenset({"no_composite_upsert"}),
    taken="0x80060892",
    words={
        "contact": "contact",
        "sms_event": "crmc_smsevent",
        "gift": "crmc_smsdonation",
        "id": "contactid",
        "changed_by": "_modifiedby_value",
        "first_name": "firstname",
        "last_name": "lastname",
        "mobile": "mobilephone",
        "home_phone": "telephone2",
        "note": "description",
        "email": "emailaddress1",
        "street": "address1_line1",
        "city": "address1_city",
        "sms_key": "crmc_smskey",
        "opted_out": "crmc_smsoptout",
        "opted_out_at": "crmc_smsoptoutat",
        "opted_out_source": "crmc_smsoptoutsource",
        "amount": "crmc_smsmonthlyamount",
        "keywords": "crmc_smskeywords",
        "event_key": "crmc_eventkey",
        "donor": "crmc_contactid",
        "donor_id": "_crmc_contactid_value",
        "action": "crmc_action",
        "keyword": "crmc_keyword",
        "provider": "crmc_provider",
        "shape": "crmc_shape",
        "status": "crmc_status",
        "status_detail": "crmc_statusdetail",
        "result": "crmc_result",
        "transaction": "crmc_transaction",
        "text": "crmc_text",
        "short_number": "crmc_shortnumber",
        "occurred_at": "crmc_occurredat",
        "event_amount": "crmc_amount",
        "currency": "crmc_currency",
        "service_command": "crmc_servicecommand",
        "journey": "crmc_journey",
        "giver": "crmc_contactid",
        "sms_transaction": "crmc_transaction",
        "title": "crmc_name",
        "stage": "crmc_stage",
        "close_date": "crmc_date",
        "gift_amount": "crmc_amount",
        "number_key": "{from: msisdn, phone: digits}",
    },
    key=lambda number: number.removeprefix("+"),
)

CRMS = (SALESFORCE, MADE_UP, DYNAMICS)
EACH_CRM = pytest.mark.parametrize("crm", CRMS, ids=lambda crm: crm.name)
