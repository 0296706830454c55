"""Restricts calls to public addresses: checks the address when the socket is made, after every name resolution."""

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
LAST_32_BITS = 0xFFFFFFFF


class NotPublic(OSError):  # noqa: N818 - named after the state that it reports.
    """The address is private, local or reserved."""


def is_public(address: str) -> bool:
    """Whether an IP address, and any IPv4 address inside an IPv6 address, is public."""
    try:
        given = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(ip.is_global and not ip.is_multicast for ip in (given, *_contained(given)))


def _contained(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to: mapped, 6to4, Teredo and NAT64."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(IPv4Address(int(address) & LAST_32_BITS))
    return [ip for ip in found if ip is not None]


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket of a connection, from an entry of getaddrinfo(). Raises NotPublic."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise NotPublic(errno.EACCES, "not a public address")
    new_socket = socket.socket(family, kind, protocol)
    new_socket.setblocking(False)
    return new_socket
