"""The account's keywords and received messages, kept in memory. Pure, except for the given clock.

Names and forms are those of OnlineFundraising's SMS Inbound API (Keyword, Inbound SMS, SMS Inbound Webhooks).
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

CHANNEL = "1217"  # the default short number of the document
MERCHANT = "sandbox"
DENMARK = ZoneInfo("Europe/Copenhagen")
LONGEST_URL = 255  # characters of a webhookEndpointUrl
# The document's example of GET /keywords shows these fields; GET /keyword/{guid} shows all fields of a keyword.
LISTED = (
    "keywordGuid", "createdTs", "channel", "keyword", "subKeyword", "active", "webhookEndpointUrl",
)  # fmt: skip


class RefusedError(ValueError):
    """A rejected request: the status, and the provider's error code and description."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code


class Account:
    """Keywords and messages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.keywords: dict[str, dict[str, Any]] = {}
        self.messages: list[dict[str, Any]] = []  # in order of arrival
        self.taken: set[tuple[str, str]] = set()  # keywords of other accounts: short number and case-folded word
        self.forbidden: set[str] = set()  # short numbers on which this account may not reserve keywords
        self.subscribed: set[str] = set()  # ids of keywords with active subscriptions

    def time(self) -> str:
        """The current time in the provider's format."""
        return datetime.fromtimestamp(self._clock(), DENMARK).strftime("%Y-%m-%d %H:%M:%S %z")

    def find(self, channel: str, word: str, sub: str | None = None) -> dict[str, Any] | None:
        """The keyword on a short number, ignoring letter case; with `sub`, its sub keyword."""
        wanted = (channel, word.casefold(), (sub or "").casefold())
        return next((one for one in self.keywords.values() if _identity(one) == wanted), None)

    def get(self, guid: str) -> dict[str, Any]:
        """A keyword by its id; RefusedError with 404 if there is none."""
        if guid not in self.keywords:
            raise RefusedError(404, "10404", "Keyword not found")
        return self.keywords[guid]

    def add(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Set a keyword as given; missing required fields are filled in."""
        url = fields.get("webhookEndpointUrl")
        if url is not None and len(url) > LONGEST_URL:
            raise RefusedError(400, "10005", f"webhookEndpointUrl is longer than {LONGEST_URL} characters")
        made = {
            "keywordGuid": str(uuid.uuid4()),
            "createdTs": self.time(),
            "channel": CHANNEL,
            "active": True,
            **fields,
        }
        self.keywords[made["keywordGuid"]] = made
        return made

    def reserve(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """POST /keyword/Reserve."""
        word, channel, sub = _word(fields, "keyword"), _word(fields, "channel"), fields.get("subKeyword")
        if channel in self.forbidden:
            raise RefusedError(405, "10405", "The channel is not open to this merchant")
        if sub is not None and not self.find(channel, word):
            raise RefusedError(400, "10002", "A subkeyword needs its keyword")
        if self.find(channel, word, sub) or (sub is None and not self.is_free(channel, word)):
            raise RefusedError(400, "10003", "The keyword is unavailable")
        made = self.add({"channel": channel, "keyword": word, **({"subKeyword": sub} if sub else {})})
        return {
            name: made[name]
            for name in ("keywordGuid", "createdTs", "channel", "keyword", "subKeyword")
            if name in made
        }

    def is_free(self, channel: str, word: str) -> bool:
        """GET /keyword/Check."""
        return self.find(channel, word) is None and (channel, word.casefold()) not in self.taken

    def switch(self, guid: str, *, active: bool) -> None:
        """Deactivate or Reactivate; a keyword with active subscriptions cannot be deactivated."""
        if not active and guid in self.subscribed:
            raise RefusedError(400, "10004", "The keyword has active subscriptions")
        self.get(guid)["active"] = active

    def listed(self) -> list[dict[str, Any]]:
        """GET /keywords."""
        return [{name: one[name] for name in LISTED if name in one} for one in self.keywords.values()]

    def subkeywords(self, guid: str) -> list[dict[str, Any]]:
        """GET /keyword/{guid}/subkeywords."""
        of = _identity(self.get(guid))[:2]
        return [one for one in self.keywords.values() if _identity(one)[:2] == of and one.get("subKeyword")]

    def receive(self, *, msisdn: str, text: str, channel: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """Receive a text message: assigned to its sub keyword, else to its keyword."""
        words = text.split()
        first, second = (words[0] if words else ""), (words[1] if len(words) > 1 else None)
        keyword = (self.find(channel, first, second) if second else None) or self.find(channel, first)
        stopped = second is not None and second.casefold() == "stop"
        sub = keyword.get("subKeyword") if keyword else None
        matched = {
            "keyword": keyword["keyword"] if keyword else first,
            # "KEYWORD STOP" always works, even if nobody has reserved it.
            "subKeyword": sub or ("stop" if stopped else None),
            "keywordGuid": keyword["keywordGuid"] if keyword else None,
            "campaignGuid": keyword.get("campaignGuid") if keyword else None,
        }
        now = self.time()
        message = {
            "messageGuid": str(uuid.uuid4()),
            "createdTs": now,
            "channel": channel,
            "receivedText": text,
            "state": "Processed",
            "msisdn": msisdn,
            "merchantId": MERCHANT,
            "processedTs": now,
            **{name: value for name, value in matched.items() if value is not None},
            **more,
        }
        self.messages.append(message)
        return message

    def page(self, number: int, size: int, *, newest_first: bool) -> dict[str, Any]:
        """GET /SmsMO."""
        ordered = self.messages[::-1] if newest_first else self.messages
        start = (number - 1) * size
        return {"pageNumber": number, "pageSize": size, "list": ordered[start : start + size]}

    def webhook_of(self, message: Mapping[str, Any]) -> str | None:
        """The address to which the message is sent: that of its keyword."""
        guid = message.get("keywordGuid")
        keyword = self.keywords.get(guid) if isinstance(guid, str) else None
        return keyword.get("webhookEndpointUrl") if keyword else None


def _word(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip() or " " in value:
        raise RefusedError(400, "10001", f"{name} is mandatory, and is one word")
    return value


def _identity(keyword: Mapping[str, Any]) -> tuple[str, str, str]:
    return keyword["channel"], keyword["keyword"].casefold(), (keyword.get("subKeyword") or "").casefold()
