"""Addresses that servers listen at, and the names that requests call them by."""

from __future__ import annotations

import ipaddress

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = ("0.0.0.0", "::", "")


def is_open(host: str) -> bool:
    """Whether other machines reach a server that listens there.

    >>> is_open("127.0.0.2"), is_open("0.0.0.0"), is_open("192.168.0.7")
    (False, True, True)
    """
    return host in EVERYWHERE or not (host in LOCAL or _is_loopback(host))


def is_number(name: str) -> bool:
    """Whether a name is an IP address, which nobody can make lead elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return is_number(host) and ipaddress.ip_address(host).is_loopback
