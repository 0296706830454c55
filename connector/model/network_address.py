"""Groups callers' addresses so that they can be counted by customer."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

CUSTOMER = 64  # bits of an IPv6 address that identify one customer, who has all addresses with this prefix


def customer_of(address: str) -> str:
    """The address block of one customer: an IPv4 address, or an IPv6 network of 64 bits. Other text is returned unchanged."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ip_network((int(parsed), CUSTOMER), strict=False))
    return str(parsed)
