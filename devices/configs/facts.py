"""What a device says about itself: vendor, model, serial number, version, hostname, uptime."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from devices.configs.authors import last_change
from devices.configs.facts_patterns import CONFIGURATION, FAMILIES, GENERAL, PATTERNS, SOFTWARE, VENDORS
from devices.configs.normalise import clean
from devices.connector.platforms import Platform, platform_or_generic

_PROMPT: Final = re.compile(r"[\w.@:/~()\[\]<*-][\w.@:/~()\[\]<>* -]{0,80}[#>$%\]] ?")
FACTS: Final = ("hostname", "vendor", "model", "serial", "version", "uptime_s")

_LINES: Final = 600
_LONG: Final = 240
"""Lines, and characters of a line, that are looked at: device output is hostile input, and this bounds the time."""
_LONGEST_FACT: Final = 100

# Commands whose answers describe the device itself; elsewhere a column "model" may mean anything.
_ABOUT_ITSELF: Final = re.compile(
    r"^/?(?:(?:show|sh|display|disp|dis|get|print|tmsh|-q|cat|sys|system)\s+)*"
    r"(?:version|ver|system|sys|sysinfo|sys-info|system-info|status|inventory|chassis|hardware|resource|routerboard"
    r"|identity|asset|switch|device|hostname|hostnamectl|uptime|uname|platform|software|swversion|ovs-vsctl|birdc"
    r"|vtysh|show)\b(?!.*(?:interface|transceiver|licen[sc]e|vtp|process|memory|user|arp|running|config))",
    re.IGNORECASE,
)
_CONFIGURATION: Final = re.compile(r"config|^/?export|^list\b|^info\b|^for f in ", re.IGNORECASE)
# Columns of the templates, best first.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "hostname": ("hostname", "host_name", "system_name"),
    "version": ("version", "os", "junos_version", "vrp_version", "image", "software_version", "sw_version"),
    "model": ("board_name", "model", "hardware_model", "product", "hardware", "switch_model", "chassis_description"),
    "serial": ("serial", "serial_number", "chassis_serial_number"),
    "uptime_s": ("uptime", "up_time", "system_up_time"),
}
_MORE_COLUMNS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "cisco_nxos": {"model": ("platform",)},
    "alcatel_aos": {"hostname": ("name",)},
    "hp_procurve": {"hostname": ("name",)},
    "cisco_wlc_ssh": {"version": ("product_version",)},
    "broadcom_icos": {"model": ("switch_model",)},
    "mikrotik_routeros": {"model": ("board_name", "model")},
    "huawei_smartax": {"version": ("olt_version",)},
    "dell_force10": {"version": ("os_version",), "model": ("device_type",)},
}
_NOTHING: Final = frozenset(
    {"", "-", "--", "n/a", "na", "none", "unknown", "not available", "not specified", "null", "chassis"}
)


def facts(text: str, platform: str, command: str) -> dict[str, Any]:
    """The facts in the answer to a command: text, and `uptime_s` in whole seconds; what is not known is absent.

    Never raises on odd text.
    """
    rules = platform_or_generic(platform)
    lines = _answer(text, command)
    if _CONFIGURATION.search(command):
        found = _by_patterns(lines, CONFIGURATION)
    else:
        found = _by_patterns(lines, PATTERNS.get(_family(rules) or _first(FAMILIES, lines) or "", ()))
        if _ABOUT_ITSELF.search(command.strip()):
            if len(found) < len(FACTS) - 1:
                found = _by_template("\n".join(lines), rules, command.strip()) | found
            found = _by_patterns(lines, GENERAL) | found
    if found:
        vendor = _first(SOFTWARE, lines) or rules.vendor or _first(VENDORS, lines)
        if vendor:
            found["vendor"] = vendor
    return {name: found[name] for name in FACTS if found.get(name) is not None}


def _answer(text: str, command: str) -> list[str]:
    """The lines of an answer, without the echo of the command and the prompt behind it."""
    lines = [line[:_LONG].rstrip() for line in clean(text[: _LINES * _LONG]).split("\n", _LINES)[:_LINES]]
    command = command.strip()
    if command and lines[0].endswith(command):
        del lines[0]
    while lines and (not lines[-1] or _PROMPT.fullmatch(lines[-1])):
        del lines[-1]
    return lines


def changed_by(text: str) -> str | None:
    """Who changed the configuration last, where the platform writes it into the dump."""
    return last_change(text).who or None


def uptime_seconds(words: str) -> int | None:
    """A duration as devices write it, in seconds: `2 weeks, 3 days, 4:05`, `6w5d11h55m45s`, `70,03:16:47`."""
    words = words[:_LONG].replace("(s)", "")
    up = re.search(r"\bup\s+(?=\d)", words)
    if up:
        words = words[up.end() :]
    words = re.split(r",\s*\d+ users?\b|\bload average|\(", words)[0]
    total, any_found = 0, False
    for number, unit in _UNITS.findall(words):
        total += int(number) * _SECONDS[unit[:2].lower() if unit[:2].lower() == "mo" else unit[0].lower()]
        any_found = True
    clock = re.search(r"(?:(\d{1,5})[,:])?\b(\d{1,4}):(\d\d)(?::(\d\d))?(?!\d)", words)
    if clock:
        days, hours, minutes, seconds = clock.groups()
        if seconds is None and days is not None and words[clock.end(1)] == ":":
            days, hours, minutes, seconds = None, days, hours, minutes
        total += int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)
        any_found = True
    return total if any_found else None


_UNITS: Final = re.compile(
    r"(\d{1,9})\s*(years?|yrs?|months?|weeks?|wks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|[ywdhms](?![a-z]))",
    re.IGNORECASE,
)
_SECONDS: Final = {"y": 365 * 86400, "mo": 30 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}


def _family(rules: Platform) -> str:
    for name in (rules.name, rules.templates, rules.driver):
        if name in PATTERNS:
            return name
    return ""


def _by_patterns(lines: Iterable[str], patterns: Iterable[tuple[str, re.Pattern[str]]]) -> dict[str, Any]:
    """The first value of each fact, its patterns in their order before the lines in theirs."""
    best: dict[str, tuple[int, Any]] = {}
    ranked = list(enumerate(patterns))
    for line in lines:
        if not line:
            continue
        for rank, (name, pattern) in ranked:
            if name in best and best[name][0] <= rank:
                continue
            match = pattern.search(line)
            if match:
                value = _value(name, match[1])
                if value is not None:
                    best[name] = (rank, value)
    return {name: value for name, (_, value) in best.items()}


def _by_template(text: str, rules: Platform, command: str) -> dict[str, Any]:
    from ntc_templates.parse import parse_output  # takes a while to load, and not all need it

    try:
        rows = parse_output(platform=rules.templates, command=command, data=text)
    except Exception:  # noqa: BLE001 - a template may fail in any way on text that it does not expect
        return {}
    if not rows:
        return {}
    row = _of_chassis(rows)
    if "pid" in row:
        row = {"model": row.get("pid", ""), "serial": row.get("sn", "")}
    found: dict[str, Any] = {}
    for name, columns in _COLUMNS.items():
        for column in (*_MORE_COLUMNS.get(rules.templates, {}).get(name, ()), *columns):
            value = row.get(column)
            if isinstance(value, list):
                value = value[0] if value else None
            cleaned = _value(name, value) if isinstance(value, str) else None
            if cleaned is not None:
                found[name] = cleaned
                break
    return found


def _of_chassis(rows: list[dict[str, Any]]) -> dict[str, Any]:
    named = [row for row in rows if row.get("pid", "-")] or rows
    for pattern in (r"chassis|^(?:switch )?1$", r"^rack 0$|^switch system$"):
        for row in named:
            if re.search(pattern, str(row.get("name", "")), re.IGNORECASE):
                return row
    return named[0]


def _value(name: str, text: str | None) -> Any:
    text = (text or "").strip().strip('"').strip()
    if text.lower() in _NOTHING:
        return None
    if name == "uptime_s":
        if re.fullmatch(r"\d{1,12}(?:\.\d+)?", text):
            return int(float(text))
        return uptime_seconds(text)
    if name == "version":
        # "6.49.10 (long-term)", "10.4(5) [Maintenance Release]"
        text = re.sub(r"^([VR]?\d\S*)\s+[\[(].*$", r"\1", text, flags=re.IGNORECASE).rstrip(",;")
    elif name == "serial":
        text = text.split(",")[0].rstrip(";")
        if not re.search(r"[A-Za-z0-9]{3}", text):
            return None
    return text if len(text) <= _LONGEST_FACT else None


def _first(named: Iterable[tuple[str, re.Pattern[str]]], lines: Iterable[str]) -> str | None:
    """The name of the first pattern that a line matches."""
    for name, pattern in named:
        if any(pattern.search(line) for line in lines):
            return name
    return None
