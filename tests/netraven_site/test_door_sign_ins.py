"""Sign-ins that last, and the password that is typed again."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from netraven_site.models import ApiToken, SignIn
from netraven_site.security.recent import FIELD
from tests.commands import run
from tests.netraven_site.api_helpers import make_device, make_version, user_with
from tests.netraven_site.pages import body, list_of, page_of, signed_in, text_of

pytestmark = pytest.mark.django_db

PASSWORD = "a good long one"
SIGN_INS = "netraven_site_signin"
VIEW, REVEAL, RESTORE = "devices.view_configversion", "devices.reveal_configversion", "devices.restore_configversion"


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password=PASSWORD)


def sign_in(name: str = "root", agent: str = "Firefox", address: str = "192.0.2.1") -> Client:
    client = Client(REMOTE_ADDR=address, headers={"user-agent": agent})
    assert client.post("/admin/login/", {"username": name, "password": PASSWORD}).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def long_ago(client: Client, key: str, seconds: int) -> None:
    session = client.session
    session[key] = int(time.time()) - seconds
    session.save()


# --- sign-ins -----------------------------------------------------------------------------------------


def test_everybody_sees_the_own_browsers_with_address_and_time(root) -> None:
    sign_in(agent="Lynx", address="198.51.100.7")
    page = text_of(sign_in().get(list_of(SIGN_INS)))
    for words in ("Lynx", "198.51.100.7", "Firefox", "this one"):
        assert words in page


def test_others_are_seen_by_administrators_alone(root) -> None:
    User.objects.create_user("nils", password=PASSWORD, is_staff=True)
    here = sign_in("nils", agent="Of Nils")
    boss = sign_in(agent="Of Root")
    assert "Of Root" not in text_of(here.get(list_of(SIGN_INS)))
    assert "Of Nils" in text_of(boss.get(list_of(SIGN_INS)))


def test_nobody_ends_the_sign_in_of_somebody_else(root) -> None:
    User.objects.create_user("nils", password=PASSWORD, is_staff=True)
    boss, nils = sign_in(), sign_in("nils")
    row = SignIn.objects.get(user=root)
    nils.post(list_of(SIGN_INS), {"action": "delete_chosen", "_selected_action": [row.pk], "confirmed": "yes"})
    nils.post(reverse(f"admin:{SIGN_INS}_delete", args=[row.pk]), {"confirmed": "yes"})
    assert is_in(boss)


def test_to_delete_a_row_is_to_sign_that_browser_out(root) -> None:
    stolen, here = sign_in(agent="Stolen"), sign_in()
    row = SignIn.objects.get(agent="Stolen")
    here.post(list_of(SIGN_INS), {"action": "delete_chosen", "_selected_action": [row.pk], "confirmed": "yes"})
    assert not is_in(stolen)
    assert is_in(here)


def test_everywhere_else_is_signed_out_with_one_button(root) -> None:
    others, here = [sign_in() for _ in range(3)], sign_in()
    assert "3 sign-ins" in text_of(here.get(reverse(f"admin:{SIGN_INS}_elsewhere")))
    assert is_in(others[0])
    here.post(reverse(f"admin:{SIGN_INS}_elsewhere"), {"confirmed": "yes"})
    assert not any(is_in(each) for each in others)
    assert is_in(here)


def test_an_administrator_signs_somebody_out_everywhere(root) -> None:
    nils = User.objects.create_user("nils", password=PASSWORD, is_staff=True)
    theirs, here = sign_in("nils"), sign_in()
    here.post(list_of("auth_user"), {"action": "sign_out", "_selected_action": [nils.pk], "confirmed": "yes"})
    assert not is_in(theirs)
    assert is_in(here)


def test_the_command_signs_out_too(root) -> None:
    client = sign_in()
    assert "signed out in 1 browsers" in run("unlock_user", "root", "--sign-out").out
    assert not is_in(client)


def test_a_changed_password_ends_the_other_sign_ins_and_keeps_this_one(root) -> None:
    other, here = sign_in(), sign_in()
    new = "another good one 7"
    here.post(reverse("admin:password_change"), {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert not is_in(other)
    assert is_in(here)
    assert SignIn.objects.filter(user=root).count() == 1


def test_signing_out_ends_the_row(root) -> None:
    client = sign_in()
    client.post(reverse("admin:logout"))
    assert not SignIn.objects.exists()


def test_whoever_is_disabled_is_out_for_good(root) -> None:
    client = sign_in()
    User.objects.update(is_active=False)
    assert not is_in(client)
    User.objects.update(is_active=True)
    assert not is_in(client)


def test_who_was_away_for_too_long_is_signed_out(root, settings) -> None:
    settings.NETRAVEN_SESSION_IDLE_S = 600
    client = sign_in()
    long_ago(client, "netraven_seen_at", 590)
    assert is_in(client)
    long_ago(client, "netraven_seen_at", 601)
    assert not is_in(client)


def test_no_key_of_a_session_stands_in_our_table(root) -> None:
    client = sign_in()
    assert client.session.session_key not in str(list(SignIn.objects.values()))


@pytest.mark.parametrize("name", ["sessionid", "csrftoken"])
def test_cookies_are_for_https_where_there_is_https(root, settings, name) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    client = Client()
    client.get("/admin/login/", secure=True)
    client.post("/admin/login/", {"username": "root", "password": PASSWORD}, secure=True)
    assert client.cookies[name]["secure"]
    assert client.cookies[name]["samesite"] == "Lax"
    assert client.cookies["sessionid"]["httponly"]


# --- the password typed again -----------------------------------------------------------------------------


@pytest.fixture
def version():
    return make_version(make_device(), "hostname sw1\nsnmp-server community canaryOfTheConfig7 RO\nend\n")


@pytest.fixture
def late() -> Client:
    """Somebody who signed in a while ago."""
    user = user_with(VIEW, REVEAL, RESTORE, name="nils", is_staff=True)
    user.set_password(PASSWORD)
    user.save()
    client = signed_in(user)
    long_ago(client, "netraven_password_at", 601)
    return client


@pytest.mark.parametrize("page", ["reveal", "restore"])
def test_secrets_are_shown_after_the_password_was_typed_again(version, late, page) -> None:
    url = page_of("devices_configversion", version.pk, page)
    asked = late.post(url)
    assert "Is it you?" in text_of(asked)
    assert "no-store" in asked["Cache-Control"]
    assert "canaryOfTheConfig7" not in body(asked)
    wrong = late.post(url, {FIELD: "wrong"})
    assert "This is not your password" in text_of(wrong)
    assert "canaryOfTheConfig7" not in body(wrong)
    assert "canaryOfTheConfig7" in body(late.post(url, {FIELD: PASSWORD}))
    assert "canaryOfTheConfig7" in body(late.post(url))


def test_guessing_there_counts_like_guessing_at_the_door(version, late, settings) -> None:
    settings.NETRAVEN_SIGN_IN_TRIES = 3
    url = page_of("devices_configversion", version.pk, "reveal")
    for _ in range(3):
        late.post(url, {FIELD: "wrong"})
    answer = late.post(url, {FIELD: PASSWORD})
    assert "Too many wrong passwords" in text_of(answer)
    assert "canaryOfTheConfig7" not in body(answer)


def test_the_password_of_somebody_else_does_not_do(version, late) -> None:
    User.objects.create_user("olga", password="another good one 7")
    url = page_of("devices_configversion", version.pk, "reveal")
    assert "canaryOfTheConfig7" not in body(late.post(url, {FIELD: "another good one 7"}))


def test_who_may_not_see_secrets_is_not_asked_for_a_password(version) -> None:
    client = signed_in(user_with(VIEW, name="piet", is_staff=True))
    long_ago(client, "netraven_password_at", 601)
    assert client.post(page_of("devices_configversion", version.pk, "reveal")).status_code == 403


def test_the_api_asks_for_it_too_where_it_is_used_from_a_browser(version, late) -> None:
    url = f"/api/v1/versions/{version.pk}/reveal/"
    refused = late.post(url, content_type="application/json")
    assert refused.status_code == 403
    assert "type your password" in refused.json()["detail"]
    late.post(page_of("devices_configversion", version.pk, "reveal"), {FIELD: PASSWORD})
    assert late.post(url, content_type="application/json").status_code == 200


def test_a_token_is_made_after_the_password_was_typed_again_and_nothing_is_typed_twice(root) -> None:
    client = sign_in()
    long_ago(client, "netraven_password_at", 601)
    url = reverse("admin:netraven_site_apitoken_add")
    form = {"user": root.pk, "name": "grafana & co", "scope": "read"}
    asked = body(client.post(url, form))
    assert '<input type="hidden" name="name" value="grafana &amp; co">' in asked
    assert not ApiToken.objects.exists()
    client.post(url, {**form, FIELD: PASSWORD})
    assert ApiToken.objects.get().name == "grafana & co"


def test_the_password_of_another_user_is_set_after_the_own_one_was_typed_again(root) -> None:
    nils = User.objects.create_user("nils", password=PASSWORD)
    client = sign_in()
    long_ago(client, "netraven_password_at", 601)
    url = reverse("admin:auth_user_password_change", args=[nils.pk])
    new = "another good one 7"
    assert "Is it you?" in text_of(client.post(url, {"password1": new, "password2": new, "usable_password": "true"}))
    nils.refresh_from_db()
    assert nils.check_password(PASSWORD)
