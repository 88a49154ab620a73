"""Configuration versions through the API: texts with placeholders, and diffs."""

import pytest

from tests.netraven_site.api_helpers import admin_client, config, make_device, make_version

pytestmark = pytest.mark.django_db

LINES = [f"interface Gi0/{number}" for number in range(20)]
SECRET = "Tr0ub4dor-canary"


@pytest.fixture
def client():
    return admin_client()


@pytest.fixture
def versions():
    device = make_device()
    first = make_version(device, config(*LINES, f"snmp-server community {SECRET} RO"))
    changed = [*LINES[:9], "interface Gi9/9", *LINES[10:], "ip route 0.0.0.0 0.0.0.0 10.0.0.254"]
    second = make_version(device, config(*changed, f"snmp-server community {SECRET} RO"))
    return first, second


def test_the_list_has_no_texts(client, versions):
    found = client.get("/api/v1/versions/").json()["results"]
    assert [(row["device_name"], row["number"]) for row in found] == [("sw1", 2), ("sw1", 1)]
    assert "text" not in found[0]
    assert found[1]["size"] > 300


def test_a_version_has_its_text_with_placeholders(client, versions):
    found = client.get(f"/api/v1/versions/{versions[0].pk}/").json()
    assert "interface Gi0/7" in found["text"]
    assert "snmp-server community" in found["text"]
    assert SECRET not in found["text"]


def test_the_text_alone_is_plain_text(client, versions):
    answer = client.get(f"/api/v1/versions/{versions[0].pk}/text/")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode().startswith("hostname sw1\n!\ninterface Gi0/0\n")
    assert SECRET not in answer.content.decode()


def test_an_error_of_the_plain_text_is_still_json(client):
    answer = client.get("/api/v1/versions/77/text/", HTTP_ACCEPT="text/plain")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/json"
    assert set(answer.json()) == {"detail", "errors"}


def test_a_diff_is_against_the_version_before(client, versions):
    first, second = versions
    found = client.get(f"/api/v1/versions/{second.pk}/diff/").json()
    assert (found["before"]["id"], found["after"]["id"]) == (first.pk, second.pk)
    changed = [(line["kind"], line["text"]) for line in found["lines"] if line["kind"] in {"added", "removed"}]
    assert changed == [
        ("removed", "interface Gi0/9"),
        ("added", "interface Gi9/9"),
        ("added", "ip route 0.0.0.0 0.0.0.0 10.0.0.254"),
    ]


@pytest.mark.parametrize("way", [{"QUERY_STRING": "format=text"}, {"HTTP_ACCEPT": "text/plain"}])
def test_a_diff_as_text_is_a_unified_diff(client, versions, way):
    answer = client.get(f"/api/v1/versions/{versions[1].pk}/diff/", **way)
    assert answer["Content-Type"].startswith("text/plain")
    lines = answer.content.decode().splitlines()
    assert lines[0].startswith("--- sw1/running/1\t")
    assert lines[1].startswith("+++ sw1/running/2\t")
    assert lines[2] == "@@ -9,7 +9,7 @@"
    assert lines[6:8] == ["-interface Gi0/9", "+interface Gi9/9"]
    assert "@@ -20,6 +20,7 @@" in lines
    assert "+ip route 0.0.0.0 0.0.0.0 10.0.0.254" in lines


def test_the_unified_diff_turns_one_text_into_the_other(client, versions, tmp_path):
    import shutil
    import subprocess

    if not shutil.which("patch"):
        pytest.skip("patch is not installed")
    second = versions[1]
    texts = [client.get(f"/api/v1/versions/{each.pk}/text/").content for each in versions]
    for context in (0, 1, 3, 100):
        diff = client.get(f"/api/v1/versions/{second.pk}/diff/?format=text&context={context}").content
        path = tmp_path / "config.txt"
        path.write_bytes(texts[0])
        subprocess.run(["patch", "--batch", str(path)], input=diff, check=True, capture_output=True)
        assert path.read_bytes() == texts[1], context


def test_a_diff_can_be_against_any_version_of_any_device(client, versions):
    other = make_version(make_device("sw9"), config("interface Gi0/0"))
    found = client.get(f"/api/v1/versions/{versions[0].pk}/diff/?against={other.pk}").json()
    assert found["before"]["device_name"] == "sw9"


def test_a_diff_of_a_version_with_itself_has_no_lines(client, versions):
    address = f"/api/v1/versions/{versions[0].pk}/diff/?against={versions[0].pk}"
    assert client.get(address).json()["lines"] == []
    assert client.get(f"{address}&format=text").content == b""


def test_a_changed_secret_shows_and_is_not_shown(client, versions):
    third = make_version(make_device("sw2"), config(*LINES, "snmp-server community other-Canary RO"))
    text = client.get(f"/api/v1/versions/{third.pk}/diff/?against={versions[0].pk}&format=text").content.decode()
    assert "-snmp-server community" in text
    assert SECRET not in text
    assert "other-Canary" not in text


def test_the_first_version_has_nothing_before_it(client, versions):
    answer = client.get(f"/api/v1/versions/{versions[0].pk}/diff/")
    assert answer.status_code == 404
    assert "against=ID" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("against=77", "against"), ("against=last", "against"), ("context=-1", "context"), ("agianst=1", "agianst")],
)
def test_a_diff_that_was_not_understood_is_refused(client, versions, query, field):
    answer = client.get(f"/api/v1/versions/{versions[1].pk}/diff/?{query}")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_versions_are_filtered(client, versions):
    make_version(make_device("sw2"), config("interface Gi1"))
    for query, expected in {
        "device_name=sw2": 1,
        f"device={versions[0].device_id}": 2,
        "kind=running": 3,
        "kind=startup": 0,
        "number=2": 1,
        "first_seen_since=2020-01-01": 3,
        "last_seen_until=2020-01-01": 0,
        "search=sw2": 1,
    }.items():
        assert client.get(f"/api/v1/versions/?{query}").json()["count"] == expected, query


def test_versions_are_only_read(client, versions):
    assert client.delete(f"/api/v1/versions/{versions[0].pk}/").status_code == 405
