"""Authenticators that any provider can use: a secret in the path, basic auth, an address list.

A provider's own signature check is in the provider's folder.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from connector.config.secrets import is_one_of
from connector.model.errors import HttpRejected
from connector.model.http import HttpRequest

Network = IPv4Network | IPv6Network


class Authenticator(Protocol):
    """One condition on a request. An endpoint with several authenticators accepts a request only if all of them do."""

    def check(self, request: HttpRequest) -> None:
        """Raises HttpRejected if the request does not meet the condition."""


def check_authenticators(authenticators: Sequence[Authenticator], request: HttpRequest) -> bool:
    """Check the request with each authenticator. False if there is none: then the caller stays unknown.

    Raises HttpRejected for the first that does not accept it.
    """
    for authenticator in authenticators:
        authenticator.check(request)
    return bool(authenticators)


@dataclass(frozen=True, slots=True)
class PathSecret:
    """The last part of the path is a secret. Several secrets may be valid, so that one can be replaced without downtime."""

    secrets: Sequence[bytes] = field(repr=False)

    def check(self, request: HttpRequest) -> None:
        """Compare with every valid secret, in constant time."""
        if not is_one_of(request.secret or "", self.secrets):
            raise HttpRejected(401, "wrong path secret" if request.secret else "no path secret")


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """HTTP basic authentication (RFC 7617), read as UTF-8."""

    username: bytes
    password: bytes = field(repr=False)

    def check(self, request: HttpRequest) -> None:
        """Compare name and password as one text, in constant time."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise HttpRejected(401, "no basic auth")
        try:
            given = base64.b64decode(_bytes(encoded.strip()), validate=True)
        except binascii.Error:
            raise HttpRejected(401, "malformed basic auth") from None
        if not hmac.compare_digest(given, self.username + b":" + self.password):
            raise HttpRejected(401, "wrong basic auth")


@dataclass(frozen=True, slots=True)
class AddressList:
    """The caller's address, behind the trusted proxies. Use it as defence in depth: an address alone proves little."""

    networks: Sequence[Network]

    def check(self, request: HttpRequest) -> None:
        """Compare with each network. An IPv4 address mapped into IPv6 counts as IPv4."""
        try:
            peer = ip_address(request.peer)
        except ValueError:
            raise HttpRejected(403, "address unknown") from None
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        if not any(peer in network for network in self.networks):
            raise HttpRejected(403, "address not listed")


def _bytes(text: str) -> bytes:
    """Encode a path or header. It may hold undecodable bytes; they must not raise here."""
    return text.encode("utf-8", "surrogatepass")
