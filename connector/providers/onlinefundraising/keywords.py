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
from connector.model.http import CallFailed, Exchange, HttpCall, HttpReply
from connector.model.keyword import Keyword
from connector.model.outcome import Reason, Retry
from connector.providers.onlinefundraising.api import content, failure_of, reading, said, writing
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
    own: tuple[str, ...] = ()
    addressed: bool = True

    def listing(self) -> Exchange[tuple[Keyword, ...]]:
        """GET /keywords."""
        return _keywords((yield from _ask(reading(LIST))))

    def show(self, keyword_id: str) -> Exchange[Keyword]:
        """GET /keyword/{keywordGuid}."""
        answer = yield from _ask(reading(_path(keyword_id)), keyword_id)
        found = as_keyword(answer)
        return found if found is not None and found.id.casefold() == keyword_id.casefold() else _not_understood()

    def subkeywords(self, keyword_id: str) -> Exchange[tuple[Keyword, ...]]:
        """GET /keyword/{keywordGuid}/subkeywords."""
        return _keywords((yield from _ask(reading(_path(keyword_id, "/subkeywords")), keyword_id)))

    def is_free(self, short_number: str, word: str) -> Exchange[bool]:
        """GET /keyword/Check."""
        query = urlencode({"channel": short_number, "keyword": word}, quote_via=quote)
        answer = yield from _ask(reading(f"/keyword/Check?{query}"))
        status = as_text(answer.get("keywordStatus")) if isinstance(answer, dict) else None
        return status.casefold() == FREE if status else _not_understood()

    def reserve(
        self,
        short_number: str,
        word: str,
        sub_word: str | None,
        hook: str | None = None,  # noqa: ARG002 - the call takes no address.
    ) -> Exchange[Keyword]:
        """POST /keyword/Reserve."""
        asked = {"keyword": word, "channel": short_number} | ({"subKeyword": sub_word} if sub_word else {})
        answer = yield from _ask(writing("/keyword/Reserve", asked))
        found = as_keyword(answer)
        if found is None or found.word.casefold() != word.casefold():
            return _not_understood()
        return found

    def deactivate(self, keyword_id: str) -> Exchange[None]:
        """POST /keyword/{keywordGuid}/Deactivate."""
        yield from _order(writing(_path(keyword_id, "/Deactivate")), keyword_id)

    def reactivate(self, keyword_id: str) -> Exchange[None]:
        """POST /keyword/{keywordGuid}/Reactivate; possible until its deletedTs."""
        yield from _order(writing(_path(keyword_id, "/Reactivate")), keyword_id)

    def send_to(self, keyword_id: str, hook: str) -> Exchange[None]:
        """Not documented."""
        raise ConnectorError(
            f"OnlineFundraising documents no call that sets a webhook: ask their support to set that of {keyword_id} "
            f"to {hook}/<your path secret>"
        )

    def delete(self, keyword_id: str) -> Exchange[None]:
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
    return reading(_path(keyword_id))


def _path(keyword_id: str, then: str = "") -> str:
    return f"/keyword/{quote(keyword_id, safe='')}{then}"


def _keywords(answer: Any) -> tuple[Keyword, ...]:
    if not isinstance(answer, list):
        return _not_understood()
    return tuple(as_keyword(one) or _not_understood() for one in answer)


def _ask(call: HttpCall, keyword_id: str | None = None) -> Exchange[Any]:
    reply = yield from _order(call, keyword_id)
    try:
        return content(reply)
    except ValueError:
        return _not_understood()


def _order(call: HttpCall, keyword_id: str | None = None) -> Exchange[HttpReply]:
    (reply,) = yield [call]
    bad = failure_of(reply)
    if bad is None and isinstance(reply, HttpReply):
        # The document shows the answers to an order without a body: an empty body or JSON is accepted.
        return reply if not reply.body.strip() or _is_json(reply) else _not_understood()
    if isinstance(reply, HttpReply) and reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return _not_understood()
    raise _refusal(reply, bad, keyword_id)


def _is_json(reply: HttpReply) -> bool:
    try:
        content(reply)
    except ValueError:
        return False
    return True


def _refusal(reply: HttpReply | CallFailed, bad: Retry | None, keyword_id: str | None) -> ConnectorError:
    """What went wrong, and how to fix it."""
    if isinstance(reply, HttpReply):
        words = f": {described}" if (described := said(reply)) else ""
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
    if bad is not None and bad.reason in TEMPORARY:
        return PeerUnavailable(
            f"OnlineFundraising does not answer ({bad.reason}: {bad.detail}): try again later, or {ADDRESS_CURE}"
        )
    return ConnectorError(
        f"OnlineFundraising gives an undocumented answer ({bad.detail if bad else ''}); {ADDRESS_CURE}"
    )


def _not_understood() -> NoReturn:
    raise ConnectorError(
        f"OnlineFundraising's answer is not what it documents; {ADDRESS_CURE}; or a web page of a proxy or firewall"
    )
