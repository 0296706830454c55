"""The options of `connector sandbox strex`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8091


@click.command(epilog="connector sandbox strex --compress 1000")
@click.option("--mo-url", help="The address that messages are forwarded to (MasterMOForward).")
@click.option("--dlr-url", help="The address that delivery reports are forwarded to (MasterDLRForward).")
@click.option("--api-key", default="sandbox-key", show_default=True, help="The key that service commands must have.")
@click.option("--compress", type=float, default=1.0, show_default=True, help="Divides every wait before a retry.")
@click.option("--no-sign", is_flag=True, help="Forward without X-ECDSA-Signature.")
def command(
    *, mo_url: str | None, dlr_url: str | None, api_key: str, compress: float, no_sign: bool
) -> "web.Application":
    """Strex Connect: forwards messages and reports, takes service commands."""
    from connector.sandbox.strex.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build(api_key=api_key, mo_url=mo_url, dlr_url=dlr_url, compress=compress, sign=not no_sign)
