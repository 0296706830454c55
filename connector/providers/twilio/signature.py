"""The signature on Twilio's webhooks: `X-Twilio-Signature`.

Sources: twilio.com/docs/usage/security, "Validating requests" (the signed text, and the example of the tests);
twilio.com/docs/api/errors/57012 (JSON: `bodySHA256` in the query is the hash of the body, and the body is not signed);
twilio-node, examples/WebhookSignatureValidation.md (another key and algorithm by a webhook rule); twilio-python,
RequestValidator (addresses with and without a port, several values of one parameter); twilio-node,
buildUrlWithStandardPort (name and password in the address).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from connector.model.errors import HttpRejected
from connector.model.http import HttpRequest

HEADER = "x-twilio-signature"
SETTINGS_HEADER = "x-twilio-webhooks-signature-settings"  # `key=…,algorithm=HMAC_SHA256`, if a webhook rule applies
ALGORITHM = re.compile(r"(?:^|,)\s*algorithm=([A-Za-z0-9_]+)")
ALGORITHMS = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}
USUAL = "HMAC_SHA1"
BODY_HASH = "bodySHA256"
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Signature:
    """Verifies the signature of a request with any of the tokens, so that one can be replaced without downtime."""

    tokens: Sequence[bytes] = field(repr=False)

    def check_head(self, head: HttpRequest) -> None:
        """Raises HttpRejected for a request that no body could make valid."""
        self._signature_and_algorithm(head)

    def check(self, request: HttpRequest) -> None:
        """Compare with each token and each spelling of the address, in constant time. Raises HttpRejected."""
        given, algorithm = self._signature_and_algorithm(request)
        valid = [
            hmac.compare_digest(given, base64.b64encode(hmac.digest(token, text, algorithm)))
            for token in self.tokens
            for text in signed_texts(request)
        ]
        if not any(valid):
            raise HttpRejected(403, "wrong signature")

    def _signature_and_algorithm(self, request: HttpRequest) -> tuple[bytes, str]:
        """The signature, and the name of its algorithm in hashlib."""
        signature = request.headers.get(HEADER)
        if signature is None:
            raise HttpRejected(403, "no signature")
        named = ALGORITHM.search(request.headers.get(SETTINGS_HEADER, ""))
        algorithm = ALGORITHMS.get(named[1] if named else USUAL)
        if algorithm is None:
            raise HttpRejected(403, "signature with an unknown algorithm")
        return signature.encode("utf-8", "surrogatepass"), algorithm().name


def signed_texts(request: HttpRequest) -> list[bytes]:
    """What Twilio may have signed: the address with its query, then name and value of each parameter of the form, sorted.

    The parameters of a query are part of the address. If a name has several values, each different one counts once. For
    JSON the address alone is signed, with the hash of the body in it: no text is valid if the body has another hash.
    """
    body_hash = dict(parse_qsl(request.query)).get(BODY_HASH)
    if body_hash is None:
        form = request.body.decode("utf-8", "surrogateescape")
        pairs = sorted(set(parse_qsl(form, keep_blank_values=True, errors="surrogateescape")))
        parameters = "".join(name + value for name, value in pairs)
    elif body_hash.lower() == hashlib.sha256(request.body).hexdigest():
        parameters = ""
    else:
        return []
    name_and_password = _name_and_password(request.headers.get("authorization", ""))
    return [
        (address + parameters).encode("utf-8", "surrogateescape")
        for plain in _addresses(request.url)
        for address in (plain, plain.replace("://", f"://{name_and_password}@", 1) if name_and_password else plain)
    ]


def _name_and_password(authorization: str) -> str:
    """What stands before the host in the address that Twilio was given, if it has a name and a password. They are signed too."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
    except ValueError:
        return ""


def _addresses(url: str) -> Iterator[str]:
    """The address as it is, and with or without the port that its scheme implies: Twilio's SDKs accept both."""
    yield url
    parts = urlsplit(url)
    usual = PORTS.get(parts.scheme)
    if parts.port is None and usual is not None:
        yield parts._replace(netloc=f"{parts.netloc}:{usual}").geturl()
    elif parts.port is not None:
        yield parts._replace(netloc=parts.netloc.removesuffix(f":{parts.port}")).geturl()
