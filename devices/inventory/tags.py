"""Tags in bulk: the same tags that taggit would find or make one by one, without a query for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from taggit.models import Tag

from devices.inventory.cells import MAX_TAG
from devices.models import DeviceTag

_CHUNK: Final = 500

Links = dict[str, list[int]]
"""The tag links of one device: ids by the name of the tag."""


def links_of(devices: Sequence[int]) -> defaultdict[int, Links]:
    """The tag links of devices, in one query."""
    found: defaultdict[int, Links] = defaultdict(dict)
    rows = DeviceTag.objects.filter(content_object_id__in=devices)
    for device, link, name in rows.values_list("content_object_id", "pk", "tag__name"):
        found[device].setdefault(name, []).append(link)
    return found


class TagBook:
    """All tags by name, whatever the case; the oldest counts where several differ only in case."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._ids: dict[str, int] = {}
        self._slugs: set[str] = set()
        for pk, name, slug in Tag.objects.order_by("pk").values_list("pk", "name", "slug"):
            self._names.setdefault(name.casefold(), name)
            self._ids.setdefault(name.casefold(), pk)
            self._slugs.add(slug)

    def has(self, name: str) -> bool:
        """Whether the database has this tag, in any case."""
        return name.casefold() in self._ids

    def spelled(self, names: Iterable[str]) -> list[str]:
        """The tags as they are spelled already, here or further up in the file, in alphabetical order."""
        return sorted((self._names.setdefault(name.casefold(), name) for name in names), key=str.casefold)

    def write(self, wanted: Mapping[int, Sequence[str]], links: Mapping[int, Links]) -> None:
        """Give each device exactly the wanted tags, and make those that do not exist yet."""
        self._create(name for names in wanted.values() for name in names)
        added: list[DeviceTag] = []
        removed: list[int] = []
        for device, names in wanted.items():
            keep = {name.casefold() for name in names}
            there = links.get(device, {})
            removed += [link for name, ids in there.items() if name.casefold() not in keep for link in ids]
            missing = keep - {name.casefold() for name in there}
            added += [
                DeviceTag(tag_id=self._ids[key], content_object_id=device)
                for key in map(str.casefold, names)
                if key in missing
            ]
        for start in range(0, len(removed), _CHUNK):
            DeviceTag.objects.filter(pk__in=removed[start : start + _CHUNK]).delete()
        DeviceTag.objects.bulk_create(added, batch_size=_CHUNK)

    def _create(self, names: Iterable[str]) -> None:
        missing = {name.casefold(): name for name in names if name.casefold() not in self._ids}
        tags = [Tag(name=name, slug=self._slug(name)) for name in missing.values()]
        for tag in Tag.objects.bulk_create(tags, batch_size=_CHUNK):
            self._ids[tag.name.casefold()] = tag.pk

    def _slug(self, name: str) -> str:
        """A slug that no other tag has, made as taggit makes it; cut, since some letters become several."""
        base = slug = str(Tag().slugify(name))[:MAX_TAG]  # type: ignore[no-untyped-call]
        number = 0
        while slug in self._slugs:
            number += 1
            slug = f"{base[: MAX_TAG - 8]}_{number}"
        self._slugs.add(slug)
        return slug
