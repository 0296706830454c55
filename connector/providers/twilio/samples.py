"""Opt-outs as Twilio sends them: forms like those in its documents. The reader for real webhooks turns them into events."""

from collections.abc import Iterator
from urllib.parse import urlencode

from connector.providers.samples import OptOutSample, sample_request
from connector.providers.twilio.callback import UNSUBSCRIBED, Reader

SID = "SM00000000000000000000000000000001"
MESSAGE = {"MessageSid": SID, "From": "+15005550006", "To": "+15005550009", "NumMedia": "0"}
REPORT = {"MessageSid": SID, "To": "+15005550006", "From": "+15005550009"}
STOPS = (
    ("a Twilio message STOP with OptOutType", "mo", {**MESSAGE, "Body": "STOP", "OptOutType": "STOP"}),
    ("a Twilio message STOP", "mo", {**MESSAGE, "Body": "STOP"}),
    ("a Twilio message STOP ALL", "mo", {**MESSAGE, "Body": "STOP ALL"}),
    ("a Twilio status with ErrorCode 21610", "dlr", {**REPORT, "MessageStatus": "failed", "ErrorCode": UNSUBSCRIBED}),
)


def opt_out_samples(reader: Reader) -> Iterator[OptOutSample]:
    """Every kind of opt-out that Twilio sends."""
    for name, endpoint, parameters in STOPS:
        request = sample_request(reader.provider, endpoint, body=urlencode(parameters).encode())
        yield OptOutSample(name=name, event=reader.read(endpoint, request))
