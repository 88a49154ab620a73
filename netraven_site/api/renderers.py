"""Answers that are text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

from devices.configs.diff import DiffLine
from devices.configs.patch import patch_text
from devices.configs.store import heading
from devices.models import ConfigVersion


class PlainText(BaseRenderer):
    """`text/plain`, as it is."""

    media_type = "text/plain"
    format = "text"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The text as bytes."""
        return str(data).encode("utf-8")


def unified_text(before: ConfigVersion, after: ConfigVersion, lines: Iterable[DiffLine]) -> str:
    """A diff in the form that `patch` and every viewer of diffs reads; empty when nothing changed."""
    return patch_text(heading(before), heading(after), lines)
