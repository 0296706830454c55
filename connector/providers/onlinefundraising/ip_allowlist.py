"""The addresses from which webhooks come, as OnlineFundraising publishes them.

The list is refreshed regularly, and the last good one is kept.

Source: OnlineFundraising, SMS Inbound Webhooks, which asks to check the file daily and does not show its content.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import orjson

from connector.model.errors import HttpRejected
from connector.model.http import Http, HttpCall, HttpError, HttpRequest
from connector.providers.auth import AddressList, Network
from connector.providers.strict_json import BYTE_ORDER_MARK

TIMEOUT = timedelta(seconds=5)  # a callback waits for it
AGAIN = timedelta(
    minutes=1
)  # between two tries while the list cannot be read; the provider repeats its calls less often than this
STALE = timedelta(minutes=10)  # a caller who is missing from a list older than this may be on the current one
WIDEST = {
    4: 8,
    6: 19,
}  # prefix lengths of the largest blocks that registries assign; a wider network is not a list of callers
MAX_LENGTH = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128")


@dataclass(slots=True, kw_only=True)
class PublishedAddresses:
    """An authenticator that accepts the published addresses, and some of the operator's own."""

    url: str
    refresh: timedelta
    besides: Sequence[Network] = ()
    _listed: Sequence[Network] = ()
    _read_at: datetime | None = None
    _tried_at: datetime | None = field(default=None, repr=False)

    def check_head(self, request: HttpRequest) -> bool:
        """Whether the caller is on the list as it is known now; raises HttpRejected if a fresh list does not have the caller."""
        if _is_in(self.besides, request) or _is_in(self._listed, request):
            return True
        if self._listed and not self._older_than(min(STALE, self.refresh), request.received_at):
            raise HttpRejected(403, "address not listed")
        return False

    async def authenticate(self, http: Http, request: HttpRequest) -> None:
        """Accept the caller, or raise HttpRejected: 403 for one that is not listed, 503 while there is no list."""
        if _is_in(self.besides, request):
            return
        now = request.received_at
        if self._older_than(self.refresh, now):
            await self._ask(http, now)
        if _is_in(self._listed, request):
            return
        if self._older_than(min(STALE, self.refresh), now):
            await self._ask(http, now)
        if not self._listed:
            # Our fault or the provider's, but not the caller's: it may try again.
            raise HttpRejected(503, "no address list")
        AddressList(self._listed).check(request)

    def _older_than(self, age: timedelta, now: datetime) -> bool:
        return self._read_at is None or self._read_at + age <= now

    async def _ask(self, http: Http, now: datetime) -> None:
        if self._tried_at is not None and now < self._tried_at + AGAIN:
            return
        # Recorded before the answer has come, so that many callbacks at once cause one request.
        self._tried_at = now
        parts = urlsplit(self.url)
        path = self.url[len(f"{parts.scheme}://{parts.netloc}") :] or "/"
        base = f"{parts.scheme}://{parts.netloc}"
        try:
            reply = await http.call(HttpCall(method="GET", base=base, path=path, timeout=TIMEOUT, repeatable=True))
        except HttpError:
            return
        found = networks_in(reply.body) if reply.status == HTTPStatus.OK else ()
        if found:
            self._listed, self._read_at = found, now


def networks_in(body: bytes) -> tuple[Network, ...]:
    """Every text in the JSON that is an address or a network, at any depth: the form of the file is not documented."""
    try:
        value = orjson.loads(body.removeprefix(BYTE_ORDER_MARK))
    except orjson.JSONDecodeError:
        return ()
    found = [network for text in _texts(value) if (network := _network(text)) is not None]
    return tuple(dict.fromkeys(found))


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting.extend([*one.keys(), *one.values()])
        elif isinstance(one, list):
            waiting.extend(one)


def _network(text: str) -> Network | None:
    try:
        network = ip_network(text.strip(), strict=False) if len(text) <= MAX_LENGTH else None
    except ValueError:
        return None
    return network if network and network.prefixlen >= WIDEST[network.version] else None


def _is_in(networks: Sequence[Network], request: HttpRequest) -> bool:
    try:
        AddressList(networks).check(request)
    except HttpRejected:
        return False
    return True
