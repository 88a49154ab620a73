"""Devices, their candidates, host keys and imports."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from devices.connector.outcomes import info
from devices.facts import DeviceFacts
from devices.host_keys import Action as KeyAction
from devices.inventory.report import Action
from devices.models import Device, HostKey
from devices.services import PLAIN_FIELDS, save_device
from devices.validators import validate_platform
from netraven_site.api.fields import DeviceRefs, StrictSerializer, TagNames
from netraven_site.api.serializers.facts import CurrentFactsSerializer


class DeviceSerializer(StrictSerializer, serializers.ModelSerializer[Device]):
    """A device."""

    tags = TagNames(required=False, help_text="The whole set of its tags; they select its credentials.")
    last_outcome_label = serializers.SerializerMethodField()
    advice = serializers.SerializerMethodField(help_text="What to do about the last outcome.")
    facts = serializers.SerializerMethodField(help_text="What it says about itself; null where it was not asked yet.")

    class Meta:
        model = Device
        fields = (
            "id",
            *PLAIN_FIELDS,
            "tags",
            "last_outcome",
            "last_outcome_label",
            "advice",
            "last_outcome_at",
            "last_success_at",
            "last_good_credential",
            "last_good_at",
            "facts",
            "created_at",
            "updated_at",
        )
        read_only_fields = (
            "last_outcome",
            "last_outcome_at",
            "last_success_at",
            "last_good_credential",
            "last_good_at",
            "created_at",
            "updated_at",
        )
        # Checked with the fields, so that it is named together with what else is wrong.
        extra_kwargs = {"platform": {"validators": [validate_platform]}}

    def get_last_outcome_label(self, device: Device) -> str:
        """The outcome in words."""
        return info(device.last_outcome).label

    def get_advice(self, device: Device) -> str:
        """The advice of the outcome class."""
        return info(device.last_outcome).advice

    @extend_schema_field(CurrentFactsSerializer(allow_null=True))  # type: ignore[untyped-decorator]
    def get_facts(self, device: Device) -> dict[str, Any] | None:
        """As the view has read them for the whole page, else from the database."""
        rows = getattr(device, "current_facts", None)
        if rows is None:
            rows = DeviceFacts.objects.current().filter(device=device).select_related("device")
        return next((dict(CurrentFactsSerializer(row).data) for row in rows), None)

    def create(self, validated_data: dict[str, Any]) -> Device:
        """A new device."""
        return save_device(Device(), **validated_data)

    def update(self, instance: Device, validated_data: dict[str, Any]) -> Device:
        """A changed device."""
        return save_device(instance, **validated_data)


class CandidateSerializer(serializers.Serializer[Any]):
    """A credential that would be tried on a device."""

    order = serializers.IntegerField(allow_null=True, help_text="1 is tried first; null where it would be skipped.")
    credential = serializers.IntegerField(help_text="The id of the credential.")
    name = serializers.CharField()
    username = serializers.CharField()
    scope = serializers.CharField()
    priority = serializers.IntegerField(help_text="The effective one; lower is tried first.")
    priority_from = serializers.CharField(help_text="`credential`, or the tag that the priority hangs on.")
    matched = serializers.ListField(child=serializers.CharField(), help_text="The shared tags.")
    reason = serializers.CharField(help_text="Why it is tried, and why here in the order.")
    secrets_set = serializers.ListField(child=serializers.CharField(), source="kinds")
    is_fallback = serializers.BooleanField()
    is_preferred = serializers.BooleanField(help_text="It worked on this device last.")
    skipped = serializers.CharField(help_text="Why it would not be tried after all; empty when it would.")
    enable_refused = serializers.CharField(
        help_text="Why its enable secret is not typed there, though the login is made; empty otherwise."
    )
    held = serializers.CharField(
        help_text="Its account has no rejections left just now, so neither it nor what comes after it is tried; "
        "empty otherwise."
    )
    held_until = serializers.DateTimeField(allow_null=True)


class PinnedKeySerializer(serializers.Serializer[Any]):
    """A pinned key beside one that waits."""

    key_type = serializers.CharField()
    fingerprint = serializers.CharField()


class HostKeySerializer(serializers.ModelSerializer[HostKey]):
    """A host key of a device."""

    device_name = serializers.CharField(source="device.name", read_only=True)
    decided_by = serializers.CharField(source="decided_by.username", default=None, read_only=True)
    pinned = PinnedKeySerializer(
        source="device.pinned_keys", many=True, read_only=True, help_text="What is pinned for the device now."
    )

    class Meta:
        model = HostKey
        fields = (
            "id",
            "device",
            "device_name",
            "key_type",
            "fingerprint",
            "public_key",
            "state",
            "pinned",
            "first_seen_at",
            "last_seen_at",
            "decided_by",
            "decided_at",
        )
        read_only_fields = fields


class DecisionSerializer(StrictSerializer):
    """A decision on a host key."""

    fingerprint = serializers.CharField(
        max_length=60, help_text="The fingerprint that you compared; another one is a conflict."
    )


class KnownHostsSerializer(StrictSerializer):
    """A known_hosts file."""

    known_hosts = serializers.CharField(trim_whitespace=False, help_text="Its text, as ssh-keyscan prints it.")
    dry_run = serializers.BooleanField(default=False, help_text="Report what would be pinned; write nothing.")


class KnownKeySerializer(serializers.Serializer[Any]):
    """What became of one key of the file for one device."""

    line = serializers.IntegerField()
    device = serializers.CharField()
    key_type = serializers.CharField()
    fingerprint = serializers.CharField()
    action = serializers.ChoiceField(choices=[each.value for each in KeyAction])
    detail = serializers.CharField(help_text="Why not, for a conflict.")


class KnownLineSerializer(serializers.Serializer[Any]):
    """A line that led to nothing."""

    line = serializers.IntegerField()
    detail = serializers.CharField()


class KnownHostsReportSerializer(serializers.Serializer[Any]):
    """What the import of a known_hosts file did, or would do."""

    keys = KnownKeySerializer(many=True)
    unmatched = KnownLineSerializer(many=True, help_text="Lines whose hosts are no device.")
    ignored = KnownLineSerializer(many=True, help_text="Lines that are not understood or not used.")


class ManySerializer(StrictSerializer):
    """One change of many devices."""

    devices = DeviceRefs(help_text="By name or id.")
    change = serializers.ChoiceField(choices=("enable", "disable", "add_tags", "remove_tags", "delete"))
    tags = TagNames(required=False, help_text="For add_tags and remove_tags.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Tags for the changes that need them."""
        if not attrs["devices"]:
            raise serializers.ValidationError({"devices": ["Empty: name the devices."]})
        if (attrs["change"] in {"add_tags", "remove_tags"}) != bool(attrs.get("tags")):
            raise serializers.ValidationError({"tags": ["Needed for add_tags and remove_tags, and for nothing else."]})
        return attrs


