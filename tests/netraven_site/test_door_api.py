"""Tokens with a scope, and how often the API may be asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.exceptions import Throttled
from rest_framework.test import APIClient

from netraven_site.models import ApiToken, ApiUse
from netraven_site.security.limits import API_LIMIT, WINDOW_S, ApiLimit, _take
from tests.commands import run
from tests.netraven_site.api_helpers import make_device, make_version, user_with

pytestmark = pytest.mark.django_db

ME, DEVICES = "/api/v1/me/", "/api/v1/devices/"


@pytest.fixture(autouse=True)
def _fresh():
    API_LIMIT.forget()
    yield
    API_LIMIT.forget()


def client_of(user: User, scope: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {ApiToken.issue(user, scope=scope)[1]}")
    return client


# --- scopes -----------------------------------------------------------------------------------------


def test_a_token_for_reading_changes_nothing_whoever_it_is_of() -> None:
    client = client_of(User.objects.create_superuser("root"), "read")
    device = make_device()
    assert client.get(DEVICES).status_code == 200
    for method, url in (
        ("post", DEVICES),
        ("patch", f"{DEVICES}{device.pk}/"),
        ("put", f"{DEVICES}{device.pk}/"),
        ("delete", f"{DEVICES}{device.pk}/"),
        ("post", f"{DEVICES}{device.pk}/backup/"),
        ("post", "/api/v1/runs/"),
    ):
        refused = getattr(client, method)(url, {}, format="json")
        assert refused.status_code == 403, (method, url)
        assert "'read and write'" in refused.json()["detail"]


@pytest.mark.parametrize("action", ["reveal", "restore-file"])
def test_secrets_need_a_token_that_was_made_for_them(action) -> None:
    root = User.objects.create_superuser("root")
    version = make_version(make_device(), "hostname sw1\nsnmp-server community canaryOfTheConfig7 RO\nend\n")
    url = f"/api/v1/versions/{version.pk}/{action}/"
    for scope in ("read", "write"):
        refused = client_of(root, scope).post(url)
        assert refused.status_code == 403
        assert "secrets of configurations" in refused.json()["detail"]
        assert "canaryOfTheConfig7" not in refused.content.decode()
    assert "canaryOfTheConfig7" in client_of(root, "secrets").post(url).content.decode()


def test_a_scope_gives_no_right_that_the_user_does_not_have() -> None:
    assert client_of(user_with("devices.view_device"), "secrets").post(DEVICES, {}).status_code == 403


def test_the_command_makes_tokens_with_a_scope() -> None:
    User.objects.create_user("olga")
    run("create_token", "olga", "--scope", "read")
    assert ApiToken.objects.get().scope == "read"
    assert "invalid choice" in run("create_token", "olga", "--scope", "everything").err


# --- limits -----------------------------------------------------------------------------------------------


def test_more_requests_than_allowed_are_refused_with_the_time_to_wait(settings) -> None:
    settings.NETRAVEN_API_PER_MINUTE = 5
    client = client_of(user_with(), "read")
    answers = [client.get(ME) for _ in range(12)]
    assert sum(each.status_code == 200 for each in answers) in range(5, 11)  # a minute may begin meanwhile
    refused = next(each for each in answers if each.status_code == 429)
    assert 1 <= int(refused["Retry-After"]) <= 61
    assert "More than 5 requests a minute" in refused.json()["detail"]


@pytest.mark.parametrize("header", [None, "Token nrt_wrong", "Token a b c"])
def test_wrong_tokens_count_against_the_address(settings, header) -> None:
    settings.NETRAVEN_API_ANONYMOUS_PER_MINUTE = 5
    client = APIClient()
    if header:
        client.credentials(HTTP_AUTHORIZATION=header)
    codes = [client.get(ME).status_code for _ in range(12)]
    assert set(codes) == {401, 429}
    assert codes.count(401) <= 10
    other = APIClient(REMOTE_ADDR="198.51.100.9")
    assert other.get(ME).status_code == 401


def test_the_tokens_and_the_session_of_a_user_share_one_limit(settings) -> None:
    settings.NETRAVEN_API_PER_MINUTE = 6
    user = user_with()
    session = APIClient()
    session.force_login(user)
    clients = [client_of(user, "read"), client_of(user, "write"), session]
    codes = [clients[number % 3].get(ME).status_code for number in range(18)]
    assert codes.count(200) <= 12
    assert 429 in codes


def test_processes_share_one_count(settings) -> None:
    settings.NETRAVEN_API_PER_MINUTE = 100
    processes = [ApiLimit() for _ in range(4)]
    passed = 0
    for number in range(400):
        try:
            processes[number % 4].user(7)
            passed += 1
        except Throttled:
            continue
    assert passed in (100, *range(101, 201))
    assert ApiUse.objects.count() == 1


def test_most_requests_write_nothing(settings, django_assert_max_num_queries) -> None:
    settings.NETRAVEN_API_PER_MINUTE = 1200
    limit = ApiLimit()
    limit.user(7)
    with django_assert_max_num_queries(7):  # a minute may begin meanwhile
        for _ in range(50):
            limit.user(7)


def test_zero_means_no_limit(settings, django_assert_num_queries) -> None:
    settings.NETRAVEN_API_PER_MINUTE = 0
    with django_assert_num_queries(0):
        ApiLimit().user(7)


def test_old_counts_are_forgotten() -> None:
    ApiUse.objects.create(key="old", window=1, taken=1)
    now = int(timezone.now().timestamp() // WINDOW_S)
    _take("user:8", now - now % 60, 100)
    assert not ApiUse.objects.filter(key="old").exists()


def test_a_token_that_has_expired_is_refused() -> None:
    user = user_with()
    _, text = ApiToken.issue(user, expires_at=timezone.now() - timedelta(seconds=1))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {text}")
    assert client.get(ME).status_code == 401
