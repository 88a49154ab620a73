"""Whether patterns are quick enough for hostile text: each is tried, in a process of its own, on lines made for it.

Python's own patterns know no time limit, so what a team writes is measured before it counts. Run as a program
(`python -m`), it reads a JSON list of [pattern, flags] and answers with the numbers of those that took too long.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import FrameType
from typing import Any, Final

from devices.connector.platform_types import PlatformTableError

SAMPLE_BYTES: Final = 64 * 1024
PATTERN_CPU_S: Final = 1.0
"""For the whole sample; a good pattern needs some milliseconds."""
_LINE: Final = 1000
_REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
_PLAIN: Final = (
    "interface GigabitEthernet0/1",
    " ip address 192.0.2.1 255.255.255.0",
    "set system host-name r1",
    "a" * (_LINE - 1) + "!",
    " " * (_LINE - 1) + "!",
    "1." * (_LINE // 2) + "!",
    "a " * (_LINE // 2) + "!",
    "1" * (_LINE - 1) + "!",
    '"' + "\\a" * (_LINE // 2),
)


def require_quick(patterns: Mapping[re.Pattern[str], str]) -> None:
    """Raise PlatformTableError for the first of these patterns (each with its place) that is too slow."""
    names = list(patterns)
    slow = slow_ones([(each.pattern, each.flags) for each in names])
    if slow:
        pattern = names[slow[0]]
        raise PlatformTableError(
            f"{patterns[pattern]}: {pattern.pattern[:200]!r} takes too long on hostile text: over {PATTERN_CPU_S:g} s "
            f"for {SAMPLE_BYTES // 1024} kB; avoid repetitions that can match the same characters"
        )


def slow_ones(patterns: Sequence[tuple[str, int]]) -> list[int]:
    """The numbers, from 0, of the patterns that need more than PATTERN_CPU_S for a sample."""
    if not patterns:
        return []
    found: list[int] = run_apart("devices.connector.platform_trial", patterns, PATTERN_CPU_S * len(patterns) + 10)
    return found


def run_apart(module: str, payload: Any, cpu_s: float) -> Any:
    """JSON to the standard input of a module of ours, run in a process that may use so much CPU; its JSON answer.

    Raises TimeoutError when it did not end, RuntimeError when it failed. Nothing is written anywhere.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", module],
            input=json.dumps([cpu_s, payload]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=_REPOSITORY,
            env={"PYTHONPATH": str(_REPOSITORY)},  # and no secret of this process
            timeout=3 * cpu_s + 20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise TimeoutError
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else "it ended")
    return json.loads(done.stdout)


def given() -> Any:
    """In the child: what `run_apart` handed over, once the limit holds."""
    cpu_s, payload = json.loads(sys.stdin.read())
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 2))
    return payload


# --- in the child -----------------------------------------------------------------------------------------


class _TooLong(BaseException):
    pass


def _stop(signum: int, frame: FrameType | None) -> None:
    raise _TooLong


def _is_slow(pattern: str, flags: int) -> bool:
    search = re.compile(pattern, flags).search
    lines = list(dict.fromkeys((*hostile_lines(pattern, flags), *_PLAIN)))
    rounds = max(1, SAMPLE_BYTES // sum(len(line) + 1 for line in lines))
    # CPU time, so that a busy machine makes no pattern slow. The engine looks for signals while it searches.
    signal.setitimer(signal.ITIMER_VIRTUAL, PATTERN_CPU_S)
    try:
        for _ in range(rounds):
            for line in lines:
                search(line)
    except _TooLong:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return False


def hostile_lines(pattern: str, flags: int = 0) -> Iterator[str]:
    """Lines that a pattern nearly matches: up to a repetition, that very often, and then something else."""
    prefix = ""
    for code, value in parser.parse(pattern, flags):
        yield from _within(prefix, code, value)
        prefix += _example([(code, value)])


def _within(prefix: str, code: Any, value: Any) -> Iterator[str]:
    if code in _REPEATS:
        _, most, inner = value
        if most > 20:
            piece = _example(inner) or "a"
            yield (prefix + piece * (_LINE // len(piece) + 1))[: _LINE - 1] + "\x02"
        for inner_code, inner_value in inner:
            yield from _within(prefix, inner_code, inner_value)
            prefix += _example([(inner_code, inner_value)])
    for branch in _branches(code, value):
        before = prefix
        for inner_code, inner_value in branch:
            yield from _within(before, inner_code, inner_value)
            before += _example([(inner_code, inner_value)])


_REPEATS: Final = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)


def _branches(code: Any, value: Any) -> list[Any]:
    if code is codes.SUBPATTERN:
        return [value[3]]
    if code is codes.ATOMIC_GROUP:
        return [value]
    return list(value[1]) if code is codes.BRANCH else []


def _example(parsed: Any) -> str:
    """Something that these parts of a pattern match, more or less."""
    text = ""
    for code, value in parsed:
        if code is codes.LITERAL:
            text += chr(value)
        elif code is codes.NOT_LITERAL:
            text += "a" if value != ord("a") else "b"
        elif code is codes.ANY:
            text += "a"
        elif code is codes.IN:
            text += _one_of(value)
        elif code in _REPEATS:
            text += _example(value[2]) * min(max(value[0], 1), 20)
        elif code is not codes.ASSERT_NOT and (branches := _branches(code, value)):
            text += _example(branches[0])
    return text[:_LINE]


def _one_of(parts: Any) -> str:
    (code, value), *_ = parts
    if code is codes.NEGATE:
        wanted = re.compile(_class_of(parts))
        return next((sign for sign in "a1 .x-" if wanted.match(sign)), "a")
    if code is codes.LITERAL:
        return chr(value)
    if code is codes.RANGE:
        return chr(value[0])
    return _CATEGORIES.get(value, "a")


def _class_of(parts: Any) -> str:
    text = ""
    for code, value in parts[1:]:
        if code is codes.LITERAL:
            text += re.escape(chr(value))
        elif code is codes.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif code is codes.CATEGORY:
            text += _ESCAPES.get(value, "")
    return f"[^{text}]" if text else "."


_CATEGORIES: Final = {
    codes.CATEGORY_DIGIT: "1",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_NOT_WORD: " ",
}
_ESCAPES: Final = {
    codes.CATEGORY_DIGIT: r"\d",
    codes.CATEGORY_NOT_DIGIT: r"\D",
    codes.CATEGORY_SPACE: r"\s",
    codes.CATEGORY_NOT_SPACE: r"\S",
    codes.CATEGORY_WORD: r"\w",
    codes.CATEGORY_NOT_WORD: r"\W",
}


def _main() -> None:
    patterns = given()
    signal.signal(signal.SIGVTALRM, _stop)
    sys.stdout.write(json.dumps([at for at, (pattern, flags) in enumerate(patterns) if _is_slow(pattern, flags)]))


if __name__ == "__main__":
    _main()
