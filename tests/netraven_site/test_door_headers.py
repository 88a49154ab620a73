"""What browsers are told: which scripts may run, who may frame a page, what is kept."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.netraven_site.api_helpers import admin_client, make_device
from tests.netraven_site.pages import administrator, page_of

pytestmark = pytest.mark.django_db

CSP = "Content-Security-Policy"


def policy(answer) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer[CSP].split(";"))
    return {name: words for name, _, words in parts}


def every_answer() -> dict[str, object]:
    boss, nobody = administrator(), Client()
    device = make_device()
    return {
        "sign-in": nobody.get("/admin/login/"),
        "redirect": nobody.get("/"),
        "dashboard": boss.get("/admin/"),
        "page": boss.get(page_of("devices_device", device.pk)),
        "not found inside": boss.get("/admin/devices/device/999999/"),
        "not found": nobody.get("/nothing/"),
        "refused": nobody.post("/admin/", HTTP_COOKIE="x"),
        "api": admin_client("api").get("/api/v1/devices/"),
        "api refused": nobody.get("/api/v1/devices/"),
        "api nothing": nobody.get("/api/v1/nothing/"),
        "docs": boss.get(reverse("api:docs")),
    }


def test_every_answer_has_every_header() -> None:
    for name, answer in every_answer().items():
        assert policy(answer)["frame-ancestors"] == "'none'", name
        assert answer["X-Frame-Options"] == "DENY", name
        assert answer["X-Content-Type-Options"] == "nosniff", name
        assert answer["Referrer-Policy"] == "same-origin", name
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin", name
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin", name
        assert "camera=()" in answer["Permissions-Policy"], name
        assert "no-store" in answer["Cache-Control"], name


@pytest.mark.parametrize("name", ["sign-in", "not found", "not found inside"])
def test_outside_of_the_portal_nothing_inline_and_nothing_evaluated_runs(name) -> None:
    found = policy(every_answer()[name])
    for part in ("script-src", "style-src"):
        assert "unsafe" not in found[part]
    assert found["default-src"] == found["base-uri"] == found["object-src"] == "'none'"
    assert found["form-action"] == "'self'"


def test_inside_no_inline_script_runs() -> None:
    found = policy(every_answer()["dashboard"])
    assert found["script-src"] == "'self' 'unsafe-eval'"
    assert found["connect-src"] == "'self'"


def test_the_api_is_no_page() -> None:
    answers = every_answer()
    for name in ("api", "api refused", "api nothing"):
        assert policy(answers[name])["default-src"] == "'none'", name
        assert "script-src" not in policy(answers[name]), name


def test_the_style_of_the_page_of_errors_is_the_one_that_its_policy_names(client) -> None:
    import base64
    import hashlib

    answer = client.get("/nothing/")
    style = answer.content.decode().split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy(answer)["style-src"] == f"'sha256-{digest}'"


def test_a_fault_of_ours_has_the_strict_policy_too(client, monkeypatch) -> None:
    User.objects.create_superuser("root", password="a good long one")
    client.raise_request_exception = False
    monkeypatch.setattr("netraven_site.security.lockout.take", None)
    answer = client.post("/admin/login/", {"username": "root", "password": "a good long one"})
    assert answer.status_code == 500
    assert "unsafe" not in answer[CSP]


def test_static_files_may_be_kept(client) -> None:
    assert "no-store" not in client.get("/static/netraven/netraven.css")["Cache-Control"]
