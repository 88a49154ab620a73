"""What a search finds, and searches that are kept."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from devices.configs.query import LONGEST_TERM, MOST_TAGS, Mode
from devices.configs.search import Found
from devices.searches import SavedSearch
from netraven_site.api.fields import StrictSerializer
from netraven_site.api.serializers.configs import VersionSerializer


class FoundLineSerializer(serializers.Serializer[Any]):
    """A line that was found, or one beside it."""

    number = serializers.IntegerField(help_text="Its number in the text, from 1.")
    text = serializers.CharField()
    marks = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        help_text="Start and end of what was found within `text`.",
    )
    is_hit = serializers.BooleanField(help_text="False for lines that are only beside it.")
    is_cut = serializers.BooleanField(help_text="Whether the line is longer than `text`.")


class HitSerializer(serializers.Serializer[Any]):
    """One configuration with the lines that were found in it; none in a search for what is absent."""

    version = VersionSerializer()
    lines_found = serializers.IntegerField(source="snippets.found")
    groups = serializers.ListField(child=FoundLineSerializer(many=True), source="snippets.groups")


class FoundSerializer(serializers.Serializer[Any]):
    """A page of results."""

    count = serializers.IntegerField(help_text="Results in all; at least so many unless `is_counted`.")
    is_counted = serializers.BooleanField()
    next = serializers.SerializerMethodField(help_text="The address of the following page.")
    is_stopped = serializers.BooleanField(help_text="The time was up before the page was full.")
    looked_at = serializers.IntegerField(help_text="Configurations that the search was over.")
    not_indexed = serializers.IntegerField(help_text="Texts that the index was of no use for, so that they were read.")
    devices_without_configuration = serializers.IntegerField(
        source="without", help_text="Counted in a search for what is absent."
    )
    results = HitSerializer(many=True, source="hits")

    def get_next(self, found: Found) -> str | None:
        """The same search, further on."""
        if found.next is None:
            return None
        request = self.context["request"]
        query = request.query_params.copy()
        query["after"] = str(found.next)
        return str(request.build_absolute_uri(f"?{query.urlencode()}"))


class QuerySerializer(StrictSerializer):
    """A search."""

    term = serializers.CharField(max_length=LONGEST_TERM, trim_whitespace=False)
    mode = serializers.ChoiceField(choices=[mode.value for mode in Mode], default=Mode.TEXT.value)
    case = serializers.BooleanField(default=False)
    absent = serializers.BooleanField(default=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=100), max_length=MOST_TAGS, default=list)
    platform = serializers.CharField(max_length=60, allow_blank=True, default="")
    site = serializers.CharField(max_length=100, allow_blank=True, default="")
    kind = serializers.CharField(max_length=30, allow_blank=True, default="")
    every_version = serializers.BooleanField(default=False)


class NewSearchSerializer(StrictSerializer):
    """A search to keep."""

    name = serializers.CharField(max_length=80)
    is_shared = serializers.BooleanField(default=False)
    query = QuerySerializer()


class SavedSearchSerializer(serializers.ModelSerializer[SavedSearch]):
    """A search that is kept; `query` has what differs from a plain search."""

    owner = serializers.CharField(source="owner.username", read_only=True)
    query = serializers.DictField(read_only=True)

    class Meta:
        model = SavedSearch
        fields = ("id", "name", "owner", "is_shared", "query", "created_at")
        read_only_fields = fields
