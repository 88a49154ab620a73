"""Reading `platforms.toml`, and files of a team's own laid over it, into the types of `platform_types`.

Every complaint names file, table and key. Plain Python: no Django, no Netmiko.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devices.connector.platform_types import (
    GENERIC,
    RUNNING,
    STRUCTURES,
    Collect,
    CommandRule,
    Platform,
    PlatformTableError,
    Said,
    SecretRule,
    Source,
    Table,
    near_names,
    split_transport,
)

SHIPPED: Final = Path(__file__).with_name("platforms.toml")
_MAX_PATTERN: Final = 2000
_NOTHING: Final = "nothing to collect; give at least one text with kind and command"
# What a secret looks like in a rule: quoted, or up to the next blank or semicolon.
_VALUE: Final = r"""(?P<secret%d>"(?:[^"\\]|\\[\s\S]){1,8000}"|'[^']{1,8000}'|[^\s;]\S{0,8000}?(?=[;,]?(?:\s|$)))"""
# The words that may stand between the keyword and the secret: how the device wrote it down.
_TYPE: Final = (
    r"(?:(?:\d|8a|10|13|level[ \t]+\d{1,2}|(?:un)?encrypted"
    r"|encryption-type|hidden|plain(?:-?text)?|clear(?:-?text)?|cipher(?:text)?|irreversible-cipher|reversible|simple"
    r"|hash(?:ed|2)?|hmac-?[\w-]{0,12}|sha-?\d{0,3}|md5|ascii(?:-text)?|hex(?:adecimal)?|text|ENC|scrypt|pbkdf2|bcrypt|type-?\d"
    r"|set-key|index[ \t]+\d{1,4}|string|data|value)[ \t]+){0,5}+"
)
_COMMANDS: Final = ("read_only", "filters", "never")
_LISTS: Final = {
    "setup",
    "facts_more",
    "volatile",
    "secrets",
    "errors",
    "pager",
    "words",
    "plain_words",
    "collect",
    *_COMMANDS,
}
_FLAGS: Final = {"enable", "reencrypts", "terminal_login", "shell", "pattern_to_end"}
_KEYS: Final = _LISTS | {
    "label",
    "vendor",
    "like",
    "driver",
    "templates",
    "facts_command",
    "save_command",
    "closing",
    "comment",
    *_FLAGS,
}
_COLLECT_KEYS: Final = {
    "kind",
    "command",
    "default",
    "fallback",
    "end_marker",
    "structure",
    "requires",
    "min_bytes",
    "read_timeout_s",
}
# What a platform adds to what the one it is like, and the general rules, already have.
_ADDED: Final = ("volatile", "secrets", "errors", "pager", "words", "plain_words", *_COMMANDS)


def read(*extra: Path | Source) -> dict[str, Platform]:
    """Parse the shipped table with others laid over it, without using it; raises PlatformTableError."""
    return read_table(*extra).platforms


def read_table(*extra: Path | Source) -> Table:
    """`read`, with where each rule comes from."""
    reader = _Reader()
    for source in (SHIPPED, *extra):
        reader.add(source if isinstance(source, Source) else read_source(source))
    return reader.build()


