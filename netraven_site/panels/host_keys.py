"""Host keys: the queue of those that wait, old and new side by side."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from devices.choices import HostKeyState
from devices.models import HostKey
from devices.services import StaleDecision, approve_host_key, reject_host_key
from netraven_site.panels import cells, filters, known_hosts
from netraven_site.panels.base import CONFIRMED, ReadOnlyPanel, Tool, back_to

_MOST = 500
"""Keys that one confirmation can name; Django takes no form of more than a thousand fields."""


@admin.register(HostKey)
class HostKeyPanel(ReadOnlyPanel):
    """What devices identify themselves with."""

    list_display = ("of_device", "state_", "key_type_", "fingerprint_", "seen", "decided")
    list_display_links = None
    list_filter = (filters.KeyState, filters.DeviceNamed)
    search_fields = ("device__name", "device__host", "fingerprint")
    search_help_text = "Device, address, fingerprint"
    list_select_related = ("device", "decided_by")
    # Those that wait come first, as it happens, by the alphabet.
    ordering = ("state", "device__name", "id")
    actions = ("approve", "reject")
    list_note = "Select keys to approve or reject them."
    tools = (Tool("Import known_hosts", "admin:devices_hostkey_import", "upload", "devices.approve_hostkey"),)
    empty_title = "No host keys"
    empty_text = "A device's key is pinned at first contact, or waits here when the policy asks for approval."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Devices", "devices_device_changelist"),)

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Who may decide."""
        return request.user.has_perm("devices.approve_hostkey")

    def get_list_display(self, request: HttpRequest) -> Any:
        """In the queue, old and new stand side by side."""
        if request.GET.get("state") == HostKeyState.PENDING:
            return ("of_device", "key_type_", "fingerprint_", "pinned_", "seen")
        return super().get_list_display(request)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The pinned keys of the devices on this page, in one query."""
        found = super().get_changelist_instance(request)
        waiting = [row for row in found.result_list if row.state == HostKeyState.PENDING]
        pinned = pinned_of(waiting)
        for row in found.result_list:
            row.pinned_keys = pinned.get(row.device_id, [])
        return found

    @admin.display(description="Device", ordering="device__name")
    def of_device(self, row: HostKey) -> SafeString:
        """Leads to the device."""
        url = reverse("admin:devices_device_page", args=[row.device_id]) + "#host-keys"
        return cells.link(url, cells.code(row.device.name))

    @admin.display(description="State", ordering="state")
    def state_(self, row: HostKey) -> SafeString:
        """In its tone."""
        return cells.key_state(row.state)

    @admin.display(description="Type", ordering="key_type")
    def key_type_(self, row: HostKey) -> SafeString:
        """As SSH calls it."""
        return cells.code(row.key_type)

    @admin.display(description="Fingerprint")
    def fingerprint_(self, row: HostKey) -> SafeString:
        """Whole, since it is there to be compared."""
        return cells.code(row.fingerprint)

    @admin.display(description="Pinned now")
    def pinned_(self, row: Any) -> SafeString:
        """What a waiting key would replace."""
        if row.state != HostKeyState.PENDING:
            return cells.DASH
        old = row.pinned_keys
        if not old:
            return cells.toned("nothing", "unknown", "This device was never pinned.")
        shown = next((key for key in old if key.key_type == row.key_type), old[0])
        title = "\n".join(f"{key.key_type} {key.fingerprint}" for key in old)
        other = "" if shown.key_type == row.key_type else f"{shown.key_type.removeprefix('ssh-')} "
        return cells.cut(f"{other}{shown.fingerprint}", title)

    @admin.display(description="Last seen", ordering="last_seen_at")
    def seen(self, row: HostKey) -> SafeString:
        """When the device last showed it."""
        return cells.ago(row.last_seen_at)

    @admin.display(description="Decided")
    def decided(self, row: HostKey) -> SafeString:
        """By whom, and when in the title."""
        if row.decided_at is None:
            return cells.DASH
        by = row.decided_by.get_username() if row.decided_by else "first contact"
        return cells.cut(by, cells.absolute(row.decided_at))

    # --- decisions --------------------------------------------------------------------------------
    def extra_urls(self) -> list[Any]:
        """The import, and one decision from the page of a device."""
        return [
            ("import/", self.import_view, "import"),
            ("<int:object_id>/decide/", self.decide_view, "decide"),
        ]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """From a known_hosts file, with a preview."""
        return known_hosts.import_view(self, request)

    def decide_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Approve or reject one key."""
        key = self.found(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_approve_permission(request):
            raise PermissionDenied
        approved = request.POST.get("decision") == "approve"
        self._decide(request, [(key, request.POST.get("fingerprint", ""))], approved)
        return back_to(request, self.list_url())

    @admin.action(description="Approve", permissions=["approve"])
    def approve(self, request: HttpRequest, chosen: QuerySet[HostKey]) -> HttpResponse:
        """Pin the chosen keys in place of what was pinned."""
        return self._ask(
            request,
            chosen,
            approved=True,
            title="Approve host keys",
            text="Each key below becomes the pinned one and NetRaven logs in to these devices again. Approve a "
            "changed key only if you know why it changed.",
        )

    @admin.action(description="Reject", permissions=["approve"])
    def reject(self, request: HttpRequest, chosen: QuerySet[HostKey]) -> HttpResponse:
        """Take the chosen keys out of the queue."""
        return self._ask(
            request,
            chosen,
            approved=False,
            title="Reject host keys",
            text="The devices stay pinned to what they had. A device that shows the key again is not logged in to.",
        )

    def _ask(
        self, request: HttpRequest, chosen: QuerySet[HostKey], *, approved: bool, title: str, text: str
    ) -> HttpResponse:
        # What the person saw on the confirmation is what counts, not what the rows hold by now.
        seen = dict(each.split("=", 1) for each in request.POST.getlist("seen") if "=" in each)
        waiting = chosen.filter(state=HostKeyState.PENDING)
        if CONFIRMED in request.POST:
            waiting = waiting.filter(pk__in=[pk for pk in seen if pk.isdecimal()])
        keys = list(waiting[:_MOST])
        if not keys:
            messages.warning(request, "None of the selected keys waits for approval.")
            return HttpResponseRedirect(self.list_url())
        pinned = pinned_of(keys)
        rows = [{"key": key, "pinned": pinned.get(key.device_id, [])} for key in keys]
        asked = self.ask(
            request,
            waiting,
            title=title,
            button=f"{'Approve' if approved else 'Reject'} {cells.counted(len(keys), 'key')}",
            text=text,
            rows=rows,
            danger=not approved,
        )
        if asked:
            return asked
        self._decide(request, [(key, seen.get(str(key.pk), "")) for key in keys], approved)
        return HttpResponseRedirect(self.list_url())

    def _decide(self, request: HttpRequest, keys: list[tuple[HostKey, str]], approved: bool) -> None:
        user: Any = request.user
        done = []
        for key, seen in keys:
            try:
                if approved:
                    approve_host_key(key, user, fingerprint=seen or None)
                else:
                    reject_host_key(key, user)
            except StaleDecision as stale:
                messages.error(request, f"{key.device}: {stale}")
            else:
                done.append(key.device.name)
        if done:
            word = "approved" if approved else "rejected"
            named = cells.words(done[:5]) if len(done) <= 5 else f"{', '.join(done[:5])} and {len(done) - 5} more"
            messages.success(request, f"{cells.counted(len(done), 'key')} {word}: {named}.")


def pinned_of(waiting: list[Any]) -> dict[int, list[HostKey]]:
    """The pinned keys of these keys' devices, in one query."""
    found: dict[int, list[HostKey]] = defaultdict(list)
    devices = {key.device_id for key in waiting}
    if devices:
        for key in HostKey.objects.filter(device__in=devices, state=HostKeyState.PINNED):
            found[key.device_id].append(key)
    return found
