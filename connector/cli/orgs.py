"""What commands for one-off work in an org share: which org is meant, and an administrator's access token."""

import os
from typing import TYPE_CHECKING, TypeVar

from connector.cli.exit_codes import Misused
from connector.model.errors import ConnectorError

if TYPE_CHECKING:
    from connector.registry import Loaded

T = TypeVar("T")


def chosen(loaded: "Loaded", crm: str | None, kind: type[T], called: str) -> tuple[str, T]:
    """The selected org of that kind, which people call `called`. Raises Misused."""
    found = {name: one for name, one in loaded.crms.items() if isinstance(one, kind) and crm in {None, name}}
    if not found:
        whose = f"no {called} org is called `{crm}`" if crm else f"no {called} org"
        raise Misused(f"{whose} in the config: see its `crm:`")
    if len(found) > 1:
        raise Misused(f"several {called} orgs are configured: add --crm {' or '.join(found)}")
    ((name, settings),) = found.items()
    return name, settings


def token_of(name: str | None) -> str | None:
    """The access token in the environment variable of that name. Raises Misused and ConnectorError."""
    if name is None:
        return None
    token = os.environ.get(name, "").strip()
    if not token:
        raise Misused(f"the environment variable {name} is empty: put an administrator's access token into it")
    if not token.isascii() or not token.isprintable():
        raise ConnectorError(f"{name} does not hold an access token: it has characters that no token has")
    return token
