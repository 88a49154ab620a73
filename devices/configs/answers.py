"""Secrets in what devices answer to show commands: tables and `label: value`, which configurations do not have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from devices.configs.redact import PLACEHOLDER, redact

_LONG: Final = 400
"""Characters of a line that are looked at: device output is hostile input."""
_COLON: Final = r"[ \t]{0,40}[:=][ \t]{0,40}"
_WORD: Final = r"\"?(?P<secret>[^\s,;\"<>]{1,200})"
_LABELLED: Final = re.compile(
    r"\b(?:community(?:[ _-]?(?:name|index|string|security ?name))?"
    r"|(?:server|auth|authentication|priv|privacy|shared|encryption|encrypt|wpa\d?|private|secret|md5|hmac|tacacs|radius"
    r"|pre-?shared|ike|ospf|bgp|eigrp|hello)[ _-]key(?:[ _-]string)?)"
    rf"{_COLON}{_WORD}",
    re.IGNORECASE,
)
# show snmp host: for versions 1 and 2c the user is the community.
_TRAP_HOST: Final = re.compile(rf"^\s*user{_COLON}{_WORD}[ \t]+security model{_COLON}v[12]", re.IGNORECASE)
_KEY_TABLE: Final = re.compile(r"^\s*keyring\b.{0,200}\bpre-?shared\b", re.IGNORECASE)
_LAST_WORD: Final = re.compile(r"(?P<secret>\S{1,200})\s*$")
_NOTHING: Final = frozenset({"none", "n/a", "-", "--", "not", "no", "yes", "enabled", "disabled", "configured", "null"})


def redact_answer(text: str, platform: str, fingerprint: Callable[[str], str] | None = None) -> str:
    """An answer with a placeholder for each secret, as `redact` does it for configurations."""

    def masked(line: str, found: re.Match[str] | None) -> str:
        if found is None or found["secret"].lower() in _NOTHING or "*" in found["secret"]:
            return line
        shown = f"<secret:{fingerprint(found['secret'])}>" if fingerprint else PLACEHOLDER
        return line[: found.start("secret")] + shown + line[found.end("secret") :]

    lines = []
    in_table = False
    for line in redact(text, platform, fingerprint).split("\n"):
        head = line[:_LONG]
        if in_table:
            in_table = bool(line.strip())
            lines.append(masked(line, _LAST_WORD.search(head)) if in_table and len(line.split()) > 1 else line)
            continue
        in_table = _KEY_TABLE.search(head) is not None
        lines.append(line if in_table else masked(line, _LABELLED.search(head) or _TRAP_HOST.search(head)))
    return "\n".join(lines)
