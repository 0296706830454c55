"""Twilio's signature, its webhooks as events, its endpoints, and the shipped mapping."""

import base64
import hmac
import json
import re
import textwrap
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from flow.world import ROOT
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import SecretStr
from scripted_http import ask

from connector.config import yaml_document
from connector.config.validation import load
from connector.config.yaml_document import parse
from connector.mapping.compile.ruleset import load_mappings
from connector.model.errors import HttpRejected, Unreadable
from connector.model.event import KEY_FORM, Result, Scope, Verdict
from connector.model.http import HttpRequest
from connector.model.phone import Phone
from connector.model.problem import ProblemsFound
from connector.pipeline.opt_out_check import refuse_lost_opt_outs
from connector.pipeline.rule_tests import run_rule_tests
from connector.ports import AuthResult
from connector.providers.twilio.callback import ENDPOINTS, Reader
from connector.providers.twilio.endpoints import TwilioEndpoint
from connector.providers.twilio.provider import SHAPES, build, commands, opt_out_samples, subscriptions
from connector.providers.twilio.settings import TwilioSettings
from connector.providers.twilio.signature import HEADER, SETTINGS_HEADER, Signature
from connector.registry import CONFIG, LoadedConfig, mapping_context, opt_outs

PAGE = (ROOT / "docs" / "twilio.md").read_text()
MORE = ROOT / "mappings" / "more"
FILES = ("salesforce-to-twilio.yaml", "twilio.yaml")
DONOR = Phone("+15005550006")
NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
URL = "https://sms.example.org/hooks/twilio/mo"
MESSAGE = {"MessageSid": "SM01", "From": "+15005550006", "To": "+15005550009", "Body": "Thank you", "FromCity": "OSLO"}
REPORT = {"MessageSid": "SM02", "To": "+15005550006", "From": "+15005550009", "MessageStatus": "delivered"}
# twilio.com/docs/usage/security, the example of "Validating requests", and the signature that Twilio's SDKs test with it.
EXAMPLE_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
EXAMPLE = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+12349013030",
    "Digits": "1234",
    "From": "+12349013030",
    "To": "+18005551212",
}
EXAMPLE_SIGNATURE = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


def request(form=(), *, query="", url=URL, body=None, secret=None, **headers):
    return HttpRequest(
        method="POST",
        instance="twilio",
        endpoint="mo",
        secret=secret,
        url=url,
        query=query,
        headers=headers,
        body=urlencode(form).encode() if body is None else body,
        peer="192.0.2.7",
        received_at=NOW,
    )


def signed(form=EXAMPLE, *, url=EXAMPLE_URL, signature=EXAMPLE_SIGNATURE, settings=None, **more):
    headers = {HEADER: signature} | ({SETTINGS_HEADER: settings} if settings else {})
    return request(form, url=url, **headers, **more)


def rejected(check):
    with pytest.raises(HttpRejected) as caught:
        check()
    return caught.value.status


def settings(text):
    return load(parse(textwrap.dedent(text), "config.yaml"), TwilioSettings)


def provider(text="open: true", name="twilio"):
    return build(name, settings(text), lambda ref: SecretStr(f"the {ref.env}"))


def read(form, endpoint="mo", **more):
    return Reader(provider="twilio", **more).read(endpoint, request(form))


