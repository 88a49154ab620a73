"""What is known of credentials, devices and their logins at this moment, read in a fixed number of queries.

Only what stands now counts: enabled credentials in their current version, enabled devices, tags as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from django.db.models import Case, F, IntegerField, Q, Value, When

from credentials.models import Credential, CredentialTag
from credentials.store import Candidate, Link, Place, StoredCredential, order_candidates
from devices.choices import Transport
from devices.models import Device, DeviceTag
from jobs.rollups import LoginPair

# A credential's own priority (tag None) or the one that hangs on one of its tags: where a number is set.
Slot = tuple[int, int | None]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Kin(NamedTuple):
    """What devices that get the same candidates have in common."""

    tags: frozenset[int]
    telnet: bool


class DeviceFacts(NamedTuple):
    """A device as the analytics see it."""

    name: str
    domain: str
    kin: Kin


class PairFacts(NamedTuple):
    """A credential in its current version on a device: whether it opens it, as last seen, and how often."""

    opens: bool | None
    accepted: int
    rejected: int


class Orders:
    """The candidates of devices under given priorities, by the store's own rule; each answer is kept."""

    def __init__(self, credentials: Mapping[int, StoredCredential], links: Mapping[int, list[Link]]) -> None:
        """`links` by tag."""
        self.credentials = credentials
        self._links = links
        self._fallbacks = {key: each for key, each in credentials.items() if each.is_fallback}
        self._known: dict[tuple[Kin, int | None, frozenset[int], frozenset[int] | None], list[Candidate]] = {}

    def candidates(
        self,
        kin: Kin,
        preferred: int | None = None,
        rejected: frozenset[int] = frozenset(),
        among: frozenset[int] | None = None,
    ) -> list[Candidate]:
        """In the order of trying, where `preferred` worked last and the `rejected` are remembered.

        With `among` only those of these credentials that match, which is quick however many others do.
        """
        # Tags that no credential has make no difference, so they make no further answer either.
        kin = Kin(frozenset(kin.tags & self._links.keys()), kin.telnet)
        key = (kin, preferred, rejected, among)
        found = self._known.get(key)
        if found is None:
            links = [link for tag in kin.tags for link in self._links[tag]]
            mine = self._fallbacks | {link.credential: self.credentials[link.credential] for link in links}
            if among is not None:
                mine = {each: mine[each] for each in among & mine.keys()}
            place = Place(0, "", "", kin.tags, kin.telnet, preferred)
            memory = {(each, self.credentials[each].version, "device:0"): _LONG_AGO for each in rejected}
            found = self._known[key] = order_candidates(place, mine, links, memory)
        return found

    def with_priorities(self, changes: Mapping[Slot, int]) -> Orders:
        """The same credentials with some numbers changed."""
        credentials, links = dict(self.credentials), dict(self._links)
        for (credential, tag), number in changes.items():
            if tag is None:
                credentials[credential] = replace(credentials[credential], priority=number)
            else:
                links[tag] = [
                    replace(link, priority=number) if link.credential == credential else link for link in links[tag]
                ]
        return Orders(credentials, links)

    def shared(self, kin: Kin, credential: int) -> list[Link]:
        """The tags that a credential shares with such devices."""
        return [link for tag in kin.tags for link in self._links.get(tag, ()) if link.credential == credential]

    def links(self) -> Iterator[Link]:
        """Every tag on every credential."""
        return chain.from_iterable(self._links.values())

    @cached_property
    def state(self) -> str:
        """A digest of everything that decides the order of credentials."""
        rows = [
            sorted(
                (each.id, each.version, each.priority, each.is_fallback, each.allow_telnet)
                for each in self.credentials.values()
            ),
            sorted((link.credential, link.tag, link.priority is None, link.priority or 0) for link in self.links()),
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@dataclass
class Facts:
    """Credentials, devices and what is proven between them."""

    orders: Orders
    devices: dict[int, DeviceFacts]
    pairs: dict[int, dict[int, PairFacts]]
    kins: Counter[Kin] = field(default_factory=Counter)

    def opening(self, device: int) -> list[Candidate]:
        """The candidates of a device that are proven to open it, in the order of trying."""
        opening = frozenset(key for key, pair in self.pairs.get(device, {}).items() if pair.opens)
        if not opening:
            return []
        found = self.orders.candidates(self.devices[device].kin, among=opening)
        return [each for each in found if not each.skipped]

    def usable(self, kin: Kin) -> list[Candidate]:
        """The candidates that may be tried at all on such devices, in the order of trying."""
        return [each for each in self.orders.candidates(kin) if not each.skipped]


def load_orders() -> Orders:
    """The enabled credentials as they stand; two queries."""
    columns = ("id", "version", "name", "username", "scope", "priority", "is_fallback", "allow_telnet")
    credentials = {
        row["id"]: StoredCredential(**row, kinds=())
        for row in Credential.objects.filter(enabled=True).order_by().values(*columns)
    }
    links = CredentialTag.objects.filter(content_object__enabled=True)
    by_tag: dict[int, list[Link]] = defaultdict(list)
    for row in links.values_list("content_object_id", "tag_id", "tag__name", "priority"):
        by_tag[row[1]].append(Link(*row))
    return Orders(credentials, dict(by_tag))


def load_facts() -> Facts:
    """Read everything; five queries."""
    devices = _devices()
    return Facts(load_orders(), devices, _pairs(), Counter(device.kin for device in devices.values()))


def _devices() -> dict[int, DeviceFacts]:
    tags: dict[int, list[int]] = defaultdict(list)
    links = DeviceTag.objects.filter(content_object__enabled=True).values_list("content_object_id", "tag_id")
    for device, tag in links.iterator(chunk_size=10_000):
        tags[device].append(tag)
    rows = Device.objects.filter(enabled=True).order_by("name").values_list("id", "name", "aaa_domain", "transport")
    # One object for each kin, however many devices are of it.
    kins: dict[Kin, Kin] = {}
    found = {}
    for device, name, domain, transport in rows.iterator(chunk_size=10_000):
        kin = Kin(frozenset(tags.get(device, ())), transport == Transport.TELNET)
        found[device] = DeviceFacts(name, domain, kins.setdefault(kin, kin))
    return found


def opens_expression() -> Case:
    """1 where a pair's last proof is a success, 0 where it is a rejection, null where nothing is proven."""
    return Case(
        When(
            Q(accepted_at__isnull=False) & (Q(rejected_at__isnull=True) | Q(rejected_at__lte=F("accepted_at"))),
            then=Value(1),
        ),
        When(rejected_at__isnull=False, then=Value(0)),
        default=None,
        output_field=IntegerField(),
    )


def _pairs() -> dict[int, dict[int, PairFacts]]:
    rows = (
        LoginPair.objects.filter(credential__enabled=True, device__enabled=True, version=F("credential__version"))
        .annotate(opens=opens_expression())
        .values_list("device_id", "credential_id", "opens", "accepted", "rejected")
    )
    found: dict[int, dict[int, PairFacts]] = defaultdict(dict)
    for device, credential, opens, accepted, rejected in rows.iterator(chunk_size=10_000):
        found[device][credential] = PairFacts(None if opens is None else bool(opens), accepted, rejected)
    return dict(found)
