"""Searching configurations through the API, and searches that are kept."""

import pytest

from tests.netraven_site.api_helpers import admin_client, client_with, config, make_device, make_version

pytestmark = pytest.mark.django_db

URL = "/api/v1/versions/search/"
SAVED = "/api/v1/saved-searches/"
VIEW = "devices.view_configversion"


@pytest.fixture
def client():
    return client_with(VIEW)


@pytest.fixture
def versions():
    one = make_version(make_device("sw1", site="ams"), config("ntp server 10.0.0.1", "router bgp 65001"))
    two = make_version(make_device("sw2", tags=("edge",)), config("ntp server 10.0.0.2"))
    return one, two


def test_a_result_has_its_version_and_lines(client, versions):
    found = client.get(URL, {"term": "router", "context": 0}).json()
    assert (found["count"], found["is_counted"], found["next"], found["looked_at"]) == (1, True, None, 2)
    (hit,) = found["results"]
    assert (hit["version"]["device_name"], hit["version"]["number"], hit["lines_found"]) == ("sw1", 1, 1)
    assert hit["groups"] == [
        [{"number": 4, "text": "router bgp 65001", "marks": [[0, 6]], "is_hit": True, "is_cut": False}]
    ]


def test_what_is_absent_has_no_lines(client, versions):
    make_device("fresh")
    found = client.get(URL, {"term": "router", "absent": "true"}).json()
    assert [(hit["version"]["device_name"], hit["groups"]) for hit in found["results"]] == [("sw2", [])]
    assert found["devices_without_configuration"] == 1


def test_pages_are_followed_by_next(client, versions):
    first = client.get(URL, {"term": "ntp", "limit": 1}).json()
    second = client.get(first["next"]).json()
    assert [page["results"][0]["version"]["device_name"] for page in (first, second)] == ["sw1", "sw2"]
    assert (first["count"], second["next"]) == (2, None)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("term=ntp&tag=edge", 1),
        ("term=ntp&tag=edge&tag=core", 2),
        ("term=ntp&site=ams", 1),
        ("term=ntp&platform=arista_eos", 0),
        ("term=NTP&case=true", 0),
        (r"term=^router \w%2B&mode=regex", 1),
        ("term=server ntp&mode=words", 2),
        ("term=ntp&every_version=true", 2),
        ("term=ntp&kind=startup", 0),
    ],
)
def test_parameters_are_applied(client, versions, query, count):
    assert client.get(f"{URL}?{query}").json()["count"] == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "term"),
        ("term=", "term"),
        ("term=(&mode=regex", "term"),
        ("term=x&mode=glob", "mode"),
        ("term=x&tag=nope", "tag"),
        ("term=x&platform=nope", "platform"),
        ("term=x&context=99", "context"),
        ("term=x&limit=0", "limit"),
        ("term=x&after=999999", "term"),
        ("term=x&page=2", "page"),
        ("term=x&colour=red", "colour"),
    ],
)
def test_what_cannot_be_understood_is_refused(client, query, field):
    answer = client.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_searching_needs_the_right_to_see_configurations():
    client = client_with("devices.view_device")
    assert client.get(URL, {"term": "x"}).status_code == 403
    assert client.get(SAVED).status_code == 403


def test_a_search_is_kept_and_deleted(client):
    answer = client.post(SAVED, {"name": "ntp", "query": {"term": "ntp", "tags": ["core"]}}, format="json")
    assert answer.status_code == 201
    row = answer.json()
    assert row["query"] == {"term": "ntp", "mode": "text", "tags": ["core"]}
    assert (row["owner"], row["is_shared"]) == ("olga", False)
    assert client.get(SAVED).json()["count"] == 1
    assert client.delete(f"{SAVED}{row['id']}/").status_code == 204
    assert client.get(SAVED).json()["count"] == 0


def test_another_persons_search_is_not_there(client):
    client.post(SAVED, {"name": "mine", "query": {"term": "ntp"}}, format="json")
    other = client_with(VIEW, name="nils")
    assert other.get(SAVED).json()["results"] == []


def test_sharing_and_deleting_shared_ones_need_rights(client):
    body = {"name": "ours", "is_shared": True, "query": {"term": "ntp"}}
    assert client.post(SAVED, body, format="json").status_code == 403
    row = admin_client().post(SAVED, body, format="json").json()
    assert client.get(SAVED).json()["results"][0]["owner"] == "root"
    assert client.delete(f"{SAVED}{row['id']}/").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"name": "x", "query": {"term": "(", "mode": "regex"}},
        {"name": "x", "query": {"term": "a", "b": 1}},
    ],
)
def test_a_search_that_makes_no_sense_is_not_kept(client, body):
    assert client.post(SAVED, body, format="json").status_code == 400
