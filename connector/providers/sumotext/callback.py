"""Reads a callback of Sumotext as an event: web form, poll, Text-4-Info, full MO forward, delivery report.

form_endpoint.py authenticates the sender.

Sources: "CRM API Callback"; SUMOTEXT/Sumotext-API-Guide-Legacy, receiving-post-data.md and receiving-mo.md, for `msg`
and the full MO forward; sumotext.github.io, api-docs, for delivery reports.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.consent.opt_out_table import START_WORDS
from connector.consent.opt_out_words import STANDARD, OptOutWords, Reading, normalized
from connector.consent.stop_statements import states_or_asks
from connector.model.consent import Scope
from connector.model.country import region_of
from connector.model.errors import Unreadable
from connector.model.event import Event, Result, Verdict, event_key
from connector.model.http import HttpRequest
from connector.model.phone import NumberFormat, Phone, parse_phone
from connector.providers.sumotext.deduplicate import Deduplicator
from connector.providers.sumotext.parameters import Parameters, read_parameters
from connector.providers.sumotext.settings import COUNTRIES, REGION


@dataclass(frozen=True, slots=True)
class Callback:
    """One kind of callback: the shape of its events, Sumotext's word for it, and the names that only it has."""

    shape: str
    action: str
    names: tuple[str, ...] = ()


