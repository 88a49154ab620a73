"""Whether a command only shows something: what a job may send that has no right to change a device.

The commands themselves are data, in the table of platforms (`read_only`, `filters`, `never`). Here is what holds
for all of them: one line of plain characters, one command, and behind pipes nothing but filters. Whatever is not
known to be harmless is refused. Plain Python, nothing is sent from here.
"""

from __future__ import annotations

import re
from typing import Final

from devices.connector.platforms import CommandRule, Platform, platform_or_generic, platforms

LONGEST: Final = 400
"""Characters of a command."""

# Whatever strings commands together, runs one inside another, reads or writes files, or asks for help.
_NEVER: Final = {
    ";": "two commands in one line",
    "&": "two commands in one line",
    "`": "a command inside a command",
    "<": "reads from a file",
    ">": "writes to a file",
    "?": "asks the device for help instead of answering",
}
_EXPANSION: Final = re.compile(r"\$[\w({\[\"'@*#?!$-]")
_PARENT: Final = re.compile(r"\.\.(?:[/\\]|\s|$)")
_ESCAPED_END: Final = re.compile(r"\\(?:[\"'|]|\s|$)")
_ADDRESS: Final = re.compile(r"^(?:[a-z][a-z0-9+.-]{1,9}://|(?:t|s|h)?ftp:|scp:|https?:|rcp:|nfs:|smb:|rsync:)")
_FILE: Final = re.compile(
    r"^(?:stby-|slave-|sup-|standby-)?(?:bootflash|flash-?\d*|nvram|usb(?:flash)?\d*|slot\d+|disk\d+[a-z]?|harddisk[a-z]?"
    r"|volatile|logflash|modflash|cf\d+|compactflash|crashinfo|apphost|bootdisk|lcdisk\d*|hda\d*|sda\d*|var|cfcard):"
)
# In a shell these mean something even where no rule thinks of them.
_SHELL_NEVER: Final = re.compile(r"[$\\!]")
_SHELL_BARE: Final = re.compile(r"[(){}\[\]*#^]")
_ALTERNATIVE: Final = re.compile(r"[^\s|]+")
_PROGRAMS: Final = re.compile(
    r"[(\"']*(?:(?:ba|da|a|k|z|c|tc|v)?sh|python[\d.]*|perl|ruby|lua|tclsh|awk|sed|xargs|tee|source|less|more|vim?|ed"
    r"|reboot|reload|halt|poweroff|shutdown|init|sudo|su|tcl|guestshell|exec|append|redirect|save|file|utility)[)\"']*"
)


class CommandRefused(ValueError):
    """A command that is not known to be harmless; the words say why, and never where it was to be sent."""


def refuse_unless_read_only(command: str, platform: str | Platform) -> None:
    """Raise CommandRefused unless this platform's commands say that it only shows something.

    Words may be shortened only as far as the table of platforms spells it out.
    """
    rules = platform if isinstance(platform, Platform) else platform_or_generic(platform)
    line = _plain_line(command)
    head, *filters = _unix_pipes(line) if rules.shell else _pipes(line, rules.pattern_to_end)
    if rules.shell:
        _refuse_shell_signs(line)
    words = head.split()
    if not words:
        raise CommandRefused("there is no command before the pipe")
    rule = _find(head, words, rules.read_only)
    if rule is None:
        raise CommandRefused(f"{_named(words[0])} is not one of the commands that only show something")
    full = _in_full(words, rule)
    if any(_may_mean(full, each) for each in rules.never):
        raise CommandRefused(f"{_named(' '.join(full[:3]))} may write a file, or burden the device")
    if rule.pattern is None:
        _refuse_files(full)
        if words[0].lower() != full[0] and len(words) > 1 and not words[1][0].isalnum():
            # Should the platform be wrong and this a Unix host, `sh -c` would be the shell and no `show`.
            raise CommandRefused(f"{_named(words[0])} may mean something else before {_named(words[1])}: write it out")
    for text in filters:
        if _find(text, text.split(), rules.filters) is None:
            shown = _named(text.split()[0]) if text.strip() else "nothing"
            hint = "" if rules.pattern_to_end else '; a | that means "or" stands in quotes'
            raise CommandRefused(f"behind a pipe stands {shown}, which is no filter that is known to be harmless{hint}")


def refuse_everywhere(command: str) -> None:
    """Raise CommandRefused when no platform at all would be sent this command."""
    reason: CommandRefused | None = None
    seen: set[object] = set()
    for rules in (platform_or_generic("generic"), *platforms().values()):
        same = (rules.read_only, rules.filters, rules.never, rules.shell, rules.pattern_to_end)
        if same in seen:
            continue
        seen.add(same)
        try:
            refuse_unless_read_only(command, rules)
        except CommandRefused as refused:
            reason = reason or refused
        else:
            return
    assert reason is not None
    raise reason


# --- characters -----------------------------------------------------------------------------------------------


