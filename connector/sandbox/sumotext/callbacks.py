"""The callbacks of Sumotext's documents: the parameters of each kind, and the request for them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from yarl import URL

from connector.sandbox.refused import RefusedError


class Method(StrEnum):
    """The HTTP form of a callback. The document shows GET and also mentions post: these are the possible variants."""

    GET = "get"
    FORM = "form"
    JSON = "json"


# "CRM API Callback", its three examples; the full MO forward and delivery reports from the public API guides. In the
# documents' order.
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "crm": {
        "country": "USA",
        "shortcode": "84700",
        "key": "SOMEKEY",
        "mobile": "2125551212",
        "carrierId": "VERIZONUS",
    },
    "poll": {
        "mobile": "2125551212",
        "carrier": "VERIZONUS",
        "shortcode": "84700",
        "key": "FB1",
        "reply": "A",
        "label": "Tampa",
    },
    "text4info": {"lead": "keyword", "mobile": "2125551212", "msg": "ServerMsg"},
    "mo": {
        "mobile": "2125551212",
        "carrier": "VERIZONUS",
        "smsid": "1001",
        "shortcode": "84700",
        "key": "SOMEKEY",
        "msg": "SOMEKEY",
    },
    "dlr": {"sumoid": "1001", "mtcode": "4", "mtdescription": "Delivered"},
}
LEFT_ALONE = "/:@,"  # the document's example does not escape the slashes of 1/1/2000


def parameters(kind: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """The example's parameters, updated with the given ones, then the customer's own fields; null removes one.

    Raises:
        RefusedError: the kind is unknown, or a value is not a text.
    """
    if kind not in EXAMPLES:
        raise RefusedError(f"kind must be one of {', '.join(EXAMPLES)}")
    for name, value in fields.items():
        if value is not None and not isinstance(value, str):
            raise RefusedError(f"the field {name!r} must be a text, or null to leave it out")
    return {name: value for name, value in {**EXAMPLES[kind], **fields}.items() if value is not None}


def query(kind: str, given: Mapping[str, str]) -> str:
    """The parameters as a query. Text-4-Info has an empty pair after the first, as in its example."""
    pairs = [f"{quote(name)}={quote(value, safe=LEFT_ALONE)}" for name, value in given.items()]
    return "&&".join((pairs[0], "&".join(pairs[1:]))) if kind == "text4info" and len(pairs) > 1 else "&".join(pairs)


def target(hooks: str, kind: str, secret: str | None) -> str:
    """The address that a customer has registered with Sumotext for this kind.

    Raises:
        RefusedError: it is not an address.
    """
    try:
        url = URL(hooks)
    except ValueError as error:
        raise RefusedError(f"hooks is no URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise RefusedError("hooks must be an http or https URL, like http://127.0.0.1:8080/hooks/sumotext")
    return "/".join((hooks.rstrip("/"), kind, *([quote(secret, safe="")] if secret else [])))
