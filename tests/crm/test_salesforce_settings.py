"""Valid and invalid settings of a Salesforce org."""

from pathlib import Path

import pytest

from connector.config.validation import load, schema
from connector.config.yaml_document import parse
from connector.crm.salesforce.client.oauth import ClientCredentials, JwtBearer
from connector.crm.salesforce.settings import SalesforceSettings
from connector.crm.salesforce.write.send import Composite
from connector.model.consent_fields import ConsentFields
from connector.model.problem import ProblemsFound

WHOLE = """
type: salesforce
url: https://acme.my.salesforce.com/
api_version: 63.0
sign_in:
  client_id: abc
  client_secret: {file: secret}
consent_fields:
  Contact:
    flag: SMS_Opt_Out__c
    phone: MobilePhone
    along: [SMS_Opt_Out_At__c]
batch: 500
composite: off
"""


def settings(text):
    return load(parse(text, "config.yaml"), SalesforceSettings)


def problems(text):
    with pytest.raises(ProblemsFound) as found:
        settings(text)
    return "\n".join(str(problem) for problem in found.value.problems)


def with_line(old, new):
    assert old in WHOLE
    return WHOLE.replace(old, new)


def test_all_settings_are_read():
    emitted = settings(WHOLE)
    assert emitted.url == "https://acme.my.salesforce.com"
    assert emitted.api.root == "/services/data/v63.0"
    assert (emitted.batch, emitted.composites) == (500, Composite.REFUSED)
    assert emitted.consent == {
        "Contact": ConsentFields(
            object="Contact", flag="SMS_Opt_Out__c", opted_out=True, phone="MobilePhone", along=("SMS_Opt_Out_At__c",)
        )
    }


def test_two_settings_are_enough():
    emitted = settings("url: https://acme.my.salesforce.com\nsign_in: {client_id: a, client_secret: {env: X}}")
    assert (emitted.batch, emitted.composites, emitted.api.version) == (3000, Composite.UNTRIED, "62.0")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:8080", "https://acme--uat.sandbox.my.salesforce.com"]
)
def test_addresses_of_sandboxes_are_accepted(url):
    assert settings(with_line("https://acme.my.salesforce.com/", url)).url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "https://login.salesforce.com",
        "https://test.salesforce.com",
        "https://acme.example",
        "https://acme.my.salesforce.com.evil.example",
        "https://evilsalesforce.com",
        "https://user:word@acme.my.salesforce.com",
        "https://acme.my.salesforce.com/services/data",
        "acme.my.salesforce.com",
        "http://192.168.1.1",
        "https://[",
    ],
)
def test_an_address_that_is_not_an_org_is_refused_with_the_cure(url):
    text = problems(with_line("https://acme.my.salesforce.com/", f'"{url}"'))
    assert "config.yaml:3:" in text
    assert "My Domain" in text


@pytest.mark.parametrize("version", ["45.0", "62", "v62.0", "latest"])
def test_an_unsupported_api_version_is_refused(version):
    assert "config.yaml:4:" in problems(with_line("63.0", version))


@pytest.mark.parametrize(
    "sign_in",
    [
        "{client_id: a}",
        "{client_id: a, username: b}",
        "{client_id: a, private_key: {file: k}}",
        "{client_id: a, client_secret: {env: X}, username: b}",
        "{client_id: a, client_secret: {env: X}, username: b, private_key: {file: k}}",
    ],
)
def test_an_incomplete_sign_in_is_refused(sign_in):
    text = problems(f"url: https://acme.my.salesforce.com\nsign_in: {sign_in}")
    assert "client_secret:" in text


def test_a_field_name_with_query_syntax_is_refused():
    assert "config.yaml" in problems(with_line("SMS_Opt_Out__c", '"Id FROM User"'))


def test_secrets_are_read_from_their_files(tmp_path: Path):
    for name in ("secret", "key"):
        (tmp_path / name).write_text(f"{name} text\n")
        (tmp_path / name).chmod(0o600)
    by_secret = settings(WHOLE).sign_in.resolve(tmp_path)
    assert isinstance(by_secret, ClientCredentials)
    assert by_secret.client_secret.get_secret_value() == "secret text"
    by_key = settings(with_line("client_secret: {file: secret}", "username: u\n  private_key: {file: key}"))
    resolved = by_key.sign_in.resolve(tmp_path)
    assert isinstance(resolved, JwtBearer)
    assert (resolved.username, resolved.private_key.get_secret_value()) == ("u", "key text")


def test_the_editor_schema_of_the_settings_can_be_made():
    assert "consent_fields" in schema(SalesforceSettings, title="Salesforce")["properties"]
