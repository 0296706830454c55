"""Queries an account's keywords at a provider: finds the provider and the keyword. The commands are in keywords.py."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from connector.cli.exit_codes import Misused, Unreachable
from connector.cli.render import show_slow_step
from connector.cli.setup import Setup
from connector.model.errors import ConnectorError, PeerUnavailable

if TYPE_CHECKING:
    from connector.model.http import Http
    from connector.ports import KeywordApi

    Ask = Callable[[Http, KeywordApi, str | None], Awaitable[Any]]

# Five groups between hyphens; not all are hexadecimal, not even in the provider's own document.
GUID = re.compile(r"\w{8}(-\w{4}){3}-\w{12}", re.ASCII)


def ask_account(setup: Setup, provider: str | None, ask: "Ask") -> Any:
    """Query the provider through its keyword API, with our endpoint's public address (None if it is not known).

    Raises Misused if there is no such provider, Unreachable if it does not respond, else ConnectorError.
    """
    from connector.checks.keywords import endpoint_address  # noqa: PLC0415 - the same.
    from connector.delivery.http_client import Transport  # noqa: PLC0415 - the same.
    from connector.registry import build_providers  # noqa: PLC0415 - see the package's docstring.

    loaded = setup.config()
    with_keywords = {
        name: one for name, one in build_providers(loaded).items() if one.keywords and provider in {None, name}
    }
    if not with_keywords:
        whose = f"the provider `{provider}` has no" if provider else "no provider has a"
        raise Misused(f"{whose} keyword API in the config: add its `api:`, if it has such an API")
    if len(with_keywords) > 1:
        raise Misused(f"several providers have keywords: add --provider {' or '.join(with_keywords)}")
    (chosen,) = with_keywords.values()
    api = chosen.keywords

    async def run() -> Any:
        if api is None:
            return None
        hook = endpoint_address(loaded.settings.listen.public_url, chosen.name, api.endpoint)
        async with Transport() as transport:
            return await ask(transport.client(chosen.credentials), api, hook)

    try:
        with show_slow_step(f"asking {chosen.name}"):
            return asyncio.run(run())
    except PeerUnavailable as error:
        raise Unreachable(str(error)) from error


async def find_id(http: "Http", api: "KeywordApi", keyword: str, sub: str | None, channel: str | None) -> str:
    """The id of a keyword, from its word, an alias or its id. Raises ConnectorError if there is none, or several."""
    if GUID.fullmatch(keyword):
        return keyword
    listed = await api.listing(http)
    if not sub and any(one.id == keyword for one in listed):
        return keyword
    found = [
        one
        for one in listed
        if keyword.casefold() in {one.word.casefold(), *(alias.casefold() for alias in one.aliases)}
        and (one.sub_word or "").casefold() == (sub or "").casefold()
        and channel in {None, one.short_number}
    ]
    words = f"{keyword} {sub}" if sub else keyword
    if not found:
        raise ConnectorError(f"the account has no keyword `{words}`: see `connector keywords list`")
    if len(found) > 1:
        numbers = " or ".join(one.short_number for one in found)
        raise ConnectorError(f"`{words}` exists several times: add --channel {numbers}, or use its id")
    return found[0].id
