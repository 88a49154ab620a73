"""A run, from the tag match to the stored version, over real SSH."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from credentials.models import RememberedRejection
from devices.choices import HostKeyState
from devices.configs.store import latest, version_text
from devices.models import ConfigVersion, HostKey
from devices.services import StaleDecision, approve_host_key, save_device
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from jobs.choices import RunStatus, ShardStatus, Trigger
from jobs.engine import drain
from jobs.engine.claims import claim
from jobs.engine.runs import recover
from jobs.engine.shard import run_shard
from jobs.models import Attempt, Result, Shard
from jobs.services import cancel_run, candidates_for_device, progress, start_adhoc
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = (SimLogin("ops", "new-password"),)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 0
    settings.NETRAVEN_CONNECT_TIMEOUT_S = 3


@pytest.fixture
def one():
    with SimulatedFleet([SimDevice("r1", "cisco_ios", LOGIN, config_kb=6)]) as fleet:
        yield fleet, register(fleet)["r1"]


def test_a_backup_stores_the_whole_configuration_and_counts_every_login(one):
    fleet, device = one
    old = credential("old", "old-password", scope="local", priority=1)
    new = credential("new", "new-password", scope="local", priority=2)
    run, results = run_now()
    assert run.status == RunStatus.SUCCEEDED
    assert [offer.secret for offer in fleet.device("r1").offers] == ["old-password", "new-password"]
    assert [(a.credential_name, a.outcome, a.order) for a in Attempt.objects.order_by("pk")] == [
        ("old", "rejected", 1),
        ("new", "success", 2),
    ]
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.rejected_count, old.success_count) == (1, 0)
    assert (new.rejected_count, new.success_count) == (0, 1)
    device.refresh_from_db()
    assert device.last_good_credential == new
    assert results["r1"].credential == new
    assert results["r1"].login_count == 2
    text = version_text(latest(device.pk))
    assert text.startswith("Building configuration")
    assert text.rstrip().endswith("end")


def test_the_second_run_goes_straight_to_the_credential_that_worked(one):
    fleet, _ = one
    credential("old", "old-password", scope="local", priority=1)
    credential("new", "new-password", scope="local", priority=2)
    run_now()
    fleet.device("r1").clear()
    run_now()
    assert [offer.secret for offer in fleet.device("r1").offers] == ["new-password"]


def test_a_password_that_was_proven_wrong_is_never_offered_again(one):
    fleet, device = one
    credential("wrong", "wrong-password", scope="local")
    run_now()
    _, results = run_now()
    assert len(fleet.device("r1").offers) == 1
    assert results["r1"].outcome == "held"
    assert "wrong" in candidates_for_device(device)[0].name
    assert "Rejected here" in candidates_for_device(device)[0].skipped


def test_an_unchanged_configuration_is_no_new_version(one):
    _, device = one
    credential("new", "new-password")
    run_now()
    first = latest(device.pk).last_seen_at
    _, results = run_now()
    assert ConfigVersion.objects.count() == 1
    assert latest(device.pk).last_seen_at > first
    assert results["r1"].config_changed is False


def test_a_changed_configuration_is_a_new_version(one):
    fleet, device = one
    credential("new", "new-password")
    run_now()
    fleet.device("r1").change_config()
    _, results = run_now()
    assert ConfigVersion.objects.filter(device=device).count() == 2
    assert results["r1"].config_changed is True


def test_half_a_configuration_is_no_version_and_the_last_good_one_stays(one):
    fleet, device = one
    credential("new", "new-password")
    run_now()
    fleet.device("r1").change_config()
    fleet.device("r1").set_faults(Fault.TRUNCATES_OUTPUT)
    run, results = run_now()
    assert run.status == RunStatus.FAILED
    assert results["r1"].outcome == "incomplete_output"
    assert latest(device.pk).number == 1


def test_the_host_key_is_pinned_at_first_contact(one):
    fleet, device = one
    credential("new", "new-password")
    run_now()
    assert HostKey.objects.get(device=device).fingerprint == fleet.device("r1").host_key_fingerprint


def test_a_changed_host_key_receives_no_password_and_waits_for_a_person(one):
    fleet, device = one
    credential("new", "new-password")
    run_now()
    fleet.device("r1").clear()
    fleet.device("r1").change_host_key()
    for kind in ("backup", "credential_test"):
        _, results = run_now(kind)
        assert results["r1"].outcome == "host_key_changed"
        assert "no password was sent" in results["r1"].advice
    assert fleet.device("r1").offers == []
    waiting = HostKey.objects.get(device=device, state=HostKeyState.PENDING)
    assert waiting.fingerprint == fleet.device("r1").host_key_fingerprint
    approve_host_key(waiting, None, fingerprint=waiting.fingerprint)
    _, results = run_now()
    assert results["r1"].outcome == "success"


def test_the_old_host_key_coming_back_while_another_waits_is_let_in(one):
    fleet, device = one
    credential("new", "new-password")
    run_now()
    pinned = HostKey.objects.get(device=device)
    assert pinned.state == HostKeyState.PINNED
    fleet.device("r1").change_host_key()
    run_now()
    fleet.device("r1").change_host_key()
    run_now()
    assert HostKey.objects.filter(device=device, state=HostKeyState.PENDING).count() == 2
    older = HostKey.objects.filter(state=HostKeyState.PENDING).order_by("last_seen_at").first()
    with pytest.raises(StaleDecision):
        approve_host_key(older, None)


def test_with_the_policy_approve_nobody_logs_in_before_a_person_agreed(one, settings):
    fleet, _ = one
    settings.NETRAVEN_HOST_KEY_POLICY = "approve"
    credential("new", "new-password")
    _, results = run_now()
    assert results["r1"].outcome == "host_key_unknown"
    assert fleet.device("r1").offers == []
    approve_host_key(HostKey.objects.get(), None)
    _, results = run_now()
    assert results["r1"].outcome == "success"


def test_a_device_without_a_matching_credential_says_what_to_do(one):
    credential("elsewhere", "x", tags=["branch"])
    _, results = run_now()
    assert results["r1"].outcome == "no_credentials"
    assert "tag" in results["r1"].advice


def test_a_device_that_is_down_costs_no_credential(one):
    fleet, _ = one
    fleet.device("r1").stop()
    used = credential("new", "new-password")
    _, results = run_now()
    used.refresh_from_db()
    assert results["r1"].outcome == "refused"
    assert results["r1"].login_count == 0
    assert used.last_used_at is None
    assert not Attempt.objects.exists()


def test_a_run_on_no_device_explains_itself_and_is_no_success():
    run = start_adhoc("backup", all_devices=True, trigger=Trigger.COMMAND)
    assert run.status == RunStatus.FAILED
    assert "No enabled device" in run.message


def test_an_unknown_kind_and_an_unknown_tag_are_refused():
    for more in ({"kind": "explode"}, {"kind": "backup", "tags": ["nowhere"]}):
        with pytest.raises(ValidationError):
            start_adhoc(more.pop("kind"), trigger=Trigger.COMMAND, **more)


def test_one_wrong_central_password_is_seen_by_few_devices_and_the_rest_are_held(settings):
    devices = [SimDevice(f"s{n}", "cisco_ios", LOGIN, config_kb=5, reject_delay_s=0.05) for n in range(30)]
    with SimulatedFleet(devices) as fleet:
        register(fleet)
        credential("central", "wrong-password")
        _, results = run_now()
        sent = sum(len(handle.offers) for handle in fleet)
    assert sent <= settings.NETRAVEN_GUARD_CENTRAL_LIMIT
    outcomes = [result.outcome for result in results.values()]
    assert outcomes.count("held") >= 27
    assert set(outcomes) <= {"held", "rejected"}
    held = next(result for result in results.values() if result.outcome == "held")
    assert "release" in held.advice


def test_a_right_central_password_opens_the_whole_fleet():
    with SimulatedFleet([SimDevice(f"s{n}", "cisco_ios", LOGIN, config_kb=5) for n in range(20)]) as fleet:
        register(fleet)
        credential("central", "new-password")
        run, _ = run_now()
        assert run.status == RunStatus.SUCCEEDED
        assert all(len(handle.offers) == 1 for handle in fleet)


def test_the_old_and_the_new_password_of_a_central_account_cost_few_rejections(settings):
    with SimulatedFleet([SimDevice(f"s{n}", "cisco_ios", LOGIN, config_kb=5) for n in range(20)]) as fleet:
        register(fleet)
        credential("old", "old-password", priority=1)
        credential("new", "new-password", priority=2)
        run_now()
        run, _ = run_now()
        old = [offer for handle in fleet for offer in handle.offers if offer.secret == "old-password"]
    assert run.status == RunStatus.SUCCEEDED
    assert len(old) <= settings.NETRAVEN_GUARD_CENTRAL_LIMIT


def test_a_redelivered_shard_finds_nothing_to_do(one):
    fleet, _ = one
    credential("new", "new-password")
    run, _ = run_now()
    for shard in run.shards.all():
        run_shard(shard.pk)
    assert len(fleet.device("r1").offers) == 1


def test_a_shard_whose_worker_was_lost_is_handed_out_and_finished_again(one):
    _, device = one
    credential("new", "new-password")
    run = start_adhoc("backup", devices=[device], trigger=Trigger.COMMAND)
    shard = run.shards.get()
    assert claim(shard.pk) is not None  # a worker that dies here
    Result.objects.update(started_at=run.created_at)
    long_ago = run.created_at - timedelta(minutes=5)
    Shard.objects.update(holder="elsewhere:boot-1:1", lease_until=long_ago, suspected_at=long_ago)
    assert recover() == 1
    run_shard(shard.pk)
    result = Result.objects.get()
    assert (result.outcome, result.tries) == ("success", 2)


def test_a_claimed_shard_cannot_be_claimed_twice(one):
    _, device = one
    run = start_adhoc("backup", devices=[device], trigger=Trigger.COMMAND)
    assert claim(run.shards.get().pk) is not None
    assert claim(run.shards.get().pk) is None


def test_a_cancelled_run_leaves_every_device_with_a_result(one):
    fleet, device = one
    run = start_adhoc("backup", devices=[device], trigger=Trigger.COMMAND)
    cancel_run(run)
    run_shard(run.shards.get().pk)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert Result.objects.get().outcome == "cancelled"
    assert fleet.device("r1").offers == []
    with pytest.raises(ValidationError):
        cancel_run(run)


def test_a_draining_worker_gives_its_shard_back(one):
    _, device = one
    credential("new", "new-password")
    run = start_adhoc("backup", devices=[device], trigger=Trigger.COMMAND)
    drain.begin()
    try:
        run_shard(run.shards.get().pk)
    finally:
        drain.clear()
    assert run.shards.get().status == ShardStatus.QUEUED
    run_shard(run.shards.get().pk)
    assert Result.objects.get().outcome == "success"


def test_progress_counts_what_is_done_by_outcome(one):
    credential("new", "new-password")
    run, _ = run_now()
    found = progress(run.pk)
    assert (found.total, found.done, found.by_outcome, found.is_finished) == (1, 1, {"success": 1}, True)


def test_a_credential_test_with_a_name_uses_that_credential_alone(one):
    fleet, device = one
    credential("other", "new-password")
    credential("named", "named-password", tags=["branch"], scope="local")
    _, results = run_now("credential_test", devices=[device], parameters={"credential": "named"})
    assert results["r1"].outcome == "rejected"
    assert [offer.secret for offer in fleet.device("r1").offers] == ["named-password"]
    assert Attempt.objects.get().is_test


def test_a_corrected_credential_is_tried_again(one):
    from credentials.services import SecretsInput, update_credential

    row = credential("one", "typo", scope="local")
    run_now()
    update_credential(row, secrets=SecretsInput(password="new-password"))
    _, results = run_now()
    assert results["r1"].outcome == "success"
    assert not RememberedRejection.objects.exists()


def test_a_disabled_device_is_left_alone(one):
    _, device = one
    save_device(device, enabled=False)
    assert start_adhoc("backup", devices=[device], trigger=Trigger.COMMAND).device_count == 0


@pytest.mark.parametrize("platform", ["cisco_nxos", "arista_eos", "juniper_junos", "linux", "fortinet", "huawei"])
def test_each_platform_is_backed_up_whole_and_quietly(platform):
    login = (SimLogin("ops", "new-password", "enable-1"),)
    with SimulatedFleet([SimDevice("d1", platform, login)]) as fleet:
        device = register(fleet)["d1"]
        credential("new", "new-password", enable_secret="enable-1")
        _, first = run_now()
        _, second = run_now()
    assert first["d1"].outcome == "success", first["d1"].detail
    assert second["d1"].config_changed is False
    assert latest(device.pk).number == 1
