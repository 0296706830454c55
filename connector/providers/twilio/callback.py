"""Reads a webhook of Twilio as an event: an incoming message, or the status of an outgoing one.

endpoints.py authenticates the sender.

Sources: twilio.com/docs/messaging/guides/webhook-request (incoming messages), …/guides/track-outbound-message-status
(status callbacks) and …/api/message-resource (statuses); help.twilio.com, "How to Track Opt-Out, Opt-In and Help
Messages Using the OptOutType Parameter"; twilio.com/docs/api/errors/21610 and 57012 (JSON). Forms are usual; a GET has
the same parameters in its query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.consent.opt_out_table import START_WORDS
from connector.consent.opt_out_words import STANDARD, OptOutWords, Reading, leading_keyword, normalized
from connector.model.consent import Scope
from connector.model.errors import Unreadable
from connector.model.event import Event, Result, Verdict, event_key
from connector.model.http import HttpRequest
from connector.model.phone import NumberFormat, Phone, parse_phone
from connector.providers.form_parameters import text_parameters
from connector.providers.missing_id import made_up_id
from connector.providers.twilio.settings import REGION

MESSAGE, REPORT = "Incoming Message", "Message Status"
ENDPOINTS = {"mo": MESSAGE, "dlr": REPORT}  # by the endpoint's name, the action of its events
# The parameters that become fields of the event; all others are kept as properties.
NAMES = frozenset(
    {"messagesid", "smssid", "from", "to", "body", "messagestatus", "smsstatus", "errorcode", "optouttype"}
)
SINGLE = frozenset({"from", "to", "body"})  # persons and text: two values of one of these are unreadable
CHOICES = ("ButtonText", "ButtonPayload", "ListTitle", "ListId")  # of an answer by button or list, on WhatsApp and RCS
# Message resource, "Message status values". An unknown one is pending and not final.
RESULTS = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), (Result.PENDING, False)),
    **dict.fromkeys(("delivered", "read"), (Result.OK, True)),
    **dict.fromkeys(("undelivered", "failed", "canceled"), (Result.FAILED, True)),
}
UNKNOWN_STATUS = (Result.PENDING, False)
UNSUBSCRIBED = "21610"  # "Attempt to send to unsubscribed recipient": Twilio holds a STOP of this person
LONGEST_SHORT_CODE = 6  # digits
# The words that Twilio itself acts on, if the whole message is one of them and the account has not changed the list.
TWILIOS_STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "revoke"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the webhooks of one configured account.

    What a person joins and leaves at Twilio is a Messaging Service, or a number without one: that is the `service_id`.
    """

    provider: str
    keywords: Mapping[str, str] = field(default_factory=dict)  # the configured keywords: keywords_by_form()
    words: OptOutWords = STANDARD
    region: str = REGION  # region of numbers without a country code

    def read(self, endpoint: str, request: HttpRequest) -> Event:
        """The event of a webhook at one of ENDPOINTS; raises Unreadable."""
        given = text_parameters(request, documented=NAMES, single=SINGLE)
        own_id = given.get("MessageSid") or given.get("SmsSid")
        if _is_report(endpoint, given):
            if not own_id:
                raise Unreadable("no MessageSid")
            return self._report(own_id, given, request)
        return self._message(own_id or _made_up_id(given, request), given, request)

    def _message(self, own_id: str, given: Mapping[str, str], request: HttpRequest) -> Event:
        text = given.get("Body")
        if text is None and not given.get("OptOutType"):
            raise Unreadable("no Body")  # the text may stand elsewhere, and may be a stop
        reading = self._read_consent(text, given)
        return Event(
            key=event_key(self.provider, "mo", own_id),
            provider=self.provider,
            shape="message",
            received_at=request.received_at,
            verdict=reading.verdict,
            action=MESSAGE,
            msisdn=self._number(given.get("From")),
            keyword=reading.keyword or leading_keyword(text, self.keywords),
            service_id=given.get("MessagingServiceSid") or _address(given.get("To")),
            short_number=_address(given.get("To")),
            text=text,
            transaction_id=own_id,
            # A webhook has no time. A message was sent before it arrived, so in doubt an opt-out counts as the later one.
            occurred_at=request.received_at,
            time_from_arrival=True,
            properties=given,
            opt_out_scope=reading.scope,
            known_to_provider=_twilio_says_stop(text, given) if reading.verdict is Verdict.OPT_OUT else None,
        )

    def _report(self, own_id: str, given: Mapping[str, str], request: HttpRequest) -> Event:
        status = (given.get("MessageStatus") or given.get("SmsStatus") or "").strip()
        if not status:
            raise Unreadable("no MessageStatus")
        result, final = RESULTS.get(status.lower(), UNKNOWN_STATUS)
        unsubscribed = given.get("ErrorCode", "").strip() == UNSUBSCRIBED
        return Event(
            # One message has several reports, in any order. Each is an event of its own; its repeats are recognised.
            key=event_key(self.provider, "dlr", own_id, status.lower()),
            provider=self.provider,
            shape="delivery_report",
            received_at=request.received_at,
            verdict=Verdict.OPT_OUT if unsubscribed else Verdict.NONE,
            action=REPORT,
            msisdn=self._number(given.get("To")),
            service_id=given.get("MessagingServiceSid") or _address(given.get("From")),
            short_number=_address(given.get("From")),
            status=status,
            status_detail=given.get("ErrorCode"),
            result=result,
            final=final,
            transaction_id=own_id,
            occurred_at=request.received_at if unsubscribed else None,
            time_from_arrival=unsubscribed,
            properties=given,
            opt_out_scope=_stop_scope(given) if unsubscribed else None,
            known_to_provider=True if unsubscribed else None,
        )

    def _read_consent(self, text: str | None, given: Mapping[str, str]) -> Reading:
        """What a message says about consent: Twilio's own word about it first, then the text.

        Without Advanced Opt-Out there is no OptOutType; then the words that mean joining count as a whole message.
        """
        match given.get("OptOutType", "").strip().upper():
            case "STOP":
                return Reading(Verdict.OPT_OUT, _stop_scope(given))
            case "START":
                return Reading(Verdict.OPT_IN)
        if text and normalized(text) in START_WORDS:
            return Reading(Verdict.OPT_IN)
        reading = self.words.read(text, keywords=self.keywords)
        if reading.verdict is not Verdict.OPT_OUT:
            chosen = (self.words.read(given.get(name), keywords=self.keywords) for name in CHOICES)
            reading = next((one for one in chosen if one.verdict is Verdict.OPT_OUT), reading)
        if reading.verdict is Verdict.NONE or reading.scope is not None or reading.keyword is not None:
            return reading
        return Reading(reading.verdict, _stop_scope(given))

    def _number(self, address: str | None) -> Phone | None:
        return parse_phone(_address(address), number_format=NumberFormat.INTERNATIONAL, region=self.region)