def read_source(path: Path) -> Source:
    """The text of a file; raises PlatformTableError when it cannot be read."""
    try:
        return Source(str(path), path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlatformTableError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PlatformTableError(f"{path}: is not UTF-8 (byte {error.start})") from error


class _Reader:
    """Reads TOML texts one over the other, then builds the platforms; every complaint names its place."""

    def __init__(self) -> None:
        self.general: list[Said] = []
        self.device_types: list[str] = []
        self.telnet: set[str] = set()
        self.shipped: set[str] = set()
        self.layers: dict[str, list[Said]] = {}
        self.origin: dict[str, str] = {}
        self.own: dict[re.Pattern[str], str] = {}
        """The patterns that are not shipped, and the place of each."""
        self._adds_own = False

    def add(self, source: Source) -> None:
        path = source.name
        try:
            data = tomllib.loads(source.text)
        except tomllib.TOMLDecodeError as error:
            raise PlatformTableError(f"{path}: is not valid TOML: {error}") from error
        shipped = path == str(SHIPPED)
        self._adds_own = not shipped
        allowed = {"platforms", "general", "netmiko"} if shipped else {"platforms", "general"}
        for key in data:
            if key not in allowed:
                raise PlatformTableError(f"{path}: unknown table [{key}]; known: {', '.join(sorted(allowed))}")
        if shipped:
            self.device_types = list(data["netmiko"]["device_types"])
            self.telnet = set(data["netmiko"]["telnet"])
            self.shipped = {*self.device_types, *self.telnet, *data["platforms"]}
        general = self._table(data.get("general", {}), path, "general")
        for key, value in general.items():
            if key not in _ADDED:
                raise PlatformTableError(f"{path}: [general] {key}: unknown key; known: {', '.join(_ADDED)}")
            self._check_list(value, path, "general", key)
            self.general.append(Said(key, value, "", path))
            self._compile_all(key, value, path, "general")
        for name, table in self._table(data.get("platforms", {}), path, "platforms").items():
            self._add_platform(name, table, path)
        self._adds_own = False

    def _add_platform(self, name: str, table: Any, path: str) -> None:
        where = f"platforms.{name}"
        table = self._table(table, path, where)
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,62}", name):
            raise PlatformTableError(f"{path}: [{where}]: a name has small letters, digits and _ only")
        if split_transport(name)[0] != name:
            raise PlatformTableError(f"{path}: [{where}]: the transport is no part of the name; leave the suffix out")
        for key, value in table.items():
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(_KEYS))}"
                raise PlatformTableError(f"{path}: [{where}] {key}: unknown key{hint}")
            if key in _LISTS:
                self._check_list(value, path, where, key)
                self._compile_all(key, value, path, where)
            elif key in _FLAGS:
                if not isinstance(value, bool):
                    raise PlatformTableError(f"{path}: [{where}] {key}: must be true or false, is {value!r}")
            elif not isinstance(value, str):
                raise PlatformTableError(f"{path}: [{where}] {key}: must be text, is {value!r}")
            elif key == "closing" and value:
                self._pattern(value, path, where, key)
            if key == "collect":
                kinds = [each["kind"] for each in value]
                if not kinds:
                    raise PlatformTableError(f"{path}: [{where}] collect: {_NOTHING}")
                if len(set(kinds)) != len(kinds):
                    raise PlatformTableError(f"{path}: [{where}] collect: the same kind twice: {', '.join(kinds)}")
        self.layers.setdefault(name, []).extend(Said(key, value, name, path) for key, value in table.items())
        self.origin[name] = path

    def build(self) -> Table:
        names = sorted({*self.device_types, *self.telnet, *self.layers})
        built = {name: self._build(name) for name in names}
        return Table(
            platforms={name: platform for name, (platform, _) in built.items()},
            said={name: said for name, (_, said) in built.items()},
            shipped=frozenset(self.shipped),
            own_patterns=self.own,
        )

    def _said(self, name: str, seen: tuple[str, ...] = ()) -> list[Said]:
        """All that is said of a platform, first what it inherits: what comes later changes or adds to it."""
        own = self.layers.get(name, [])
        default = "" if name == GENERIC else GENERIC
        base_name = next((each.value for each in reversed(own) if each.key == "like"), default)
        if not base_name:
            return list(own)
        if base_name in seen or base_name == name:
            self._fail(name, "like", "goes round in a circle: " + " -> ".join([*seen, name, base_name]))
        if base_name not in self.layers and base_name != GENERIC:
            near = near_names(base_name, self.layers)
            self._fail(name, "like", f"no platform {base_name!r}" + (f"; near: {', '.join(near)}" if near else ""))
        alone = {"like", "label", "driver"} | ({"vendor", "templates"} if base_name == GENERIC else set())
        return [*(each for each in self._said(base_name, (*seen, name)) if each.key not in alone), *own]

    def _resolved(self, said: list[Said]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for each in said:
            if each.key in _ADDED:
                found[each.key] = [*found.get(each.key, []), *each.value]
            elif each.key == "collect":
                # What defines a platform gives all its texts; what is laid over it changes or adds single ones.
                is_first = each.source == self.layers[each.platform][0].source
                texts = {} if is_first else {text["kind"]: text for text in found["collect"]}
                found["collect"] = list((texts | {text["kind"]: text for text in each.value}).values())
            else:
                found[each.key] = each.value
        return found

    def _build(self, name: str) -> tuple[Platform, tuple[Said, ...]]:
        said = self._said(name)
        data = self._resolved(said)
        is_shell = bool(data.get("shell"))
        general = [each for each in self.general if not (is_shell and each.key in ("read_only", "filters"))]
        common = self._resolved(general)
        data |= {key: [*data.get(key, []), *common.get(key, [])] for key in _ADDED}
        path, where = self.origin.get(name, str(SHIPPED)), f"platforms.{name}"
        driver = data.get("driver", name)
        if driver not in self.device_types and driver not in self.telnet:
            near = near_names(driver, self.device_types)
            self._fail(
                name,
                "driver",
                f"{driver!r} is no Netmiko device_type" + (f"; near: {', '.join(near)}" if near else ""),
            )
        collects = tuple(self._collect(c, path, f"{where}.collect") for c in data.get("collect", []))
        if not collects:
            self._fail(name, "collect", _NOTHING)

        def commands(key: str) -> tuple[CommandRule, ...]:
            return tuple(self._command_rule(text, path, where, key) for text in data[key])

        platform = Platform(
            name=name,
            label=data.get("label") or name.replace("_", " "),
            vendor=data.get("vendor", ""),
            collects=collects,
            enable=data.get("enable", False),
            setup=tuple(data.get("setup", ())),
            volatile=tuple(self._pattern(p, path, where, "volatile") for p in data["volatile"]),
            secrets=tuple(self._secret(s, path, where) for s in data["secrets"]),
            errors=tuple(self._pattern(p, path, where, "errors") for p in data["errors"]),
            facts_command=data.get("facts_command") or None,
            facts_more=tuple(data.get("facts_more", ())),
            save_command=data.get("save_command") or None,
            pager=tuple(self._pattern(p, path, where, "pager") for p in data["pager"]),
            closing=self._pattern(data["closing"], path, where, "closing") if data.get("closing") else None,
            comment=data.get("comment", "!"),
            telnet=driver in self.telnet,
            driver=driver,
            templates=data.get("templates") or driver,
            words=tuple(dict.fromkeys(w.lower() for w in data["words"])),
            plain_words=frozenset(w.lower() for w in data["plain_words"]),
            reencrypts=data.get("reencrypts", False),
            terminal_login=data.get("terminal_login", False),
            read_only=commands("read_only"),
            filters=commands("filters"),
            never=commands("never"),
            shell=is_shell,
            pattern_to_end=data.get("pattern_to_end", False),
        )
        return platform, (*said, *general)

    def _collect(self, data: Any, path: str, where: str) -> Collect:
        data = self._table(data, path, where)
        for key in data:
            if key not in _COLLECT_KEYS:
                raise PlatformTableError(
                    f"{path}: [[{where}]] {key}: unknown key; known: {', '.join(sorted(_COLLECT_KEYS))}"
                )
        if not isinstance(data.get("default", False), bool):
            raise PlatformTableError(f"{path}: [[{where}]] default: must be true or false, is {data['default']!r}")
        for key in ("kind", "command"):
            if not isinstance(data.get(key), str) or not data[key].strip():
                raise PlatformTableError(f"{path}: [[{where}]] {key}: missing or empty")
        if "\n" in data["command"]:
            raise PlatformTableError(f"{path}: [[{where}]] command: must be one line")
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", data["kind"]):
            raise PlatformTableError(f"{path}: [[{where}]] kind: small letters, digits, - and _ only")
        structure = data.get("structure", "")
        if structure not in STRUCTURES:
            raise PlatformTableError(
                f"{path}: [[{where}]] structure: {structure!r} is none of {', '.join(s for s in STRUCTURES if s)}"
            )
        numbers: dict[str, float] = {}
        for key, default, low, high in (("min_bytes", 60, 0, 10**7), ("read_timeout_s", 120, 1, 7200)):
            value = data.get(key, default)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise PlatformTableError(f"{path}: [[{where}]] {key}: must be a number from {low} to {high}")
            numbers[key] = value
        for key in ("fallback", "requires"):
            self._check_list(data.get(key, []), path, where, key)
        marker = data.get("end_marker", "")
        return Collect(
            kind=data["kind"],
            command=data["command"],
            default=data.get("default", data["kind"] == RUNNING),
            end_marker=self._pattern(marker, path, where, "end_marker") if marker else None,
            min_bytes=int(numbers["min_bytes"]),
            read_timeout_s=float(numbers["read_timeout_s"]),
            fallback=tuple(data.get("fallback", ())),
            structure=structure,
            requires=tuple(self._pattern(p, path, where, "requires") for p in data.get("requires", ())),
        )

    def _secret(self, data: Any, path: str, where: str) -> SecretRule:
        if isinstance(data, str):
            data = {"pattern": data}
        data = self._table(data, path, f"{where} secrets")
        for key in data:
            if key not in {"pattern", "under", "salted", "free", "on"}:
                raise PlatformTableError(
                    f"{path}: [{where}] secrets: unknown key {key!r}; known: free, on, pattern, salted, under"
                )
        text = data.get("pattern")
        if not isinstance(text, str):
            raise PlatformTableError(f"{path}: [{where}] secrets: a rule needs a pattern")
        pieces = text.replace("{type}", _TYPE).split("{value}")
        spelled = pieces[0]
        for number, piece in enumerate(pieces[1:], start=1):
            spelled += _VALUE % number + piece
        pattern = self._pattern(spelled, path, where, "secrets", shown=text)
        groups = tuple(g for g in pattern.groupindex if g.startswith("secret"))
        if not groups:
            raise PlatformTableError(
                f"{path}: [{where}] secrets: {text!r} marks no secret; use {{value}} or a group (?P<secret>...)"
            )
        self._check_list(data.get("on", []), path, where, "on")
        under = data.get("under")
        return SecretRule(
            pattern=pattern,
            under=self._pattern(under, path, where, "secrets under") if under else None,
            salted=data.get("salted") is True,
            free=data.get("free") is True,
            on=tuple(word.lower() for word in data.get("on", ())),
            anchored=is_anchored(pattern.pattern),
            groups=groups,
        )

    def _compile_all(self, key: str, values: list[Any], path: str, where: str) -> None:
        """Compile now what would be compiled later, so that a complaint names the file it stands in."""
        for value in values:
            if key == "secrets":
                self._secret(value, path, where)
            elif key == "collect":
                self._collect(value, path, f"{where}.collect")
            elif key in {"volatile", "errors", "pager"}:
                self._pattern(value, path, where, key)
            elif key in _COMMANDS:
                self._command_rule(value, path, where, key)

    def _command_rule(self, text: str, path: str, where: str, key: str) -> CommandRule:
        """Words of which [brackets] hold what may be left out, or a pattern that begins with ^."""
        if text.startswith("^"):
            # Letters' case means something to a shell: `ss -k` shows nothing of what `ss -K` does.
            return CommandRule(pattern=self._pattern(text, path, where, key, flags=0))
        words = []
        for word in text.split():
            found = re.fullmatch(r"([a-z0-9][a-z0-9._:/-]*)(?:\[([a-z0-9._:/-]+)\])?", word)
            if found is None:
                raise PlatformTableError(
                    f"{path}: [{where}] {key}: {text!r} is neither words in small letters nor a pattern with ^"
                )
            words.append((found[1] + (found[2] or ""), len(found[1])))
        if not words:
            raise PlatformTableError(f"{path}: [{where}] {key}: an empty command")
        return CommandRule(words=tuple(words))

    def _pattern(
        self, text: Any, path: str, where: str, key: str, shown: str = "", flags: int = re.IGNORECASE
    ) -> re.Pattern[str]:
        shown = shown or str(text)
        if not isinstance(text, str) or not text:
            raise PlatformTableError(f"{path}: [{where}] {key}: a pattern must be text, is {text!r}")
        if len(shown) > _MAX_PATTERN:
            raise PlatformTableError(f"{path}: [{where}] {key}: a pattern of over {_MAX_PATTERN} characters")
        known = _patterns.get((text, flags))
        if known is not None:
            return self._noted(known, path, where, key)
        if _NESTED.search(text):
            raise PlatformTableError(
                f"{path}: [{where}] {key}: {shown!r} repeats a repetition and could run for hours on hostile text"
            )
        try:
            compiled = re.compile(text, flags)
        except (re.error, OverflowError, RecursionError) as error:
            raise PlatformTableError(f"{path}: [{where}] {key}: {shown!r} is no pattern: {error}") from error
        if key != "secrets" and compiled.search(""):
            raise PlatformTableError(f"{path}: [{where}] {key}: {shown!r} matches an empty line, so everything")
        _patterns[text, flags] = compiled
        return self._noted(compiled, path, where, key)

    def _noted(self, pattern: re.Pattern[str], path: str, where: str, key: str) -> re.Pattern[str]:
        if self._adds_own:
            self.own.setdefault(pattern, f"{path}: [{where}] {key}")
        return pattern

    @staticmethod
    def _table(value: Any, path: str, where: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise PlatformTableError(f"{path}: {where}: must be a table, is {value!r}")
        return value

    @staticmethod
    def _check_list(value: Any, path: str, where: str, key: str) -> None:
        if not isinstance(value, list):
            raise PlatformTableError(f"{path}: [{where}] {key}: must be a list, is {value!r}")
        if key not in {"secrets", "collect"} and not all(isinstance(v, str) for v in value):
            raise PlatformTableError(f"{path}: [{where}] {key}: must be a list of texts")

    def _fail(self, name: str, key: str, what: str) -> None:
        raise PlatformTableError(f"{self.origin.get(name, SHIPPED)}: [platforms.{name}] {key}: {what}")


def is_anchored(pattern: str) -> bool:
    """Whether a pattern begins with ^ in each of its alternatives (when in doubt, no)."""
    return pattern.startswith("^") and "|" not in _flattened(pattern)


def _flattened(pattern: str) -> str:
    """The pattern without its groups, innermost first."""
    pattern = re.sub(r"\\.", "", pattern)
    pattern = re.sub(r"\[\^?\]?[^\]]*\]", "", pattern)
    while (shorter := re.sub(r"\([^()]*\)", "", pattern)) != pattern:
        pattern = shorter
    return pattern


# (a+)+ and its kin. What is caught here is the plain blunder; lines are cut to a length besides.
_NESTED: Final = re.compile(r"\((?:\?:)?[^()|]*[^()|\\][+*]\)(?:[+*]|\{\d+,\})(?!\+)")
_patterns: dict[tuple[str, int], re.Pattern[str]] = {}
