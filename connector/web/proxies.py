"""The address of a caller, and the address that it called, behind the proxies that the operator trusts. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
DEFAULT_PORTS = {"http": 80, "https": 443}


def caller(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The caller's address: the right-most of `X-Forwarded-For` that is not a trusted proxy, and never one further left.

    `forwarded` are the header's values as they came: several are one list (RFC 9110, 5.3). The search ends at an entry
    that is not an address, because an unknown sender wrote what is left of it.
    """
    if not trusted or not is_in_networks(peer, trusted):
        return peer
    for entry in reversed(",".join(forwarded).split(",")):
        hop = entry.strip()
        if not hop:
            continue
        peer = hop
        if not is_in_networks(hop, trusted):
            break
    return peer


def is_shared(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether many callers may come from this address: a trusted proxy's, or this machine's, on which a proxy may run."""
    return is_in_networks(peer, LOOPBACK) or is_in_networks(peer, trusted)


def public_base(url: str) -> str:
    """The public address as signatures contain it: without the scheme's default port and without a slash at its end."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def is_in_networks(text: str, networks: Sequence[Network]) -> bool:
    """Whether the text is an address in one of the networks. An IPv4 address mapped into IPv6 counts as IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
