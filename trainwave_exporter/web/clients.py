"""Who is behind an address."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network


def client_of(address: str) -> str:
    """Return who is behind an address: of version 6, who has one has its whole /64."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network(f"{parsed.exploded}/64", strict=False))
