"""Values of Strex with blanks, invisible characters or another spelling mean what they look like, in the shipped rules too."""

from datetime import UTC, datetime

import orjson
import pytest

from connector.model.errors import Unreadable
from connector.model.event import Result, Verdict
from connector.providers.strex.callback import Reader

READER = Reader(provider="strex", keywords={"katt": "KATT"})
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NUMBER = "+4790000001"


def report(action="Recurring", status="Ok", **properties):
    body = {"transactionId": "t", "sender": "2002", "recipient": NUMBER, "statusCode": status}
    return body | {"properties": {"SystemAction": action, "Keyword": "KATT", **properties}}


def message(content="hei", **members):
    return {"transactionId": "t", "sender": NUMBER, "recipient": "2002", "content": content} | members


def read(body):
    return READER.delivery_report(orjson.dumps(body), NOW)


@pytest.mark.parametrize("written", ["Recurring ", "\u200bRecurring", "Re-curring", "RECURRING-", "recurring\u00ad"])
def test_a_known_action_has_its_documented_name_so_that_rules_find_it(written):
    assert read(report(written)).action == "Recurring"


@pytest.mark.parametrize("written", ["Sign up", "SIGN_UP", "sign-up", "Signup\u00a0"])
def test_the_verdict_and_the_name_of_an_action_belong_together(written):
    event = read(report(written))
    assert (event.action, event.verdict) == ("Signup", Verdict.OPT_IN)


@pytest.mark.parametrize("name", ["Lottery Won", "RECURRING"])
def test_any_other_name_is_kept(name):
    assert read(report(name)).action == name


@pytest.mark.parametrize("written", ["Ok", " Ok", "Ok\n", "O\u200bk", "\uff2fk"])
def test_a_status_is_read_by_its_letters(written):
    event = read(report(status=written))
    assert (event.status, event.result, event.final) == ("Ok", Result.OK, True)


def test_an_unknown_status_is_kept_and_is_not_final():
    event = read(report(status=" Parked 7 "))
    assert (event.status, event.result, event.final) == ("Parked 7", Result.PENDING, False)


@pytest.mark.parametrize("written", [" 2002 ", "NO-2002", "no-2002", 2002])
def test_a_short_number_is_the_same_in_each_of_its_forms(written):
    assert read(report() | {"sender": written}).short_number == "2002"
    assert read(message(recipient=written)).short_number == "2002"


def test_ids_and_keywords_lose_the_blanks_around_them():
    event = read(report(Keyword=" KATT ", SubscriberTransactionId="s-1 ", ServiceId=" d-1"))
    assert (event.keyword, event.subscription_id, event.service_id) == ("KATT", "s-1", "d-1")


@pytest.mark.parametrize("name", ["isStopMessage", "IsStopMessage", "is_stop_message"])
def test_strex_word_about_a_stop_counts_among_the_properties_too(name):
    assert read(message(properties={name: "true"})).verdict is Verdict.OPT_OUT
    assert read(message(properties={name: False})).verdict is Verdict.NONE


def test_an_undocumented_action_that_may_opt_out_is_a_question_in_a_message_too():
    assert read(message(properties={"SystemAction": "OptedOut"})).verdict is Verdict.MAYBE_STOP
    assert read(message("STOPP", properties={"SystemAction": "OptedOut"})).verdict is Verdict.OPT_OUT


@pytest.mark.parametrize("name", ["NewPrice", "Price"])
@pytest.mark.parametrize(
    ("written", "amount"),
    [("250 kr", 250), ("kr 250,-", 250), ("1.250,50", 1250.5), ("250", 250), ([250], 250), (250.5, 250.5), ("0", 0)],
)
def test_a_new_amount_is_a_number_in_whatever_form_it_comes(name, written, amount):
    event = read(report("AlterPrice", **{name: written}))
    assert (event.properties[name], event.unread_price) == (amount, None)


@pytest.mark.parametrize("written", ["1.250", "1,250", "25000 øre", "free", -5])
def test_a_new_amount_that_is_not_clear_is_for_a_person(written):
    assert read(report("AlterPrice", NewPrice=written)).unread_price == str(written)


def test_a_property_of_that_name_is_kept_in_other_reports():
    event = read(report("Recurring", Price="1.250"))
    assert (event.properties["Price"], event.unread_price) == ("1.250", None)
    assert read(report("AlterPrice", NewPrice="")).unread_price is None


@pytest.mark.parametrize("written", ["100 SEK", "EUR 100", "€100", "100 dkk"])
def test_an_amount_in_another_currency_is_for_a_person(written):
    event = read(report() | {"price": written})
    assert (event.price, event.currency, event.unread_price) == (None, None, written)
    assert read(report() | {"price": "100 NOK"}).price == 100


@pytest.mark.parametrize("value", [{"value": "Unsubscribe"}, ["Unsubscribe", "Recurring"], True])
def test_a_report_whose_action_or_status_is_no_text_is_unreadable(value):
    with pytest.raises(Unreadable, match="SystemAction is not a text"):
        read(report(value))
    with pytest.raises(Unreadable, match="statusCode is not a text"):
        read(report(status=value))


@pytest.mark.parametrize("value", [None, "", " ", [], {}])
def test_a_report_without_an_action_or_a_status_is_read(value):
    assert read(report(value)).action is None
    assert read(report("Unsubscribe", status=value)).verdict is Verdict.OPT_OUT


@pytest.mark.parametrize(
    "name", ["System Action", "system-action", " SystemAction ", "SystemAction\u200b", "system_action"]
)
def test_blanks_and_hyphens_in_a_property_name_do_not_matter(name):
    body = report() | {"properties": {name: "Unsubscribe", "Keyword ": "KATT"}}
    assert (read(body).verdict, read(body).keyword) == (Verdict.OPT_OUT, "KATT")
    assert read(body).properties == body["properties"]
