"""The demo, from an empty folder: what it shows, that it ends without a trace, and that it can be had again."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devices.simulator.demo import DEMO_CONFIG_CHANGES, DEMO_DOWN, DEMO_HOST_KEY_CHANGES, DEMO_OLD_PASSWORD
from tests.netraven_site.instance import Instance

pytestmark = pytest.mark.e2e

THE_END = "Ctrl-C here stops everything"


def free_range(count: int = 24) -> int:
    """The first of so many ports in a row that nobody uses at the moment."""
    for base in range(23_000, 32_000, 50):
        probes = [socket.socket() for _ in range(count)]
        try:
            for number, probe in enumerate(probes):
                probe.bind(("127.0.0.1", base + number))
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
        return base
    raise AssertionError("no free ports")


def ask(instance: Instance, expression: str) -> Any:
    """The value of an expression over the models of the instance."""
    code = (
        "import json\nfrom credentials.models import *\nfrom devices.models import *\nfrom jobs.models import *\n"
        f"print(json.dumps({expression}, default=str))"
    )
    return json.loads(instance.shell(code))


@dataclass
class Shown:
    """A demo that ran and was ended: what it printed, how it ended, what it left."""

    instance: Instance
    console: str
    exit_code: int
    left: list[int]


def demo(instance: Instance) -> Shown:
    """Run a demo to the end of its story, then press Ctrl-C."""
    with instance.up(program=("manage.py", "demo")) as up:
        up.wait_for_line(THE_END, within_s=180)
        up.note_sessions()
        up.process.send_signal(signal.SIGINT)
        return Shown(instance, up.console.read_text(), up.process.wait(timeout=60), up.living())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    instance = Instance(tmp_path_factory.mktemp("demo") / "home", NETRAVEN_DEMO_BASE_PORT=str(free_range()))
    instance.home.mkdir()
    return demo(instance)


def results(shown: Shown, run: int) -> dict[str, str]:
    return dict(ask(shown.instance, f"list(Result.objects.filter(run={run}).values_list('device_name', 'outcome'))"))


def test_two_runs_reach_every_device_that_can_be_reached(first: Shown) -> None:
    assert {name for name, outcome in results(first, 1).items() if outcome != "success"} == {DEMO_DOWN}
    assert {name for name, outcome in results(first, 2).items() if outcome != "success"} == {
        DEMO_DOWN,
        DEMO_HOST_KEY_CHANGES,
    }


def test_the_password_change_shows_as_rotation_in_the_first_run_alone(first: Shown) -> None:
    refused = ask(
        first.instance,
        "list(Attempt.objects.filter(outcome='rejected', device__site='lon').values_list('run', 'device_name'))",
    )
    assert sorted(refused) == sorted([1, name] for name in DEMO_OLD_PASSWORD)


def test_the_changed_host_key_waits_and_cost_no_login(first: Shown) -> None:
    assert results(first, 2)[DEMO_HOST_KEY_CHANGES] == "host_key_changed"
    assert ask(first.instance, f"Attempt.objects.filter(run=2, device_name='{DEMO_HOST_KEY_CHANGES}').count()") == 0
    assert ask(
        first.instance, "list(HostKey.objects.filter(state='pending').values_list('device__name', flat=True))"
    ) == [DEMO_HOST_KEY_CHANGES]


def test_each_changed_configuration_and_no_other_has_a_second_version(first: Shown) -> None:
    changed = ask(first.instance, "list(ConfigVersion.objects.filter(number=2).values_list('device__name', flat=True))")
    assert sorted(changed) == sorted(DEMO_CONFIG_CHANGES)


def test_the_password_is_printed_once_and_the_rest_tells_where_to_look(first: Shown) -> None:
    assert first.console.count("Password:") == 1
    for words in (
        f"http://127.0.0.1:{first.instance.port}/",
        "A password change half done",
        "A device that is down",
        "A changed host key",
        "A diff",
        "/admin/devices/configversion/",
        f"export NETRAVEN_HOME={first.instance.home}",
    ):
        assert words in first.console


def test_ctrl_c_ends_it_with_0_and_leaves_no_process(first: Shown) -> None:
    assert (first.exit_code, first.left) == (0, [])


def test_its_secrets_are_for_their_user_alone(first: Shown) -> None:
    folder = first.instance.home / "var" / "demo"
    assert [path for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077] == []


def test_a_second_demo_uses_the_same_instance_and_doubles_nothing(first: Shown) -> None:
    second = demo(first.instance)
    assert (second.exit_code, second.left) == (0, [])
    assert "is used again" in second.console
    assert "changepassword admin" in second.console
    assert "Password:" not in second.console
    runs = "Run.objects.exclude(trigger='schedule').count()"
    counts = f"[Device.objects.count(), Credential.objects.count(), Job.objects.count(), {runs}]"
    assert ask(first.instance, counts) == [24, 6, 3, 4]
    assert ask(first.instance, "Attempt.objects.filter(run__gt=2, outcome='rejected').count()") == 0


def refusal(instance: Instance) -> str:
    done = instance.manage("demo")
    assert done.returncode == 2, done.stdout + done.stderr
    assert not (instance.home / ".env").exists()
    return done.stderr


def test_a_port_of_the_simulator_in_use_is_named_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    base = free_range()
    with closing(socket.create_server(("127.0.0.1", base + 7))):
        message = refusal(Instance(tmp_path, NETRAVEN_DEMO_BASE_PORT=str(base)))
    assert f"Port {base + 7} " in message
    assert "NETRAVEN_DEMO_BASE_PORT=" in message


def test_a_web_port_in_use_is_named_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    instance = Instance(tmp_path, NETRAVEN_DEMO_BASE_PORT=str(free_range()))
    with closing(socket.create_server(("127.0.0.1", instance.port))):
        message = refusal(instance)
    assert f"Port {instance.port} " in message
    assert "NETRAVEN_PORT=" in message


@pytest.mark.parametrize("value", ["x", "80", "70000"])
def test_a_base_port_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    assert "NETRAVEN_DEMO_BASE_PORT is" in refusal(Instance(tmp_path, NETRAVEN_DEMO_BASE_PORT=value))