def _is_report(endpoint: str, given: Mapping[str, str]) -> bool:
    """Whether this is a status callback: what it holds goes before the endpoint that it came to.

    Only messages have a Body, and only status callbacks a MessageStatus. In the Console both addresses are on one page.
    """
    if ("Body" in given) is ("MessageStatus" in given):
        return endpoint == "dlr"
    return "MessageStatus" in given


def _made_up_id(given: Mapping[str, str], request: HttpRequest) -> str:
    """The id of a message that has none: a stop must count. Twilio sends no time, so it is never taken for a repeat."""
    if not given.get("From") or not (given.get("Body") or given.get("OptOutType")):
        raise Unreadable("no MessageSid")
    return made_up_id(given["From"], given.get("To"), given.get("Body"), request.received_at.isoformat())


def _address(address: str | None) -> str | None:
    """A number or short code without its channel: `whatsapp:+4790000001`, `rcs:…`.

    The plus of a number that was not escaped has been decoded to a blank.
    """
    if not address:
        return None
    written = address.rpartition(":")[2]
    plain = written.strip()
    if written.startswith(" ") and len(plain) > LONGEST_SHORT_CODE and plain.isdecimal():
        return "+" + plain
    return plain or None


def _stop_scope(given: Mapping[str, str]) -> Scope:
    """How far a stop reaches: Twilio applies it to the number that it was sent to, or to all senders of a Messaging Service."""
    return Scope.PROVIDER if given.get("MessagingServiceSid") else Scope.SHORT_NUMBER


def _twilio_says_stop(text: str | None, given: Mapping[str, str]) -> bool:
    """Whether Twilio treated the message as an opt-out itself, and sends nothing more to the number."""
    return bool(given.get("OptOutType")) or (text or "").strip().lower() in TWILIOS_STOP_WORDS
