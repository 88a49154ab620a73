"""The command host_keys: the approval queue, and pins from known_hosts files that OpenSSH itself wrote."""

import json
import subprocess
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from credentials.models import AuditEvent
from devices import host_keys
from devices.choices import HostKeyState
from devices.connector.target import HostKeyData
from devices.models import Device, HostKey
from devices.services import admit_host_key, save_device
from tests.commands import Done, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def new_key(tmp_path):
    """Makes host keys; each is `(type, base64)`."""
    numbers = iter(range(100))

    def make(kind: str = "ed25519") -> HostKeyData:
        path = tmp_path / f"key{next(numbers)}"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
        return HostKeyData(*path.with_suffix(".pub").read_text().split()[:2])

    return make


def device(name: str = "r1", host: str = "10.0.0.1", **more) -> Device:
    return save_device(Device(), name=name, host=host, platform="cisco_ios", tags=["lab"], **more)


def pinned(of: Device) -> list[str]:
    keys = HostKey.objects.filter(device=of, state=HostKeyState.PINNED)
    return sorted(keys.values_list("fingerprint", flat=True))


# --- the queue ---


@pytest.fixture
def changed(new_key):
    """A device that showed one key, and then another."""
    row, old, new = device(), new_key(), new_key()
    admit_host_key(row.pk, old)
    admit_host_key(row.pk, new, timezone.now() + timedelta(seconds=1))
    return row, old, new


def test_the_queue_shows_the_new_fingerprint_beside_the_pinned_one(changed):
    _, old, new = changed
    done = run("host_keys", "list")
    assert done.code == 0
    line = done.out.splitlines()[1]
    assert line.startswith("r1 ")
    assert line.index(new.fingerprint) < line.index(old.fingerprint)


def test_an_empty_queue_says_so():
    assert run("host_keys", "list").out == "No host key waits for approval.\n"


@pytest.mark.parametrize(("state", "count"), [("pending", 1), ("pinned", 1), ("all", 2)])
def test_the_list_can_be_narrowed_to_a_state(changed, state, count):
    keys = json.loads(run("host_keys", "list", "--state", state, "--json").out)
    assert len(keys) == count
    assert {key["device"] for key in keys} == {"r1"}


def test_approving_pins_the_new_key_and_retires_the_old_one(changed):
    row, old, new = changed
    done = run("host_keys", "approve", "r1", "--fingerprint", new.fingerprint)
    assert done.code == 0
    assert f"Retired: {old.fingerprint}" in done.out
    assert pinned(row) == [new.fingerprint]


def test_a_fingerprint_that_does_not_wait_is_refused(changed):
    row, old, _ = changed
    done = run("host_keys", "approve", "r1", "--fingerprint", "SHA256:other")
    assert done.code == 1
    assert "look at the device again" in done.err
    assert pinned(row) == [old.fingerprint]


def test_of_several_waiting_keys_one_must_be_named(changed, new_key):
    row, old, new = changed
    third = new_key()
    admit_host_key(row.pk, third, timezone.now() + timedelta(seconds=2))
    done = run("host_keys", "approve", "r1")
    assert done.code == 1
    assert new.fingerprint in done.err
    assert third.fingerprint in done.err
    assert pinned(row) == [old.fingerprint]


def test_a_key_that_is_no_longer_the_latest_is_refused(changed, new_key):
    row, old, new = changed
    admit_host_key(row.pk, new_key(), timezone.now() + timedelta(seconds=2))
    done = run("host_keys", "approve", "r1", "--fingerprint", new.fingerprint)
    assert done.code == 1
    assert pinned(row) == [old.fingerprint]


def test_nothing_to_approve_is_an_answer():
    device()
    done = run("host_keys", "approve", "r1")
    assert done.code == 1
    assert "No host key of r1 waits" in done.err


# --- import ---


@pytest.fixture
def import_lines(tmp_path):
    def write(*lines: str, hashed: bool = False) -> Done:
        path = tmp_path / "known_hosts"
        path.write_text("".join(f"{line}\n" for line in lines))
        if hashed:
            subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
            assert "|1|" in path.read_text()
        return run("host_keys", "import", str(path), "--json")

    return write


