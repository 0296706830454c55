"""Signs a message. Source: Standard Webhooks 1.0, "Signature scheme"."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from connector.model.errors import ConnectorError

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64
NEW_BYTES = 32


def read_secret(written: str, place: str) -> bytes:
    """The bytes of a secret. Raises ConnectorError with the cure; `place` says where the secret is."""
    try:
        secret = base64.b64decode(written.removeprefix(PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not written.startswith(PREFIX) or not MIN_BYTES <= len(secret) <= MAX_BYTES:
        raise ConnectorError(
            f"the {place} is not a signing secret: it must be {PREFIX} and {MIN_BYTES} to {MAX_BYTES} bytes in base64, "
            "as `connector sinks secret` makes one"
        )
    return secret


def new_secret() -> str:
    """A new random secret, as read_secret() reads it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def signatures(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: one signature for each key. `timestamp` is in Unix seconds."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return " ".join("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys)