class TestSignature:
    def test_the_documented_example_is_valid(self):
        Signature([b"12345"]).check(signed())

    def test_both_current_tokens_are_valid(self):
        Signature([b"new", b"12345"]).check(signed())

    @pytest.mark.parametrize(
        "wrong",
        [
            signed({**EXAMPLE, "Digits": "12345"}),
            signed({name: value for name, value in EXAMPLE.items() if name != "Digits"}),
            signed({**EXAMPLE, "More": "1"}),
            signed(url=EXAMPLE_URL.replace("foo=1", "foo=2")),
            signed(url=EXAMPLE_URL.replace("https", "http")),
            signed(signature=EXAMPLE_SIGNATURE.replace("0", "1")),
            signed(signature=""),
            signed(signature="\udcff"),
            signed(settings="key=CR1,algorithm=HMAC_SHA256"),
            signed(settings="key=CR1,algorithm=NONE"),
            request(EXAMPLE, url=EXAMPLE_URL),
        ],
    )
    def test_a_changed_request_is_refused(self, wrong):
        assert rejected(lambda: Signature([b"12345"]).check(wrong)) == 403

    def test_json_is_signed_by_the_address_with_the_hash_of_the_body(self):
        # The body and its hash are those of Twilio's example "signature_validation_json".
        body = b'{"CallSid":"CA1234567890ABCDE","Caller":"+12349013030"}'
        query = "bodySHA256=5ccde7145dfb8f56479710896586cb9d5911809d83afbe34627818790db0aec9"
        url = f"https://example.com/myapp?{query}"
        signature = "hPXmLwIy3Fgqv1i9KPmH/HhQ6zo="
        valid = Signature([b"12345"])
        valid.check(signed(url=url, query=query, body=body, signature=signature))
        for wrong in (
            signed(url=url, query=query, body=body + b" ", signature=signature),
            signed(url=url.replace("5c", "5d"), query=query.replace("5c", "5d"), body=body, signature=signature),
            signed(url=url, query=query, body=body, signature=EXAMPLE_SIGNATURE),
        ):
            assert rejected(lambda wrong=wrong: valid.check(wrong)) == 403

    @pytest.mark.parametrize("address", ["https://twilio:pass@example.com/x", "https://example.com/x"])
    def test_name_and_password_in_the_address_may_be_signed(self, address):
        signature = base64.b64encode(hmac.digest(b"12345", f"{address}a1".encode(), "sha1")).decode()
        credentials = {"authorization": "Basic " + base64.b64encode(b"twilio:pass").decode()}
        valid = Signature([b"12345"])
        asked = {"url": "https://example.com/x", HEADER: signature}
        valid.check(request({"a": 1}, **asked, **credentials))
        for other in ({}, {"authorization": "Basic ?"}, {"authorization": credentials["authorization"][:-4]}):
            if "@" in address:
                assert rejected(lambda other=other: valid.check(request({"a": 1}, **asked, **other))) == 403

    def test_another_token_is_refused(self):
        assert rejected(lambda: Signature([b"123456"]).check(signed())) == 403

    @pytest.mark.parametrize(
        ("address", "given"),
        [
            ("https://mycompany.com/x", "https://mycompany.com:443/x"),
            ("https://mycompany.com:443/x", "https://mycompany.com/x"),
            ("http://mycompany.com/x?a=1", "http://mycompany.com:80/x?a=1"),
            ("https://mycompany.com:8443/x", "https://mycompany.com:8443/x"),
        ],
    )
    def test_the_address_may_name_the_default_port_or_not(self, address, given, twilios):
        Signature([b"12345"]).check(signed(MESSAGE, url=given, signature=twilios(address, MESSAGE)))

    def test_signatures_cover_blank_repeated_and_non_latin_values(self, twilios):
        form = [("Body", "Ja, jeg støtter 🐯"), ("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b"), ("ToZip", "")]
        signature = twilios(URL, [("Body", form[0][1]), ("MediaUrl", "a"), ("MediaUrl", "b"), ("ToZip", "")])
        Signature([b"12345"]).check(signed(form, url=URL, signature=signature))

    def test_a_webhook_rule_may_sign_with_sha_256(self, twilios):
        signature = twilios(URL, MESSAGE, "sha256")
        Signature([b"12345"]).check(
            signed(MESSAGE, url=URL, signature=signature, settings="key=CR1,algorithm=HMAC_SHA256")
        )

    @given(st.binary(max_size=60), st.text(max_size=20), st.text(max_size=20))
    def test_no_bytes_raise_another_error(self, body, signature, algorithm):
        wrong = signed(body=body, signature=signature, settings=f"algorithm={algorithm}")
        assert rejected(lambda: Signature([b"12345"]).check(wrong)) == 403


@pytest.fixture
def twilios():
    """Twilio's signature of an address and a form, made apart from the adapter."""

    def make(address, form, algorithm="sha1"):
        pairs = sorted(form.items() if isinstance(form, dict) else form)
        text = address + "".join(f"{name}{value}" for name, value in pairs)
        return base64.b64encode(hmac.new(b"12345", text.encode(), algorithm).digest()).decode()

    return make


