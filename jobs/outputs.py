"""What devices answered to the commands of a run: kept packed and apart from the results, which lists load whole."""

from __future__ import annotations

import json
import zlib
from typing import Any

from django.db import models

MOST_KEPT = 256 * 1024
"""Characters of one answer that are kept."""
# Half the time of level 6 and a tenth more bytes; any level is read by the same call.
_LEVEL = 3
CUT_MARK = "[cut here: {kept} of {size} characters are kept]"


class CommandOutput(models.Model):
    """The answer of one device to one command: cleaned, secrets as placeholders."""

    result = models.ForeignKey("jobs.Result", on_delete=models.CASCADE, related_name="outputs")
    number = models.PositiveIntegerField(help_text="1 for the first command of the job")
    command = models.CharField(max_length=400)
    error = models.CharField(max_length=300, blank=True, help_text="Why there is no answer, or what it complains of.")
    packed = models.BinaryField(help_text="zlib, secrets as placeholders")
    size = models.PositiveIntegerField(help_text="characters of the whole answer")
    is_cut = models.BooleanField(default=False)
    packed_rows = models.BinaryField(null=True, help_text="zlib of JSON, as a template read the answer")
    row_count = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["result", "number"]
        constraints = [models.UniqueConstraint(fields=["result", "number"], name="output_once_a_command")]

    def __str__(self) -> str:
        return f"{self.result_id} {self.number}: {self.command}"

    @property
    def kept(self) -> str:
        """The answer, as far as it is kept."""
        return zlib.decompress(self.packed).decode("utf-8")

    @property
    def text(self) -> str:
        """The answer, with a last line that says so where it is cut."""
        kept = self.kept
        if not self.is_cut:
            return kept
        return f"{kept.rstrip()}\n{CUT_MARK.format(kept=len(kept), size=self.size)}\n"

    @property
    def rows(self) -> list[dict[str, Any]] | None:
        """The answer as a template read it; None where there is no template for it."""
        if self.packed_rows is None:
            return None
        rows: list[dict[str, Any]] = json.loads(zlib.decompress(self.packed_rows))
        return rows


def pack(value: str | list[dict[str, Any]]) -> bytes:
    """A text, or rows, as they are kept."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "replace"), _LEVEL)
