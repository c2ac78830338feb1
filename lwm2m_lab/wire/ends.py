"""Where a datagram comes from and goes to, as text."""

from __future__ import annotations

__all__ = ["MAPPED", "address_text"]

#: What stands before an IPv4 address that is written as one of IPv6 (RFC 4291, 2.5.5.2).
MAPPED = bytes(10) + b"\xff\xff"


def address_text(end: bytes) -> str:
    """``192.0.2.1:5683`` or ``[2001:db8::1]:5683`` of 16 bytes of address (IPv4 mapped) and two of port."""
    port = int.from_bytes(end[16:18], "big")
    if end.startswith(MAPPED):
        return f"{end[12]}.{end[13]}.{end[14]}.{end[15]}:{port}"
    import ipaddress

    return f"[{ipaddress.IPv6Address(end[:16])}]:{port}"
