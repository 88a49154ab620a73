"""Import of devices from CSV: upload, preview row by row, confirm, result."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldBooleanWidget

from devices.inventory.columns import COLUMN_HELP, EMPTY_CELLS, REQUIRED
from devices.inventory.importer import Action, ImportReport, InventoryError, apply, preview
from devices.inventory.reader import MAX_BYTES

if TYPE_CHECKING:
    from netraven_site.panels.base import Panel

_MOST_ROWS = 500
# The file travels packed inside the preview, so that nothing has to be kept on the server meanwhile; a form
# larger than this is refused by Django.
_MOST_PACKED = 2_000_000
_ORDER = (Action.ERROR, Action.UPDATED, Action.CREATED, Action.UNCHANGED)
_TONES = {
    Action.ERROR: "failed",
    Action.UPDATED: "passing",
    Action.CREATED: "good",
    Action.UNCHANGED: "unknown",
}


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(label="CSV file", widget=UnfoldAdminFileFieldWidget({"accept": ".csv,text/csv"}))


class ConfirmForm(forms.Form):
    """The file that was previewed, and what is to be done about wrong rows."""

    packed = forms.CharField(widget=forms.HiddenInput)
    skip_errors = forms.BooleanField(
        required=False, label="Skip the wrong rows and import the others", widget=UnfoldBooleanWidget
    )


def import_view(panel: Panel, request: HttpRequest) -> HttpResponse:
    """Each step of the import; nothing is written before the last."""
    if not (panel.has_add_permission(request) and panel.has_change_permission(request)):
        raise PermissionDenied
    upload = UploadForm()
    confirm = None
    report: ImportReport | None = None
    if request.method == "POST":
        try:
            if "packed" in request.POST:
                confirm = ConfirmForm(request.POST)
                if confirm.is_valid():
                    skip = confirm.cleaned_data["skip_errors"]
                    user: Any = request.user
                    report = apply(unpack(confirm.cleaned_data["packed"]), skip_errors=skip, user=user)
                    (messages.success if report.written else messages.warning)(request, report.summary)
            else:
                upload = UploadForm(request.POST, request.FILES)
                if upload.is_valid():
                    data = upload.cleaned_data["file"].read(MAX_BYTES + 1)
                    report = preview(data)
                    confirm = ConfirmForm(initial={"packed": pack(data)})
        except InventoryError as error:
            report, confirm = None, None
            upload.add_error("file", str(error)) if upload.is_bound else messages.error(request, str(error))
    return panel.render(
        request,
        "netraven/import.html",
        "Import devices",
        {
            "upload": upload,
            "confirm": confirm if report is None or report.dry_run or not report.written else None,
            "report": report,
            "groups": _groups(report) if report else [],
            "changes": (report.created + report.updated) if report else 0,
            "columns": [(name, name in REQUIRED, text) for name, text in COLUMN_HELP.items()],
            "empty_cells": EMPTY_CELLS,
        },
    )


def _groups(report: ImportReport) -> list[dict[str, Any]]:
    """The rows by what happens to them, what is wrong first; the long lists cut."""
    found = []
    for action in _ORDER:
        rows = [row for row in report.rows if row.action == action]
        if rows:
            shown = rows[:_MOST_ROWS]
            found.append(
                {
                    "action": action.value,
                    "tone": _TONES[action],
                    "count": len(rows),
                    "rows": shown,
                    "more": len(rows) - len(shown),
                }
            )
    return found


def pack(data: bytes) -> str:
    """The file as text for a hidden field; InventoryError when it is too large to travel so."""
    packed = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
    if len(packed) > min(_MOST_PACKED, settings.DATA_UPLOAD_MAX_MEMORY_SIZE or _MOST_PACKED):
        raise InventoryError(
            "The file is too large for this page. Split it, or use ./manage.py import_devices on the server."
        )
    return packed


def unpack(text: str) -> bytes:
    """The file again; InventoryError when somebody tampered with it."""
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(text, validate=True), MAX_BYTES + 1)
    except (binascii.Error, zlib.error, ValueError):
        raise InventoryError("The file did not arrive whole. Upload it again.") from None
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise InventoryError("The file did not arrive whole. Upload it again.")
    return data
