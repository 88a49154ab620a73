"""Where a request comes from."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

_LONGEST_AGENT = 200


def address_of(request: HttpRequest | None) -> str:
    """The client's address; empty where there is none.

    Behind a proxy it is what the proxy itself has written last: everything before it can be made up.
    """
    if request is None:
        return ""
    said = str(request.META.get("REMOTE_ADDR") or "")
    if settings.NETRAVEN_BEHIND_PROXY:
        forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", said))
        said = forwarded.rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(said.partition("%")[0]))
    except ValueError:
        return ""


def counted_as(address: str) -> str:
    """The address as tries are counted: an IPv6 network has as many addresses as anybody wants."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def agent_of(request: HttpRequest) -> str:
    """What the browser calls itself, printable and cut."""
    said = str(request.META.get("HTTP_USER_AGENT", ""))[:_LONGEST_AGENT]
    return "".join(character if character.isprintable() else "?" for character in said)
