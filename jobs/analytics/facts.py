"""What is known of credentials, devices and their logins at this moment, read in a fixed number of queries.

Only what stands now counts: enabled credentials in their current version, enabled devices, tags as they are.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from django.db.models import Case, F, IntegerField, Q, Value, When

from credentials.models import Credential, CredentialTag
from credentials.store import Candidate, Link, Place, Rank, StoredCredential, order_candidates, rank
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


class Reach(NamedTuple):
    """Which credentials a device may get at all, whatever their priorities."""

    fallbacks: frozenset[int]
    over_telnet: frozenset[int]
    of_tag: dict[int, frozenset[int]]

    @classmethod
    def of(cls, credentials: Mapping[int, StoredCredential], links: Mapping[int, list[Link]]) -> Reach:
        """As the credentials and their tags, by tag, stand."""
        return cls(
            frozenset(key for key, each in credentials.items() if each.is_fallback),
            frozenset(key for key, each in credentials.items() if each.allow_telnet),
            {tag: frozenset([link.credential for link in mine]) for tag, mine in links.items()},
        )


class Orders:
    """The candidates of devices under given priorities, by the store's own rule; each answer is kept."""

    def __init__(
        self,
        credentials: Mapping[int, StoredCredential],
        links: Mapping[int, list[Link]],
        reach: Reach | None = None,
    ) -> None:
        """`links` by tag."""
        self.credentials = credentials
        self._links = links
        self._reach = reach or Reach.of(credentials, links)
        self._ranks: dict[Kin, list[Rank]] = {}
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
            links, mine = self._matching(kin)
            if among is not None:
                mine = {each: mine[each] for each in among & mine.keys()}
            place = Place(0, "", "", kin.tags, kin.telnet, preferred)
            memory = {(each, self.credentials[each].version, "device:0"): _LONG_AGO for each in rejected}
            found = self._known[key] = order_candidates(place, mine, links, memory)
        return found

    def usable(self, kin: Kin) -> frozenset[int]:
        """Those that may be tried at all on such devices, in no order; quick for whole fleets."""
        reach = self._reach
        found = reach.fallbacks.union(*(reach.of_tag[tag] for tag in kin.tags if tag in reach.of_tag))
        return found & reach.over_telnet if kin.telnet else found

    def order(self, kin: Kin, among: Collection[int]) -> list[int]:
        """Those of these credentials that may be tried on such devices, in the order of trying."""
        mine = {key: self.credentials[key] for key in self.usable(kin) & set(among)}
        if len(mine) < 2:
            return list(mine)
        return [key for _, _, _, key in rank(mine, [link for key in mine for link in self.shared(kin, key)])]

    def tried(self, kin: Kin, preferred: int | None = None, rejected: Collection[int] = ()) -> Iterator[int]:
        """What is tried on such devices, one after the other: the candidates that are not skipped, without words."""
        kin = Kin(frozenset(kin.tags & self._links.keys()), kin.telnet)
        ranks = self._ranks.get(kin)
        if ranks is None:
            links, mine = self._matching(kin)
            ranks = self._ranks[kin] = rank({key: mine[key] for key in mine.keys() & self.usable(kin)}, links)
        regular = [key for is_fallback, _, _, key in ranks if not is_fallback and key not in rejected]
        if preferred in regular:
            yield preferred
        yield from (key for key in regular if key != preferred)
        yield from [key for is_fallback, _, _, key in ranks if is_fallback and key not in rejected][:1]

    def _matching(self, kin: Kin) -> tuple[list[Link], dict[int, StoredCredential]]:
        links = [link for tag in kin.tags for link in self._links[tag]]
        keys = self._reach.fallbacks.union(link.credential for link in links)
        return links, {key: self.credentials[key] for key in keys}

    def with_priorities(self, changes: Mapping[Slot, int]) -> Orders:
        """The same credentials with some numbers changed."""
        credentials, links = dict(self.credentials), dict(self._links)
        for (credential, tag), number in changes.items():
            if tag is None:
                credentials[credential] = replace(credentials[credential], priority=number)
            else:
                links[tag] = [
                    link._replace(priority=number) if link.credential == credential else link for link in links[tag]
                ]
        return Orders(credentials, links, self._reach)

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

    def opening(self, device: int) -> list[int]:
        """The credentials that may be tried on a device and are proven to open it, in the order of trying."""
        opening = [key for key, pair in self.pairs.get(device, {}).items() if pair.opens]
        return self.orders.order(self.devices[device].kin, opening) if opening else []

    def usable(self, kin: Kin) -> frozenset[int]:
        """The credentials that may be tried at all on such devices, every fallback among them."""
        return self.orders.usable(kin)


def load_orders() -> Orders:
    """The enabled credentials as they stand; two queries."""
    columns = ("id", "version", "name", "username", "scope", "priority", "is_fallback", "allow_telnet")
    credentials = {
        row["id"]: StoredCredential(**row, kinds=())
        for row in Credential.objects.filter(enabled=True).order_by().values(*columns)
    }
    links = CredentialTag.objects.filter(content_object__enabled=True)
    by_tag: dict[int, list[Link]] = defaultdict(list)
    for link in map(Link._make, links.values_list("content_object_id", "tag_id", "tag__name", "priority")):
        by_tag[link.tag].append(link)
    return Orders(credentials, dict(by_tag))


def load_facts() -> Facts:
    """Read everything; five queries."""
    with _no_collection():
        devices = _devices()
        return Facts(load_orders(), devices, _pairs(), Counter(device.kin for device in devices.values()))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Hundreds of thousands of objects are made and none is garbage: looking for it would cost more than reading."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
