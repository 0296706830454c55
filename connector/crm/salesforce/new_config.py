"""Salesforce in a config that `connector init` writes."""

from collections.abc import Mapping

from connector.config.new_config import NewCrm, Question, Secret


def _lines(answers: Mapping[str, str], secrets: Mapping[str, str], one_way: bool) -> list[str]:  # noqa: FBT001 - as NewCrm says.
    return [
        f"url: {answers['org']}",
        "sign_in:",
        f"  client_id: {answers['client-id']}",
        f"  client_secret: {secrets['client-secret']}",
        "consent_fields:",
        "  Contact:",
        "    flag: SMS_Opt_Out__c",
        "    phone: MobilePhone",
        "    along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]",
        *(["consent: one_way           # this provider takes no commands"] if one_way else []),
    ]


NEW = NewCrm(
    label="Salesforce",
    questions=(
        Question(
            name="org",
            prompt="Address of the Salesforce org (My Domain)",
            help="its My Domain, such as https://acme.my.salesforce.com",
            default="https://acme.my.salesforce.com",
        ),
        Question(
            name="client-id",
            prompt="Consumer key of the External Client App",
            help="the consumer key of the External Client App",
            default="the-consumer-key-of-the-app",
        ),
    ),
    secrets=lambda _: (Secret(name="client-secret"),),
    lines=_lines,
    mapping_sets=(".", "more"),
    next_steps=("salesforce setup --assign",),
)