class TestReader:
    def test_a_message_is_read(self):
        event = read(MESSAGE)
        assert (event.shape, event.action, event.msisdn) == ("message", "Incoming Message", DONOR)
        assert (event.short_number, event.text, event.transaction_id) == ("+15005550009", "Thank you", "SM01")
        assert (event.verdict, event.known_to_provider) == (Verdict.NONE, None)
        assert event.occurred_at == NOW
        assert event.time_from_arrival
        assert event.properties["FromCity"] == "OSLO"
        assert KEY_FORM.fullmatch(event.key)

    @pytest.mark.parametrize(
        ("form", "verdict", "scope", "known"),
        [
            ({"Body": "STOP", "OptOutType": "STOP"}, Verdict.OPT_OUT, Scope.SHORT_NUMBER, True),
            (
                {"Body": "alto", "OptOutType": "STOP", "MessagingServiceSid": "MG1"},
                Verdict.OPT_OUT,
                Scope.PROVIDER,
                True,
            ),
            ({"Body": "Stopall"}, Verdict.OPT_OUT, None, True),
            ({"Body": "stop"}, Verdict.OPT_OUT, Scope.SHORT_NUMBER, True),
            ({"Body": "stopp", "MessagingServiceSid": "MG1"}, Verdict.OPT_OUT, Scope.PROVIDER, False),
            ({"Body": "STOP ALL"}, Verdict.OPT_OUT, Scope.PROVIDER, False),
            ({"Body": "KATT STOP"}, Verdict.OPT_OUT, None, False),
            ({"Body": "", "ButtonText": "Stop", "ButtonPayload": "x"}, Verdict.OPT_OUT, Scope.SHORT_NUMBER, False),
            ({"Body": "No", "ListTitle": "No", "ListId": "unsubscribe"}, Verdict.OPT_OUT, Scope.SHORT_NUMBER, False),
            ({"Body": "hola", "OptOutType": "START"}, Verdict.OPT_IN, None, None),
            ({"Body": "Start"}, Verdict.OPT_IN, None, None),
            ({"Body": "HELP", "OptOutType": "HELP"}, Verdict.NONE, None, None),
            ({"Body": ""}, Verdict.NONE, None, None),
        ],
    )
    def test_a_message_has_the_verdict_of_its_text_and_marks(self, form, verdict, scope, known):
        event = read({**MESSAGE, **form}, keywords={"katt": "KATT"})
        assert (event.verdict, event.known_to_provider) == (verdict, known)
        if scope is not None:
            assert event.opt_out_scope is scope

    def test_the_service_of_an_event_is_the_messaging_service_or_the_number(self):
        assert read(MESSAGE).service_id == read(REPORT, "dlr").service_id == "+15005550009"
        assert read({**MESSAGE, "MessagingServiceSid": "MG1"}).service_id == "MG1"

    def test_a_keyword_is_found_in_the_text(self):
        assert read({**MESSAGE, "Body": "katt stop"}, keywords={"katt": "KATT"}).keyword == "KATT"
        assert read({**MESSAGE, "Body": "Katt 100"}, keywords={"katt": "KATT"}).keyword == "KATT"

    @pytest.mark.parametrize(
        ("status", "result", "final"),
        [
            ("queued", Result.PENDING, False),
            ("sent", Result.PENDING, False),
            ("delivered", Result.OK, True),
            ("read", Result.OK, True),
            ("undelivered", Result.FAILED, True),
            ("failed", Result.FAILED, True),
            ("canceled", Result.FAILED, True),
            ("dreamt", Result.PENDING, False),
        ],
    )
    def test_each_status_has_its_result(self, status, result, final):
        event = read({**REPORT, "MessageStatus": status}, "dlr")
        assert (event.shape, event.status, event.result, event.final) == ("delivery_report", status, result, final)
        assert (event.msisdn, event.short_number, event.verdict) == (DONOR, "+15005550009", Verdict.NONE)
        assert event.occurred_at is None

    def test_error_21610_says_that_twilio_holds_a_stop(self):
        event = read({**REPORT, "MessageStatus": "failed", "ErrorCode": "21610"}, "dlr")
        assert (event.verdict, event.opt_out_scope) == (Verdict.OPT_OUT, Scope.SHORT_NUMBER)
        assert (event.known_to_provider, event.status_detail, event.occurred_at) == (True, "21610", NOW)
        assert read({**REPORT, "MessageStatus": " failed", "ErrorCode": "21610 "}, "dlr").verdict is Verdict.OPT_OUT

    def test_another_error_says_nothing_about_consent(self):
        event = read({**REPORT, "MessageStatus": "undelivered", "ErrorCode": "30003"}, "dlr")
        assert (event.verdict, event.status_detail) == (Verdict.NONE, "30003")

    def test_each_message_and_each_status_of_it_is_one_event(self):
        keys = [read(MESSAGE).key, read({**MESSAGE, "MessageSid": "SM09"}).key]
        keys += [read({**REPORT, "MessageStatus": status}, "dlr").key for status in ("sent", "delivered")]
        assert len(set(keys)) == 4
        assert read(MESSAGE).key == keys[0]

    @pytest.mark.parametrize(("form", "mine"), [(MESSAGE, "mo"), (REPORT, "dlr")])
    def test_what_a_webhook_holds_goes_before_the_endpoint_that_it_came_to(self, form, mine):
        assert read(form, "dlr") == read(form, "mo") == read(form, mine)
        assert read(form).shape == ("message" if mine == "mo" else "delivery_report")
        assert read(form, "dlr").msisdn == DONOR

    def test_a_json_body_is_read(self):
        body = json.dumps({**MESSAGE, "Body": "STOP", "NumMedia": 0}).encode()
        event = Reader(provider="twilio").read("mo", request(body=body))
        assert (event.verdict, event.msisdn, event.properties["NumMedia"]) == (Verdict.OPT_OUT, DONOR, "0")

    @pytest.mark.parametrize("said", [{"Body": "STOP"}, {"Body": "", "OptOutType": "STOP"}])
    def test_a_stop_without_an_id_counts_and_is_never_taken_for_a_repeat(self, said):
        form = {"From": "+15005550006", "To": "+15005550009", **said}
        later = Reader(provider="twilio").read("mo", replace(request(form), received_at=NOW + timedelta(seconds=1)))
        assert read(form).verdict is Verdict.OPT_OUT
        assert read(form).key != later.key

    def test_the_channel_in_front_of_a_number_is_removed(self):
        event = read({**MESSAGE, "From": "whatsapp:+15005550006", "To": "whatsapp:+15005550009"})
        assert (event.msisdn, event.short_number) == (DONOR, "+15005550009")

    def test_a_message_in_the_query_is_read(self):
        event = Reader(provider="twilio").read("mo", request(query=urlencode(MESSAGE)))
        assert (event.msisdn, event.text) == (DONOR, "Thank you")

    def test_a_sender_that_is_no_phone_number_is_nobody(self):
        assert read({**MESSAGE, "From": "MyBank"}).msisdn is None
        assert read({**MESSAGE, "From": ""}).msisdn is None

    @pytest.mark.parametrize(
        ("endpoint", "form", "why"),
        [
            ("mo", {}, "no MessageSid"),
            ("mo", {"MessageSid": ""}, "no MessageSid"),
            ("mo", {"MessageSid": "SM1", "Text": "STOP"}, "no Body"),
            ("dlr", {"MessageSid": "SM1"}, "no MessageStatus"),
        ],
    )
    def test_a_missing_parameter_is_named(self, endpoint, form, why):
        with pytest.raises(Unreadable) as caught:
            read(form, endpoint)
        assert caught.value.why == why

    def test_at_most_two_hundred_other_parameters_are_kept(self):
        event = read({**{f"X{number}": "1" for number in range(300)}, **MESSAGE})
        assert len(event.properties) == 200 + 4
        assert event.msisdn == DONOR


