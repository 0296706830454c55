"""One callback for each endpoint, as the provider sends it: HTTP/1.1, whole, each with an identity of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from scene import SECRETS, number, report, scattered

PEOPLE = 1000
SECRET = SECRETS["HOOK_SECRET"]

MESSAGE = (
    '{"transactionId":"%08x-7baf-4869-b083-%012d","keywordId":"12345678","sender":"%s","recipient":"2002","content":"KATT hello",'
    '"isStopMessage":false,"processAttempts":1,"created":"2026-01-02T03:04:05.1234567+00:00","tags":[],"properties":'
    '{"ServiceType":"Subscription","ServiceId":"d2455b83-f471-4f8e-9332-2387b23adbhd","Keyword":"KATT","AccountId":4828}}'
)
SMS_MO = (
    '[{"messageGuid":"%08x-7baf-4869-b083-%012d","createdTs":"2026-02-10 13:33:23 +0100","channel":"1217","keyword":"GIFT",'
    '"receivedText":"Gift","keywordGuid":"3b03ac9a-7baf-4869-b083-000000000001","state":"Processed","msisdn":"%s",'
    '"merchantId":"an_organisation","campaignGuid":"9b6ae17d-7baf-4869-b083-000000000001","processedTs":"2026-02-10 13:33:23 +0100"}]'
)
GATEWAY = (
    "action=mpush_ir_message&message_id=%d%08d&id=%d&billing=MT&country=NO&number=%s&network=TELENORNO&shortcode=2172"
    "&message=hello+world"
)
FORM = (
    "country=USA&shortcode=84700&key=SOMEKEY&mobile=212555%04d&carrierId=VERIZONUS&Name=Bill+%d&DOB=1/1/2000&Zip=10024"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How callbacks come to one endpoint. `make` writes one with a serial: what stands behind `?`, and the body."""

    path: str
    method: str
    make: Callable[[int], tuple[str, bytes]]
    content_type: str = "application/json"

    def bytes(self, host: str, serial: int) -> bytes:
        """The whole request."""
        query, body = self.make(serial)
        head = f"{self.method} {self.path}{'?' if query else ''}{query} HTTP/1.1\r\nHost: {host}\r\n"
        if self.method == "POST":
            head += f"Content-Type: {self.content_type}\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body


def _strex_message(serial: int) -> tuple[str, bytes]:
    return "", (MESSAGE % (scattered(serial), serial, number(serial % PEOPLE))).encode()


def _strex_report(serial: int) -> tuple[str, bytes]:
    return "", report(serial, serial % PEOPLE)


def _sumotext(serial: int) -> tuple[str, bytes]:
    return FORM % (serial % PEOPLE, serial), b""


def _onlinefundraising(serial: int) -> tuple[str, bytes]:
    return "", (SMS_MO % (scattered(serial), serial, number(serial % PEOPLE)[1:])).encode()


def _messagecloud(serial: int) -> tuple[str, bytes]:
    return "", (GATEWAY % (scattered(serial), serial, serial, number(serial % PEOPLE)[1:])).encode()


CALLS = {
    "strex/dlr": Call(path=f"/hooks/strex/dlr/{SECRET}", method="POST", make=_strex_report),
    "strex/mo": Call(path=f"/hooks/strex/mo/{SECRET}", method="POST", make=_strex_message),
    "sumotext/crm": Call(path=f"/hooks/sumotext/crm/{SECRET}", method="GET", make=_sumotext),
    "onlinefundraising/sms": Call(
        path=f"/hooks/onlinefundraising/sms/{SECRET}", method="POST", make=_onlinefundraising
    ),
    "messagecloud/mo": Call(
        path=f"/hooks/messagecloud/mo/{SECRET}",
        method="POST",
        make=_messagecloud,
        content_type="application/x-www-form-urlencoded",
    ),
}
