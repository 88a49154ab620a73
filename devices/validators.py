"""Checks of single values that several faces share."""

from __future__ import annotations

import ipaddress
import re

from django.core.exceptions import ValidationError

from devices.connector.platforms import UnknownPlatformError, platform

_LABEL = re.compile(r"^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$")
_NUMBER = re.compile(r"^(?:[0-9]+|0[xX][0-9a-fA-F]*)$")
_NAME = re.compile(r"^[^\s/\\\x00-\x1f\x7f](?:[^/\\\x00-\x1f\x7f]*[^\s/\\\x00-\x1f\x7f])?$")


def validate_host(value: str) -> None:
    """Accept an IPv4 or IPv6 address or a DNS name; raise ValidationError otherwise."""
    try:
        ipaddress.ip_address(value)
        return
    except ValueError:
        pass
    name = value.removesuffix(".")
    if not name or len(name) > 253 or not all(_LABEL.match(label) for label in name.split(".")):
        raise ValidationError(f"{value!r} is neither an IP address nor a host name.", code="host")
    if all(_NUMBER.match(label) for label in name.split(".")):
        # 10.1.1, 300.1.1.1, 0x7f.1: meant as an address, and wrong as one, though some resolvers take it.
        raise ValidationError(f"{value!r} is not a valid IP address.", code="host")


def validate_name(value: str) -> None:
    """Accept a device name that can stand in a path, a URL and one line of a terminal."""
    if not _NAME.match(value):
        raise ValidationError("A name has no slashes, control characters, or space at its ends.", code="name")


def validate_platform(value: str) -> None:
    """Accept a platform that Netmiko or the platform table knows."""
    try:
        platform(value)
    except UnknownPlatformError as error:
        raise ValidationError(str(error), code="platform") from error
