"""`connector keywords`: the account's keywords at a provider, asked there directly; neither the daemon nor the store is needed."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from connector.cli.exits import Exit, Misused, Unreachable
from connector.cli.render import Paper, answer, as_json, waiting
from connector.cli.setup import Setup
from connector.model.errors import ConnectorError, PeerUnavailable

if TYPE_CHECKING:
    from connector.model.exchange import Exchange
    from connector.model.keyword import Keyword
    from connector.model.roles import Keywords

# Five groups between hyphens; not all of them are hexadecimal, not even in the provider's own document.
GUID = re.compile(r"\w{8}(-\w{4}){3}-\w{12}", re.ASCII)

of_provider = click.option("--provider", help="Which provider, where several have keywords.")
on_number = click.option("--channel", help="The short number, where the keyword is on several.")
by_sub = click.option("--sub", help="The sub keyword: the second word of a message.")


@click.group()
def keywords() -> None:
    """See, reserve and switch the account's keywords at the provider.

    A KEYWORD is named by its word (and --sub), or by its id.
    """


@keywords.command("list")
@of_provider
@as_json
@click.pass_context
def list_(ctx: click.Context, *, provider: str | None, as_json: bool) -> None:
    """List all keywords and sub keywords."""
    found = _run(ctx.obj, provider, lambda role: role.listing())
    answer({"keywords": [_document(one) for one in found]}, _show_list, json_wanted=as_json)


@keywords.command()
@click.argument("keyword")
@by_sub
@on_number
@of_provider
@as_json
@click.pass_context
def show(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str | None, provider: str | None, as_json: bool
) -> None:
    """Show all about a KEYWORD."""
    found = _run(ctx.obj, provider, lambda role: _shown(role, keyword, sub, channel))
    answer(_document(found), _show_one, json_wanted=as_json)


@keywords.command()
@click.argument("keyword")
@on_number
@of_provider
@as_json
@click.pass_context
def subkeywords(ctx: click.Context, *, keyword: str, channel: str | None, provider: str | None, as_json: bool) -> None:
    """List the sub keywords of a KEYWORD."""
    found = _run(ctx.obj, provider, lambda role: _subs(role, keyword, channel))
    answer({"keywords": [_document(one) for one in found]}, _show_list, json_wanted=as_json)


@keywords.command()
@click.argument("keyword")
@by_sub
@click.option("--channel", required=True, help="The short number, such as 1217.")
@of_provider
@as_json
@click.pass_context
def check(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str, provider: str | None, as_json: bool
) -> None:
    """See whether a KEYWORD can be reserved. Ends with 1 where it cannot.

    A sub keyword is looked for among those of the account's own keyword: nobody else can have it.
    """
    free = _run(ctx.obj, provider, lambda role: _free(role, keyword, sub, channel))
    words = f"{keyword} {sub}" if sub else keyword
    document = {"keyword": keyword, "sub_keyword": sub, "short_number": channel, "free": free}
    answer(
        document,
        lambda paper, _: paper.line(f"{words} on {channel} is {'free' if free else 'not available'}"),
        json_wanted=as_json,
    )
    if not free:
        ctx.exit(Exit.NO)


@keywords.command()
@click.argument("keyword")
@by_sub
@click.option("--channel", required=True, help="The short number, such as 1217.")
@of_provider
@as_json
@click.pass_context
def reserve(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str, provider: str | None, as_json: bool
) -> None:
    """Reserve a KEYWORD, or with --sub a sub keyword of one that is there."""
    found = _run(ctx.obj, provider, lambda role: role.reserve(channel, keyword, sub))
    answer(_document(found), _say(f"{found.words} is reserved, as {found.id}"), json_wanted=as_json)


@keywords.command()
@click.argument("keyword")
@by_sub
@on_number
@of_provider
@as_json
@click.pass_context
def deactivate(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str | None, provider: str | None, as_json: bool
) -> None:
    """Let a KEYWORD take no more messages. `reactivate` takes it back, until the provider has deleted it."""
    _switch(ctx.obj, provider, (keyword, sub, channel), on=False, json_wanted=as_json)


@keywords.command()
@click.argument("keyword")
@by_sub
@on_number
@of_provider
@as_json
@click.pass_context
def reactivate(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str | None, provider: str | None, as_json: bool
) -> None:
    """Let an inactive KEYWORD take messages again."""
    _switch(ctx.obj, provider, (keyword, sub, channel), on=True, json_wanted=as_json)


def _switch(
    setup: Setup, provider: str | None, named: tuple[str, str | None, str | None], *, on: bool, json_wanted: bool
) -> None:
    def switch(role: "Keywords") -> "Exchange[str]":
        keyword_id = yield from _id(role, *named)
        yield from (role.reactivate(keyword_id) if on else role.deactivate(keyword_id))
        return keyword_id

    keyword_id = _run(setup, provider, switch)
    state = "active" if on else "inactive"
    answer({"id": keyword_id, "active": on}, _say(f"{keyword_id} is {state} now"), json_wanted=json_wanted)


def _run(setup: Setup, provider: str | None, ask: "Callable[[Keywords], Exchange[Any]]") -> Any:
    """Ask the provider. Raises Misused where there is none such, Unreachable where it does not answer, else ConnectorError."""
    from connector.adapters import build_providers  # noqa: PLC0415 - see the package's docstring.
    from connector.delivery.transport import Transport  # noqa: PLC0415 - the same.

    with_keywords = {
        name: one for name, one in build_providers(setup.config()).items() if one.keywords and provider in {None, name}
    }
    if not with_keywords:
        whose = f"the provider `{provider}`" if provider else "no provider"
        raise Misused(f"{whose} has keywords to ask for: see its `api:` in the config")
    if len(with_keywords) > 1:
        raise Misused(f"several providers have keywords: say --provider {' or '.join(with_keywords)}")
    (chosen,) = with_keywords.values()
    role = chosen.keywords

    async def run() -> Any:
        async with Transport() as transport:
            return await transport.client(chosen.credentials).run(ask(role)) if role else None

    try:
        with waiting(f"asking {chosen.name}"):
            return asyncio.run(run())
    except PeerUnavailable as error:
        raise Unreachable(str(error)) from error


def _id(role: "Keywords", keyword: str, sub: str | None, channel: str | None) -> "Exchange[str]":
    if GUID.fullmatch(keyword):
        return keyword
    wanted = (keyword.casefold(), (sub or "").casefold())
    found = [
        one
        for one in (yield from role.listing())
        if (one.word.casefold(), (one.sub_word or "").casefold()) == wanted and channel in {None, one.short_number}
    ]
    words = f"{keyword} {sub}" if sub else keyword
    if not found:
        raise ConnectorError(f"the account has no keyword `{words}`: see `connector keywords list`")
    if len(found) > 1:
        numbers = " or ".join(one.short_number for one in found)
        raise ConnectorError(f"`{words}` is there several times: say --channel {numbers}, or name it by its id")
    return found[0].id


def _shown(role: "Keywords", keyword: str, sub: str | None, channel: str | None) -> "Exchange[Keyword]":
    return (yield from role.show((yield from _id(role, keyword, sub, channel))))


def _subs(role: "Keywords", keyword: str, channel: str | None) -> "Exchange[tuple[Keyword, ...]]":
    return (yield from role.subkeywords((yield from _id(role, keyword, None, channel))))


def _free(role: "Keywords", keyword: str, sub: str | None, channel: str) -> "Exchange[bool]":
    if sub is None:
        return (yield from role.is_free(channel, keyword))
    taken = yield from _subs(role, keyword, channel)
    return sub.casefold() not in {(one.sub_word or "").casefold() for one in taken}


def _document(one: "Keyword") -> dict[str, Any]:
    document = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(one).items()
    }
    return document | {"webhook": _without_secret(one.webhook)}


def _without_secret(webhook: str | None) -> str | None:
    """A webhook's address; what stands behind the door is our secret."""
    if webhook is None:
        return None
    before, hooks, behind = webhook.partition("/hooks/")
    parts = behind.split("/")
    secret = 2  # place of the secret, behind provider and door
    return before + hooks + "/".join([*parts[:secret], *(["…"] if len(parts) > secret else [])])


def _say(sentence: str) -> Callable[[Paper, Any], None]:
    return lambda paper, _: paper.line(sentence)


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    if not document["keywords"]:
        paper.line("there are none")
        return
    paper.table(
        ["short number", "keyword", "sub keyword", "active", "id", "messages go to"],
        [
            (one["short_number"], one["word"], one["sub_word"], _yes(one["active"]), one["id"], one["webhook"])
            for one in document["keywords"]
        ],
    )


def _show_one(paper: Paper, document: dict[str, Any]) -> None:
    for name, value in document.items():
        if value is not None:
            paper.line(f"{name.replace('_', ' ')}: {_yes(value) if isinstance(value, bool) else value}")


def _yes(value: bool | None) -> str | None:  # noqa: FBT001 - it is the value itself that is put into words.
    return None if value is None else "yes" if value else "no"
