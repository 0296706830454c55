"""The providers' readers without their locks and secrets: for a body that is already ours, or that a person holds in hand."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import SecretStr

from connector.adapters import PROVIDERS, Loaded, opt_out_words
from connector.config.load import did_you_mean
from connector.model.errors import ConnectorError
from connector.model.event import Event, Part
from connector.model.exchange import HttpRequest
from connector.model.roles import Admission, Door
from connector.providers.provider import Provider

NO_SECRET = SecretStr("not-needed-to-read")


def unlocked(loaded: Loaded) -> dict[str, Provider]:
    """The configured providers, built without their secrets: their locks would let nobody in, and are not asked."""
    words = opt_out_words(loaded)
    return {
        name: PROVIDERS[type(one)].build(name, one, lambda _ref: NO_SECRET, words)
        for name, one in loaded.providers.items()
    }


def find_door(providers: Mapping[str, Provider], name: str) -> Door:
    """The door `provider/door`; raises ConnectorError with those that there are."""
    doors = {f"{provider}/{door.name}": door for provider, one in providers.items() for door in one.doors}
    if name not in doors:
        raise ConnectorError(
            f"there is no door `{name}`: {did_you_mean(name, doors) or 'see `providers:` in the config'}"
        )
    return doors[name]


def read_body(door: Door, body: bytes, received_at: datetime) -> tuple[Event | Part, ...]:
    """What the door makes of a body (or of a query, where it takes no body); raises Unreadable."""
    request = HttpRequest(
        method="POST" if "POST" in door.methods else "GET",
        instance=door.provider,
        door=door.name,
        secret=None,
        url="",
        query="" if "POST" in door.methods else body.decode("utf-8", "replace").strip(),
        headers={"content-type": "application/json"},
        body=body,
        peer="",
        received_at=received_at,
    )
    return door.read(request, Admission())
