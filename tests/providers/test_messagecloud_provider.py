"""MessageCloud's settings and the resulting provider; and its shipped mappings."""

import shutil
import textwrap
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from scripted_http import ask

from connector.config.validation import load
from connector.config.yaml_document import parse
from connector.mapping.compile.ruleset import load_mappings
from connector.model.consent import Subscription
from connector.model.operation import RecordWrite, ServiceCommand
from connector.model.outcome import Delivered, Reason
from connector.model.phone import Phone
from connector.model.problem import ProblemsFound
from connector.pipeline.rule_tests import run_rule_tests
from connector.ports import Task
from connector.providers.auth import AddressList, PathSecret
from connector.providers.messagecloud.local_commands import LocalCommands
from connector.providers.messagecloud.provider import SHAPES, build, commands
from connector.providers.messagecloud.settings import MessageCloudSettings
from connector.registry import load_config, mapping_context

MORE = Path(__file__).parent.parent.parent / "mappings" / "more"
OFFER = """\
offers:
  katt:
    service_id: s-1
    short_number: 2172
    keyword: KATT
    price: 49.50
    thank_you: https://example.org/thanks
    cancelled: https://example.org/another-time
"""
FULL = f"""
type: messagecloud
path_secrets: [{{env: NEW}}, {{env: OLD}}]
addresses: [192.0.2.7]
api: {{campaign_name: puregaming, key: {{env: KEY}}}}
{OFFER}
subscribe: {{per_minute: 7, at_once: 3, deadline: 24h}}
keywords: [Hund]
stop_words: [Meld av]
"""
ONE = OFFER.removeprefix("offers:\n") + "    recurring: {day: 1}\n"
TWO_OF_ONE_SERVICE = FULL.replace(OFFER, "offers:\n" + ONE + ONE.replace("katt:", "hund:"))
CONFIG = """
providers:
  messagecloud:
    open: true
    api: {campaign_name: puregaming, key: {env: KEY}}
crm:
  salesforce:
    url: https://acme.my.salesforce.com
    sign_in: {client_id: app, client_secret: {env: SECRET}}
    consent_fields:
      Contact: {flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}
"""


def settings(text):
    return load(parse(textwrap.dedent(text), "config.yaml"), MessageCloudSettings)


def provider(text, name="messagecloud"):
    return build(name, settings(text), lambda ref: SecretStr(f"the {ref.env}"))


def problems(text):
    with pytest.raises(ProblemsFound) as caught:
        settings(text)
    return " ".join(str(problem) for problem in caught.value.problems)


async def test_full_settings_make_every_endpoint():
    made = provider(FULL)
    endpoints = {endpoint.name: endpoint for endpoint in made.endpoints}
    assert list(endpoints) == ["mo", "dlr", "subscribe", "return"]
    for name in ("mo", "dlr"):
        assert [type(lock) for lock in endpoints[name].authenticators] == [AddressList, PathSecret]
        assert endpoints[name].methods == {"GET", "POST"}
    assert endpoints["mo"].reader.keywords == {"hund": "Hund", "katt": "KATT"}
    assert "Meld av" in endpoints["mo"].reader.words.more_stop_words
    assert endpoints["subscribe"].methods == endpoints["return"].methods == {"GET"}
    assert endpoints["subscribe"].offers["katt"].price == Decimal("49.50")
    assert (endpoints["subscribe"].rate_limiter.per_minute, endpoints["subscribe"].rate_limiter.at_once) == (7, 3)
    assert endpoints["subscribe"].account.api_key == "the KEY"
    assert made.enricher.deadline.total_seconds() == 24 * 3600
    assert made.shapes == SHAPES == {"message": True, "delivery_report": False, "subscription": False, "charge": False}
    assert made.subscriptions == (
        Subscription(provider="messagecloud", short_number="2172", keyword="KATT", service_id="s-1"),
    )
    assert await made.credentials.authorization() == ("https://client.txtnation.com", {})


