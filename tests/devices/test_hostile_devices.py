"""Devices that flood, drip, fall silent or draw on the screen: the session ends, says why, and stays small."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from devices.configs.answers import redact_answer
from devices.configs.facts import facts
from devices.configs.integrity import check
from devices.configs.normalise import clean, normalise
from devices.configs.redact import redact
from devices.connector.platforms import platforms
from tests.devices.hostile import ANSWERS, BEFORE_LOGIN, BOMBS, PROMPTS, TELNET, Trap, ssh_trap
from tests.netraven_site.instance import REPOSITORY

SURVIVES_S = 60
GROWS_MIB = 160
"""For at most 8 MiB that a device may send here: read, cleaned, and looked through for secrets."""
DRIVERS = ("cisco_ios", "juniper_junos", "huawei", "mikrotik_routeros", "fortinet")


class Visitors:
    """Processes that visit devices, each measured by itself."""

    def __init__(self, count: int) -> None:
        self._free: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(count)
        for _ in range(count):
            self._free.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.devices.hostile"],
                    cwd=REPOSITORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )

    def visit(self, orders: dict[str, tuple[int, str, str, str]]) -> dict[str, dict[str, Any]]:
        """What came of each visit."""
        return dict(zip(orders, self._pool.map(self._one, orders.values()), strict=True))

    def _one(self, order: tuple[int, str, str, str]) -> dict[str, Any]:
        with self._lock:
            process = self._free.pop()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(" ".join(map(str, order)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, "the process that visited has died"
            found: dict[str, Any] = json.loads(answer)
            return found
        finally:
            with self._lock:
                self._free.append(process)

    def close(self) -> None:
        """End them."""
        self._pool.shutdown()
        for process in self._free:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def visitors() -> Iterator[Visitors]:
    made = Visitors(8)
    yield made
    made.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[Any]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, made).result(30)

    yield run
    run(_cancel_all())
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _judge(found: dict[str, dict[str, Any]], *, may_succeed: bool = False) -> None:
    for name, said in found.items():
        assert said["outcome"] not in {"exception", "internal_error"}, (name, said)
        assert said["seconds"] < SURVIVES_S, (name, said)
        assert said["grown_mib"] < GROWS_MIB, (name, said)
        if not may_succeed:
            assert said["outcome"] != "success", (name, said)
            assert said["detail"], name
        # What came of an answer is no message: it is shown by pages, which escape it.
        strange = [c for c in said["detail"] if unicodedata.category(c) in {"Cc", "Cf"} and c not in "\n\t\r"]
        assert not strange or may_succeed, (name, strange)


@pytest.mark.parametrize("how", ["login", "probe"])
@pytest.mark.parametrize("transport", ["ssh", "telnet"])
def test_whatever_comes_before_a_login_ends_with_a_reason(visitors: Visitors, loop, transport: str, how: str) -> None:
    says = {**BEFORE_LOGIN, **TELNET}
    ports = {name: loop(Trap(each).open()) for name, each in says.items()}
    found = visitors.visit({name: (port, transport, "cisco_ios", how) for name, port in ports.items()})
    # A telnet console may say anything or nothing: for the question whether it answers that is an answer.
    _judge(found, may_succeed=how == "probe")


@pytest.mark.parametrize("platform", ["cisco_ios", "juniper_junos", "fortinet"])
def test_a_prompt_of_any_kind_ends_with_a_reason_or_with_an_answer(visitors: Visitors, loop, platform: str) -> None:
    ports = {name: loop(ssh_trap(prompt, None)) for name, prompt in PROMPTS.items()}
    _judge(visitors.visit({name: (port, "ssh", platform, "login") for name, port in ports.items()}), may_succeed=True)


def test_an_answer_without_end_ends_with_a_reason(visitors: Visitors, loop) -> None:
    ports = {name: loop(ssh_trap("R1#", says)) for name, says in ANSWERS.items()}
    found = visitors.visit({name: (port, "ssh", "cisco_ios", "login") for name, port in ports.items()})
    # Prompts are an answer too, of no lines or of prompts: whoever asked for a configuration refuses it.
    _judge({"prompts": found.pop("prompts for ever")}, may_succeed=True)
    _judge(found)
    assert {found[name]["outcome"] for name in ("flood", "flood without a line end")} == {"incomplete_output"}
    assert "8 MiB" in found["flood"]["detail"]


@pytest.mark.parametrize("name", BOMBS)
def test_no_pattern_of_ours_is_a_bomb(name: str) -> None:
    text = BOMBS[name]
    started = time.process_time()
    for platform in platforms():
        if platform not in DRIVERS:
            continue
        whole = clean(text)
        normalise(whole, platform)
        redact(whole, platform)
        redact_answer(whole, platform)
        check(whole, platform=platform)
        facts(whole, platform, "show version")
    assert time.process_time() - started < SURVIVES_S
