"""Guessing of passwords: how many are looked at, who is locked out, and who is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.hashers import get_hasher
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from credentials.audit.models import AuditEvent
from netraven_site.models import SignInTries
from netraven_site.security import lockout
from tests.commands import run
from tests.netraven_site.pages import administrator, list_of, signed_in, text_of

pytestmark = pytest.mark.django_db

PASSWORD = "a good long one"
HERE, THERE = "192.0.2.1", "198.51.100.9"
LOGIN = "/admin/login/"


@pytest.fixture(autouse=True)
def _limits(settings):
    settings.NETRAVEN_SIGN_IN_TRIES = 3
    settings.NETRAVEN_SIGN_IN_TRIES_ACCOUNT = 6
    settings.NETRAVEN_SIGN_IN_TRIES_ADDRESS = 9
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture
def looks(monkeypatch) -> list[str]:
    """Every password that was looked at."""
    hasher = get_hasher().__class__
    seen: list[str] = []

    def verify(self, password, encoded):
        seen.append(password)
        return type(self).encode(self, password, self.decode(encoded)["salt"]) == encoded

    monkeypatch.setattr(hasher, "verify", verify)
    return seen


def sign_in(name: str, password: str, address: str = HERE):
    return Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": password, "next": "/admin/"})


def pass_time(**much: int) -> None:
    """As if it had gone by: all times of the table lie further back."""
    for row in SignInTries.objects.all():
        for field in ("since", "locked_until", "known_until"):
            if getattr(row, field) is not None:
                setattr(row, field, getattr(row, field) - timedelta(**much))
        row.save()


def test_after_some_wrong_passwords_not_even_the_right_one_is_looked_at(root, looks) -> None:
    for _ in range(3):
        assert "Please enter the correct username and password" in text_of(sign_in("root", "wrong"))
    page = sign_in("root", PASSWORD)
    assert looks == ["wrong"] * 3
    assert "Too many wrong passwords: sign-in is closed here for a minute" in text_of(page)
    assert "unlock_user" in text_of(page)


def test_after_its_time_the_door_opens_and_the_next_lock_is_twice_as_long(root) -> None:
    for _ in range(3):
        sign_in("root", "wrong")
    pass_time(seconds=61)
    for _ in range(3):
        sign_in("root", "wrong")
    assert "closed here for 2 minutes" in text_of(sign_in("root", PASSWORD))
    pass_time(seconds=121)
    assert sign_in("root", PASSWORD).status_code == 302


def test_no_lock_is_longer_than_an_hour(root) -> None:
    SignInTries.objects.update_or_create(
        key=lockout._key("pair", "root", HERE), defaults={"locks": 40, "since": timezone.now(), "taken": 2}
    )
    sign_in("root", "wrong")
    with pytest.raises(lockout.LockedOut) as closed:
        lockout.take("root", HERE)
    assert closed.value.wait <= timedelta(hours=1)


def test_a_right_password_gives_the_tries_back(root) -> None:
    for _ in range(4):
        sign_in("root", "wrong")
        sign_in("root", "wrong")
        assert sign_in("root", PASSWORD).status_code == 302


def test_the_last_try_that_is_allowed_may_be_the_right_one(root) -> None:
    sign_in("root", "wrong")
    sign_in("root", "wrong")
    assert sign_in("root", PASSWORD).status_code == 302
    assert sign_in("root", PASSWORD).status_code == 302


def test_a_stranger_locks_out_his_own_address_and_not_the_one_at_which_somebody_is_known(root) -> None:
    assert sign_in("root", PASSWORD).status_code == 302
    for number in range(20):
        sign_in("root", "wrong", f"203.0.113.{number}")
    assert "closed" in text_of(sign_in("root", PASSWORD, THERE))
    assert sign_in("root", PASSWORD, HERE).status_code == 302


def test_many_addresses_together_get_no_more_than_the_account_allows(root, looks) -> None:
    for number in range(20):
        sign_in("root", "wrong", f"203.0.113.{number}")
    assert len(looks) == 6


def test_one_address_gets_no_more_with_many_names(root, looks) -> None:
    for number in range(20):
        User.objects.create_user(f"user{number}", password=PASSWORD)
        sign_in(f"user{number}", "wrong")
    assert len(looks) == 9


def test_an_own_account_buys_no_further_guesses_at_others(root, looks) -> None:
    User.objects.create_user("mallory", password=PASSWORD, is_staff=True)
    for number in range(20):
        sign_in(f"user{number}", "wrong")
        sign_in("mallory", PASSWORD)
    assert looks.count("wrong") <= 9


@pytest.mark.parametrize("address", ["2001:db8::1", "2001:db8::2:3"])
def test_an_ipv6_network_is_one_address(root, address) -> None:
    for _ in range(3):
        sign_in("root", "wrong", "2001:db8::ffff")
    assert "closed" in text_of(sign_in("root", PASSWORD, address))


def test_the_case_of_a_name_is_no_way_around(root) -> None:
    for name in ("ROOT", "Root", "ｒｏｏｔ"):
        sign_in(name, "wrong")
    assert "closed" in text_of(sign_in("root", PASSWORD))


def test_names_that_do_not_exist_are_answered_and_locked_like_those_that_do(root, looks) -> None:
    def without_token(page) -> str:
        return text_of(page).replace("nobody", "root")

    for _ in range(4):
        assert without_token(sign_in("root", "wrong", HERE)) == without_token(sign_in("nobody", "wrong", THERE))
    assert len(looks) == 3  # for somebody who does not exist Django hashes once without comparing


def test_what_was_typed_as_the_name_is_kept_nowhere(root) -> None:
    sign_in("my-password-by-mistake", "wrong")
    rows = str(list(SignInTries.objects.values()))
    assert "my-password" not in rows
    assert SignInTries.objects.count() == 3


def test_behind_a_proxy_what_the_proxy_itself_wrote_counts(root, settings, looks) -> None:
    settings.NETRAVEN_BEHIND_PROXY = True
    for number in range(6):
        Client(REMOTE_ADDR="10.0.0.1").post(
            LOGIN,
            {"username": "root", "password": "wrong"},
            headers={"x-forwarded-for": f"203.0.113.{number}, {HERE}"},
        )
    assert len(looks) == 3


def test_the_command_opens_the_door(root) -> None:
    for _ in range(3):
        sign_in("root", "wrong")
    done = run("unlock_user", "root")
    assert "1 lock opened" in done.out
    assert sign_in("root", PASSWORD).status_code == 302
    assert AuditEvent.objects.filter(event="sign_in.unlocked").exists()
    assert "was not locked" in run("unlock_user", "root").out


def test_the_command_opens_an_address(root) -> None:
    for number in range(12):
        sign_in(f"user{number}", "wrong")
    assert "closed" in text_of(sign_in("root", PASSWORD))
    assert "1 lock opened" in run("unlock_user", "--address", HERE).out
    assert sign_in("root", PASSWORD).status_code == 302


@pytest.mark.parametrize("arguments", [[], ["nobody"], ["--address", "here"], ["--address", HERE, "--sign-out"]])
def test_the_command_says_what_is_wrong(arguments) -> None:
    assert run("unlock_user", *arguments).code == 2


def test_an_administrator_sees_who_is_locked_out_and_opens_the_door(root) -> None:
    boss = administrator("boss")
    for _ in range(3):
        sign_in("root", "wrong")
    assert "locked until" in text_of(boss.get(list_of("auth_user")))
    boss.post(list_of("auth_user"), {"action": "open_door", "_selected_action": [root.pk], "confirmed": "yes"})
    assert sign_in("root", PASSWORD).status_code == 302
    assert "locked until" not in text_of(boss.get(list_of("auth_user")))


def test_the_old_password_is_no_way_to_guess(root, looks) -> None:
    client = signed_in(root)
    change = {"new_password1": "another good one 7", "new_password2": "another good one 7"}
    for _ in range(5):
        client.post(reverse("admin:password_change"), {"old_password": "wrong", **change})
    assert looks.count("wrong") == 3
    page = client.get(reverse("admin:password_change"))
    assert "Too many wrong passwords" in text_of(page)


def test_a_lock_is_in_the_trail_without_the_name_that_was_typed(root) -> None:
    for _ in range(3):
        sign_in("not-a-user-but-a-secret", "wrong")
    (event,) = AuditEvent.objects.filter(event="sign_in.locked")
    assert "not-a-user" not in str(event.details)


def test_tries_at_a_closed_door_do_not_fill_the_trail(root) -> None:
    for _ in range(20):
        sign_in("root", "wrong")
    assert AuditEvent.objects.filter(event="sign_in.failed").count() == 3
    assert AuditEvent.objects.filter(event="sign_in.locked").count() == 1
