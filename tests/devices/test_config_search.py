"""Searching configurations: true with and without the index, whatever the index knows."""

from __future__ import annotations

from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection

from devices.configs import index
from devices.configs.query import BadQuery, Mode, Query
from devices.configs.saved import delete_search, save_search, searches_of
from devices.configs.search import search
from devices.configs.store import forget_unused_texts, prepare, save_version
from devices.models import ConfigText, ConfigVersion, Device
from devices.searches import IndexedText, SavedSearch
from devices.services import save_device

pytestmark = pytest.mark.django_db


def device(name: str, *lines: str, tags: tuple[str, ...] = ("lab",), **fields: str) -> Device:
    values = {"host": "192.0.2.1", "platform": "cisco_ios", **fields}
    made = save_device(Device(), name=name, tags=list(tags), **values)
    if lines:
        store(made, *lines)
    return made


def store(of: Device, *lines: str, kind: str = "running") -> ConfigVersion:
    text = "\n".join([f"hostname {of.name}", "!", *lines, "!", "end", ""])
    return save_version(of.pk, kind, prepare(text, of.platform)).version


def names(query: Query | str, **options) -> list[str]:
    query = Query(query) if isinstance(query, str) else query
    return [hit.version.device.name for hit in search(query, **options).hits]


def known() -> set[str]:
    """The devices whose latest text the index knows."""
    texts = IndexedText.objects.values("pk")
    return set(ConfigVersion.objects.filter(text__in=texts).values_list("device__name", flat=True))


@pytest.fixture
def fleet() -> dict[str, Device]:
    return {
        "a1": device("a1", "ntp server 10.0.0.1", "router bgp 65001", site="ams"),
        "a2": device("a2", "ntp server 10.0.0.2", "ip http server", tags=("core", "lab"), site="ams"),
        "b1": device("b1", "no ip http server", platform="arista_eos", tags=("core",), site="ber"),
        "empty": device("empty"),
    }


INDEXED = pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "read"])


@INDEXED
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query("ntp server"), ["a1", "a2"]),
        (Query("NTP Server"), ["a1", "a2"]),
        (Query("NTP server", case=True), []),
        (Query("10.0.0.2"), ["a2"]),
        (Query("10?0"), []),
        (Query("tp"), ["a1", "a2", "b1"]),
        (Query("ntp", absent=True), ["b1"]),
        (Query("ip http server", absent=True), ["a1"]),
        (Query("server http", Mode.WORDS), ["a2", "b1"]),
        (Query("serve", Mode.WORDS), []),
        (Query("serve", Mode.WORDS, absent=True), ["a1", "a2", "b1"]),
        (Query(r"^ip http", Mode.REGEX), ["a2"]),
        (Query(r"^ip http", Mode.REGEX, absent=True), ["a1", "b1"]),
        (Query(r"(ntp|bgp) \S+", Mode.REGEX), ["a1", "a2"]),
        (Query("server", tags=("core",)), ["a2", "b1"]),
        (Query("server", tags=("core", "lab")), ["a1", "a2", "b1"]),
        (Query("server", platform="arista_eos"), ["b1"]),
        (Query("server", site="ams"), ["a1", "a2"]),
        (Query("server", site="nowhere"), []),
        (Query('quote"in'), []),
        (Query("100%_of"), []),
    ],
    ids=lambda value: value.term if isinstance(value, Query) else "",
)
def test_search_finds_the_same_with_and_without_the_index(fleet, indexed, query, expected):
    if indexed:
        assert index.index_latest().is_complete
    assert names(query) == expected


def test_texts_are_taken_in_only_while_nothing_more_important_is_to_be_done(fleet):
    assert index.index_latest(may_go_on=lambda: False) == index.Step(is_complete=False)
    assert index.index_latest() == index.Step(added=3)


@INDEXED
def test_signs_that_mean_something_to_databases_are_found(indexed):
    device("q", 'banner "quoted" 100%_of \\path')
    if indexed:
        index.index_latest()
    for term in ('"quoted"', "100%_of", "\\path", "%_o"):
        assert names(term) == ["q"], term
    assert names("100x_of") == []


