"""Import of a known_hosts file: upload or paste, preview key by key, confirm, result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from devices.host_keys import MAX_BYTES, Action, KnownHostsError, KnownHostsReport, import_known_hosts
from devices.inventory.columns import InventoryError
from netraven_site.panels.cells import counted
from netraven_site.panels.importing import pack, unpack

if TYPE_CHECKING:
    from netraven_site.panels.host_keys import HostKeyPanel

_MOST_ROWS = 500
_ORDER = (Action.CONFLICT, Action.PINNED, Action.UNCHANGED)
_TONES = {Action.CONFLICT: "failed", Action.PINNED: "good", Action.UNCHANGED: "unknown"}


class UploadForm(forms.Form):
    """A file, or its text."""

    file = forms.FileField(required=False, label="known_hosts file", widget=UnfoldAdminFileFieldWidget)
    text = forms.CharField(
        required=False,
        label="Or its lines",
        widget=UnfoldAdminTextareaWidget({"rows": 4, "class": "nr-id", "spellcheck": "false"}),
        help_text="As ssh-keyscan prints them: address, key type, key. Hashed names are understood.",
    )

    def clean(self) -> dict[str, Any]:
        """One of the two."""
        data: dict[str, Any] = self.cleaned_data
        if bool(data.get("file")) == bool(data.get("text")) and not self.errors:
            self.add_error("file", "Choose a file or paste its lines.")
        return data

    def data_given(self) -> bytes:
        """What was uploaded or pasted."""
        file = self.cleaned_data["file"]
        return bytes(file.read(MAX_BYTES + 1)) if file else str(self.cleaned_data["text"]).encode()


def import_view(panel: HostKeyPanel, request: HttpRequest) -> HttpResponse:
    """Each step of the import; nothing is written before the last."""
    if not (panel.has_view_permission(request) and panel.has_approve_permission(request)):
        raise PermissionDenied
    upload = UploadForm()
    packed = ""
    report: KnownHostsReport | None = None
    if request.method == "POST":
        try:
            if "packed" in request.POST:
                user: Any = request.user
                report = import_known_hosts(unpack(request.POST["packed"]), user)
                messages.success(request, f"{counted(report.count(Action.PINNED), 'host key')} pinned.")
            else:
                upload = UploadForm(request.POST, request.FILES)
                if upload.is_valid():
                    data = upload.data_given()
                    report = import_known_hosts(data, None, dry_run=True)
                    packed = pack(data)
        except (KnownHostsError, InventoryError) as error:
            report = None
            upload.add_error("file", str(error)) if upload.is_bound else messages.error(request, str(error))
    return panel.render(
        request,
        "netraven/known_hosts.html",
        "Import known_hosts",
        {
            "upload": upload,
            "report": report,
            "packed": packed,
            "pinned": report.count(Action.PINNED) if report else 0,
            "unused": len(report.unmatched) + len(report.ignored) if report else 0,
            "groups": _groups(report, dry_run=bool(packed)) if report else [],
        },
    )


def _groups(report: KnownHostsReport, *, dry_run: bool) -> list[dict[str, Any]]:
    """The keys by what becomes of them, what needs a look first; the long lists cut."""
    words = {
        Action.CONFLICT: "conflict",
        Action.PINNED: "to be pinned" if dry_run else "pinned",
        Action.UNCHANGED: "unchanged",
    }
    found = []
    for action in _ORDER:
        rows = [key for key in report.keys if key.action == action]
        if rows:
            found.append(
                {
                    "label": words[action],
                    "tone": _TONES[action],
                    "count": len(rows),
                    "rows": rows[:_MOST_ROWS],
                    "more": max(0, len(rows) - _MOST_ROWS),
                    "is_quiet": action == Action.UNCHANGED,
                }
            )
    return found