class ChangedSerializer(serializers.Serializer[Any]):
    """How many devices a change has touched."""

    changed = serializers.IntegerField(help_text="Those that were so already are not counted.")


class ImportSerializer(StrictSerializer):
    """An inventory as CSV: a file, or its text."""

    file = serializers.FileField(required=False, allow_empty_file=True)
    csv = serializers.CharField(required=False, trim_whitespace=False, allow_blank=True)
    dry_run = serializers.BooleanField(default=False, help_text="Report what would change; write nothing.")
    skip_errors = serializers.BooleanField(default=False, help_text="Leave wrong rows out and write the others.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of the two."""
        if ("file" in attrs) == ("csv" in attrs):
            raise serializers.ValidationError(
                "Send the inventory once: as text/csv, as the file `file` of a form, or as `csv` in JSON."
            )
        return attrs


class ImportRowSerializer(serializers.Serializer[Any]):
    """What an import did, or would do, with one row."""

    line = serializers.IntegerField()
    name = serializers.CharField()
    action = serializers.ChoiceField(choices=[each.value for each in Action])
    changes = serializers.DictField(help_text="By column: `old` and `new`.")
    errors = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]


class ImportReportSerializer(serializers.Serializer[Any]):
    """What an import did, or would do."""

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    errors = serializers.IntegerField(help_text="Rows that are wrong.")  # type: ignore[assignment]
    dry_run = serializers.BooleanField()
    written = serializers.BooleanField()
    rows = ImportRowSerializer(many=True)


class ImportErrorSerializer(serializers.Serializer[Any]):
    """Rows are wrong and nothing was written."""

    detail = serializers.CharField()
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()), help_text="Messages by `line N`."
    )
    report = ImportReportSerializer()
