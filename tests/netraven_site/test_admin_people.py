"""Administration: who may hand out rights, tokens that are shown once, and what the task queue may not do."""

from __future__ import annotations

import os
import pickle
from base64 import b64encode
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success
from taggit.models import Tag
from unfold.admin import ModelAdmin as UnfoldModelAdmin

from credentials.key_readers import KeyReader
from credentials.models import Credential, CredentialTag
from devices.models import Device
from netraven_site.models import ApiToken
from tests.netraven_site.api_helpers import make_credential, make_device, user_with
from tests.netraven_site.pages import administrator, body, list_of, page_of, signed_in, staff_with, text_of

pytestmark = pytest.mark.django_db

TOKENS = "netraven_site_apitoken"


# --- API tokens -------------------------------------------------------------------------------------
def test_a_token_is_shown_once_and_kept_as_a_hash() -> None:
    client = administrator()
    root = User.objects.get()
    page = client.post(reverse(f"admin:{TOKENS}_add"), {"user": root.pk, "name": "grafana", "scope": "read"})
    text = page.context["token"]
    assert text in body(page)
    assert "no-store" in page["Cache-Control"]
    row = ApiToken.objects.get()
    assert row.digest == ApiToken.digest_of(text)
    assert row.name == "grafana"
    for url in (list_of(TOKENS), reverse("admin:index")):
        assert text not in body(client.get(url))


def test_a_token_that_was_made_in_the_portal_opens_the_api(client) -> None:
    boss = administrator()
    page = boss.post(reverse(f"admin:{TOKENS}_add"), {"user": User.objects.get().pk, "name": "", "scope": "read"})
    answer = client.get("/api/v1/me/", headers={"authorization": f"Token {page.context['token']}"})
    assert answer.status_code == 200


def test_nobody_but_an_administrator_makes_a_token_for_somebody_else() -> None:
    boss = User.objects.create_superuser("boss")
    client = staff_with("netraven_site.add_apitoken", "netraven_site.view_apitoken")
    page = client.post(reverse(f"admin:{TOKENS}_add"), {"user": boss.pk, "name": "mine"})
    assert page.status_code == 200
    assert not ApiToken.objects.exists()


def test_people_see_their_own_tokens_and_take_them_away() -> None:
    boss = User.objects.create_superuser("boss")
    theirs, _ = ApiToken.issue(boss, "of the boss")
    client = staff_with("netraven_site.view_apitoken", "netraven_site.delete_apitoken")
    mine, _ = ApiToken.issue(User.objects.get(username="nils"), "mine alone")
    seen = text_of(client.get(list_of(TOKENS)))
    assert "mine alone" in seen
    assert "of the boss" not in seen
    data = {"action": "delete_chosen", "index": "0", "select_across": "0", "confirmed": "yes"}
    client.post(list_of(TOKENS), {**data, "_selected_action": [str(mine.pk), str(theirs.pk)]})
    assert list(ApiToken.objects.all()) == [theirs]


def test_a_token_is_never_changed() -> None:
    client = administrator()
    row, _ = ApiToken.issue(User.objects.get(), "x")
    answer = client.post(page_of(TOKENS, row.pk, "change"), {"user": row.user_id, "name": "changed"})
    assert answer.status_code in {302, 403}
    row.refresh_from_db()
    assert row.name == "x"


# --- people -----------------------------------------------------------------------------------------
def test_somebody_who_may_change_users_does_not_make_himself_an_administrator() -> None:
    nils = user_with("auth.view_user", "auth.change_user", name="nils", is_staff=True)
    everything = Permission.objects.get(codename="delete_device")
    data = {
        "username": "nils",
        "is_superuser": "on",
        "is_staff": "on",
        "is_active": "on",
        "user_permissions": [everything.pk],
        "first_name": "Nils",
    }
    signed_in(nils).post(page_of("auth_user", nils.pk, "change"), data)
    nils = User.objects.get(pk=nils.pk)
    assert nils.first_name == "Nils"
    assert not nils.is_superuser
    assert not nils.has_perm("devices.delete_device")


def test_an_administrator_is_changed_by_administrators_alone() -> None:
    boss = User.objects.create_superuser("boss", password="a good long one")
    client = staff_with("auth.view_user", "auth.change_user", "auth.delete_user")
    password = client.post(
        reverse("admin:auth_user_password_change", args=[boss.pk]),
        {"password1": "Another-good-1", "password2": "Another-good-1", "usable_password": "true"},
    )
    assert password.status_code == 403
    client.post(page_of("auth_user", boss.pk, "delete"), {"confirmed": "yes"})
    assert User.objects.get(username="boss").check_password("a good long one")


