"""The kind `command`: show commands on real SSH and telnet, and what is kept of the answers."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from devices.models import Device
from devices.services import save_device
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from jobs.kinds.command import MOST_COMMANDS, rows_of
from jobs.models import Job
from jobs.outputs import MOST_KEPT, CommandOutput
from jobs.services import save_job
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "Right-pass-99"
LOGIN = (SimLogin("ops", PASSWORD),)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 0
    settings.NETRAVEN_CONNECT_TIMEOUT_S = 3


@pytest.fixture
def fleet_of():
    """Starts simulated devices and puts them and the right password into the database."""
    fleets = []

    def start(*devices: SimDevice) -> SimulatedFleet:
        fleet = SimulatedFleet(devices)
        fleets.append(fleet.__enter__())
        register(fleet)
        credential("right", PASSWORD, allow_telnet=True)
        return fleet

    yield start
    for fleet in fleets:
        fleet.__exit__(None, None, None)


def outputs(result):
    return list(result.outputs.order_by("number"))


def test_answers_are_kept_in_the_order_of_the_commands(fleet_of):
    fleet = fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    run, results = run_now("command", parameters={"commands": ["show version", "show running-config"]})
    assert (run.status, results["r1"].outcome) == ("succeeded", "success")
    version, config = outputs(results["r1"])
    assert (version.number, version.command) == (1, "show version")
    assert version.text.startswith("Cisco IOS Software")
    assert config.text.rstrip().endswith("end")
    assert results["r1"].detail == "2 of 2 commands answered."
    assert [each["command"] for each in results["r1"].data["commands"]] == ["show version", "show running-config"]
    assert "show version" in fleet.device("r1").commands


def test_an_answer_is_read_into_rows_where_a_template_fits(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    _, results = run_now("command", parameters={"commands": ["show version", "show inventory"]})
    version, _ = outputs(results["r1"])
    assert version.rows[0]["hostname"] == "r1"
    assert version.row_count == 1
    assert results["r1"].data["commands"][0]["rows"] == 1


def test_rows_are_left_out_when_nobody_wants_them(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    _, results = run_now("command", parameters={"commands": ["show version"], "parse": "no"})
    (version,) = outputs(results["r1"])
    assert (version.rows, version.row_count) == (None, None)


def test_a_filtered_answer_is_not_taken_for_the_whole_one():
    text = "Interface  IP-Address\n"
    assert rows_of(text, "show ip interface brief | include up", "cisco_ios") is None


def test_an_answer_with_very_long_lines_is_not_read_into_rows():
    """Some templates would take hours over it."""
    text = "Cisco IOS Software, Version 17.9.4\n" + " " * 100_000 + "x\n"
    assert rows_of(text, "show version", "cisco_ios") is None


def test_a_device_that_tells_the_password_of_the_login_tells_it_to_nobody_else(fleet_of):
    """The word stands in what the device answers."""
    word = "Copyright"
    with SimulatedFleet([SimDevice("r1", "cisco_ios", (SimLogin("ops", word),))]) as fleet:
        register(fleet)
        credential("right", word)
        _, results = run_now("command", parameters={"commands": ["show version"]})
    (version,) = outputs(results["r1"])
    assert results["r1"].outcome == "success"
    assert word not in version.text
    assert "<secret>" in version.text


def test_a_secret_in_the_answer_is_a_placeholder(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    _, results = run_now("command", parameters={"commands": ["show running-config"]})
    (config,) = outputs(results["r1"])
    assert "enable secret" in config.text
    assert "<secret:" in config.text


def test_an_error_line_of_the_device_fails_the_device_and_keeps_the_other_answers(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    _, results = run_now("command", parameters={"commands": ["show version", "show nonsense", "show inventory"]})
    result = results["r1"]
    assert result.outcome == "command_error"
    assert "'show nonsense': The device says: % Invalid input" in result.detail
    assert "(1 of 3 commands)" in result.detail
    assert [bool(each.error) for each in outputs(result)] == [False, True, False]
    assert outputs(result)[0].text.startswith("Cisco IOS Software")


@pytest.mark.parametrize(
    ("platform", "good", "bad"),
    [
        ("juniper_junos", "show version", "show nonsense"),
        ("arista_eos", "show version", "show nonsense"),
        ("huawei", "display version", "display nonsense"),
        ("hp_comware", "dis version", "display nonsense"),
        ("fortinet", "get system status", "get nonsense"),
        ("mikrotik_routeros", "/system resource print", "/ip vrf print"),
        ("linux", "uname -a", "lsmod"),
    ],
)
def test_each_platform_answers_and_refuses_in_its_own_words(fleet_of, platform, good, bad):
    fleet_of(SimDevice("r1", platform, LOGIN))
    _, results = run_now("command", parameters={"commands": [good]})
    assert results["r1"].outcome == "success", results["r1"].detail
    assert outputs(results["r1"])[0].text.strip()
    _, results = run_now("command", parameters={"commands": [bad]})
    assert results["r1"].outcome == "command_error", outputs(results["r1"])[0].text
    assert "The device says" in results["r1"].detail


def test_over_telnet_it_is_the_same(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN, transport="telnet"))
    _, results = run_now("command", parameters={"commands": ["show version"]})
    assert results["r1"].outcome == "success", results["r1"].detail
    assert outputs(results["r1"])[0].text.startswith("Cisco IOS Software")


def test_a_long_answer_is_cut_at_the_end_of_a_line_and_says_so(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN, config_kb=400))
    _, results = run_now("command", parameters={"commands": ["show running-config"]})
    (config,) = outputs(results["r1"])
    assert results["r1"].outcome == "success"
    assert config.is_cut
    assert config.size > MOST_KEPT
    assert len(config.kept) <= MOST_KEPT * 1.1
    assert config.kept.endswith("\n")
    assert config.text.splitlines()[-1] == f"[cut here: {len(config.kept)} of {config.size} characters are kept]"
    assert results["r1"].data["commands"][0]["is_cut"]


def test_control_characters_of_the_device_are_taken_out(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN, faults=frozenset({Fault.GARBAGE_OUTPUT})))
    _, results = run_now("command", parameters={"commands": ["show running-config"]})
    text = outputs(results["r1"])[0].text
    assert text
    assert not [sign for sign in text if not sign.isprintable() and sign not in "\n\t"]


def test_a_pager_is_answered(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN, faults=frozenset({Fault.PAGER})))
    _, results = run_now("command", parameters={"commands": ["show running-config"]})
    assert results["r1"].outcome == "success"
    assert "--More--" not in outputs(results["r1"])[0].text


def test_a_connection_that_breaks_off_keeps_what_came_before(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN, faults=frozenset({Fault.RESETS_MID_OUTPUT})))
    _, results = run_now("command", parameters={"commands": ["show version", "show running-config", "show inventory"]})
    result = results["r1"]
    assert result.outcome == "incomplete_output"
    version, config, clock = outputs(result)
    assert version.text.startswith("Cisco IOS Software")
    assert "closed the session" in config.error
    assert clock.error == "Not sent: the session had ended."


# --- what would change something ---


def test_a_command_that_changes_something_is_refused_before_a_run_is_made():
    with pytest.raises(ValidationError, match="'reload' is refused"):
        run_now("command", parameters={"commands": ["show version", "reload"]})


def test_every_refused_command_is_named():
    with pytest.raises(ValidationError) as caught:
        run_now("command", parameters={"commands": ["reload", "show version", "conf t"]})
    assert len(caught.value.messages) == 2


def test_a_command_must_be_harmless_on_the_platform_of_every_device_that_is_chosen(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN), SimDevice("r2", "linux", LOGIN))
    with pytest.raises(ValidationError, match="'show version' is refused on linux"):
        run_now("command", parameters={"commands": ["show version"]})


def test_a_job_is_saved_only_with_commands_that_are_harmless_on_its_devices():
    save_device(Device(), name="h1", host="10.0.0.1", platform="linux", tags=["lab"])
    tags = list(Device.objects.get(name="h1").tags.all())
    job = Job(name="daily", kind="command", parameters={"commands": ["show version"]})
    with pytest.raises(ValidationError, match="refused on linux"):
        save_job(job, tags=tags)
    assert not Job.objects.exists()
    good = Job(name="daily", kind="command", parameters={"commands": ["uname -a"]})
    assert save_job(good, tags=tags).parameters == {"commands": ["uname -a"], "parse": True}


def test_a_device_that_changed_its_platform_is_sent_nothing_it_may_not_be_sent(fleet_of):
    """The check when the run starts is one, the check before each command another."""
    fleet = fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    job = save_job(Job(name="daily", kind="command", parameters={"commands": ["dis cu", "show version"]}), devices=[])
    job.devices.set(Device.objects.all())
    from jobs.choices import Trigger
    from jobs.engine.shard import run_shard
    from jobs.services import start_run

    run = start_run(job, trigger=Trigger.COMMAND)
    for shard in run.shards.all():
        run_shard(shard.pk)
    result = run.results.get()
    assert result.outcome == "command_error"
    assert "'dis cu': Not sent: 'dis' is not one of the commands that only show something." in result.detail
    assert "dis cu" not in fleet.device("r1").commands
    assert "show version" in fleet.device("r1").commands


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "Commands (commands) is missing"),
        ({"commands": []}, "missing"),
        ({"commands": "\n \n"}, "missing"),
        ({"commands": 5}, "lines of text"),
        ({"commands": ["show version"], "pars": True}, "no parameter pars. Did you mean parse?"),
        ({"commands": ["show version"], "parse": "maybe"}, "yes or no"),
        ({"commands": ["show version"] * (MOST_COMMANDS + 1)}, f"more than the {MOST_COMMANDS}"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_in_words(parameters, words):
    with pytest.raises(ValidationError) as caught:
        run_now("command", parameters=parameters)
    assert words in " ".join(caught.value.messages)


def test_a_text_of_several_lines_is_several_commands(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    _, results = run_now("command", parameters={"commands": "show version\r\n\r\n  show inventory  \n"})
    assert [each.command for each in outputs(results["r1"])] == ["show version", "show inventory"]


def test_a_device_that_is_done_again_has_its_answers_once(fleet_of):
    fleet_of(SimDevice("r1", "cisco_ios", LOGIN))
    run, results = run_now("command", parameters={"commands": ["show version"]})
    from jobs.engine.shard import run_shard

    shard = run.shards.get()
    run.results.update(status="pending", outcome="")
    type(shard).objects.filter(pk=shard.pk).update(status="queued")
    run_shard(shard.pk)
    results["r1"].refresh_from_db()
    assert results["r1"].outcome == "success", results["r1"].detail
    assert CommandOutput.objects.filter(result=results["r1"]).count() == 1
