"""The number look-up: asks Strex who has a phone number. It costs money, so enricher.py decides when to ask.

Source: Target365 REST USERGUIDE, "Address lookup for mobile number" (200, 400, 401 and 404); sdk-for-net, Model/Lookup.
envelope.py reads a look-up that came in a forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from connector.delivery.call_failures import SOMETHING_ELSE, outcome_of, retry_after
from connector.model.errors import Unreadable
from connector.model.http import Http, HttpError, HttpReply
from connector.model.outcome import Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.providers.strex.envelope import as_text, has_person_field, with_model_names
from connector.providers.strex.responses import (
    REDIRECTS,
    SuccessForm,
    answers_ping,
    message_of,
    redirect_failure,
    success_form,
    unexpected_success,
)
from connector.providers.strex.rest import RestApi
from connector.providers.strict_json import parse_object

PATH = "/api/lookup"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrexLookups:
    """Calls the number look-up."""

    api: RestApi

    async def look_up(self, http: Http, phone: Phone) -> Mapping[str, Any] | Retry | Rejected | None:
        """The registered name and address under the names of Target365's Lookup model; None if nobody is registered.

        Rejected if Strex says that the number is invalid: asking again cannot help. The call is never repeated
        automatically, because each one may be billed.
        """
        call = self.api.call("GET", f"{PATH}?msisdn={quote(phone.e164, safe='')}")
        try:
            reply = await http.call(call)
        except HttpError as error:
            return outcome_of(error)
        if reply.status != HTTPStatus.NOT_FOUND:
            return _read_lookup(reply, phone) if reply.status == HTTPStatus.OK else _failure(reply)
        # A wrong address also answers 404: the answer is trusted only if Strex itself answers the ping.
        if await answers_ping(http):
            return None
        detail = "404, and no pong from /api/ping there either: see api.url in the provider's settings"
        return Retry(reason=Reason.WRONG_ADDRESS, detail=detail)


def _read_lookup(reply: HttpReply, phone: Phone) -> Mapping[str, Any] | Retry:
    if success_form(reply) is SuccessForm.PAGE:
        return replace(unexpected_success(reply), in_doubt=False)
    try:
        answer = parse_object(reply.body)
    except Unreadable:
        return _unexpected("the look-up's answer is not a JSON object")
    found = with_model_names(answer)
    described = as_text(found.get("msisdn"))
    if not described and not has_person_field({name.lower(): None for name in answer}):
        return _unexpected("the look-up's answer has none of the documented names")
    # The document shows the number without its country code, the SDK's tests show it with one.
    if described and not phone.e164.endswith("".join(filter(str.isdigit, described)) or "?"):
        return _unexpected("the look-up's answer is about another number")
    return found


def _unexpected(detail: str) -> Retry:
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, cure=SOMETHING_ELSE)


def _failure(reply: HttpReply) -> Retry | Rejected:
    match reply.status:
        case HTTPStatus.BAD_REQUEST:
            return Rejected(reason=Reason.BAD_VALUE, detail=message_of(reply))
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            detail = f"Strex refuses the API key for look-ups ({reply.status}): see api.key and api.rest_header in the config"
            return Retry(reason=Reason.CREDENTIALS, detail=detail)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Retry(reason=Reason.RATE_LIMITED, detail=message_of(reply), not_before=retry_after(reply.headers))
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Retry(reason=Reason.UNAVAILABLE, detail=message_of(reply), not_before=retry_after(reply.headers))
        case status if status in REDIRECTS:
            return redirect_failure(reply)
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Retry(reason=Reason.SERVER_ERROR, detail=message_of(reply))
        case status:
            return Retry(
                reason=Reason.UNEXPECTED_ANSWER, detail=f"HTTP {status}, which Strex does not document for look-ups"
            )
