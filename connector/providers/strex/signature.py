"""Verifies the signature on Strex's forwards (`X-ECDSA-Signature`) as the Target365 SDKs do.

Source: sdk-for-net, Target365Client.VerifyRequestSignatureAsync; no user guide describes it. Replay protection and the
check of the keys' dates are our additions: the SDKs have neither.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from connector.model.errors import HttpRejected
from connector.model.http import Http, HttpRequest
from connector.ports import AuthResult
from connector.providers.strex.public_keys import PublicKeys

HEADER = "x-ecdsa-signature"
# keyName:timestamp:nonce:signature, as the Java and Node SDKs match it. The length limits are ours, several times what
# is in use.
FORM = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9]{1,12}):([A-Za-z0-9_-]{1,128}):([A-Za-z0-9+/]{86}==)")
HALF = 32  # bytes; r and s of P-256 follow each other (P1363), not in DER
DRIFT = timedelta(seconds=300)  # the SDKs' own tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Verifies the signature of a request."""

    keys: PublicKeys
    required: bool  # if false, a request without a signature is accepted
    drift: timedelta = DRIFT

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:
        """Accept the request, or raise HttpRejected; asks the provider for a public key that is not known yet."""
        header = request.headers.get(HEADER)
        if header is None:
            if self.required:
                raise HttpRejected(401, "no signature")
            return AuthResult()
        parts = FORM.fullmatch(header)
        if parts is None:
            raise HttpRejected(401, "malformed signature")
        name, timestamp, nonce, encoded = parts.groups()
        age = request.received_at.timestamp() - int(timestamp)
        if abs(age) > self.drift.total_seconds():
            raise HttpRejected(401, "signature too old or too new")
        key = await self.keys.find(http, name, request.received_at)
        try:
            raw = base64.b64decode(encoded, validate=True)
            r, s = int.from_bytes(raw[:HALF]), int.from_bytes(raw[HALF:])
            key.verify(encode_dss_signature(r, s), signed_text(request, timestamp, nonce), ECDSA(SHA256()))
        except (binascii.Error, InvalidSignature):
            raise HttpRejected(401, "wrong signature") from None
        return AuthResult(nonce=f"{request.instance}:{name}:{nonce}")


def signed_text(request: HttpRequest, timestamp: str, nonce: str) -> bytes:
    """The text that is signed: method and public URL in lower case (percent-escapes too), timestamp, nonce, hash of the body."""
    digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode() if request.body else ""
    return f"{request.method.lower()}{request.url.lower()}{timestamp}{nonce}{digest}".encode("utf-8", "surrogatepass")
