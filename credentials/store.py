"""Which credentials open a device, in which order, and why.

A store is asked with `Place`s (a device's tags and keys) and answers with ordered `Candidate`s. Commands,
jobs, admin and API all get theirs from `get_store`; `InMemoryStore` passes the same contract tests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import NamedTuple, Protocol

from django.db.models import F, Q

from credentials.choices import AccountScope
from credentials.exceptions import CredentialChanged
from credentials.grants import Grant
from credentials.guard import Guard, get_guard
from credentials.models import SECRET_FIELDS, Credential, CredentialTag, domain_key, enable_key


@dataclass(frozen=True)
class Place:
    """A device as the store sees it: opaque keys, its tags (by id), and the credential that last worked."""

    device: int
    label: str
    domain: str
    tags: frozenset[int]
    telnet: bool = False
    preferred: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A credential that would be tried on a device; `skipped` says why it would not be tried after all."""

    credential: int
    version: int
    name: str
    username: str
    scope: str
    priority: int
    priority_from: str
    matched: tuple[str, ...]
    reason: str
    kinds: tuple[str, ...]
    is_fallback: bool = False
    is_preferred: bool = False
    allow_telnet: bool = False
    skipped: str = ""
    enable_refused: str = ""
    """Why its enable secret is not typed there, if so; the login itself is made all the same."""


@dataclass(frozen=True)
class StoredCredential:
    """What the ordering needs to know of a credential; no secret."""

    id: int
    version: int
    name: str
    username: str
    scope: str
    priority: int
    is_fallback: bool
    allow_telnet: bool
    kinds: tuple[str, ...]


class Link(NamedTuple):
    """A tag on a credential, with the priority that hangs on it, if any."""

    credential: int
    tag: int
    tag_name: str
    priority: int | None


@dataclass(frozen=True, repr=False)
class OpenedCredential:
    """The plaintext of one credential, opened for one login."""

    username: str
    password: str | None
    enable_secret: str | None
    private_key: str | None
    passphrase: str | None

    def __repr__(self) -> str:
        return "<opened credential>"

    def __reduce__(self) -> str:
        raise TypeError("Opened credentials are never pickled.")


class CredentialStore(Protocol):
    """What commands, jobs, admin and API need of a store."""

    def candidates(self, places: Sequence[Place], only: int | None = None) -> dict[int, list[Candidate]]:
        """The candidates of each place, by device key, in the order in which they would be tried.

        `only` names one credential, which is then a candidate of every place, matching or not.
        """

    def open(self, credential: int, grant: Grant, version: int | None = None) -> OpenedCredential:
        """Open the secrets of one credential; SecretError when that is impossible, NotAudited without its intent.

        With `version`, CredentialChanged when it was edited, disabled or deleted since it was planned.
        """

    def record(self, credential: int, fate: str, at: datetime, count: int = 1) -> None:
        """Count `count` logins with this credential; `fate` as in the guard."""


Rank = tuple[bool, bool, int, int]
"""Is a fallback, is not the preferred one, priority, id: sorts in the order of trying."""


def rank(
    credentials: Mapping[int, StoredCredential], links: Iterable[Link], preferred: int | None = None
) -> list[Rank]:
    """The one rule of order: last success on the device, priority, id; fallbacks last.

    `links` are the tags that the credentials share with the device.
    """
    own: dict[int, int] = {}
    for link in links:
        if link.priority is not None:
            own[link.credential] = min(link.priority, own.get(link.credential, link.priority))
    return sorted(
        [
            (each.is_fallback, key != preferred or each.is_fallback, own.get(key, each.priority), key)
            for key, each in credentials.items()
        ]
    )


