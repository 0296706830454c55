"""The webhook endpoint for received messages (SmsMO): authentication and parsing.

Source: OnlineFundraising, SMS Inbound Webhooks. The body is an array of one or more messages without an envelope.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.consent.opt_out_words import STANDARD, OptOutWords, Reading, normalized
from connector.model.errors import Unreadable
from connector.model.event import Event, Part, Result, Verdict, event_key
from connector.model.http import Http, HttpRequest, HttpResponse
from connector.model.phone import NumberFormat, parse_phone
from connector.model.text_folding import fold
from connector.ports import AuthResult
from connector.providers.auth import Authenticator, check_authenticators
from connector.providers.missing_id import made_up_id
from connector.providers.onlinefundraising.ip_allowlist import PublishedAddresses
from connector.providers.onlinefundraising.settings import REGION
from connector.providers.onlinefundraising.values import as_text, as_time
from connector.providers.strict_json import elements, holds_words, parse_object

ACTION = "SmsMO"
MESSAGE = "message"
SUB_KEYWORD = "subKeyword"
META_DATA = "metaData"
AMOUNT = "amount"  # our own name: the amount after the keyword, which need not be reserved as a sub keyword
# “hjælp 100” (SMS Inbound API, Keyword, Examples), and how people write an amount of money: kr 25, 25 kr., 1.000,50
# kroner, 25,- tak
AMOUNT_ALONE = re.compile(
    r"(?:(?:kr|dkk)\.? ?)?((?:[1-9][0-9]{0,2}\.[0-9]{3}|[1-9][0-9]{0,4})(?:,[0-9]{1,2})?)"
    r"(?: ?(?:kr|kroner|dkk|,-|\.-|:-))?[.!]*(?: tak)?[.!]*",
    re.IGNORECASE,
)
# Members with a field of their own in an event. All others become its properties, under the names that they came with.
PLACED = frozenset({"messageguid", "createdts", "channel", "keyword", "keywordguid", "receivedtext", "state", "msisdn"})
# The other members that the same documents name. None of them is the text of a message.
OTHER_MEMBERS = frozenset({"subkeyword", "metadata", "merchantid", "campaignguid", "processedts"})
# SMS Inbound Webhooks, `state`. An unknown state is pending and not final.
STATES = {
    "received": (Result.PENDING, False),
    "processed": (Result.OK, True),
    "error": (Result.FAILED, True),
}
UNKNOWN_STATE = (Result.PENDING, False)
# The same page, "Responding to webhooks": 200 is success. Any other status, even another 2xx, is repeated ten times
# over 22.5 hours.
SUCCESS = HttpResponse(status=200, body=b"OK")
METHODS = frozenset({"POST"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the messages of one configured account, from the webhook or from the API's list."""

    provider: str
    keywords: Mapping[str, str] = field(default_factory=dict)  # the configured keywords: keywords_by_form()
    words: OptOutWords = STANDARD
    region: str = REGION  # region of numbers without a country code

    def parts(self, body: bytes, received_at: datetime) -> tuple[Part, ...]:
        """The messages in the body, each parsed separately; raises Unreadable if there are none."""
        read = tuple(self.part(raw, received_at) for raw in elements(body))
        if all(part.event is None for part in read):
            raise Unreadable(read[0].why)
        return read

    def part(self, raw: bytes, received_at: datetime) -> Part:
        """Parse one message, or say why it is not one."""
        try:
            return Part(raw=raw, event=self._event(parse_object(raw), received_at))
        except Unreadable as unreadable:
            return Part(raw=raw, why=unreadable.why)

    def _event(self, members: dict[str, Any], received_at: datetime) -> Event:
        lowered: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        for name, value in members.items():
            plain = name.lower()
            lowered[plain] = value
            if plain not in PLACED:
                properties[name] = value
        keyword, sub_keyword = _keyword_and_sub_keyword(
            as_text(lowered.get("keyword")), as_text(lowered.get(SUB_KEYWORD.lower()))
        )
        if sub_keyword is not None and SUB_KEYWORD not in properties:
            properties[SUB_KEYWORD] = sub_keyword
        keyword_id = as_text(lowered.get("keywordguid"))
        if sub_keyword is not None and keyword_id is not None:
            # A sub keyword has an id of its own, but subscriptions belong to keywords. With this id a stop would miss
            # its subscription.
            properties["keywordGuid"] = keyword_id
            keyword_id = None
        if type(meta := properties.get(META_DATA)) is str:
            properties[META_DATA] = _parse_meta(meta)
        text = as_text(lowered.get("receivedtext"))
        if AMOUNT not in properties and (amount := _amount(text, keyword, sub_keyword)) is not None:
            properties[AMOUNT] = amount
        reading, meant_keyword = self._stop(text, keyword, sub_keyword)
        if text is None and reading.verdict is not Verdict.OPT_OUT:
            _refuse_misplaced_text(lowered)
        guid = as_text(lowered.get("messageguid")) or _made_up_id(lowered, reading)
        written = as_text(lowered.get("msisdn"))
        phone = parse_phone(written, number_format=NumberFormat.INTERNATIONAL, region=self.region)
        if phone is None and written is not None:
            properties["msisdn"] = written  # so that a person sees what was unreadable
        state = as_text(lowered.get("state"))
        result, final = STATES.get(state.casefold(), UNKNOWN_STATE) if state else (Result.OK, True)
        return Event(
            key=event_key(self.provider, "sms", guid),
            provider=self.provider,
            shape=MESSAGE,
            received_at=received_at,
            verdict=reading.verdict,
            action=ACTION,
            msisdn=phone,
            keyword=meant_keyword or keyword,
            keyword_id=None if meant_keyword else keyword_id,
            short_number=as_text(lowered.get("channel")),
            text=text,
            status=state,
            result=result,
            final=final,
            transaction_id=guid,
            occurred_at=as_time(lowered.get("createdts")),
            properties=properties,
            opt_out_scope=reading.scope,
        )

    def _stop(self, text: str | None, keyword: str | None, sub_keyword: str | None) -> tuple[Reading, str | None]:
        """What the message says about consent, and the keyword that it means if that differs from the matched one.

        The provider's own match of `HEART STOP` to the sub keyword `stop` goes before the text.
        """
        # A stop word alone may be the keyword of a message without a text.
        reading = self.words.read(text or keyword, keywords=self.keywords, keyword=keyword)
        if reading.verdict is not Verdict.OPT_OUT and self.words.read(sub_keyword).verdict is Verdict.OPT_OUT:
            return Reading(Verdict.OPT_OUT), None
        other = reading.keyword is not None and (keyword is None or normalized(reading.keyword) != normalized(keyword))
        return reading, reading.keyword if other else None


