"""A Salesforce org for tests: the real REST protocol over plain HTTP, with an org's rules and faults."""

import time
from collections.abc import Callable, Sequence

from aiohttp import web

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.login import Sessions
from connector.sandbox.salesforce.presets import PRESETS
from connector.sandbox.salesforce.server import Server
from connector.sandbox.salesforce.usage import Usage
from connector.sandbox.salesforce.wording import ENGLISH, Wording


def build(
    database: str = ":memory:",
    *,
    preset: str = "plain",
    api_limit: int = 110_000,
    session_seconds: float = 7200,
    clock: Callable[[], float] = time.time,
    client_id: str = "sandbox",
    client_secret: str = "sandbox",  # noqa: S107 - it protects invented records on a loopback address
    public_key: str | None = None,
    bare: bool = False,
    currencies: Sequence[str] = (),
    language: str = ENGLISH,
) -> web.Application:
    """A Salesforce org whose records are in `database`, a file or memory.

    `preset` is the kind of org, one of PRESETS; a `bare` one has none of the fields and objects that an administrator
    creates. `language` is that of its users, one of LANGUAGES, and is used for rejections. With `currencies` the org
    has several currencies; the first is that of its users. `api_limit` is the number of API calls in 24 hours,
    `session_seconds` the lifetime of an access token, `clock` gives seconds since 1970. `public_key` is the RSA key in
    PEM form that verifies signed assertions; without it every well-formed assertion is accepted.
    """
    sessions = Sessions(
        clock=clock, seconds=session_seconds, client_id=client_id, client_secret=client_secret, public_key=public_key
    )
    kind = PRESETS[preset]
    records = Database(database, kind.schema(bare=bare, currencies=currencies), kind.triggers)
    records.wording = Wording(language)
    return Server(records, sessions=sessions, usage=Usage(api_limit, clock), clock=clock).application()
