"""Which addresses are called at all, and that the address that was judged is the one that is called."""

from __future__ import annotations

import socket

import pytest
from django.core.exceptions import ValidationError

from devices.connector.outcomes import Outcome
from devices.connector.probe import probe
from devices.connector.target import Limits, Target
from devices.connector.targets import TargetPolicy, TargetRefused, policy_from
from devices.connector.wire import connect_tcp
from devices.inventory import importer
from devices.models import Device
from devices.services import save_device
from devices.validators import validate_host
from tests.jobs.fleet import credential, run_now

QUICK = Limits(connect_s=2, banner_s=0.2)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
    ],
)
@pytest.mark.parametrize("networks", [[], ["any"], ["0.0.0.0/0", "::/0"]])
def test_special_addresses_are_refused_unless_they_are_listed_by_themselves(address, networks) -> None:
    with pytest.raises(TargetRefused):
        policy_from(networks).check(address, 22)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1", "::ffff:10.0.0.1"])
def test_ordinary_addresses_are_called_unless_something_is_listed(address) -> None:
    TargetPolicy().check(address, 22)
    policy_from(["any", "127.0.0.0/8"]).check(address, 22)
    with pytest.raises(TargetRefused, match="none of the networks of NETRAVEN_TARGETS"):
        policy_from(["172.16.0.0/12"]).check(address, 22)


@pytest.mark.parametrize(
    ("listed", "address", "is_allowed"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("::1", "::1", True),
        ("::1", "127.0.0.1", False),
        ("169.254.0.0/16", "169.254.7.7", True),
        ("169.254.0.0/16", "169.254.169.254", False),
        ("169.254.169.254/32", "169.254.169.254", True),
        ("224.0.0.0/4", "224.0.0.1", False),
        ("0.0.0.0/8", "0.0.0.0", False),
    ],
)
def test_what_is_listed_opens_that_and_nothing_beside_it(listed, address, is_allowed) -> None:
    policy = policy_from(["any", listed])
    if is_allowed:
        policy.check(address, 22)
    else:
        with pytest.raises(TargetRefused):
            policy.check(address, 22)


def test_ports_are_limited_where_they_are_listed() -> None:
    policy = policy_from([], ["22", "2000-2100"])
    policy.check("10.0.0.1", 22)
    policy.check("10.0.0.1", 2050)
    with pytest.raises(TargetRefused, match="NETRAVEN_TARGET_PORTS does not list port 23"):
        policy.check("10.0.0.1", 23)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"])
def test_the_database_and_the_broker_are_no_devices_whatever_is_listed(address) -> None:
    policy = policy_from(["any", "127.0.0.0/8", "::1"], [], [("localhost", 5432), ("10.1.1.1", 6379)])
    policy.check(address, 22)
    with pytest.raises(TargetRefused, match="NetRaven's own"):
        policy.check(address, 5432)
    with pytest.raises(TargetRefused, match="NetRaven's own"):
        policy.check("10.1.1.1", 6379)


@pytest.mark.parametrize("word", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "127.1"])
def test_what_is_no_network_is_refused_in_words(word) -> None:
    with pytest.raises(ValueError, match="is no network"):
        policy_from([word])


@pytest.mark.parametrize("word", ["ssh", "0", "70000", "9-3", "1-", "-"])
def test_what_is_no_port_is_refused_in_words(word) -> None:
    with pytest.raises(ValueError, match="is no port"):
        policy_from([], [word])


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        yield server


def _was_called(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "0"])
def test_nothing_is_sent_to_a_refused_address_however_it_is_written(listener, host) -> None:
    target = Target("x", host, listener.getsockname()[1], "cisco_ios", limits=QUICK, policy=TargetPolicy())
    with pytest.raises(TargetRefused) as refused:
        probe(target)
    assert not _was_called(listener)
    assert refused.value.outcome == Outcome.REFUSED
    assert "NETRAVEN_TARGETS" in refused.value.advice


def test_a_name_is_asked_for_once_and_only_its_allowed_addresses_are_called(listener, monkeypatch) -> None:
    port = listener.getsockname()[1]
    asked = []

    def resolve(host, port, *args, **kwargs):
        asked.append(host)
        address = "169.254.169.254" if len(asked) == 1 else "127.0.0.9"
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    wire = connect_tcp("rebinding.example.net", port, 2, policy_from(["any", "127.0.0.1"]))
    assert wire.address == f"127.0.0.1:{port}"
    assert asked == ["rebinding.example.net"]
    wire.close()


@pytest.mark.parametrize("host", ["0x7f000001", "0x7f.1", "0177.0.0.1", "2130706433", "127.1", "0"])
def test_an_address_is_saved_in_its_plain_form_only(host) -> None:
    with pytest.raises(ValidationError, match="not a valid IP address"):
        validate_host(host)


@pytest.mark.django_db
def test_a_device_with_a_forbidden_address_is_not_saved_and_the_words_say_who_may_change_it(settings) -> None:
    settings.NETRAVEN_TARGETS = []
    with pytest.raises(ValidationError) as refused:
        save_device(Device(), name="r1", host="127.0.0.1", port=22, platform="cisco_ios")
    (said,) = refused.value.message_dict["host"]
    assert "loopback" in said
    assert "NETRAVEN_TARGETS" in said
    assert "administrator of the NetRaven host" in said
    assert not Device.objects.exists()


@pytest.mark.django_db
def test_an_import_refuses_a_forbidden_address_by_its_row(settings) -> None:
    settings.NETRAVEN_TARGETS = ["10.0.0.0/8"]
    report = importer.apply(
        b"name,host,port,platform,tags\nr1,10.0.0.1,22,cisco_ios,\nr2,169.254.169.254,22,cisco_ios,\n"
    )
    assert [(row.name, bool(row.errors)) for row in report.rows] == [("r1", False), ("r2", True)]
    assert "metadata" in " ".join(report.rows[1].errors)


@pytest.mark.django_db
def test_a_device_that_was_saved_under_another_rule_can_still_be_described(settings) -> None:
    device = save_device(Device(), name="r1", host="127.0.0.1", port=22, platform="cisco_ios")
    settings.NETRAVEN_TARGETS = []
    save_device(device, description="moves to another site")
    with pytest.raises(ValidationError, match="loopback"):
        save_device(device, port=2222)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["credential_test", "reachability"])
def test_a_run_says_at_once_which_rule_refused_and_who_may_change_it(settings, listener, kind) -> None:
    settings.NETRAVEN_RETRIES, settings.NETRAVEN_RETRY_PAUSE_S = 2, 0
    port = listener.getsockname()[1]
    save_device(Device(), name="r1", host="127.0.0.1", port=port, platform="cisco_ios", tags=["lab"])
    credential("right", "right")
    settings.NETRAVEN_TARGETS = []
    _, results = run_now(kind)
    assert results["r1"].outcome == "refused"
    assert "127.0.0.1 is a loopback address" in results["r1"].detail
    assert "tried" not in results["r1"].detail
    assert "NETRAVEN_TARGETS" in results["r1"].advice
    assert not _was_called(listener)