def test_groups_are_made_and_changed_by_administrators_alone() -> None:
    client = staff_with("auth.view_group", "auth.add_group", "auth.change_group")
    client.post(reverse("admin:auth_group_add"), {"name": "everything"})
    assert not Group.objects.exists()
    administrator().post(reverse("admin:auth_group_add"), {"name": "night"})
    assert Group.objects.get().name == "night"


def test_an_administrator_adds_a_person() -> None:
    data = {"username": "vera", "usable_password": "true", "password1": "Long-enough-9", "password2": "Long-enough-9"}
    administrator().post(reverse("admin:auth_user_add"), data)
    assert User.objects.get(username="vera").check_password("Long-enough-9")


# --- tags -------------------------------------------------------------------------------------------
def test_a_renamed_tag_keeps_its_devices_and_credentials() -> None:
    device, credential = make_device(), make_credential()
    tag = Tag.objects.get()
    administrator().post(page_of("taggit_tag", tag.pk, "change"), {"name": "backbone"})
    assert list(device.tags.names()) == list(credential.tags.names()) == ["backbone"]


def test_a_deleted_tag_is_taken_from_devices_and_credentials() -> None:
    make_device()
    make_credential()
    tag = Tag.objects.get()
    client = administrator()
    page = client.get(page_of("taggit_tag", tag.pk, "delete"))
    assert "taken from every device and credential" in text_of(page)
    client.post(page_of("taggit_tag", tag.pk, "delete"), {"confirmed": "yes"})
    assert (Device.objects.count(), Credential.objects.count(), CredentialTag.objects.count()) == (1, 1, 0)


def test_tags_are_suggested_to_people_who_see_something_that_has_them() -> None:
    make_device(tags=("branch", "core"))
    url = reverse("admin:taggit_tag_suggest") + "?q=BR"
    assert staff_with("devices.view_device").get(url).json() == {"tags": ["branch"]}
    assert staff_with("jobs.view_run", name="other").get(url).status_code == 403


# --- the task queue -----------------------------------------------------------------------------------
@pytest.mark.parametrize("model", [Schedule, Success, OrmQ])
def test_what_would_run_or_unpickle_anything_has_no_panel(model) -> None:
    assert not admin.site.is_registered(model)
    with pytest.raises(NoReverseMatch):
        reverse(f"admin:django_q_{model._meta.model_name}_changelist")


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_forged_result_of_a_task_is_never_unpickled(tmp_path: Path) -> None:
    now = timezone.now()
    Failure.objects.create(id="a" * 32, name="forged", func="x", started=now, stopped=now, success=False)
    forged = b64encode(pickle.dumps(_Bomb(tmp_path / "exploded"))).decode()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET args = %s, kwargs = %s, result = %s", [forged, forged, forged])
    client = administrator()
    assert "forged" in text_of(client.get(list_of("django_q_failure")))
    for page in ("change", "history", "delete"):
        client.get(f"/admin/django_q/failure/{'a' * 32}/{page}/")
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(Exception):  # noqa: B017 - the bomb is real: reading the row sets it off
        assert Failure.objects.get().result is None
    assert (tmp_path / "exploded").exists()


# --- everything --------------------------------------------------------------------------------------
def test_every_panel_is_in_the_style_of_the_portal() -> None:
    for model, panel in admin.site._registry.items():
        assert isinstance(panel, UnfoldModelAdmin), model
        assert panel.change_list_template in ("netraven/change_list.html", "netraven/audit_list.html"), model


def test_every_form_for_something_new_opens() -> None:
    client = administrator()
    for model, panel in admin.site._registry.items():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        # A key is no row; its page asks before it makes one.
        addable = panel.has_add_permission(client.get("/admin/").wsgi_request) or model is KeyReader
        assert client.get(url).status_code == (200 if addable else 302), model


def test_the_list_of_tags_leaves_out_the_numbers_of_what_a_person_may_not_see() -> None:
    make_device(tags=("core",))
    make_credential(tags=("core",))
    page = body(staff_with("taggit.view_tag", "devices.view_device").get(list_of("taggit_tag")))
    assert "?tag=core" in page
    assert reverse("admin:credentials_credential_changelist") + "?tag=" not in page
    assert "column-credentials" not in page