@INDEXED
def test_a_secret_is_never_found_and_not_in_the_index(indexed):
    device("s", "snmp-server community Canary77community RO", "enable secret 5 $1$abcd$CanaryHashOfEnable0000.")
    if indexed:
        index.index_latest()
    assert names("Canary") == []
    assert names(Query("canary", every_version=True)) == []
    assert names("snmp-server community") == ["s"]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for table in ("data", "idx", "config"):
                cursor.execute(f"SELECT * FROM devices_configsearch_{table}")
                assert b"anaryh" not in repr(cursor.fetchall()).encode().lower()
    assert not IndexedText.objects.filter(body__icontains="canary").exists()


def test_lines_come_with_their_context(fleet):
    (hit,) = search(Query("bgp"), context=1).hits
    (group,) = hit.snippets.groups
    assert [(line.number, line.text, line.is_hit) for line in group] == [
        (3, "ntp server 10.0.0.1", False),
        (4, "router bgp 65001", True),
        (5, "!", False),
    ]


def test_devices_without_a_configuration_are_counted_when_something_is_absent(fleet):
    found = search(Query("ntp", absent=True))
    assert (found.count, found.is_counted, found.looked_at, found.without) == (1, True, 3, 1)


def test_only_the_latest_versions_are_searched_unless_all_are_asked_for(fleet):
    store(fleet["a1"], "ntp server 10.0.0.9")
    index.index_latest()
    assert names("bgp") == []
    found = search(Query("bgp", every_version=True))
    assert [(hit.version.device.name, hit.version.number) for hit in found.hits] == [("a1", 1)]


def test_each_kind_of_text_has_a_latest_version_of_its_own(fleet):
    store(fleet["a1"], "router bgp 65001", "changed")
    store(fleet["a1"], "router bgp 1", kind="startup")
    assert [hit.version.kind for hit in search(Query("bgp")).hits] == ["running", "startup"]
    assert [hit.version.kind for hit in search(Query("bgp", kind="startup")).hits] == ["startup"]


def test_pages_follow_one_another_and_end(fleet):
    first = search(Query("server"), limit=2)
    second = search(Query("server"), limit=2, after=first.next)
    assert [hit.version.device.name for hit in first.hits + second.hits] == ["a1", "a2", "b1"]
    assert (first.count, second.count, second.next) == (3, 3, None)


def test_a_page_goes_on_though_its_last_device_has_a_newer_version(fleet):
    first = search(Query("server"), limit=2)
    store(fleet["a2"], "ntp server 10.0.0.7")
    assert names("server", after=first.next) == ["b1"]


def test_a_page_after_one_that_is_gone_is_refused(fleet):
    with pytest.raises(BadQuery, match="search again"):
        search(Query("server"), after=10**9)


def test_devices_outside_of_what_one_may_see_are_not_found(fleet):
    within = Device.objects.filter(name__in=["a1", "empty"])
    found = search(Query("server", absent=True), within=within)
    assert (found.count, found.looked_at, found.without) == (0, 1, 1)
    assert names("server", within=within) == ["a1"]


def test_when_the_time_is_up_the_next_page_goes_on(fleet):
    ticks = [0.0, 0.0, 0.0, *[99.0] * 50]
    with mock.patch("devices.configs.search.time.monotonic", side_effect=ticks):
        first = search(Query("tp"), limit_s=5.0)
    assert first.is_stopped
    assert not first.is_counted
    rest = search(Query("tp"), after=first.next)
    assert sorted([hit.version.device.name for hit in first.hits + rest.hits]) == ["a1", "a2", "b1"]


def test_an_expression_that_takes_too_long_is_refused():
    device("slow", "a" * 60 + "b")
    with mock.patch("devices.configs.search._ONE_TEXT_S", 0.2), pytest.raises(BadQuery, match="takes too long"):
        search(Query("(?:a|aa)+$", Mode.REGEX))


# --- the index --------------------------------------------------------------------------------------
def test_the_index_knows_the_latest_texts_alone(fleet):
    assert index.index_latest() == index.Step(3, 0, True)
    assert known() == {"a1", "a2", "b1"}
    store(fleet["a1"], "ntp server 10.0.0.9")
    assert index.index_latest() == index.Step(1, 1, True)
    assert IndexedText.objects.count() == 3


def test_when_there_is_nothing_to_index_two_queries_tell(fleet, django_assert_num_queries):
    index.index_latest()
    with django_assert_num_queries(2):
        assert index.index_latest() == index.Step()