def order_candidates(
    place: Place,
    credentials: Mapping[int, StoredCredential],
    links: Iterable[Link],
    rejections: Mapping[tuple[int, int, str], datetime],
    only: int | None = None,
) -> list[Candidate]:
    """The candidates of a device in the order of `rank`, each with its reason; one fallback at the most is usable."""
    matched: dict[int, list[Link]] = defaultdict(list)
    for link in links:
        if link.credential in credentials:
            matched[link.credential].append(link)
    if only is not None:
        mine = {only: credentials[only]} if only in credentials else {}
    else:
        mine = {key: each for key, each in credentials.items() if each.is_fallback or key in matched}
    found: list[Candidate] = []
    has_fallback = False
    for standing in rank(mine, chain.from_iterable(matched.values()), place.preferred):
        each = mine[standing[3]]
        skipped = _why_skipped(place, each, rejections)
        if each.is_fallback and not skipped:
            if has_fallback:
                skipped = "Another fallback credential comes first; only one is tried."
            has_fallback = True
        candidate = _candidate(standing, each, matched.get(each.id, ()), skipped)
        if refused := rejections.get((each.id, each.version, enable_key(place.device))):
            words = f"Its enable secret was refused here on {_moment(refused)}; not typed until changed or released."
            candidate = replace(candidate, enable_refused=words)
        found.append(candidate)
    return found


def _candidate(standing: Rank, each: StoredCredential, shared: Sequence[Link], skipped: str) -> Candidate:
    _, is_not_preferred, priority, _ = standing
    numbered = [(link.priority, link.tag_name) for link in shared if link.priority is not None]
    source = f"tag {min(numbered)[1]}" if numbered else "credential"
    names = tuple(sorted([link.tag_name for link in shared]))
    if not is_not_preferred:
        why = "worked here last"
    elif each.is_fallback:
        why = "fallback, tried last"
    else:
        why = f"priority {priority}" + (f" from {source}" if source != "credential" else "")
    if names:
        tags = f"shares {'tag' if len(names) == 1 else 'tags'} {', '.join(names)}"
    else:
        tags = "matches every device" if each.is_fallback else "named for this test, shares no tag"
    return Candidate(
        credential=each.id,
        version=each.version,
        name=each.name,
        username=each.username,
        scope=each.scope,
        priority=priority,
        priority_from=source,
        matched=names,
        reason=f"{tags}; {why}",
        kinds=each.kinds,
        is_fallback=each.is_fallback,
        is_preferred=not is_not_preferred,
        allow_telnet=each.allow_telnet,
        skipped=skipped,
    )


def _why_skipped(place: Place, each: StoredCredential, rejections: Mapping[tuple[int, int, str], datetime]) -> str:
    if place.telnet and not each.allow_telnet:
        return "Not allowed over telnet."
    if not rejections:
        return ""
    when = rejections.get((each.id, each.version, f"device:{place.device}"))
    where = "here"
    if when is None and each.scope == AccountScope.CENTRAL:
        when = rejections.get((each.id, each.version, domain_key(place.domain)))
        where = f"in AAA domain {place.domain}"
    if when is None:
        return ""
    return f"Rejected {where} on {_moment(when)}; skipped until it is changed or released."


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


