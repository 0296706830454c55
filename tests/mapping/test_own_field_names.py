"""The example of a field's name, where a label was written, is one of the CRM that the mappings are for."""

import pytest

from connector.config.yaml_document import parse
from connector.crm.dynamics.traits import TRAITS as DYNAMICS
from connector.crm.salesforce.traits import TRAITS as SALESFORCE
from connector.mapping.language.records import load_mapping
from connector.model.problem import ProblemsFound

FILE = """\
on: strex.message
rules:
  - name: one
    do:
      - upsert: Contact
        key: {Key: "{msisdn}"}
        set: {"SMS Opt-Out Date": yes}
"""


@pytest.mark.parametrize(
    ("own_field", "cure"),
    [
        (SALESFORCE.own_field, "such as SMS_Opt_Out__c; perhaps SMS_Opt_Out_Date__c"),
        (DYNAMICS.own_field, "such as crmc_smsoptout; perhaps crmc_smsoptoutdate"),
        (None, "write the API name, of letters, digits and _"),
    ],
)
def test_a_label_is_replaced_by_the_field_name_of_the_crm(own_field, cure):
    with pytest.raises(ProblemsFound) as found:
        load_mapping(parse(FILE, "one.yaml"), own_field)
    (problem,) = found.value.problems
    assert problem.hint.endswith(cure)