class TestProvider:
    def test_there_is_an_endpoint_for_messages_and_one_for_statuses_and_no_command(self):
        made = provider(name="texts")
        assert [(one.provider, one.name) for one in made.endpoints] == [("texts", "mo"), ("texts", "dlr")]
        assert made.sink is None
        assert not made.commands
        assert not commands(settings("open: true"))
        assert subscriptions("twilio", settings("open: true")) == ()

    def test_the_answer_is_empty_twiml_so_that_the_donor_gets_no_message(self):
        for one in provider().endpoints:
            answer = one.answer(None, None)
            assert (answer.status, answer.body) == (200, b"<Response/>")
            assert answer.content_type.startswith("text/xml")

    def test_only_a_signed_request_is_accepted(self):
        endpoint = provider("auth_tokens: [{env: A}, {env: B}]").endpoints[0]
        assert isinstance(endpoint, TwilioEndpoint)
        assert endpoint.signature.tokens == [b"the A", b"the B"]
        assert rejected(lambda: ask(lambda http: endpoint.authenticate(http, request(MESSAGE)))) == 403
        assert rejected(lambda: endpoint.check_head(request())) == 403
        assert endpoint.check_head(signed(body=b"")) is False

    def test_a_path_secret_is_checked_beside_the_signature(self):
        endpoint = provider("{auth_tokens: [{env: A}], path_secrets: [{env: S}]}").endpoints[0]
        assert rejected(lambda: endpoint.check_head(signed(body=b"", secret="wrong"))) == 401
        assert endpoint.check_head(signed(body=b"", secret="the S")) is True

    def test_an_open_endpoint_accepts_everybody(self):
        endpoint = provider().endpoints[0]
        assert endpoint.check_head(request()) is False
        assert ask(lambda http: endpoint.authenticate(http, request(MESSAGE)))[0] == AuthResult()

    def test_a_stored_callback_can_be_read_again(self):
        endpoint = provider().endpoints[0]
        (first,) = endpoint.read(request(MESSAGE), AuthResult())
        (again,) = endpoint.read(request(body=first.raw), AuthResult())
        assert again.event == first.event

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{}", "anybody could send events"),
            ("{open: true, auth_tokens: [{env: A}]}", "contradicts"),
            ("{open: true, region: Norway}", "two-letter code of a country"),
            ("{auth_tokens: [{env: A}, {env: B}, {env: C}]}", "at most 2"),
        ],
    )
    def test_a_wrong_setting_is_reported(self, text, said):
        with pytest.raises(ProblemsFound) as caught:
            settings(text)
        assert any(said in str(problem) for problem in caught.value.problems), caught.value.problems

    def test_the_cure_for_no_authenticator_names_the_signature(self):
        with pytest.raises(ProblemsFound) as caught:
            settings("{}")
        assert "path_secrets, basic_auth, addresses, auth_tokens; or say `open: true`" in caught.value.problems[0].hint

    def test_every_sample_is_an_opt_out(self):
        samples = opt_out_samples("twilio", settings("open: true"))
        assert [one.event.verdict for one in samples] == [Verdict.OPT_OUT] * 4
        assert {one.event.shape for one in samples} == set(SHAPES)
        assert {one.event.action for one in samples} == set(ENDPOINTS.values())