def _plain_line(command: str) -> str:
    line = command.strip(" ")
    if not line:
        raise CommandRefused("it is empty")
    if len(line) > LONGEST:
        raise CommandRefused(f"it is longer than {LONGEST} characters")
    if not (line.isascii() and line.isprintable()):
        raise CommandRefused("it holds a control character, a line end or a letter outside ASCII")
    for sign, meaning in _NEVER.items():
        if sign in line:
            raise CommandRefused(f"{sign} {meaning}")
    if _EXPANSION.search(line):
        raise CommandRefused("$ puts something else in its place")
    if _PARENT.search(line):
        raise CommandRefused(".. leads out of a folder")
    if _ESCAPED_END.search(line):
        raise CommandRefused("\\ before a quote, a pipe, a blank or the end hides where a word ends")
    return line


def _refuse_shell_signs(line: str) -> None:
    found = _SHELL_NEVER.search(line) or _SHELL_BARE.search(_unquoted(line))
    if found:
        raise CommandRefused(f"{found[0]} means something to the shell of this platform")


def _refuse_files(words: list[str]) -> None:
    for number, word in enumerate(words):
        if _ADDRESS.match(word):
            raise CommandRefused(f"{_named(word)} is an address to copy to or from")
        if number > 1 and words[0] != "dir" and _FILE.match(word):
            raise CommandRefused(f"{_named(word)} is a file")


def _named(word: str) -> str:
    return f"'{word[:40]}'"


# --- pipes ----------------------------------------------------------------------------------------------------


def _quotes(line: str) -> list[tuple[int, int]]:
    """Where quoted parts begin and end; refused when one is left open."""
    spans = []
    at = 0
    while at < len(line):
        if line[at] in "\"'":
            end = line.find(line[at], at + 1)
            if end < 0:
                raise CommandRefused("a quote is not closed")
            spans.append((at, end))
            at = end
        at += 1
    return spans


def _unquoted(line: str) -> str:
    spans = _quotes(line)
    return "".join(sign for at, sign in enumerate(line) if not any(start <= at <= end for start, end in spans))


def _unix_pipes(line: str) -> list[str]:
    """The command and its filters, where quotes protect a pipe for certain."""
    parts, start = [], 0
    spans = _quotes(line)
    for at, sign in enumerate(line):
        if sign == "|" and not any(first < at < last for first, last in spans):
            parts.append(line[start:at].strip(" "))
            start = at + 1
    return [*parts, line[start:].strip(" ")]


def _pipes(line: str, pattern_to_end: bool) -> list[str]:
    """The command and its filters, where not every device may protect a pipe that stands in quotes.

    So a `|` within a pattern passes only when nothing could follow it but one word: without blanks around, and
    no blank before the next pipe.
    """
    spans = _quotes(line)
    parts = [""]
    start = 0
    for at, sign in enumerate(line):
        if sign != "|":
            continue
        quoted = any(first < at < last for first, last in spans)
        if len(parts) > 1 and (quoted or pattern_to_end) and _is_alternative(line, at):
            continue
        if quoted:
            raise CommandRefused("a | in quotes must have no blank beside it, and one word after it")
        parts[-1] = line[start:at].strip(" ")
        parts.append("")
        start = at + 1
    parts[-1] = line[start:].strip(" ")
    return parts


def _is_alternative(line: str, at: int) -> bool:
    """Whether the `|` at this place can only mean "or".

    No filter and no program has a name that begins with `^`. Otherwise one harmless word stands close behind it.
    """
    if at == 0 or line[at - 1] in " |":
        return False
    if line[at + 1 : at + 2] == "^":
        return True
    word = _ALTERNATIVE.match(line, at + 1)
    if word is None or _PROGRAMS.fullmatch(word[0].lower()):
        return False
    rest = line[word.end() :].lstrip(" ")
    return not rest or rest.startswith("|")


# --- rules ----------------------------------------------------------------------------------------------------


def _find(text: str, words: list[str], rules: tuple[CommandRule, ...]) -> CommandRule | None:
    line = " ".join(words)
    for rule in rules:
        if rule.pattern is not None:
            if rule.pattern.fullmatch(line):
                return rule
        elif _begins(words, rule):
            return rule
    return None


def _begins(words: list[str], rule: CommandRule) -> bool:
    if len(words) < len(rule.words):
        return False
    for word, (full, least) in zip(words, rule.words, strict=False):
        folded = word.lower()
        if len(folded) < least or not full.startswith(folded):
            return False
    return True


def _in_full(words: list[str], rule: CommandRule) -> list[str]:
    """The words in small letters, those that the rule knows spelled out."""
    known = [full for full, _ in rule.words]
    return known + [word.lower() for word in words[len(known) :]]


def _may_mean(words: list[str], rule: CommandRule) -> bool:
    """Whether a device could take these words, shortened as they may be, for the ones of the rule."""
    if rule.pattern is not None:
        return rule.pattern.match(" ".join(words)) is not None
    if len(words) < len(rule.words):
        return False
    return all(full.startswith(word) for word, (full, _) in zip(words, rule.words, strict=False))
