"""A Python process inside an instance: asked many things, and started once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.netraven_site.instance import REPOSITORY, Instance

_CHILD = """
import json, sys, traceback
import django
django.setup()
from django.db import close_old_connections
names = {}
for line in sys.stdin:
    request = json.loads(line)
    try:
        close_old_connections()
        if request["is_value"]:
            answer = {"value": eval(request["code"], names)}
        else:
            exec(request["code"], names)
            answer = {"value": None}
    except BaseException:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer, default=str), flush=True)
"""


class Inside:
    """What its code names stays known to the code after it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, code: str) -> None:
        """Run statements; fails with their traceback."""
        self._send(code, False)

    def ask(self, expression: str) -> Any:
        """The value of an expression, by way of JSON."""
        return self._send(expression, True)

    def _send(self, code: str, is_value: bool) -> Any:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"code": code, "is_value": is_value}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, "the process has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]


@contextmanager
def inside(instance: Instance) -> Iterator[Inside]:
    """Such a process, ended in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        cwd=REPOSITORY,
        env={**instance.env, "DJANGO_SETTINGS_MODULE": "netraven_site.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Inside(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)
