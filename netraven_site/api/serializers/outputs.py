"""What devices answered to the commands of a run."""

from __future__ import annotations

from rest_framework import serializers

from jobs.outputs import CommandOutput


class OutputSerializer(serializers.ModelSerializer[CommandOutput]):
    """The answer of one device to one command, secrets as placeholders."""

    text = serializers.CharField(read_only=True, help_text="The answer; a last line says so where it is cut.")
    rows = serializers.ListField(
        child=serializers.DictField(),
        allow_null=True,
        read_only=True,
        help_text="The answer as a TextFSM template of ntc-templates read it; null where none fits.",
    )

    class Meta:
        model = CommandOutput
        fields = ("number", "command", "error", "text", "size", "is_cut", "rows", "row_count")
        read_only_fields = fields
