"""Opt-outs as Sumotext sends them: parameters like those in its documents. The reader for real callbacks turns them into events.

Sources: "CRM API Callback"; Sumotext-API-Guide-Legacy, receiving-post-data.md and receiving-mo.md.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

from connector.model.event import Verdict
from connector.providers.samples import OptOutSample, sample_request
from connector.providers.sumotext.callback import Reader

# The subscriber of the document's example, and what each callback says about it.
COMMON = {"country": "USA", "shortcode": "84700", "mobile": "2125551212", "carrier": "VERIZONUS"}
KEYWORD = "SOMEKEY"
STOPS = (
    ("a Sumotext web form with the message STOP", "crm", {"key": KEYWORD, "msg": "STOP", "Name": "Bill"}),
    ("a Sumotext Text-4-Info message STOP", "text4info", {"lead": KEYWORD, "msg": "STOP"}),
    ("a Sumotext message STOP", "mo", {"smsid": "1000001", "msg": "STOP"}),
    (f"a Sumotext message {KEYWORD} STOP", "mo", {"smsid": "1000002", "key": KEYWORD, "msg": f"{KEYWORD} STOP"}),
    ("a Sumotext message STOP ALL", "mo", {"smsid": "1000003", "msg": "STOP ALL"}),
    ("the answer STOP to a Sumotext poll", "poll", {"key": "FB1", "reply": "STOP", "label": "Tampa"}),
)


def opt_out_samples(reader: Reader) -> Iterator[OptOutSample]:
    """Every kind of opt-out that the reader recognises."""
    for name, endpoint, parameters in STOPS:
        request = sample_request(reader.provider, endpoint, query=urlencode({**COMMON, **parameters}))
        event = reader.read(endpoint, request)
        if event.verdict is Verdict.OPT_OUT:
            yield OptOutSample(name=name, event=event)
