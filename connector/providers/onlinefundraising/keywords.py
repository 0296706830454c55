"""The account's keywords (ports.py, KeywordApi): listed, reserved, deactivated and reactivated.

Source: SMS Inbound API, Keyword. No call is documented that sets a keyword's webhook; OnlineFundraising's support does
it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.keyword import Keyword
from connector.model.outcome import Reason, Retry
from connector.providers.onlinefundraising.api import (
    failure_of,
    failure_without_answer,
    get_call,
    json_content,
    post_call,
    refusal_text,
)
from connector.providers.onlinefundraising.values import as_flag, as_text, as_time

LIST = "/keywords"
FREE = "free"
TEMPORARY = frozenset(
    {Reason.UNAVAILABLE, Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.SERVER_ERROR, Reason.RATE_LIMITED}
)
KEY_CURE = (
    "see api.key in the provider's settings; a key works only from the addresses named for it at OnlineFundraising"
)
ADDRESS_CURE = "see api.url in the provider's settings: your base address is shown under Settings in OnlineFundraising"
BODY_CURE = (
    "see the spelling and the short number; a sub keyword needs its keyword first, and each exists once. "
    "A keyword with running subscriptions cannot be deactivated"
)
RIGHT_CURE = "this account may not do it on this short number: ask OnlineFundraising's support"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineFundraisingKeywords:
    """Calls to the keyword endpoints."""

    endpoint: str
    configured: tuple[str, ...] = ()
    needs_address: bool = True

    async def listing(self, http: Http) -> tuple[Keyword, ...]:
        """GET /keywords."""
        return _keywords(await _ask(http, get_call(LIST)))

    async def show(self, http: Http, keyword_id: str) -> Keyword:
        """GET /keyword/{keywordGuid}."""
        answer = await _ask(http, get_call(_path(keyword_id)), keyword_id)
        keyword = as_keyword(answer)
        return keyword if keyword is not None and keyword.id.casefold() == keyword_id.casefold() else _not_understood()

    async def subkeywords(self, http: Http, keyword_id: str) -> tuple[Keyword, ...]:
        """GET /keyword/{keywordGuid}/subkeywords."""
        return _keywords(await _ask(http, get_call(_path(keyword_id, "/subkeywords")), keyword_id))

    async def is_free(self, http: Http, short_number: str, word: str) -> bool:
        """GET /keyword/Check."""
        query = urlencode({"channel": short_number, "keyword": word}, quote_via=quote)
        answer = await _ask(http, get_call(f"/keyword/Check?{query}"))
        status = as_text(answer.get("keywordStatus")) if isinstance(answer, dict) else None
        return status.casefold() == FREE if status else _not_understood()

    async def reserve(
        self,
        http: Http,
        short_number: str,
        word: str,
        sub_word: str | None,
        hook: str | None = None,  # noqa: ARG002 - the call takes no address.
    ) -> Keyword:
        """POST /keyword/Reserve."""
        asked = {"keyword": word, "channel": short_number} | ({"subKeyword": sub_word} if sub_word else {})
        answer = await _ask(http, post_call("/keyword/Reserve", asked))
        reserved = as_keyword(answer)
        if reserved is None or reserved.word.casefold() != word.casefold():
            return _not_understood()
        return reserved

    async def deactivate(self, http: Http, keyword_id: str) -> None:
        """POST /keyword/{keywordGuid}/Deactivate."""
        await _send(http, post_call(_path(keyword_id, "/Deactivate")), keyword_id)

    async def reactivate(self, http: Http, keyword_id: str) -> None:
        """POST /keyword/{keywordGuid}/Reactivate; possible until its deletedTs."""
        await _send(http, post_call(_path(keyword_id, "/Reactivate")), keyword_id)

    async def set_address(self, http: Http, keyword_id: str, hook: str) -> None:  # noqa: ARG002 - there is no such call.
        """Not documented."""
        raise ConnectorError(
            f"OnlineFundraising documents no call that sets a webhook: ask their support to set that of {keyword_id} "
            f"to {hook}/<your path secret>"
        )

    async def delete(self, http: Http, keyword_id: str) -> None:  # noqa: ARG002 - there is no such call.
        """Not documented."""
        raise ConnectorError(
            "OnlineFundraising documents no call that deletes a keyword: "
            f"`connector keywords deactivate {keyword_id}` lets it end"
        )


def as_keyword(members: Any) -> Keyword | None:
    """Parse a keyword from the API; None if it is not one."""
    if not isinstance(members, Mapping):
        return None
    keyword_id, word = as_text(members.get("keywordGuid")), as_text(members.get("keyword"))
    if keyword_id is None or word is None:
        return None
    return Keyword(
        id=keyword_id,
        word=word,
        short_number=as_text(members.get("channel")) or "",
        sub_word=as_text(members.get("subKeyword")),
        active=as_flag(members.get("active")),
        campaign_id=as_text(members.get("campaignGuid")),
        starts=as_time(members.get("keywordStartDate")),
        ends=as_time(members.get("keywordEndDate")),
        idle_text=as_text(members.get("keywordIdleText")),
        created=as_time(members.get("createdTs")),
        deleted=as_time(members.get("deletedTs")),
        webhook=as_text(members.get("webhookEndpointUrl")),
    )


def detail_call(keyword_id: str) -> HttpCall:
    """The call that reads one keyword in full."""
    return get_call(_path(keyword_id))


def _path(keyword_id: str, then: str = "") -> str:
    return f"/keyword/{quote(keyword_id, safe='')}{then}"


def _keywords(answer: Any) -> tuple[Keyword, ...]:
    if not isinstance(answer, list):
        return _not_understood()
    return tuple(as_keyword(one) or _not_understood() for one in answer)


async def _ask(http: Http, call: HttpCall, keyword_id: str | None = None) -> Any:
    reply = await _send(http, call, keyword_id)
    try:
        return json_content(reply)
    except ValueError:
        return _not_understood()


async def _send(http: Http, call: HttpCall, keyword_id: str | None = None) -> HttpReply:
    try:
        reply = await http.call(call)
    except HttpError as error:
        raise _undocumented(failure_without_answer(error)) from None
    bad = failure_of(reply)
    if bad is None and (reply.body.strip().upper() in {b"", b"OK"} or _is_json(reply)):
        # For a change the document says "200 OK" and shows no body: an empty body, OK or JSON is accepted.
        return reply
    if bad is None or reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return _not_understood()
    raise _refusal(reply, bad, keyword_id)


def _is_json(reply: HttpReply) -> bool:
    try:
        json_content(reply)
    except ValueError:
        return False
    return True


def _refusal(reply: HttpReply, bad: Retry, keyword_id: str | None) -> ConnectorError:
    """What went wrong, and how to fix it."""
    words = f": {described}" if (described := refusal_text(reply)) else ""
    match reply.status:
        case HTTPStatus.BAD_REQUEST:
            return ConnectorError(f"OnlineFundraising rejects this (400){words}; {BODY_CURE}")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return ConnectorError(f"OnlineFundraising refuses the API key ({reply.status}){words}; {KEY_CURE}")
        case HTTPStatus.NOT_FOUND if keyword_id is not None:
            return ConnectorError(
                f"OnlineFundraising has no keyword with the id {keyword_id} (404): see `connector keywords list`"
            )
        case HTTPStatus.NOT_FOUND:
            return ConnectorError(f"OnlineFundraising has nothing at this address (404); {ADDRESS_CURE}")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return ConnectorError(f"OnlineFundraising does not allow this (405){words}; {RIGHT_CURE}")
    return _undocumented(bad)


def _undocumented(bad: Retry) -> ConnectorError:
    """The error for no answer, or for one that is not documented."""
    if bad.reason in TEMPORARY:
        return PeerUnavailable(
            f"OnlineFundraising does not answer ({bad.reason}: {bad.detail}): try again later, or {ADDRESS_CURE}"
        )
    return ConnectorError(f"OnlineFundraising gives an undocumented answer ({bad.detail}); {ADDRESS_CURE}")


def _not_understood() -> NoReturn:
    raise ConnectorError(
        f"OnlineFundraising's answer is not what it documents; {ADDRESS_CURE}; or a web page of a proxy or firewall"
    )
