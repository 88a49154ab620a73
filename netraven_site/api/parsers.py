"""Bodies that are read: JSON, and CSV as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, DataAndFiles, JSONParser

from devices.inventory.reader import MAX_BYTES


class JSONBody(JSONParser):
    """JSON, of as many bytes as Django reads into memory."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The parsed body; ParseError says where it is wrong."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None


class CsvBody(BaseParser):
    """The body is a CSV file."""

    media_type = "text/csv"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles[Any, Any]:
        """The body as the uploaded file `file`; no more of it than an import takes."""
        data = stream.read(MAX_BYTES + 1)
        return DataAndFiles({}, {"file": SimpleUploadedFile("inventory.csv", data, "text/csv")})