NAMES = ("country", "shortcode", "key", "mobile", "carrier", "msg")  # each callback has most of them
CALLBACKS = {
    "crm": Callback("form", "Web Form"),
    "poll": Callback("poll_reply", "Poll", ("reply", "label")),
    "text4info": Callback("message", "Text-4-Info", ("lead",)),
    "mo": Callback("message", "MO", ("smsid",)),
    "dlr": Callback("delivery_report", "DLR", ("sumoid", "mtcode", "mtdescription")),
}
TEXTS = {"poll": "reply", "text4info": "lead", "mo": "msg"}  # by callback, the parameter that only it has
EXTRA_PARAMETERS = (
    "carrier",
    "country",
    "reply",
    "label",
)  # documented parameters for which an event has no field of its own
# sumotext.github.io, delivery reports: mtcode. An unknown code is pending and not final.
RESULTS = {"4": (Result.OK, True), "5": (Result.FAILED, True)}
UNKNOWN_CODE = (Result.PENDING, False)
WORDS_OF_SENTENCE = 4  # at least, in a field of a form; fewer words may be a name or a title
# Nearly all numbers are written as in the document's examples. The general parser of numbers costs as much as all the
# rest here.
NORTH_AMERICA = frozenset({"US", "CA"})
TEN_DIGITS = re.compile(r"1?([2-9][0-9]{2}[2-9][0-9]{6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the callbacks of one configured provider."""

    provider: str
    deduplicator: Deduplicator
    words: OptOutWords = STANDARD
    keywords: Mapping[str, str] = field(default_factory=dict)  # the keywords by which people join: keywords_by_form()
    start_words: Collection[str] = START_WORDS  # in the form of normalized()
    short_number: str | None = None  # of callbacks that name none
    region: str = REGION  # region of callbacks that name none
    countries: Mapping[str, str] = field(default_factory=lambda: COUNTRIES)  # Sumotext's name in capitals → region

    def read(self, endpoint: str, request: HttpRequest) -> Event:
        """The event of a request at that endpoint; raises Unreadable."""
        parameters = read_parameters(request, (*NAMES, *CALLBACKS[endpoint].names))
        kind = _kind(endpoint, parameters)
        if kind != endpoint:
            endpoint, parameters = kind, read_parameters(request, (*NAMES, *CALLBACKS[kind].names))
        return (
            self._report(request, parameters)
            if endpoint == "dlr"
            else self._from_subscriber(endpoint, request, parameters)
        )

    def _from_subscriber(self, endpoint: str, request: HttpRequest, parameters: Parameters) -> Event:
        """Sumotext sends no time. The time of arrival is used, so that joining again counts after an earlier stop."""
        callback, known = CALLBACKS[endpoint], parameters.known
        if "mobile" not in known:
            raise Unreadable("no mobile")
        phone = self._phone(known)
        keyword = known.get("key") or known.get("lead")
        text = known.get("reply" if endpoint == "poll" else "msg")
        reading = self._read(endpoint, known, keyword)
        if (endpoint == "crm" or text is None) and reading.verdict is not Verdict.OPT_OUT:
            text, reading = self._stop_in_custom_field(parameters, keyword, reading) or (text, reading)
        return Event(
            key=self._key(endpoint, request, parameters, phone, reading.verdict),
            provider=self.provider,
            shape=callback.shape,
            received_at=request.received_at,
            verdict=reading.verdict,
            action=callback.action,
            msisdn=phone,
            keyword=None if reading.scope is Scope.PROVIDER else reading.keyword or keyword,
            short_number=known.get("shortcode", self.short_number),
            text=text,
            transaction_id=known.get("smsid"),
            occurred_at=request.received_at,
            time_from_arrival=True,
            properties=_properties(parameters, phone),
            opt_out_scope=reading.scope,
        )

    def _report(self, request: HttpRequest, parameters: Parameters) -> Event:
        known = parameters.known
        if "sumoid" not in known:
            raise Unreadable("no sumoid")
        code = known.get("mtcode")
        result, final = RESULTS.get(code or "", UNKNOWN_CODE)
        phone = self._phone(known)
        return Event(
            key=event_key(self.provider, "dlr", known["sumoid"], code or ""),
            provider=self.provider,
            shape=CALLBACKS["dlr"].shape,
            received_at=request.received_at,
            action=CALLBACKS["dlr"].action,
            msisdn=phone,
            keyword=known.get("key"),
            short_number=known.get("shortcode", self.short_number),
            status=code,
            status_detail=known.get("mtdescription"),
            result=result,
            final=final,
            transaction_id=known["sumoid"],
            properties=_properties(parameters, phone),
        )

    def _key(
        self, endpoint: str, request: HttpRequest, parameters: Parameters, phone: Phone | None, verdict: Verdict
    ) -> str:
        known, now = parameters.known, request.received_at
        person = phone.e164 if phone else known["mobile"]
        if "smsid" in known:
            key = event_key(self.provider, endpoint, known["smsid"])
            self.deduplicator.remember(key, person=person, now=now)
            return key
        content = {"known": known, "custom": parameters.custom}
        return self.deduplicator.key(self.provider, endpoint, person=person, content=content, verdict=verdict, now=now)

    def _phone(self, known: Mapping[str, str]) -> Phone | None:
        """A national number, read by its country. If the country is unknown, the result is None: it is never guessed.

        The plus of a number that was not escaped has been decoded to a blank.
        """
        country, mobile = known.get("country"), known.get("mobile", "")
        region = (self.countries.get(country.upper()) or region_of(country)) if country else self.region
        if region in NORTH_AMERICA and (usual := TEN_DIGITS.fullmatch(mobile)):
            return Phone(f"+1{usual[1]}")
        at_home = parse_phone(mobile, number_format=NumberFormat.NATIONAL, region=region)
        if not mobile.startswith(" "):
            return at_home
        abroad = parse_phone("+" + mobile.strip())
        contradicted = country is not None and at_home is not None and at_home != abroad
        return at_home if abroad is None else None if contradicted else abroad

    def _read(self, endpoint: str, known: Mapping[str, str], keyword: str | None) -> Reading:
        """What the subscriber's text says about consent.

        A word that means joining counts only as a whole message; in a poll it is a vote.
        """
        text = known.get("msg")
        if endpoint != "poll":
            if not text:
                # A word alone is the keyword, and Text-4-Info may send no text with it. The keyword may also be all of
                # the text: KATT STOP.
                whole = self._stop(known.get("lead"), None)
                return whole if whole.verdict is Verdict.OPT_OUT else self._stop(known.get("lead"), keyword)
            if normalized(text) in self.start_words:
                return Reading(Verdict.OPT_IN)
            return self._stop(text, keyword)
        reply, message = self._stop(known.get("reply"), keyword), self._stop(text, keyword)
        first = message if message.verdict is Verdict.OPT_OUT or reply.verdict is Verdict.NONE else reply
        # A poll belongs to no subscription: a stop in it is for the short number.
        return _for_short_number(reply if reply.verdict is Verdict.OPT_OUT else first)

    def _stop_in_custom_field(
        self, parameters: Parameters, keyword: str | None, message: Reading
    ) -> tuple[str, Reading] | None:
        """A custom field whose whole value is a stop, such as Email=STOP of a web form; None if there is none.

        If neither a field nor the message is a stop, a field with a sentence that may be one is put before a person.
        Fewer words may be a name.
        """
        question: tuple[str, Reading] | None = None
        for given in parameters.custom.values():
            for value in given if type(given) is list else (given,):
                if type(value) is not str:
                    continue
                reading = self._stop(value, keyword)
                if reading.verdict is Verdict.OPT_OUT:
                    return parameters.known.get("msg", value), _for_short_number(reading)
                if reading.verdict is Verdict.MAYBE_STOP and _is_sentence(value):
                    question = question or (value, _for_short_number(reading))
        return question if message.verdict is Verdict.NONE else None

    def _stop(self, text: str | None, keyword: str | None) -> Reading:
        return self.words.read(text, keywords=self.keywords, keyword=keyword)


def _is_sentence(value: str) -> bool:
    """Whether a field that may be a stop is more than a name or a title. A question (`Can I cancel?`) may be shorter."""
    words = normalized(value).split()
    return len(value.split()) >= WORDS_OF_SENTENCE or (bool(words) and states_or_asks(words, begins=True))


def _kind(endpoint: str, parameters: Parameters) -> str:
    """Which callback it is, whichever endpoint it came to: only reports have a `sumoid`, and no report has a text."""
    known, custom = parameters.known, parameters.custom
    if endpoint != "dlr":
        return "dlr" if "sumoid" in custom and "mtcode" in custom and "msg" not in known else endpoint
    if "sumoid" in known:
        return endpoint
    return next((kind for kind, name in TEXTS.items() if name in known or name in custom), endpoint)


def _for_short_number(reading: Reading) -> Reading:
    """The same reading, for the whole short number if the text does not say how far it reaches."""
    if reading.verdict is Verdict.NONE or reading.scope is not None:
        return reading
    return Reading(reading.verdict, Scope.SHORT_NUMBER)


def _properties(parameters: Parameters, phone: Phone | None) -> dict[str, Any]:
    known = parameters.known
    described = {name: known[name] for name in EXTRA_PARAMETERS if name in known}
    if phone is None and "mobile" in known:
        described["mobile"] = known["mobile"]  # so that a person sees what was unreadable
    return {**parameters.custom, **described}