def _made_up_id(lowered: Mapping[str, Any], reading: Reading) -> str:
    """The id of a message that has none, if it is or may be a stop; raises Unreadable for others.

    The webhook and the API's list give it the same id, so a message without its time is unreadable too.
    """
    names = ("msisdn", "createdts", "channel", "receivedtext", "keyword", "subkeyword")
    content = [as_text(lowered.get(name)) for name in names]
    if reading.verdict is Verdict.NONE or content[0] is None or content[1] is None:
        raise Unreadable("no messageGuid")
    return made_up_id(*content)


def _refuse_misplaced_text(lowered: Mapping[str, Any]) -> None:
    """Raise Unreadable if a message without a text may have one elsewhere: it may be a stop, and must not be lost."""
    given = lowered.get("receivedtext")
    if given and type(given) is not str:
        raise Unreadable("receivedText is not a text")
    if any(holds_words(lowered[name]) for name in lowered.keys() - PLACED - OTHER_MEMBERS):
        raise Unreadable("no receivedText, but a text in an undocumented member")


def _keyword_and_sub_keyword(keyword: str | None, sub_keyword: str | None) -> tuple[str | None, str | None]:
    """Keyword and sub keyword: the document also writes them as one text, “hjælp 100”."""
    if keyword is None or sub_keyword is not None:
        return keyword, sub_keyword
    first, _, second = keyword.strip().partition(" ")
    return first, second.strip() or None


def _amount(text: str | None, keyword: str | None, sub_keyword: str | None) -> str | None:
    """The amount, as it is written, if nothing but thanks follows the keyword: in the sub keyword, else in the text.

    A sentence with a number in it names no amount: in “TIFO 25 people came” the 25 is not money.
    """
    behind = _comparable(sub_keyword) if sub_keyword is not None else _text_after(text, keyword)
    found = AMOUNT_ALONE.fullmatch(behind) if behind else None
    return found[1] if found else None


def _text_after(text: str | None, keyword: str | None) -> str | None:
    """The rest of a text after its keyword; None if it does not begin with the keyword."""
    if text is None or keyword is None:
        return None
    first, _, rest = _comparable(text).partition(" ")
    return rest if _comparable(first) == _comparable(keyword) else None


def _parse_meta(meta: str) -> Any:
    """Meta data that was sent as JSON text, parsed so that rules can name its members."""
    try:
        return parse_object(meta.encode())
    except Unreadable:
        return meta


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsEndpoint:
    """The webhook endpoint (ports.py) for received messages. All its authenticators must accept."""

    reader: Reader
    authenticators: Sequence[Authenticator] = ()
    published: PublishedAddresses | None = None
    name: str = "sms"
    methods: frozenset[str] = field(default=METHODS)

    @property
    def provider(self) -> str:
        """The provider's name in the config."""
        return self.reader.provider

    def check_head(self, head: HttpRequest) -> bool:
        """Check the authenticators, and the published addresses as far as they are known; no call is made here."""
        known = check_authenticators(self.authenticators, head)
        return known if self.published is None else self.published.check_head(head) or known

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:
        """Authenticate the request; raises HttpRejected. The published addresses come last, because they may cost a call."""
        check_authenticators(self.authenticators, request)
        if self.published is not None:
            await self.published.authenticate(http, request)
        return AuthResult()

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Part, ...]:  # noqa: ARG002 - the request holds everything.
        """The messages; raises Unreadable."""
        return self.reader.parts(request.body, request.received_at)

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:  # noqa: ARG002 - the answer is always the same.
        """Answer exactly 200."""
        return SUCCESS


def _comparable(text: str) -> str:
    """The text for comparing: no invisible characters, no case, no wide digits, single blanks, no punctuation at its ends."""
    shown = "".join(one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf")
    return " ".join(fold(shown).split()).strip(" .,;:!?")
