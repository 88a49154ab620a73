"""Fields and serializers that several areas share: strict about what they are given."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final

from django.db.models import Q
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from credentials.models import Credential
from credentials.querysets import known_tags
from devices.models import Device

_MOST_TAGS: Final = 200
_MOST_DEVICES: Final = 10_000
_BIGGEST_ID: Final = 2**63 - 1


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know, so that a typing error is never ignored.

    Fields that can only be read are accepted and left alone: what was read may be sent back.
    """

    def to_internal_value(self, data: Any) -> Any:
        """The validated values; ValidationError names unknown fields together with the wrong ones."""
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        unknown: dict[str, Any] = {str(name)[:60]: [self._hint(str(name))] for name in data if name not in self.fields}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError({**unknown, **error.detail}) from None
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _hint(self, name: str) -> str:
        known = [key for key, field in self.fields.items() if not field.read_only]
        near = difflib.get_close_matches(name, known, n=1)
        return "There is no such field." + (f" Did you mean {near[0]}?" if near else "")


class NothingSerializer(StrictSerializer):
    """An action that takes no fields."""


@extend_schema_field({"type": "array", "items": {"type": "string", "maxLength": 100}})
class TagNames(serializers.ListField):
    """The tags of a device or a credential by name; those that do not exist yet are made."""

    child = serializers.CharField(max_length=100)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": _MOST_TAGS, **kwargs})

    def get_attribute(self, instance: Device | Credential) -> Any:
        """The tags, from the links, which may be prefetched."""
        return [link.tag for link in instance.tag_links.all()]

    def to_representation(self, data: Any) -> list[str]:
        """The names in alphabetical order."""
        return _names(data)


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class KnownTags(serializers.ListField):
    """Tags that exist, by name; case does not count."""

    child = serializers.CharField(max_length=100)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": _MOST_TAGS, **kwargs})

    def to_internal_value(self, data: Any) -> Any:
        """The tags; ValidationError names each that does not exist."""
        names = super().to_internal_value(data)
        found, missing = known_tags(names)
        if missing:
            raise serializers.ValidationError([f"There is no tag {name}." for name in missing[:10]])
        return found

    def to_representation(self, data: Any) -> list[str]:
        """The names in alphabetical order."""
        return _names(data)


@extend_schema_field({"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "integer"}]}})
class DeviceRefs(serializers.Field[Any, Any, Any, Any]):
    """Devices: a text is a name, a number is an id. Responses have the names."""

    default_error_messages = {
        "not_a_list": "Write a list of names or ids.",
        "too_many": f"Name at most {_MOST_DEVICES} devices, or use a tag.",
        "wrong_item": "A device is named by a text, or by its id as a whole number.",
    }

    def to_internal_value(self, data: Any) -> list[Device]:
        """The devices; ValidationError names those that do not exist."""
        if not isinstance(data, list):
            self.fail("not_a_list")
        if len(data) > _MOST_DEVICES:
            self.fail("too_many")
        names = {item for item in data if isinstance(item, str)}
        ids = {item for item in data if isinstance(item, int) and not isinstance(item, bool)}
        if any(isinstance(item, bool) or not isinstance(item, str | int) for item in data):
            self.fail("wrong_item")
        possible = {item for item in ids if 0 < item <= _BIGGEST_ID}
        found = list(Device.objects.filter(Q(name__in=names) | Q(pk__in=possible)))
        there: set[str | int] = {device.name for device in found} | {device.pk for device in found}
        if missing := [item for item in data if item not in there]:
            raise serializers.ValidationError(
                [
                    f"There is no device {item!r:.120}."
                    if isinstance(item, str)
                    else f"There is no device with the id {str(item)[:20]}."
                    for item in missing[:10]
                ]
            )
        return found

    def to_representation(self, value: Any) -> list[str]:
        """The names in alphabetical order."""
        return _names(value)


def _names(related: Any) -> list[str]:
    """The names behind a manager, from its prefetched rows where there are any."""
    rows = related.all() if hasattr(related, "all") else related
    return sorted((row.name for row in rows), key=str.casefold)
