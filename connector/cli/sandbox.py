"""`connector sandbox <provider or CRM>`: local stand-ins that use the real protocols."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import click

from connector.cli.exit_codes import Misused
from connector.cli.group import Group
from connector.cli.render import as_json

PORT = click.IntRange(0, 65535)


@click.group(cls=Group)
def sandbox() -> None:
    """Play Salesforce, Dynamics 365 or a provider, to try things out without an account. Stops at Ctrl-C."""


@sandbox.command()
@click.option("--port", type=PORT, default=8090, show_default=True, help="0 uses a free port.")
@click.option("--data", default=":memory:", help="A file for the records; without it they are kept in memory.")
@click.option(
    "--preset",
    type=click.Choice(["plain", "npsp", "nonprofit-cloud"]),
    default="plain",
    show_default=True,
    help="The kind of org: with NPSP, or with Nonprofit Cloud.",
)
@click.option("--bare", is_flag=True, help="Without custom fields and objects, like a new org.")
@click.option(
    "--currency",
    "currencies",
    multiple=True,
    help="An org with several currencies: name each, such as NOK, the users' own first.",
)
@click.option(
    "--language",
    type=click.Choice(["en", "fr", "pt", "ja", "no", "nb"]),
    default="en",
    show_default=True,
    help="The language of the org's error messages.",
)
@as_json
def salesforce(
    *, port: int, data: str, preset: str, bare: bool, currencies: tuple[str, ...], language: str, as_json: bool
) -> None:
    """An org: sign in with client id and secret `sandbox`."""
    from connector.sandbox.salesforce import build  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - the same.

    app = build(data, preset=preset, bare=bare, currencies=currencies, language=language)
    asyncio.run(serve_until_stopped(app, "127.0.0.1", port, _announce(json_wanted=as_json)))


@sandbox.command()
@click.option("--port", type=PORT, default=8095, show_default=True, help="0 uses a free port.")
@click.option(
    "--preset",
    type=click.Choice(["plain", "fundraising"]),
    default="plain",
    show_default=True,
    help="The kind of org: with the tables of the Fundraising app on the Common Data Model for Nonprofits.",
)
@click.option("--bare", is_flag=True, help="Without the columns and tables of `connector dynamics setup`.")
@click.option("--consent-table", is_flag=True, help="With the consent table of Customer Insights - Journeys.")
@click.option(
    "--tls",
    "ca_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Serve https, and write the certificate of its own authority to this file. Needs the package trustme.",
)
@as_json
def dynamics(*, port: int, preset: str, bare: bool, consent_table: bool, ca_file: Path | None, as_json: bool) -> None:
    """A Dynamics 365 org: sign in at tenant `sandbox` with client id and secret `sandbox`."""
    from connector.sandbox.dynamics import build  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.dynamics.tls import TrustmeMissingError, server_context  # noqa: PLC0415 - the same.
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - the same.

    try:
        tls = server_context(ca_file) if ca_file is not None else None
    except TrustmeMissingError as missing:
        raise Misused(str(missing)) from missing
    app = build(preset=preset, bare=bare, consent_table=consent_table)
    asyncio.run(serve_until_stopped(app, "127.0.0.1", port, _announce(json_wanted=as_json), tls))


@sandbox.command()
@click.option("--port", type=PORT, default=8091, show_default=True, help="0 uses a free port.")
@click.option("--mo-url", help="The address that messages are forwarded to (MasterMOForward).")
@click.option("--dlr-url", help="The address that delivery reports are forwarded to (MasterDLRForward).")
@click.option("--api-key", default="sandbox-key", show_default=True, help="The key that service commands must have.")
@click.option("--compress", type=float, default=1.0, show_default=True, help="Divides every wait before a retry.")
@click.option("--no-sign", is_flag=True, help="Forward without X-ECDSA-Signature.")
@as_json
def strex(
    *, port: int, mo_url: str | None, dlr_url: str | None, api_key: str, compress: float, no_sign: bool, as_json: bool
) -> None:
    """Strex Connect: forwards messages and reports, takes service commands."""
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.strex.app import build  # noqa: PLC0415 - the same.
    from connector.sandbox.strex.body import RefusedError  # noqa: PLC0415 - the same.

    try:
        app = build(api_key=api_key, mo_url=mo_url, dlr_url=dlr_url, compress=compress, sign=not no_sign)
    except RefusedError as refused:
        raise Misused(str(refused)) from refused
    asyncio.run(serve_until_stopped(app, "127.0.0.1", port, _announce(json_wanted=as_json)))


@sandbox.command()
@click.option("--port", type=PORT, default=8092, show_default=True, help="0 uses a free port.")
@click.option(
    "--hooks",
    default="http://127.0.0.1:8080/hooks/sumotext",
    show_default=True,
    help="The address of Sumotext's endpoints.",
)
@click.option("--secret", help="The path secret, the last part of the endpoints' addresses.")
@as_json
def sumotext(*, port: int, hooks: str, secret: str | None, as_json: bool) -> None:
    """Sumotext: POST /_sandbox/send plays a web form, a poll reply or a text message."""
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.sumotext.app import build  # noqa: PLC0415 - the same.
    from connector.sandbox.sumotext.callbacks import RefusedError  # noqa: PLC0415 - the same.

    try:
        app = build(hooks=hooks, secret=secret)
    except RefusedError as refused:
        raise Misused(str(refused)) from refused
    asyncio.run(serve_until_stopped(app, "127.0.0.1", port, _announce(json_wanted=as_json)))


@sandbox.command()
@click.option("--port", type=PORT, default=8093, show_default=True, help="0 uses a free port.")
@click.option("--webhook-url", help="The address that received messages are sent to, with the path secret.")
@click.option("--api-key", default="sandbox-key", show_default=True, help="The key that calls must have.")
@click.option(
    "--compress",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Divides every wait before a retry.",
)
@as_json
def onlinefundraising(*, port: int, webhook_url: str | None, api_key: str, compress: float, as_json: bool) -> None:
    """OnlineFundraising: sends received messages, has keywords and lists; POST /_sandbox/phone plays a donor."""
    from connector.sandbox.onlinefundraising.app import build  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - the same.

    app = build(api_key=api_key, webhook_url=webhook_url, compress=compress)
    asyncio.run(serve_until_stopped(app, "127.0.0.1", port, _announce(json_wanted=as_json)))


@sandbox.command()
@click.option("--port", type=PORT, default=8094, show_default=True, help="0 uses a free port.")
@click.option(
    "--hooks",
    default="http://127.0.0.1:8080/hooks/messagecloud",
    show_default=True,
    help="The address of MessageCloud's endpoints.",
)
@click.option("--secret", help="The path secret of the endpoints mo and dlr.")
@click.option("--campaign-name", default="sandbox", show_default=True, help="The account that calls must name.")
@click.option("--api-key", default="sandbox-key", show_default=True, help="The key that calls must have.")
@as_json
def messagecloud(*, port: int, hooks: str, secret: str | None, campaign_name: str, api_key: str, as_json: bool) -> None:
    """MessageCloud: creates one-click windows and tells their status; POST /_sandbox/window plays the donor."""
    from connector.sandbox.messagecloud.app import build  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - the same.
    from connector.sandbox.strex.body import RefusedError  # noqa: PLC0415 - the same.

    try:
        app = build(hooks=hooks, secret=secret, campaign_name=campaign_name, api_key=api_key)
    except RefusedError as refused:
        raise Misused(str(refused)) from refused
    asyncio.run(serve_until_stopped(app, "127.0.0.1", port, _announce(json_wanted=as_json)))


@sandbox.command()
@click.option("--port", type=PORT, default=8096, show_default=True, help="0 uses a free port.")
@click.option(
    "--hooks",
    default="http://127.0.0.1:8080/hooks/twilio",
    show_default=True,
    help="The address of Twilio's endpoints.",
)
@click.option("--secret", help="The path secret, the last part of the endpoints' addresses.")
@click.option("--auth-token", default="sandbox-token", show_default=True, help="The token that signs the webhooks.")
@click.option("--no-advanced-opt-out", is_flag=True, help="Send STOP without OptOutType.")
@as_json
def twilio(
    *, port: int, hooks: str, secret: str | None, auth_token: str, no_advanced_opt_out: bool, as_json: bool
) -> None:
    """Twilio: POST /_sandbox/phone plays a donor who writes, /_sandbox/message a message to a donor."""
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.twilio.app import RefusedError, build  # noqa: PLC0415 - the same.

    try:
        app = build(hooks=hooks, auth_token=auth_token, secret=secret, advanced=not no_advanced_opt_out)
    except RefusedError as refused:
        raise Misused(str(refused)) from refused
    asyncio.run(serve_until_stopped(app, "127.0.0.1", port, _announce(json_wanted=as_json)))


@sandbox.command("marketing-cloud")
@click.option("--port", type=PORT, default=8097, show_default=True, help="0 uses a free port.")
@as_json
def marketing_cloud(*, port: int, as_json: bool) -> None:
    """Marketing Cloud: sign in with client id and secret `sandbox`; PUT /_sandbox/config makes data extensions and events."""
    from connector.sandbox.marketing_cloud import build  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - the same.

    asyncio.run(serve_until_stopped(build(), "127.0.0.1", port, _announce(json_wanted=as_json)))


@sandbox.command()
@click.option("--port", type=PORT, default=8098, show_default=True, help="0 uses a free port.")
@click.option("--secret", required=True, help="The signing secret of the messages: whsec_…")
@as_json
def webhook(*, port: int, secret: str, as_json: bool) -> None:
    """A receiver of signed messages: GET /_sandbox/messages lists them."""
    from connector.sandbox.serve import serve_until_stopped  # noqa: PLC0415 - see the package's docstring.
    from connector.sandbox.webhook import build  # noqa: PLC0415 - the same.

    asyncio.run(serve_until_stopped(build(secret), "127.0.0.1", port, _announce(json_wanted=as_json)))


def _announce(*, json_wanted: bool) -> Callable[[str], None]:
    return lambda url: click.echo(json.dumps({"url": url}) if json_wanted else f"listening on {url}")