def line(hosts: str, key: HostKeyData) -> str:
    return f"{hosts} {key.key_type} {key.public_key} a comment"


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize(
    ("port", "hosts"), [(22, "10.0.0.1"), (2222, "[10.0.0.1]:2222"), (22, "core.example,10.0.0.1")]
)
def test_a_key_is_pinned_for_the_device_at_that_address_and_port(import_lines, new_key, hashed, port, hosts):
    row, key = device(port=port), new_key()
    done = import_lines(line(hosts, key), hashed=hashed)
    assert done.code == 0, done.err
    assert pinned(row) == [key.fingerprint]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_kind_of_key_that_the_connector_uses_can_be_pinned(import_lines, new_key, kind):
    row, key = device(), new_key(kind)
    import_lines(line("10.0.0.1", key))
    assert pinned(row) == [key.fingerprint]


def test_a_pinned_key_is_what_the_connector_compares_with(import_lines, new_key):
    row, key = device(), new_key("rsa")
    import_lines(line("10.0.0.1", key))
    assert admit_host_key(row.pk, key) is None


def test_host_names_are_matched_without_case(import_lines, new_key):
    row, key = device(host="Core.Example"), new_key()
    import_lines(line("core.EXAMPLE", key))
    assert pinned(row) == [key.fingerprint]


def test_another_port_of_the_same_address_is_another_device(import_lines, new_key):
    row = device(port=2222)
    report = json.loads(import_lines(line("10.0.0.1", new_key())).out)
    assert pinned(row) == []
    assert report["unmatched"] == [{"line": 1, "hosts": "10.0.0.1"}]


def test_the_same_key_again_changes_nothing(import_lines, new_key):
    device()
    key = new_key()
    import_lines(line("10.0.0.1", key))
    report = json.loads(import_lines(line("10.0.0.1", key)).out)
    assert (report["pinned"], report["unchanged"], report["conflicts"]) == (0, 1, 0)


def test_a_second_type_of_key_is_pinned_beside_the_first(import_lines, new_key):
    row, first, second = device(), new_key(), new_key("ecdsa")
    import_lines(line("10.0.0.1", first), line("10.0.0.1", second))
    assert pinned(row) == sorted([first.fingerprint, second.fingerprint])


def test_a_pinned_key_is_never_replaced(import_lines, new_key):
    row, old = device(), new_key()
    admit_host_key(row.pk, old)
    done = import_lines(line("10.0.0.1", new_key()))
    assert done.code == 1
    assert json.loads(done.out)["keys"][0]["action"] == "conflict"
    assert pinned(row) == [old.fingerprint]


def test_a_key_that_was_retired_is_not_pinned_again(import_lines, new_key):
    row, key = device(), new_key()
    admit_host_key(row.pk, key)
    HostKey.objects.update(state=HostKeyState.RETIRED)
    done = import_lines(line("10.0.0.1", key))
    assert done.code == 1
    assert pinned(row) == []


def test_a_waiting_key_is_pinned_by_an_import(import_lines, new_key, settings):
    settings.NETRAVEN_HOST_KEY_POLICY = "approve"
    row, key = device(), new_key()
    assert admit_host_key(row.pk, key) is not None
    import_lines(line("10.0.0.1", key))
    assert pinned(row) == [key.fingerprint]
    assert HostKey.objects.count() == 1


def test_two_different_keys_of_a_type_for_one_device_are_both_refused(import_lines, new_key):
    row = device()
    done = import_lines(line("10.0.0.1", new_key()), line("10.0.0.1", new_key()))
    assert done.code == 1
    assert pinned(row) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.1 ssh-ed25519", "hosts, a key type and a key"),
        ("10.0.0.1 ssh-ed25519 AAAA", "no valid key"),
        ("10.0.0.1 ssh-ed25519 !!!!", "no valid key"),
        ("10.0.0.1 ssh-dss AAAAB3NzaC1kc3M=", "ssh-dss are not used"),
        ("@revoked 10.0.0.1 ssh-ed25519 AAAA", "@revoked"),
    ],
)
def test_a_line_that_is_of_no_use_is_named_and_the_others_count(import_lines, new_key, text, reason):
    row, key = device(), new_key()
    done = import_lines("# comment", "", text, line("10.0.0.1", key))
    report = json.loads(done.out)
    assert done.code == 0
    assert report["ignored"][0]["line"] == 3
    assert reason in report["ignored"][0]["reason"]
    assert pinned(row) == [key.fingerprint]


