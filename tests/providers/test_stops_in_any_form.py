"""The documented STOP of each provider, changed in ways that do not change its meaning, is an opt-out of its sender."""

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from providers.messagecloud_requests import request
from providers.test_form_parameters import multipart

from connector.model.event import Part, Verdict
from connector.ports import AuthResult
from connector.providers.form_endpoint import FormEndpoint
from connector.providers.messagecloud.gateway import Reader as MessageCloudReader
from connector.providers.onlinefundraising.webhook import Reader as OnlineFundraisingReader
from connector.providers.onlinefundraising.webhook import SmsEndpoint
from connector.providers.strex.callback import Reader as StrexReader
from connector.providers.strex.endpoints import MessageEndpoint, ReportEndpoint
from connector.providers.sumotext.callback import Reader as SumotextReader
from connector.providers.sumotext.deduplicate import Deduplicator
from connector.providers.twilio.callback import Reader as TwilioReader

NORWEGIAN, AMERICAN = ("+4790000001", "4790000001", "004790000001"), ("2125551212", "12125551212", "(212) 555-1212")
STOPS = ("STOP", "stop", " Stopp! ", "STOP\u200b", "S.T.O.P", "stop 😢")
SUMOTEXT = SumotextReader(provider="sumotext", deduplicator=Deduplicator(window=timedelta(minutes=10)))
KEYWORDS = {"katt": "KATT"}
STREX = StrexReader(provider="strex", keywords=KEYWORDS)
MESSAGECLOUD = MessageCloudReader(provider="messagecloud", keywords=KEYWORDS)
TWILIO = TwilioReader(provider="twilio")
# Parameters: the endpoint, what must be there, what may be missing, and whether names may come in any case.
FORMS = {
    "messagecloud/mo": (
        FormEndpoint(name="mo", reader=MESSAGECLOUD),
        {"number": NORWEGIAN, "message": (*STOPS, "STOP KATT", "KATT STOPP", "ask puregaming stop")},
        {"action": ("mpush_ir_message",), "id": ("7",), "shortcode": ("2172", ""), "country": ("NO", "")},
        True,
    ),
    "sumotext/crm": (
        FormEndpoint(name="crm", reader=SUMOTEXT),
        {"mobile": AMERICAN, "msg": STOPS},
        {"country": ("USA", "US", "United States", ""), "shortcode": ("84700",), "key": ("K",), "Name": ("Bill",)},
        True,
    ),
    "sumotext/poll": (
        FormEndpoint(name="poll", reader=SUMOTEXT),
        {"mobile": AMERICAN, "reply": STOPS},
        {"carrier": ("VERIZONUS",), "shortcode": ("84700",), "key": ("FB1",), "label": ("Tampa",)},
        True,
    ),
    "sumotext/text4info": (
        FormEndpoint(name="text4info", reader=SUMOTEXT),
        {"mobile": AMERICAN, "msg": STOPS},
        {"lead": ("K",)},
        True,
    ),
    "twilio/mo": (
        FormEndpoint(name="mo", reader=TWILIO),
        {"From": ("+4790000001", "whatsapp:+4790000001"), "Body": STOPS},
        {"MessageSid": ("SM1",), "To": ("+15005550009", "12345"), "OptOutType": ("STOP", ""), "NumMedia": ("0",)},
        False,
    ),
}
PROPERTIES = {"SystemAction": "Unsubscribe", "Keyword": "KATT", "AccountId": 4828, "myproperty": "custom value"}
OBJECTS = {
    "strex/mo": (
        MessageEndpoint(reader=STREX),
        {"sender": NORWEGIAN, "content": (*STOPS, "KATT STOPP")},
        {"transactionId": ("t", 7, None), "recipient": ("2002", 2002), "isStopMessage": (True, False, None)}
        | {"properties": ({"Keyword": "KATT"}, None, [], "")},
    ),
    "strex/dlr": (
        ReportEndpoint(reader=STREX),
        {
            "recipient": NORWEGIAN,
            "properties": (
                PROPERTIES,
                json.dumps(PROPERTIES),
                [{"name": n, "value": v} for n, v in PROPERTIES.items()],
            ),
        },
        {"transactionId": ("t", 7, None), "sender": ("2002",), "statusCode": ("Ok", "Sent", "Failed", "Reversed")},
    ),
    "onlinefundraising/sms": (
        SmsEndpoint(reader=OnlineFundraisingReader(provider="onlinefundraising")),
        {"messageGuid": ("g",), "msisdn": ("4520123456", 4520123456), "receivedText": (*STOPS, "TIFO STOP")}
        | {"keyword": ("TIFO", "tifo")},
        {"createdTs": ("2021-02-10 13:33:23 +0100", None), "channel": ("1217", 1217), "state": ("Error",)},
    ),
}


def opted_out(endpoint, **asked):
    (read,) = endpoint.read(request(**asked), AuthResult())
    event = read.event if isinstance(read, Part) else read
    return event is not None and event.verdict is Verdict.OPT_OUT and event.msisdn.e164


@st.composite
def fields(draw, required, optional, *, any_case):
    """Some of the optional fields beside the required ones, in any order, with names in any case."""
    there = [*required, *draw(st.lists(st.sampled_from(list(optional)), unique=True))]
    chosen = {}
    for name in draw(st.permutations(there)):
        spelled = draw(st.sampled_from((name, name.lower(), name.upper()))) if any_case else name
        chosen[spelled] = draw(st.sampled_from((required | optional)[name]))
    return chosen


@pytest.mark.parametrize("name", FORMS)
@given(st.data())
def test_a_stop_is_an_opt_out_in_any_form_of_body(name, data):
    endpoint, required, optional, any_case = FORMS[name]
    chosen = data.draw(fields(required, optional, any_case=any_case)) | {"unknown": "æ"}
    encoded = urlencode(chosen)
    asked = data.draw(
        st.sampled_from(
            [
                {"query": encoded},
                {"body": encoded.encode()},
                {"body": encoded.encode(), "query": "source=1"},
                {"body": json.dumps(chosen).encode()},
                {"body": json.dumps(chosen, ensure_ascii=False).encode("utf-8-sig")},
                {"body": multipart(chosen)},
            ]
        )
    )
    assert opted_out(endpoint, **asked) == ("+12125551212" if "mobile" in required else "+4790000001")


@pytest.mark.parametrize("name", OBJECTS)
@given(st.data())
def test_a_stop_is_an_opt_out_in_any_spelling_of_the_json_names(name, data):
    endpoint, required, optional = OBJECTS[name]
    chosen = data.draw(fields(required, optional, any_case=True))
    text = json.dumps(data.draw(st.sampled_from((chosen, [chosen]))), ensure_ascii=False)
    body = text.encode(data.draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16"))))
    assert opted_out(endpoint, body=body) == ("+4520123456" if "msisdn" in required else "+4790000001")
