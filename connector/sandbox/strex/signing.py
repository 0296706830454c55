"""The `X-ECDSA-Signature` of a forward and its keys, as verified by the Target365 SDKs.

Source: `VerifyRequestSignatureAsync` in Target365/sdk-for-net, Target365Client.cs.
"""

import base64
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from yarl import URL

from connector.sandbox.strex.keywords import ACCOUNT_ID

HEADER = "X-ECDSA-Signature"
SCALAR_BYTES = 32  # r and s of P-256; sent one after the other, not as DER.
KEY_SECONDS = 365 * 86_400  # A year, the default lifetime of an API key.
EARLY_SECONDS = 86_400  # A key is valid a day before its creation, so that clock differences do no harm.


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A P-256 key pair and its validity period, in Unix seconds."""

    name: str
    private: ec.EllipticCurvePrivateKey
    created: float
    expires: float

    def as_json(self) -> dict[str, Any]:
        """The public key, in the form of the public-key endpoint."""
        der = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "accountId": ACCOUNT_ID,
            "name": self.name,
            "publicKeyString": base64.b64encode(der).decode(),
            "signAlgo": "ECDsaP256",
            "hashAlgo": "SHA256",
            "created": _iso(self.created),
            "lastModified": _iso(self.created),
            "notUsableBefore": _iso(self.created - EARLY_SECONDS),
            "expiry": _iso(self.expires),
        }

    def sign(self, method: str, url: URL, body: bytes, *, now: float) -> str:
        """The header's value for one request, with a new nonce: `keyName:timestamp:nonce:signature`."""
        timestamp, nonce = int(now), uuid.uuid4()
        # An empty body is signed as an empty text, not as the hash of nothing.
        content = base64.b64encode(hashlib.sha256(body).digest()).decode() if body else ""
        message = f"{method.lower()}{to_absolute_uri(url).lower()}{timestamp}{nonce}{content}".encode()
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")
        return f"{self.name}:{timestamp}:{nonce}:{base64.b64encode(raw).decode()}"


class KeyRing:
    """All keys ever created, by name; the newest one signs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keys: dict[str, Key] = {}

    def make(self, name: str, *, seconds: float = KEY_SECONDS) -> Key:
        """Create a key that signs from now on and expires after this many seconds; older keys stay published."""
        now = self._clock()
        self._keys.pop(name, None)
        self._keys[name] = Key(
            name=name, private=ec.generate_private_key(ec.SECP256R1()), created=now, expires=now + seconds
        )
        return self._keys[name]

    def get(self, name: str) -> Key | None:
        """The key of this name."""
        return self._keys.get(name)

    @property
    def newest(self) -> Key:
        """The key that signs."""
        return next(reversed(self._keys.values()))


def to_absolute_uri(url: URL) -> str:
    """The URL in the form of .NET's `AbsoluteUri`: no default port, `/` for an empty path, no user, no fragment."""
    return f"{url.scheme}://{url.host_port_subcomponent}{url.raw_path_qs}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