def test_a_text_that_the_index_does_not_know_yet_is_read(fleet):
    index.index_latest()
    store(fleet["b1"], "router bgp 65009")
    found = search(Query("router bgp"))
    assert [hit.version.device.name for hit in found.hits] == ["a1", "b1"]
    assert found.not_indexed == 1


def test_a_text_that_two_devices_share_stays_while_one_has_it():
    one, two = device("one"), device("two")
    for each in (one, two):
        save_version(each.pk, "running", prepare("shared text\nend\n", "cisco_ios"))
    index.index_latest()
    store(one, "another")
    index.index_latest()
    assert names("shared text") == ["two"]
    assert search(Query("shared text")).not_indexed == 0


def test_when_the_time_is_up_indexing_goes_on_later(fleet):
    with mock.patch("devices.configs.index.BATCH", 1):
        step = index.index_latest(limit_s=0.0)
    assert (step.added, step.is_complete) == (0, False)
    assert index.index_latest() == index.Step(3, 0, True)


def test_a_deleted_text_leaves_the_index(fleet):
    index.index_latest()
    text = ConfigVersion.objects.get(device=fleet["a1"]).text_id
    ConfigVersion.objects.filter(device=fleet["a1"]).delete()
    assert forget_unused_texts([text]) == 1
    current = index.current()
    assert current is not None
    assert current.find(["bgp"]) == set()
    assert not ConfigText.objects.filter(pk=text).exists()


def test_without_an_index_everything_is_read_and_the_state_says_why(fleet):
    index.drop()
    assert index.current() is None
    assert index.index_latest() == index.Step(is_complete=False)
    found = search(Query("ntp server"))
    assert (found.count, found.not_indexed) == (2, 3)
    assert not index.state().is_there
    assert index.state().notice
    assert index.prepare() == ""
    assert index.index_latest().added == 3


def test_an_index_that_the_database_refuses_is_no_error(fleet):
    index.drop()
    # A name that no table and no index can have makes the database refuse.
    wrong = mock.patch.multiple(index, _FTS="no such(", _GIN="no such(")
    with wrong:
        assert "reads all texts" in index.prepare()
    assert names("ntp server") == ["a1", "a2"]


def test_rebuilding_empties_and_fills_it_again(fleet):
    index.index_latest()
    index.rebuild()
    assert index.state().waiting == 3
    assert names("bgp") == ["a1"]
    assert index.index_latest().added == 3
    assert (index.state().known, index.state().waiting) == (3, 0)


# --- searches that are kept ----------------------------------------------------------------------------
def person(name: str, *rights: str) -> User:
    user = User.objects.create_user(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return user


def test_a_kept_search_is_ones_own_unless_it_is_shared():
    olga, nils = person("olga", "share_savedsearch"), person("nils")
    own = save_search(olga, "mine", Query("a b c"))
    shared = save_search(olga, "ours", Query("bgp"), shared=True)
    assert set(searches_of(olga)) == {own, shared}
    assert set(searches_of(nils)) == {shared}


def test_a_search_of_the_same_name_is_replaced():
    olga = person("olga")
    save_search(olga, "mine", Query("one"))
    save_search(olga, " mine ", Query("two"))
    assert [row.query["term"] for row in SavedSearch.objects.all()] == ["two"]


def test_sharing_and_deleting_anothers_need_rights():
    olga, nils, root = person("olga", "share_savedsearch"), person("nils"), person("root", "delete_savedsearch")
    with pytest.raises(PermissionDenied):
        save_search(nils, "x", Query("bgp"), shared=True)
    shared, own = save_search(olga, "ours", Query("bgp"), shared=True), save_search(olga, "mine", Query("bgp"))
    for row, user in ((shared, nils), (own, root)):
        with pytest.raises(PermissionDenied):
            delete_search(row, user)
    delete_search(shared, root)
    delete_search(own, olga)
    assert not SavedSearch.objects.exists()


@pytest.mark.parametrize(
    ("name", "query"), [("", Query("x y z")), ("n" * 81, Query("xyz")), ("n", Query("(", Mode.REGEX))]
)
def test_a_search_without_a_name_or_sense_is_refused(name, query):
    with pytest.raises(ValidationError):
        save_search(person("olga"), name, query)
