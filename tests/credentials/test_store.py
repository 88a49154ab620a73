"""The credential store: one contract for the database and for memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from credentials.guard import Guard, GuardLimits
from credentials.models import Credential, CredentialTag, RememberedRejection
from credentials.querysets import tags_named
from credentials.services import SecretsInput, create_credential
from credentials.store import (
    Candidate,
    DatabaseStore,
    InMemoryStore,
    Link,
    OpenedCredential,
    Place,
    StoredCredential,
    get_store,
)
from tests.credentials.sealed import ANY

pytestmark = pytest.mark.django_db
WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class DatabaseBuilder:
    def __init__(self) -> None:
        self.store = DatabaseStore(Guard(GuardLimits()))

    def tag(self, name: str) -> int:
        return tags_named([name])[0].pk

    def add(self, name: str, tags: dict[str, int | None], **more) -> int:
        row = create_credential(
            name=name,
            username=more.pop("username", "ops"),
            secrets=SecretsInput(password=f"pw-{name}"),
            tags=list(tags),
            tag_priorities={tag: n for tag, n in tags.items() if n is not None},
            **more,
        )
        return row.pk

    def reject(self, credential: int, place: str) -> None:
        RememberedRejection.objects.create(
            credential_id=credential, credential_version=1, place=place, place_label="x", at=WHEN
        )


class MemoryBuilder:
    def __init__(self) -> None:
        self.store = InMemoryStore()
        self._tags: dict[str, int] = {}
        self._next = 1

    def tag(self, name: str) -> int:
        return self._tags.setdefault(name.casefold(), len(self._tags) + 1)

    def add(self, name: str, tags: dict[str, int | None], **more) -> int:
        number, self._next = self._next, self._next + 1
        stored = StoredCredential(
            id=number,
            version=1,
            name=name,
            username=more.get("username", "ops"),
            scope=more.get("scope", "central"),
            priority=more.get("priority", 100),
            is_fallback=more.get("is_fallback", False),
            allow_telnet=more.get("allow_telnet", False),
            kinds=("password",),
        )
        links = [Link(number, self.tag(tag), tag, priority) for tag, priority in tags.items()]
        opened = OpenedCredential(more.get("username", "ops"), f"pw-{name}", None, None, None)
        self.store.add(stored, links, opened)
        return number

    def reject(self, credential: int, place: str) -> None:
        self.store.rejections[(credential, 1, place)] = WHEN


@pytest.fixture(params=[DatabaseBuilder, MemoryBuilder], ids=["database", "memory"])
def build(request):
    return request.param()


def ask(build, *tags: str, **more) -> list[Candidate]:
    only = more.pop("only", None)
    place = Place(1, "r1", more.pop("domain", "default"), frozenset(build.tag(t) for t in tags), **more)
    return build.store.candidates([place], only)[1]


def names(candidates: list[Candidate]) -> list[str]:
    return [candidate.name for candidate in candidates]


def test_a_credential_matches_by_one_shared_tag(build):
    build.add("yes", {"dc": None})
    build.add("no", {"branch": None})
    assert names(ask(build, "dc", "core")) == ["yes"]


def test_lower_priority_numbers_come_first_and_ties_break_by_id(build):
    build.add("third", {"dc": None}, priority=20)
    build.add("first", {"dc": None}, priority=5)
    build.add("second", {"dc": None}, priority=5)
    assert names(ask(build, "dc")) == ["first", "second", "third"]


def test_the_one_that_worked_last_comes_first_and_says_so(build):
    build.add("cheap", {"dc": None}, priority=1)
    last = build.add("proven", {"dc": None}, priority=90)
    found = ask(build, "dc", preferred=last)
    assert names(found) == ["proven", "cheap"]
    assert "worked here last" in found[0].reason


def test_a_priority_on_a_tag_wins_over_the_credentials_own(build):
    build.add("late", {"dc": 300}, priority=1)
    build.add("early", {"dc": None}, priority=50)
    found = ask(build, "dc")
    assert names(found) == ["early", "late"]
    assert (found[1].priority, found[1].priority_from) == (300, "tag dc")


def test_the_best_of_several_tag_priorities_counts(build):
    build.add("both", {"dc": 300, "core": 7})
    assert ask(build, "dc", "core")[0].priority == 7


def test_a_fallback_matches_every_device_and_comes_last(build):
    build.add("rescue", {}, is_fallback=True, priority=1)
    build.add("normal", {"dc": None}, priority=99)
    assert names(ask(build, "dc")) == ["normal", "rescue"]
    assert names(ask(build, "elsewhere")) == ["rescue"]


def test_only_one_fallback_is_tried(build):
    build.add("one", {}, is_fallback=True, priority=1)
    build.add("two", {}, is_fallback=True, priority=2)
    assert [bool(c.skipped) for c in ask(build, "dc")] == [False, True]


def test_a_fallback_that_worked_last_stays_last(build):
    rescue = build.add("rescue", {}, is_fallback=True)
    build.add("normal", {"dc": None})
    assert names(ask(build, "dc", preferred=rescue)) == ["normal", "rescue"]


def test_a_rejection_on_this_device_skips_it_with_the_reason(build):
    key = build.add("old", {"dc": None}, scope="local")
    build.reject(key, "device:1")
    [found] = ask(build, "dc")
    assert "Rejected here" in found.skipped


def test_a_rejection_in_the_domain_skips_a_central_one_but_no_local_one(build):
    for scope, skipped in (("central", True), ("local", False)):
        key = build.add(scope, {scope: None}, scope=scope)
        build.reject(key, "domain:default")
        assert bool(ask(build, scope)[0].skipped) is skipped


def test_telnet_needs_a_credential_that_allows_it(build):
    build.add("ssh-only", {"dc": None})
    build.add("console", {"dc": None}, allow_telnet=True)
    assert [bool(c.skipped) for c in ask(build, "dc", telnet=True)] == [True, False]


def test_a_named_credential_is_the_only_candidate_matching_or_not(build):
    build.add("matching", {"dc": None})
    named = build.add("named", {"other": None})
    found = ask(build, "dc", only=named)
    assert names(found) == ["named"]
    assert "named for this test" in found[0].reason


def test_every_candidate_carries_its_reason_in_words(build):
    build.add("one", {"dc": None, "core": None}, priority=10)
    assert ask(build, "dc", "core")[0].reason == "shares tags core, dc; priority 10"


def test_opening_gives_the_secret_and_its_repr_does_not(build):
    key = build.add("one", {"dc": None})
    opened = build.store.open(key, ANY)
    assert opened.password == "pw-one"
    assert "pw-one" not in repr(opened)


def test_disabled_credentials_are_no_candidates():
    build = DatabaseBuilder()
    key = build.add("off", {"dc": None})
    Credential.objects.filter(pk=key).update(enabled=False)
    assert ask(build, "dc") == []


def test_a_record_counts_successes_and_rejections_and_nothing_else():
    build = DatabaseBuilder()
    key = build.add("one", {"dc": None})
    for fate in ("accepted", "rejected", "rejected", "unanswered"):
        build.store.record(key, fate, WHEN)
    row = Credential.objects.get(pk=key)
    assert (row.success_count, row.rejected_count, row.last_success_at) == (1, 2, WHEN)


def test_the_number_of_queries_does_not_grow_with_devices_or_credentials(django_assert_num_queries):
    build = DatabaseBuilder()
    tags = tags_named([f"t{n}" for n in range(20)])
    for n in range(40):
        build.add(f"c{n}", {f"t{n % 20}": None})
    places = [Place(n, f"r{n}", "default", frozenset([tags[n % 20].pk])) for n in range(300)]
    with django_assert_num_queries(3):
        few = build.store.candidates(places[:2])
    with django_assert_num_queries(3):
        many = build.store.candidates(places)
    assert (len(few), len(many)) == (2, 300)
    assert all(len(found) == 2 for found in many.values())


def test_the_factory_gives_the_database_store():
    assert isinstance(get_store(), DatabaseStore)
    assert CredentialTag.objects.count() == 0
