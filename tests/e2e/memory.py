"""Looking for a text in the memory of processes, as root can."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_ONCE = 4 * 1024 * 1024
PLAIN = ["setpriv", "--bounding-set=-sys_ptrace,-sys_admin,-perfmon"]
"""Root without the rights by which root looks into every process: among such, it is as among any user's processes."""
AS_PLAIN_UP = ("-c", f"import os, sys; os.execvp('setpriv', {PLAIN} + [sys.executable, 'manage.py', 'up'])")
"""For `Instance.up`: the portal as such a user."""
_HOLDER = """
import sys
if "private" in sys.argv:
    from jobs.engine.linux import keep_memory_private
    keep_memory_private()
held = sys.stdin.readline().strip()
print("holding", flush=True)
sys.stdin.readline()
"""


def copies(pid: int, text: str) -> int:
    """How often a text stands in the memory of a process, in any form that Python gives a text; 0 once it is gone.

    Raises PermissionError where this process may not look.
    """
    needles = [text.encode(form) for form in ("utf-8", "utf-16-le", "utf-32-le")]
    overlap = max(map(len, needles)) - 1
    count = 0
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in maps:
                found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+\s*(.*)", line)
                if found is None or found[3] in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                    continue
                for part in _parts(memory, int(found[1], 16), int(found[2], 16), overlap):
                    count += sum(part.count(needle) for needle in needles)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return count


def _parts(memory: object, start: int, end: int, overlap: int) -> Iterator[bytes]:
    before = b""
    while start < end:
        try:
            memory.seek(start)  # type: ignore[attr-defined]
            part = memory.read(min(_AT_ONCE, end - start))  # type: ignore[attr-defined]
        except (OSError, ValueError, OverflowError):
            return  # a mapping without pages behind it
        if not part:
            return
        yield before + part
        # What stands across the seam is found, and nothing is counted twice.
        before = part[-overlap:]
        start += len(part)


@contextmanager
def holder(text: str, *, private: bool = True) -> Iterator[int]:
    """The id of a process that holds a text, as private as those of the product or like any other."""
    process = subprocess.Popen(
        [*PLAIN, sys.executable, "-c", _HOLDER, *(["private"] if private else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "holding\n"
        yield process.pid
    finally:
        process.communicate("\n")


def readable_by_the_same_user(pids: list[int]) -> list[int]:
    """Which of these processes let another process of their user look into their memory."""
    code = (
        "import sys\n"
        "for pid in sys.argv[1:]:\n"
        "    try:\n"
        "        open(f'/proc/{pid}/mem', 'rb').close()\n"
        "        print(pid)\n"
        "    except (PermissionError, FileNotFoundError):\n"
        "        pass\n"
    )
    done = subprocess.run(
        [*PLAIN, sys.executable, "-c", code, *map(str, pids)], capture_output=True, text=True, check=True
    )
    return [int(line) for line in done.stdout.split()]
