"""Reads what the gateway sends (messages from phones and delivery reports) as events.

The endpoints for donors are in web_endpoints.py.

Sources: docs.messagecloud.com, articles 16 (receiving a message), 19 (delivery reports) and 74 (STOP); "Strex Norway
with One-click Subscriptions", Transaction Flow. Forms are documented, but queries have been seen too. Every form of
parameters is read, and merged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.consent.opt_out_words import NOTHING, STANDARD, OptOutWords, Reading, leading_keyword
from connector.model.consent import Scope
from connector.model.country import region_of
from connector.model.errors import Unreadable
from connector.model.event import Event, Verdict, event_key
from connector.model.http import HttpRequest
from connector.model.phone import NumberFormat, Phone, parse_phone
from connector.providers.form_parameters import text_parameters
from connector.providers.messagecloud.settings import REGION
from connector.providers.messagecloud.statuses import status_of
from connector.providers.missing_id import made_up_id

MESSAGE, REPORT = "mpush_ir_message", "mp_report"  # article 16 and 19, `action`
# The action that is assumed when a callback names none, and its parameters do not tell what it is.
ENDPOINTS = {"mo": MESSAGE, "dlr": REPORT}
# The documented parameters that are read here, in any order among the others.
NAMES = frozenset(
    {"action", "id", "message_id", "message", "keyword", "number", "country", "shortcode", "report", "reason_id"}
)
SINGLE = frozenset({"number", "message"})  # person and text: two values of one of these are unreadable
ASK = "ask"  # article 74: `ask NAME stop`


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the callbacks of one configured account."""

    provider: str
    keywords: Mapping[str, str] = field(default_factory=dict)  # the configured keywords: keywords_by_form()
    words: OptOutWords = STANDARD
    region: str = REGION  # region of numbers without a country code

    def read(self, endpoint: str, request: HttpRequest) -> Event:
        """The event of a callback at one of ENDPOINTS; raises Unreadable."""
        given = text_parameters(request, documented=NAMES, single=SINGLE)
        if not given:
            raise Unreadable("empty")
        known = {name.lower(): value.strip() for name, value in reversed(given.items()) if value.strip()}
        if len(known) < len(given):
            _refuse_two_values(known, given)
        action = known.get("action") or _assumed_action(endpoint, known)
        # The documents give both names for the same value.
        own_id = known.get("id") or known.get("message_id")
        if action.lower() == REPORT:
            if own_id is None:
                raise Unreadable("no id")
            return self._report(own_id, action, known, given, request.received_at)
        own_id = own_id or _made_up_id(known, request.received_at)
        return self._message(own_id, action, known, given, request.received_at)

    def _message(
        self, own_id: str, action: str, known: Mapping[str, str], given: Mapping[str, str], received_at: datetime
    ) -> Event:
        text = known.get("message")
        keyword = known.get("keyword")
        reading = self._stop(text, keyword) if text else self._stop_of_keyword(keyword)
        if reading.verdict is not Verdict.OPT_OUT and all(name.lower() != "message" for name in given):
            raise Unreadable("no message")  # the text may stand elsewhere, and may be a stop
        event_keyword = reading.keyword
        if reading.verdict is not Verdict.OPT_OUT:
            event_keyword = event_keyword or keyword or leading_keyword(text, self.keywords)
        return Event(
            key=event_key(self.provider, "mo", own_id),
            provider=self.provider,
            shape="message",
            received_at=received_at,
            verdict=reading.verdict,
            action=action,
            msisdn=_number(known, self.region),
            keyword=event_keyword,
            short_number=known.get("shortcode"),
            text=text,
            transaction_id=own_id,
            # The gateway sends no time. A message was sent before it arrived, so in doubt an opt-out counts as the
            # later one.
            occurred_at=received_at,
            time_from_arrival=True,
            properties=given,
            opt_out_scope=reading.scope,
        )

    def _report(
        self, own_id: str, action: str, known: Mapping[str, str], given: Mapping[str, str], received_at: datetime
    ) -> Event:
        status = known.get("report")
        if status is None:
            raise Unreadable("no report")
        detail = known.get("reason_id")
        meaning = status_of(status)
        return Event(
            # One message has several reports, in any order. Each is an event of its own, and its repeats are
            # recognised.
            key=event_key(self.provider, "dlr", own_id, status.upper()),
            provider=self.provider,
            shape="delivery_report",
            received_at=received_at,
            action=action,
            msisdn=_number(known, self.region),
            keyword=known.get("keyword"),
            short_number=known.get("shortcode"),
            status=status,
            status_detail=detail,
            result=meaning.result,
            final=meaning.final,
            transaction_id=own_id,
            properties=given,
        )

    def _stop_of_keyword(self, keyword: str | None) -> Reading:
        """Read the keyword of an empty message: it may be a stop word alone, or all of the text (KATT STOP)."""
        whole = self.words.read(keyword, keywords=self.keywords)
        return whole if whole.verdict is Verdict.OPT_OUT else self._stop(keyword, keyword)

    def _stop(self, text: str | None, keyword: str | None) -> Reading:
        """Read what the text says about consent.

        `STOP KEYWORD` is the documented form. It counts with any word after STOP, because one opt-out too many is less
        harmful than a lost one. `ask NAME stop` comes from the general gateway, and applies to all short codes.
        """
        if text is None:
            return NOTHING
        match text.split():
            case [ask, _, last] if ask.casefold() == ASK and self.words.read(last).verdict is Verdict.OPT_OUT:
                return Reading(Verdict.OPT_OUT, Scope.PROVIDER)
        return self.words.read(text, keywords=self.keywords, keyword=keyword, any_keyword_behind=True)


def _refuse_two_values(known: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Raise Unreadable if a name of SINGLE came in two spellings with different values."""
    for name, value in given.items():
        if name.lower() in SINGLE and value.strip() not in {"", known.get(name.lower())}:
            raise Unreadable(f"{name.lower()} occurs twice")


def _assumed_action(endpoint: str, known: Mapping[str, str]) -> str:
    """The action of a callback that names none: what it holds goes before the endpoint that it came to."""
    if ("report" in known) is ("message" in known):
        return ENDPOINTS[endpoint]
    return REPORT if "report" in known else MESSAGE


def _made_up_id(known: Mapping[str, str], received_at: datetime) -> str:
    """The id of a message that has none: a stop must count. The gateway sends no time, so it is never taken for a repeat."""
    text = known.get("message") or known.get("keyword")
    if "number" not in known or text is None:
        raise Unreadable("no id")
    return made_up_id(known["number"], text, known.get("shortcode"), received_at.isoformat())


def _number(known: Mapping[str, str], region: str) -> Phone | None:
    """The subscriber, with the country code and without a plus. `#…` is an alias, which some countries use instead of numbers.

    A number without a country code belongs to the country that the callback names. If that country is unknown, the
    result is None.
    """
    country = known.get("country")
    return parse_phone(
        known.get("number"),
        number_format=NumberFormat.INTERNATIONAL,
        region=region_of(country) if country else region,
    )