def test_the_provider_has_the_name_of_the_config():
    made = provider(FULL, name="mc_no")
    assert {endpoint.provider for endpoint in made.endpoints} == {"mc_no"}
    assert made.sink.name == made.enricher.provider == "mc_no"


def test_without_api_settings_there_are_only_endpoints_for_messages_and_reports():
    made = provider("open: true")
    assert [endpoint.name for endpoint in made.endpoints] == ["mo", "dlr"]
    assert made.enricher is None
    assert made.commands == commands(settings("open: true")) == {"stop", "unsubscribe", "changesubscriberprice"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "anybody could send events"),
        (f"open: true\n{OFFER}", "an offer needs MessageCloud's interface"),
        ("open: true\napi: {campaign_name: x}", "key"),
        ("open: true\napi: {campaign_name: x, key: {env: K}, url: 'http://client.txtnation.com'}", "unencrypted"),
        (FULL.replace("49.50", "0"), "price"),
        (FULL.replace("  katt:", "  Katt!:"), "expected form"),
        (FULL.replace("https://example.org/thanks", "/thanks"), "not a page"),
        (FULL.replace("deadline: 24h", "deadline: 1m"), "deadline"),
        (FULL.replace("    keyword: KATT\n", ""), "keyword"),
        (FULL + "charges: {enabled: true}\n", "nobody can be charged"),
        (TWO_OF_ONE_SERVICE, "cannot be told apart"),
        (FULL + "charges: {hours: {from: '20:00', to: '09:00'}}\n", "end before they begin"),
        (FULL + "charges: {timezone: Europe/Bergen}\n", "this is not a time zone"),
    ],
)
def test_a_wrong_setting_is_reported(text, said):
    assert said in problems(text)


# The sink.


def command(action="unsubscribe", **more):
    return ServiceCommand(
        sink="messagecloud", action=action, phone=Phone("+4790000001"), short_number="2172", keyword="KATT", **more
    )


def written(*operations):
    return ask(lambda http: LocalCommands(name="messagecloud").write(http, [Task(one) for one in operations]))[0]


@pytest.mark.parametrize("action", ["stop", "unsubscribe"])
def test_an_unsubscribe_command_is_delivered_without_a_call(action):
    (outcome,) = written(command(action, known_active=True))
    assert isinstance(outcome, Delivered)
    assert "no such call" in outcome.detail


def test_an_unknown_command_or_a_record_write_is_refused():
    write = RecordWrite(sink="messagecloud", object="Contact", key_field="K", key="1")
    for outcome in written(command("delete"), write):
        assert outcome.reason is Reason.BAD_COMMAND


def test_a_new_price_is_delivered_without_a_call():
    (outcome,) = written(command("changesubscriberprice", price=200, known_active=True))
    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize("price", [None, 0, -5, 99.5])
def test_a_price_that_cannot_be_charged_is_refused(price):
    (outcome,) = written(command("changesubscriberprice", price=price, known_active=True))
    assert outcome.reason is Reason.BAD_COMMAND


def test_the_price_of_an_inactive_subscription_is_not_changed():
    (outcome,) = written(command("changesubscriberprice", price=200))
    assert outcome.reason is Reason.PRICE_NOT_CHANGED


# The mappings.


def test_the_shipped_mappings_load_and_pass_their_tests(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "mappings").mkdir()
    for path in MORE.glob("*messagecloud.yaml"):
        shutil.copy(path, tmp_path / "mappings")
    loaded = load_config(tmp_path / "config.yaml")
    rules = load_mappings(loaded.resolve_path("mappings"), mapping_context(loaded))
    assert [file.name for file in rules.files] == ["messagecloud.yaml", "salesforce-to-messagecloud.yaml"]
    results = list(run_rule_tests(rules))
    assert len(results) >= 10
    assert [result for result in results if result.differences] == []
    assert rules.warnings == ()
