"""Reads of many rows."""

from __future__ import annotations

from collections.abc import Iterable

from taggit.models import Tag


def tags_named(names: Iterable[str]) -> list[Tag]:
    """The tags of these names, made where they do not exist; names are compared without case."""
    found: dict[int, Tag] = {}
    for name in names:
        cleaned = " ".join(name.split())
        if not cleaned:
            continue
        tag = Tag.objects.filter(name__iexact=cleaned).first() or Tag.objects.create(name=cleaned)
        found[tag.pk] = tag
    return list(found.values())


def known_tags(names: Iterable[str]) -> tuple[list[Tag], list[str]]:
    """The tags of these names, whatever the case, and the names that no tag has."""
    found: dict[int, Tag] = {}
    missing: list[str] = []
    for name in names:
        tag = Tag.objects.filter(name__iexact=" ".join(name.split())).first()
        if tag is None:
            missing.append(name)
        else:
            found[tag.pk] = tag
    return list(found.values()), missing