class DatabaseStore:
    """The store over the database; a fixed number of queries for any number of places."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def candidates(self, places: Sequence[Place], only: int | None = None) -> dict[int, list[Candidate]]:
        """See CredentialStore; a fixed number of queries."""
        tags = frozenset().union(*(place.tags for place in places)) if places else frozenset()
        links_of_tag: dict[int, list[Link]] = defaultdict(list)
        wanted: set[int] = set()
        rows = CredentialTag.objects.filter(content_object__enabled=True, tag_id__in=tags)
        for credential, tag, name, priority in rows.values_list("content_object_id", "tag_id", "tag__name", "priority"):
            links_of_tag[tag].append(Link(credential, tag, name, priority))
            wanted.add(credential)
        stored = self._load(wanted if only is None else {only})
        fallbacks = {key: each for key, each in stored.items() if each.is_fallback}
        keys = {key for place in places for key in (f"device:{place.device}", enable_key(place.device))}
        keys |= {domain_key(place.domain) for place in places}
        rejections = self._guard.remembered(stored, keys)
        rejected = {credential for credential, _, _ in rejections}
        answer: dict[int, list[Candidate]] = {}
        alike: dict[tuple[object, ...], list[Candidate]] = {}
        for place in places:
            # Most devices of a fleet get the same candidates as many others.
            kin = place.tags, place.telnet, place.preferred
            found = alike.get(kin)
            if found is None or not rejected.isdisjoint(each.credential for each in found):
                links = [link for tag in place.tags for link in links_of_tag.get(tag, ())]
                if only is not None:
                    mine = {only: stored[only]} if only in stored else {}
                else:
                    mine = fallbacks | {link.credential: stored[link.credential] for link in links}
                found = alike[kin] = order_candidates(place, mine, links, rejections, only)
            answer[place.device] = list(found)
        return answer

    @staticmethod
    def _load(wanted: set[int]) -> dict[int, StoredCredential]:
        columns = ("id", "version", "name", "username", "scope", "priority", "is_fallback", "allow_telnet")
        has = {f"has_{field}": Q(**{f"{field}__isnull": False}) for field in SECRET_FIELDS}
        query = Credential.objects.filter(enabled=True).annotate(**has)
        if len(wanted) <= 500:
            query = query.filter(pk__in=wanted) | query.filter(is_fallback=True)
        words = {
            "has_password": "password",
            "has_private_key": "private key",
            "has_enable_secret": "enable secret",
        }
        return {
            row["id"]: StoredCredential(
                **{name: row[name] for name in columns},
                kinds=tuple(word for flag, word in words.items() if row[flag]),
            )
            for row in query.values(*columns, *words)
        }

    def open(self, credential: int, grant: Grant, version: int | None = None) -> OpenedCredential:
        """See CredentialStore."""
        row = Credential.objects.filter(pk=credential).first()
        if row is None or not row.enabled or (version is not None and row.version != version):
            raise CredentialChanged("The credential was changed while the run went on. Run it again.")
        opened = {field: secret.reveal(grant) if (secret := getattr(row, field)) else None for field in SECRET_FIELDS}
        return OpenedCredential(username=row.username, **opened)

    def record(self, credential: int, fate: str, at: datetime, count: int = 1) -> None:
        """See CredentialStore; also for a credential that was deleted meanwhile."""
        changes: dict[str, object] = {"last_used_at": at}
        if fate == "accepted":
            changes |= {"success_count": F("success_count") + count, "last_success_at": at}
        elif fate == "rejected":
            changes["rejected_count"] = F("rejected_count") + count
        Credential.objects.filter(pk=credential).update(**changes)


class InMemoryStore:
    """A store without a database, for tests and trials; same contract as DatabaseStore."""

    def __init__(self) -> None:
        self._credentials: dict[int, StoredCredential] = {}
        self._links: list[Link] = []
        self._opened: dict[int, OpenedCredential] = {}
        self.rejections: dict[tuple[int, int, str], datetime] = {}
        self.records: list[tuple[int, str, datetime]] = []

    def add(self, credential: StoredCredential, links: Iterable[Link], opened: OpenedCredential) -> None:
        """Put a credential into the store."""
        self._credentials[credential.id] = credential
        self._links.extend(links)
        self._opened[credential.id] = opened

    def candidates(self, places: Sequence[Place], only: int | None = None) -> dict[int, list[Candidate]]:
        """See CredentialStore."""
        return {
            place.device: order_candidates(
                place,
                self._credentials,
                [link for link in self._links if link.tag in place.tags],
                self.rejections,
                only,
            )
            for place in places
        }

    def open(self, credential: int, grant: Grant, version: int | None = None) -> OpenedCredential:
        """See CredentialStore."""
        return self._opened[credential]

    def record(self, credential: int, fate: str, at: datetime, count: int = 1) -> None:
        """See CredentialStore."""
        self.records += [(credential, fate, at)] * count


def get_store() -> CredentialStore:
    """The store that everything uses."""
    return DatabaseStore(get_guard())
