"""`connector keywords`: queries an account's keywords directly at the provider, without the daemon or the store."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from connector.cli.exit_codes import Exit, Misused
from connector.cli.group import Group
from connector.cli.keyword_lookup import ask_account, find_id
from connector.cli.render import Paper, answer, as_json
from connector.cli.setup import Setup

if TYPE_CHECKING:
    from connector.model.http import Http
    from connector.model.keyword import Keyword
    from connector.ports import KeywordApi

of_provider = click.option("--provider", help="Which provider, if several have keywords.")
on_number = click.option("--channel", help="The short number, if the keyword is on several.")
by_sub = click.option("--sub", help="The sub keyword: the second word of a message.")


def of_keyword(command: Callable[..., None]) -> Callable[..., None]:
    """Add the KEYWORD argument, and the options that identify it and choose the output."""
    for part in (as_json, of_provider, on_number, by_sub, click.argument("keyword")):
        command = part(command)
    return command


@click.group(cls=Group)
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
    listing = ask_account(ctx.obj, provider, lambda http, api, _: api.listing(http))
    answer({"keywords": [_document(one) for one in listing]}, _show_list, json_wanted=as_json)


@keywords.command()
@of_keyword
@click.pass_context
def show(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str | None, provider: str | None, as_json: bool
) -> None:
    """Show all about a KEYWORD."""
    details = ask_account(ctx.obj, provider, lambda http, api, _: _read_keyword(http, api, keyword, sub, channel))
    answer(_document(details), _show_keyword, json_wanted=as_json)


@keywords.command()
@click.argument("keyword")
@on_number
@of_provider
@as_json
@click.pass_context
def subkeywords(ctx: click.Context, *, keyword: str, channel: str | None, provider: str | None, as_json: bool) -> None:
    """List the sub keywords of a KEYWORD."""
    listing = ask_account(ctx.obj, provider, lambda http, api, _: _read_subkeywords(http, api, keyword, channel))
    answer({"keywords": [_document(one) for one in listing]}, _show_list, json_wanted=as_json)


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
    """See whether a KEYWORD can be reserved. Ends with 1 if it cannot.

    A sub keyword is looked for among those of the account's own keyword: nobody else can have it.
    """
    free = ask_account(ctx.obj, provider, lambda http, api, _: _is_free(http, api, keyword, sub, channel))
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
    """Reserve a KEYWORD, or with --sub a sub keyword of one that is there.

    If the provider allows it, its messages are sent to the connector's public address at once.
    """
    reserved = ask_account(ctx.obj, provider, lambda http, api, hook: api.reserve(http, channel, keyword, sub, hook))
    answer(_document(reserved), _show_sentence(f"{reserved.words} is reserved, as {reserved.id}"), json_wanted=as_json)


@keywords.command()
@of_keyword
@click.pass_context
def deactivate(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str | None, provider: str | None, as_json: bool
) -> None:
    """Stop the messages of a KEYWORD. `reactivate` undoes this, until the provider has deleted the keyword."""
    _switch(ctx.obj, provider, (keyword, sub, channel), on=False, json_wanted=as_json)


@keywords.command()
@of_keyword
@click.pass_context
def reactivate(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str | None, provider: str | None, as_json: bool
) -> None:
    """Let an inactive KEYWORD take messages again."""
    _switch(ctx.obj, provider, (keyword, sub, channel), on=True, json_wanted=as_json)


@keywords.command()
@of_keyword
@click.pass_context
def forward(
    ctx: click.Context, *, keyword: str, sub: str | None, channel: str | None, provider: str | None, as_json: bool
) -> None:
    """Send the messages of a KEYWORD to the connector's public address."""

    async def ask(http: "Http", api: "KeywordApi", hook: str | None) -> tuple[str, str]:
        if hook is None:
            raise Misused("the public address is not known: set `listen: public_url:` in the config")
        keyword_id = await find_id(http, api, keyword, sub, channel)
        await api.set_address(http, keyword_id, hook)
        return keyword_id, hook

    keyword_id, hook = ask_account(ctx.obj, provider, ask)
    document = {"id": keyword_id, "webhook": hook}
    answer(document, _show_sentence(f"the messages of {keyword_id} are now sent to {hook}"), json_wanted=as_json)


