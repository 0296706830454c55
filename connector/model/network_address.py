"""Callers' addresses as they are counted."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

CUSTOMER = 64  # bits of an IPv6 address that are one customer's: he has all addresses that begin so to himself


def customer_of(address: str) -> str:
    """What one customer of a network has: an IPv4 address, or an IPv6 network of 64 bits. A text that is no address is itself."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ip_network((int(parsed), CUSTOMER), strict=False))
    return str(parsed)
