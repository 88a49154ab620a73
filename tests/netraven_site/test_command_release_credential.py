"""The command release_credential: what was held is tried again, and nothing else."""

import json

import pytest

from credentials.guard import GuardedLogin, Held, get_guard
from credentials.models import Credential, GuardAccount, RememberedRejection
from credentials.services import SecretsInput, create_credential
from tests.commands import run

pytestmark = pytest.mark.django_db


@pytest.fixture
def credential() -> Credential:
    return make("core")


def make(name: str, username: str = "netops") -> Credential:
    return create_credential(name=name, username=username, secrets=SecretsInput(password="p"), tags=["dc"])


def login(credential: Credential, device: int = 1) -> GuardedLogin:
    return GuardedLogin(
        credential=credential.pk,
        version=credential.version,
        scope=credential.scope,
        username=credential.username,
        domain="default",
        device=device,
        device_label=f"r{device}",
        address=f"r{device}.example:22",
    )


def reject(credential: Credential) -> None:
    guard = get_guard()
    guard.settle(guard.reserve(login(credential)), "rejected")


def use_up(credential: Credential) -> None:
    """Spend the whole budget of its account."""
    guard = get_guard()
    for device in range(guard.limits.central):
        guard.settle(guard.reserve(login(credential, device)), "unanswered")


def test_a_held_account_is_released(credential):
    use_up(credential)
    with pytest.raises(Held):
        get_guard().reserve(login(credential))
    done = run("release_credential", "core")
    assert done.code == 0
    assert "Released account netops in AAA domain default" in done.out
    assert get_guard().reserve(login(credential))


def test_its_remembered_rejections_are_forgotten(credential):
    reject(credential)
    assert RememberedRejection.objects.exists()
    report = json.loads(run("release_credential", "core", "--json").out)
    assert report["forgotten"] == ["AAA domain default"]
    assert not RememberedRejection.objects.exists()


def test_what_is_remembered_of_another_credential_of_the_account_stays(credential):
    old = make("core, old")
    reject(old)
    reject(credential)
    run("release_credential", "core")
    assert list(RememberedRejection.objects.values_list("credential__name", flat=True)) == ["core, old"]


def test_another_account_stays_held(credential):
    other = make("other", username="backup")
    use_up(other)
    run("release_credential", "core")
    with pytest.raises(Held):
        get_guard().reserve(login(other))


def test_the_account_remembers_who_released_it(credential, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    use_up(credential)
    run("release_credential", "core")
    assert GuardAccount.objects.get().released_by == "anna"


def test_nothing_to_release_is_no_failure(credential):
    done = run("release_credential", "core")
    assert done.code == 0
    assert "nothing to release" in done.out


def test_a_release_is_not_repeated_for_what_it_wiped_out(credential):
    use_up(credential)
    run("release_credential", "core")
    assert json.loads(run("release_credential", "core", "--json").out)["accounts"] == []


def test_an_unknown_credential_is_wrong_use(credential):
    done = run("release_credential", "kore")
    assert done.code == 2
    assert "Did you mean core?" in done.err
