"""Credentials: secrets go in and never come out; and the accounts that the guard holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from credentials.fields import refuse_sealed_text
from credentials.models import LEAST_PRIORITY, MOST_PRIORITY, SECRET_FIELDS, Credential
from credentials.services import PLAIN_FIELDS, SecretsInput, create_credential, notes_on, update_credential
from devices.models import Device
from jobs.testing import SAMPLE
from netraven_site.api.fields import DeviceRefs, KnownTags, StrictSerializer, TagNames


class SecretInput(serializers.CharField):
    """A secret on its way in; its errors never quote it."""

    def __init__(self, **kwargs: Any) -> None:
        options: dict[str, Any] = {
            "write_only": True,
            "required": False,
            "allow_blank": True,
            "trim_whitespace": False,
            "max_length": 1024,
            "help_text": "Never shown again. Absent or empty keeps what is stored.",
            "style": {"input_type": "password"},
        }
        super().__init__(**{**options, **kwargs})
        self.validators.append(refuse_sealed_text)


@extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
class TagPriorities(serializers.DictField):
    """Priorities that hang on tags, by the tag's name."""

    child = serializers.IntegerField(min_value=LEAST_PRIORITY, max_value=MOST_PRIORITY)

    def get_attribute(self, instance: Credential) -> Any:
        """The links to the tags."""
        return instance.tag_links.all()

    def to_representation(self, value: Any) -> dict[str, int]:
        """The tags that have a priority of their own."""
        own = {link.tag.name: link.priority for link in value if link.priority is not None}
        return dict(sorted(own.items(), key=lambda each: each[0].casefold()))


class CredentialSerializer(StrictSerializer, serializers.ModelSerializer[Credential]):
    """A credential. Its secrets can be written and are in no response."""

    tags = TagNames(required=False, help_text="The whole set; it matches devices that share one.")
    tag_priorities = TagPriorities(
        required=False,
        help_text="By tag: the priority for devices with it, instead of the credential's own. The whole set.",
    )
    password = SecretInput()
    enable_secret = SecretInput()
    private_key = SecretInput(max_length=32_768)
    passphrase = SecretInput()
    clear = serializers.MultipleChoiceField(
        choices=SECRET_FIELDS,
        write_only=True,
        required=False,
        help_text="Secrets to take away, by field.",
        error_messages={"invalid_choice": f"Choose from: {', '.join(SECRET_FIELDS)}."},
    )
    secrets_set = serializers.ListField(
        child=serializers.CharField(), source="kinds", read_only=True, help_text="Which secrets are stored."
    )
    scope_meaning = serializers.CharField(read_only=True, help_text="What the scope means for the guard.")
    notes = serializers.SerializerMethodField(
        help_text="What is allowed and may not be meant, such as another credential of the same account. "
        "Empty in lists."
    )

    class Meta:
        model = Credential
        fields = (
            "id",
            *PLAIN_FIELDS,
            "scope_meaning",
            "notes",
            "tags",
            "tag_priorities",
            *SECRET_FIELDS,
            "clear",
            "secrets_set",
            "version",
            "success_count",
            "rejected_count",
            "last_used_at",
            "last_success_at",
            "created_at",
            "updated_at",
        )
        read_only_fields = (
            "version",
            "success_count",
            "rejected_count",
            "last_used_at",
            "last_success_at",
            "created_at",
            "updated_at",
        )

    def get_notes(self, credential: Credential) -> list[str]:
        """In words; a list of credentials goes without, since each would need queries of its own."""
        return [] if getattr(self.context.get("view"), "action", "list") == "list" else notes_on(credential)

    def create(self, validated_data: dict[str, Any]) -> Credential:
        """A new credential."""
        if validated_data.pop("clear", None):
            raise serializers.ValidationError({"clear": ["A new credential has nothing to clear."]})
        return create_credential(**_for_service(validated_data))

    def update(self, instance: Credential, validated_data: dict[str, Any]) -> Credential:
        """A changed credential."""
        values = _for_service(validated_data)
        if "tag_priorities" in values and "tags" not in values:
            # The service sets priorities together with the tags that they hang on.
            values["tags"] = [link.tag.name for link in instance.tag_links.select_related("tag")]
        return update_credential(instance, **values)


def _for_service(values: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(values)
    secrets = SecretsInput(**{name: rest.pop(name) for name in SECRET_FIELDS if name in rest})
    return {**rest, "secrets": secrets}


class MatchedDeviceSerializer(serializers.ModelSerializer[Device]):
    """A device that a credential matches."""

    tags = TagNames(read_only=True)
    shared_tags = serializers.SerializerMethodField(help_text="Empty where a fallback matches without one.")

    class Meta:
        model = Device
        fields = ("id", "name", "host", "platform", "transport", "site", "enabled", "tags", "shared_tags")
        read_only_fields = fields

    def get_shared_tags(self, device: Device) -> list[str]:
        """The tags by which it matches."""
        wanted: set[int] = self.context["tag_ids"]
        shared = (link.tag.name for link in device.tag_links.all() if link.tag_id in wanted)
        return sorted(shared, key=str.casefold)


class HeldAccountSerializer(serializers.Serializer[Any]):
    """An account with no rejections left."""

    id = serializers.IntegerField(source="account.pk")
    label = serializers.CharField(  # type: ignore[assignment]
        source="account.label", help_text="The user name and where it lives."
    )
    scope = serializers.CharField(source="account.scope")
    spent = serializers.IntegerField(help_text="Rejections in the window.")
    limit = serializers.IntegerField(help_text="Rejections that the window allows.")
    until = serializers.DateTimeField(help_text="When it is tried again by itself.")
    last_success_at = serializers.DateTimeField(source="account.last_success_at", allow_null=True)


class ReleaseSerializer(StrictSerializer):
    """A release, and why."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=250, help_text="Kept on record.")


class LoginTestSerializer(StrictSerializer):
    """On which devices a credential is tested."""

    devices = DeviceRefs(required=False, help_text="These devices, by name or id.")
    tags = KnownTags(required=False, help_text="Every enabled device with one of these tags.")
    sample = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        help_text="So many by chance: of the devices with the tags, or else of those that the credential matches; "
        f"{SAMPLE} when nothing is given.",
    )


class ReleasedAccountSerializer(serializers.Serializer[Any]):
    """An account that was given its budget back."""

    id = serializers.IntegerField(source="pk")
    label = serializers.CharField()  # type: ignore[assignment]
    released_at = serializers.DateTimeField()
    released_by = serializers.CharField()


class ReleasedCredentialSerializer(serializers.Serializer[Any]):
    """What the release of a credential changed."""

    accounts = serializers.ListField(child=serializers.CharField(), help_text="Accounts with their budget back.")
    forgotten = serializers.ListField(
        child=serializers.CharField(), help_text="Devices and AAA domains where it is tried again."
    )