@keywords.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@of_keyword
@click.pass_context
def delete(
    ctx: click.Context,
    *,
    keyword: str,
    yes: bool,
    sub: str | None,
    channel: str | None,
    provider: str | None,
    as_json: bool,
) -> None:
    """Delete a KEYWORD. This cannot be undone; `deactivate` can."""
    if not yes:
        click.confirm(f"Delete {keyword} permanently?", abort=True, err=True)

    async def ask(http: "Http", api: "KeywordApi", _: str | None) -> str:
        keyword_id = await find_id(http, api, keyword, sub, channel)
        await api.delete(http, keyword_id)
        return keyword_id

    keyword_id = ask_account(ctx.obj, provider, ask)
    answer({"id": keyword_id, "deleted": True}, _show_sentence(f"{keyword_id} is deleted"), json_wanted=as_json)


def _switch(
    setup: Setup, provider: str | None, keyword: tuple[str, str | None, str | None], *, on: bool, json_wanted: bool
) -> None:
    """Switch a keyword, given as word, sub word and channel."""

    async def switch(http: "Http", api: "KeywordApi", _: str | None) -> str:
        keyword_id = await find_id(http, api, *keyword)
        await (api.reactivate(http, keyword_id) if on else api.deactivate(http, keyword_id))
        return keyword_id

    keyword_id = ask_account(setup, provider, switch)
    state = "active" if on else "inactive"
    answer({"id": keyword_id, "active": on}, _show_sentence(f"{keyword_id} is now {state}"), json_wanted=json_wanted)


async def _read_keyword(
    http: "Http", api: "KeywordApi", keyword: str, sub: str | None, channel: str | None
) -> "Keyword":
    return await api.show(http, (await find_id(http, api, keyword, sub, channel)))


async def _read_subkeywords(
    http: "Http", api: "KeywordApi", keyword: str, channel: str | None
) -> "tuple[Keyword, ...]":
    return await api.subkeywords(http, (await find_id(http, api, keyword, None, channel)))


async def _is_free(http: "Http", api: "KeywordApi", keyword: str, sub: str | None, channel: str) -> bool:
    if sub is None:
        return await api.is_free(http, channel, keyword)
    taken = await _read_subkeywords(http, api, keyword, channel)
    return sub.casefold() not in {(one.sub_word or "").casefold() for one in taken}


def _document(keyword: "Keyword") -> dict[str, Any]:
    document = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(keyword).items()
    }
    return document | {"webhook": _without_secret(keyword.webhook)}


def _without_secret(webhook: str | None) -> str | None:
    """A webhook's address without the part after the endpoint, which is our secret."""
    if webhook is None:
        return None
    before, hooks, behind = webhook.partition("/hooks/")
    parts = behind.split("/")
    secret = 2  # position of the secret, after provider and endpoint
    return before + hooks + "/".join([*parts[:secret], *(["…"] if len(parts) > secret else [])])


def _show_sentence(sentence: str) -> Callable[[Paper, Any], None]:
    return lambda paper, _: paper.line(sentence)


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    if not document["keywords"]:
        paper.line("no keywords")
        return
    paper.table(
        ["short number", "keyword", "sub keyword", "active", "id", "messages go to"],
        [
            (one["short_number"], one["word"], one["sub_word"], _yes(one["active"]), one["id"], one["webhook"])
            for one in document["keywords"]
        ],
    )


def _show_keyword(paper: Paper, document: dict[str, Any]) -> None:
    for name, value in document.items():
        if isinstance(value, dict):
            for key, one in value.items():
                paper.line(f"{name}.{key}: {one}")
        elif isinstance(value, tuple):
            paper.line(f"{name}: {', '.join(value) or 'none'}")
        elif value is not None:
            paper.line(f"{name.replace('_', ' ')}: {_yes(value) if isinstance(value, bool) else value}")


def _yes(value: bool | None) -> str | None:  # noqa: FBT001 - the value itself is shown in words.
    return None if value is None else "yes" if value else "no"