class TestMapping:
    @pytest.fixture
    def loaded(self, tmp_path):
        block = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
        made = load(yaml_document.parse(block, "config.yaml"), CONFIG)
        for name in FILES:
            (tmp_path / name).write_text((MORE / name).read_text())
        return LoadedConfig(path=tmp_path / "config.yaml", settings=made)

    def rules(self, loaded):
        return load_mappings(loaded.base, mapping_context(loaded))

    def test_the_mapping_fits_the_config_of_the_docs_page_and_its_tests_pass(self, loaded):
        rules = self.rules(loaded)
        assert rules.warnings == ()
        results = list(run_rule_tests(rules))
        assert [result for result in results if result.differences] == []
        assert {result.file for result in results} == set(FILES)

    def test_the_shipped_mapping_loses_no_opt_out(self, loaded):
        refuse_lost_opt_outs(self.rules(loaded), opt_outs(loaded))

    def test_a_rule_that_misses_opt_outs_is_refused(self, loaded):
        wrong = (
            (MORE / "twilio.yaml").read_text().partition("\ntests:")[0].replace("verdict: opt_out", "verdict: none", 1)
        )
        (loaded.base / "twilio.yaml").write_text(wrong + "\n")
        with pytest.raises(ProblemsFound) as caught:
            refuse_lost_opt_outs(self.rules(loaded), opt_outs(loaded))
        assert any("a Twilio message STOP" in str(problem) for problem in caught.value.problems)

    def test_each_rule_has_a_test(self, loaded):
        for file in self.rules(loaded).files:
            assert {rule.name for rule in file.rules} == {case.expect.rule for case in file.cases}


def test_an_unescaped_plus_and_blanks_do_not_change_who_is_meant():
    by = Reader(provider="twilio")
    event = by.read("mo", request(query="MessageSid=S&From=+15005550006&To=+15005550009&Body=hi&OptOutType=+Stop+"))
    assert (event.msisdn, event.short_number, event.service_id) == (DONOR, "+15005550009", "+15005550009")
    assert event.verdict is Verdict.OPT_OUT
    assert by.read("mo", request(query="MessageSid=S&From=+15005550006&To=+12345&Body=hi")).short_number == "12345"
