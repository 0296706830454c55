"""Dynamics 365 in a config that `connector init` writes."""

from collections.abc import Mapping

from connector.config.new_config import NewCrm, Question, Secret

SECRET, CERTIFICATE = "secret", "certificate"


def _secrets(answers: Mapping[str, str]) -> tuple[Secret, ...]:
    if answers["sign-in"] == CERTIFICATE:
        return (Secret(name="certificate", is_file=True),)
    return (Secret(name="client-secret"),)


def _lines(answers: Mapping[str, str], secrets: Mapping[str, str], one_way: bool) -> list[str]:  # noqa: FBT001 - as NewCrm says.
    ((secret, where),) = secrets.items()
    return [
        f"url: {answers['org']}",
        "sign_in:",
        f"  tenant: {answers['tenant']}",
        f"  client_id: {answers['client-id']}",
        f"  {secret.replace('-', '_')}: {where}",
        "consent_fields:",
        "  contact:",
        "    flag: crmc_smsoptout",
        "    phone: mobilephone",
        "    along: [crmc_smsoptoutat, crmc_smsoptoutsource]",
        *(["direction: one_way         # this provider takes no commands"] if one_way else []),
    ]


NEW = NewCrm(
    label="Dynamics 365",
    questions=(
        Question(
            name="org",
            prompt="Environment URL of the Dynamics 365 org",
            help="its Environment URL, such as https://acme.crm4.dynamics.com",
            default="https://acme.crm4.dynamics.com",
        ),
        Question(
            name="tenant",
            prompt="Directory (tenant) ID of the app registration",
            help="the Directory (tenant) ID",
            default="the-tenant-of-the-app",
        ),
        Question(
            name="client-id",
            prompt="Application (client) ID of the app registration",
            help="the Application (client) ID",
            default="the-client-id-of-the-app",
        ),
        Question(
            name="sign-in",
            prompt="Sign in with a client secret or a certificate",
            help="what the app registration has",
            default=SECRET,
            offered=True,
            choices=(SECRET, CERTIFICATE),
        ),
    ),
    secrets=_secrets,
    lines=_lines,
    mapping_sets=("dynamics/plain",),
    next_steps=("dynamics setup",),
)
