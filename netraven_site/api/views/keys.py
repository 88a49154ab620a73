"""Encryption keys, to look at: they are changed by the command and in the portal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view

from credentials import keys
from credentials.key_readers import KeyReader
from netraven_site.api.base import PlainListViewSet
from netraven_site.api.serializers.keys import KeySerializer


@extend_schema_view(list=extend_schema(summary="Encryption keys, what is sealed with each, and who reads it"))
class KeyViewSet(PlainListViewSet[KeyReader]):
    """The keys of the keyring, and those that only rows of the database name. No key is ever in an answer."""

    queryset = KeyReader.objects.all()
    serializer_class = KeySerializer

    def get_items(self) -> Sequence[Any]:
        """In the order of the keyring."""
        return keys.states()