@pytest.mark.parametrize("hosts", ["*", "10.0.0.?", "!10.0.0.2,10.0.0.1"])
def test_a_pattern_pins_nothing(import_lines, new_key, hosts):
    row = device()
    done = import_lines(line(hosts, new_key()))
    assert done.code == 2
    assert pinned(row) == []


def test_a_key_whose_type_is_not_what_the_line_says_is_ignored(import_lines, new_key):
    row, key = device(), new_key("ecdsa")
    done = import_lines(f"10.0.0.1 ssh-ed25519 {key.public_key}")
    assert done.code == 2
    assert pinned(row) == []


def test_a_telnet_device_gets_no_key(import_lines, new_key):
    device(transport="telnet", port=23)
    import_lines(line("10.0.0.1", new_key()), line("[10.0.0.1]:23", new_key()))
    assert not HostKey.objects.exists()


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe binary", b"name,host,port\nr1,10.0.0.1,22\n"])
def test_a_file_of_no_use_is_refused(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    done = run("host_keys", "import", str(path))
    assert done.code == 2
    assert "holds no host key" in done.err


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    done = run("host_keys", "import", str(tmp_path / "nothing"))
    assert done.code == 2
    assert "No such file" in done.err


def test_the_report_for_people_counts_every_line(import_lines, new_key, tmp_path):
    device()
    import_lines(line("10.0.0.1", new_key()), line("10.9.9.9", new_key()), "nonsense")
    done = run("host_keys", "import", str(tmp_path / "known_hosts"))
    assert done.out.splitlines()[-1] == (
        "0 pinned, 1 unchanged, 0 in conflict; 1 lines match no device, 1 lines were ignored."
    )


# --- while others work ---


def test_a_device_that_moves_during_an_import_gets_no_key(new_key, monkeypatch):
    row = device()
    match = host_keys._by_device

    def match_and_move(*arguments):
        found = match(*arguments)
        Device.objects.filter(pk=row.pk).update(host="10.0.0.2")
        return found

    monkeypatch.setattr(host_keys, "_by_device", match_and_move)
    report = host_keys.import_known_hosts(line("10.0.0.1", new_key()).encode(), None)
    assert report.keys == []
    assert pinned(row) == []


@pytest.mark.django_db(transaction=True)
def test_names_are_compared_before_anything_is_locked(new_key, monkeypatch):
    device()
    match, was_locked = host_keys._by_device, []

    def match_and_look(*arguments):
        was_locked.append(connection.in_atomic_block)
        return match(*arguments)

    monkeypatch.setattr(host_keys, "_by_device", match_and_look)
    host_keys.import_known_hosts(line("10.0.0.1", new_key()).encode(), None)
    assert was_locked == [False]


def test_more_hashed_names_than_can_be_compared_are_refused_with_a_way_out(import_lines, new_key, monkeypatch):
    device()
    monkeypatch.setattr(host_keys, "_MOST_COMPARED", 0)
    done = import_lines(line("10.0.0.1", new_key()), hashed=True)
    assert done.code == 2
    assert "import the file in parts" in done.err


def test_each_key_that_an_import_pins_is_recorded_and_a_dry_run_leaves_no_record(new_key):
    row, key = device(), new_key()
    data = f"{line('10.0.0.1', key)}\n".encode()
    host_keys.import_known_hosts(data, None, dry_run=True)
    assert not AuditEvent.objects.exists()
    host_keys.import_known_hosts(data, None)
    [event] = AuditEvent.objects.all()
    assert (event.event, event.device, event.device_name) == ("host_key.pinned", row.pk, "r1")
    assert event.data["fingerprint"] == key.fingerprint
