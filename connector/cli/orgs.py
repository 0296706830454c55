"""What commands for one-off work in an org share: which org is meant, and an administrator's access token."""

import os
from typing import TYPE_CHECKING, TypeVar

from connector.cli.exit_codes import Misused
from connector.delivery.http_client import Credentials, FixedCredentials
from connector.model.errors import ConnectorError

if TYPE_CHECKING:
    from connector.registry import LoadedConfig

T = TypeVar("T")


def chosen_org(loaded: "LoadedConfig", crm: str | None, kind: type[T], label: str) -> tuple[str, T]:
    """The selected org, its settings of that kind; `label` names the kind for people. Raises Misused."""
    found = {name: one for name, one in loaded.crms.items() if isinstance(one, kind) and crm in {None, name}}
    if not found:
        whose = f"no {label} org is called `{crm}`" if crm else f"no {label} org"
        raise Misused(f"{whose} in the config: see its `crm:`")
    if len(found) > 1:
        raise Misused(f"several {label} orgs are configured: add --crm {' or '.join(found)}")
    ((name, settings),) = found.items()
    return name, settings


def administrator_of(own: Credentials, url: str, token_env: str | None) -> Credentials:
    """The administrator's credentials at `url`, by the access token in an environment variable; `own` if none is named.

    Raises Misused and ConnectorError for a variable without a token.
    """
    if token_env is None:
        return own
    return FixedCredentials(url, {"Authorization": f"Bearer {_token(token_env)}"})


def _token(name: str) -> str:
    token = os.environ.get(name, "").strip()
    if not token:
        raise Misused(f"the environment variable {name} is empty: put an administrator's access token into it")
    if not token.isascii() or not token.isprintable():
        raise ConnectorError(f"{name} does not hold an access token: it has characters that no token has")
    return token
