"""The description of the API, and the page to try it at."""

import io
import re

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from tests.netraven_site.api_helpers import client_with, user_with

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema):
    return [
        (path, method, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"}
    ]


def test_the_description_is_made_without_a_warning_and_is_valid():
    output = io.StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=output)
    assert "/api/v1/devices/" in output.getvalue()


@pytest.mark.parametrize(
    "path",
    [
        "devices/",
        "devices/{id}/",
        "devices/import/",
        "devices/{id}/backup/",
        "devices/{device_id}/candidates/",
        "devices/{device_id}/versions/",
        "devices/{device_id}/attempts/",
        "devices/{device_id}/host-keys/",
        "credentials/{id}/",
        "credentials/{credential_id}/devices/",
        "host-keys/{id}/approve/",
        "host-keys/{id}/reject/",
        "held-accounts/",
        "held-accounts/{id}/release/",
        "jobs/{id}/run/",
        "runs/",
        "runs/{id}/cancel/",
        "runs/{id}/progress/",
        "runs/{id}/pause/",
        "runs/{id}/resume/",
        "runs/{id}/retry/",
        "kinds/",
        "maintenance-windows/{id}/",
        "concurrency-limits/{id}/",
        "runs/{run_id}/results/",
        "versions/{id}/text/",
        "versions/{id}/diff/",
        "attempts/",
        "me/",
    ],
)
def test_the_description_has_every_address(schema, path):
    assert f"/api/v1/{path}" in schema["paths"]


def test_every_operation_says_how_it_can_fail(schema):
    for path, method, operation in operations(schema):
        assert {"401", "403"} <= operation["responses"].keys(), (path, method)
        if "{" in path:
            assert "404" in operation["responses"], (path, method)


def test_every_operation_takes_a_token_or_a_session(schema):
    for path, method, operation in operations(schema):
        assert {"token": []} in operation["security"], (path, method)
        assert {"cookieAuth": []} in operation["security"], (path, method)


def test_no_response_has_a_field_for_a_secret(schema):
    components = schema["components"]["schemas"]
    for name, each in components.items():
        if not name.endswith("Request"):
            assert not each.get("properties", {}).keys() & {
                "password",
                "enable_secret",
                "private_key",
                "passphrase",
                "clear",
                "digest",
            }, name


def test_the_filters_of_a_list_are_described(schema):
    names = {each["name"] for each in schema["paths"]["/api/v1/devices/"]["get"]["parameters"]}
    assert names >= {"tag", "platform", "outcome", "enabled", "search", "ordering", "page", "page_size"}


def test_the_description_is_for_those_who_are_signed_in():
    assert APIClient().get("/api/v1/schema/").status_code == 401
    answer = client_with().get("/api/v1/schema/", HTTP_ACCEPT="application/json")
    assert answer.status_code == 200
    assert answer.json()["info"]["title"] == "NetRaven API"
    assert client_with(name="o2").get("/api/v1/schema/?format=json").json()["openapi"].startswith("3.")


def test_a_person_who_is_not_signed_in_is_asked_to():
    answer = APIClient().get("/api/v1/docs/")
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/api/v1/docs/"


@pytest.fixture
def page():
    client = APIClient()
    client.force_login(user_with())
    return client


def test_the_page_and_its_script_ask_no_other_host(page):
    for address in ("/api/v1/docs/", "/api/v1/docs/?script="):
        answer = page.get(address)
        assert answer.status_code == 200
        assert not re.search(r"""["'(=]\s*(https?:)?//""", answer.content.decode())


def test_the_page_sends_the_description_to_no_validator(page):
    assert '"validatorUrl": null' in page.get("/api/v1/docs/?script=").content.decode()


def test_the_files_of_the_page_come_from_the_package(page):
    text = page.get("/api/v1/docs/").content.decode()
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', text)
    assert len(files) >= 3
    for name in files:
        assert finders.find(name), name


def test_the_style_of_the_page_asks_no_other_host():
    path = finders.find("drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
    assert path
    with open(path) as file:
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", file.read())


def test_the_page_can_write_with_the_session(page):
    script = page.get("/api/v1/docs/?script=").content.decode()
    assert re.search(r'request\.headers\["X-CSRFTOKEN"\] = "\w{64}"', script)
