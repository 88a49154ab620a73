"""The first page: how the fleet is, what needs a person, what was done and what changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Exists, OuterRef
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from credentials.guard import get_guard
from credentials.models import Credential
from devices.choices import HostKeyState
from devices.connector.outcomes import Tone, info
from devices.connector.platforms import RUNNING
from devices.models import ConfigVersion, Device, HostKey
from jobs.models import Run, WorkerBeat
from netraven_site.panels.cells import TONE_LABELS, since
from netraven_site.panels.configs import said
from netraven_site.panels.mending import Mend, mend
from netraven_site.panels.tallies import rows_of

_RUNS = 8
_CHANGES = 8
_FAILING = 6
_WORKER_SILENT_S = 60


@dataclass(frozen=True)
class Attention:
    """One thing that needs a person: how many (`url` lists them), what, why, and `there` it is mended."""

    tone: str
    count: int | None
    text: str
    advice: str
    url: str
    label: str = ""
    there: str = ""


@dataclass
class Fleet:
    """The enabled devices by how they ended last time."""

    total: int = 0
    disabled: int = 0
    by_outcome: dict[str, int] = field(default_factory=dict)

    @property
    def tones(self) -> list[dict[str, Any]]:
        """Each of the five tones with its number, its share and the list behind it."""
        found = []
        for tone in Tone:
            count = sum(number for outcome, number in self.by_outcome.items() if info(outcome).tone == tone)
            share = 100 * count / self.total if self.total else 0.0
            found.append(
                {
                    "tone": tone.value,
                    "label": TONE_LABELS[tone],
                    "count": count,
                    "share": round(share, 2),
                    "percent": f"{share:.0f} %" if share == 0 or share >= 1 else "< 1 %",
                    "url": devices_url(outcome=f"tone:{tone}", enabled="yes"),
                }
            )
        return found


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill the first page, with what this person may see; a fixed number of queries for any fleet."""
    may = request.user.has_perm
    sees_devices, sees_runs = may("devices.view_device"), may("jobs.view_run")
    fleet = _fleet() if sees_devices else None
    runs = rows_of(Run.objects.order_by("-id")[:_RUNS]) if sees_runs else []
    context.update(
        {
            "title": "Dashboard",
            "is_fullwidth": "1",
            "fleet": fleet,
            "runs": runs,
            "sees_runs": sees_runs,
            "attention": _attention(request, fleet),
            "changes": _changes() if may("devices.view_configversion") else None,
            "steps": _first_steps(request, fleet, bool(runs)) if sees_devices else [],
        }
    )
    return context


def devices_url(**query: str) -> str:
    """The list of devices, filtered."""
    return f"{reverse('admin:devices_device_changelist')}?{urlencode(query)}"


def _fleet() -> Fleet:
    fleet = Fleet()
    rows = Device.objects.order_by().values_list("enabled", "last_outcome").annotate(n=Count("pk"))
    for enabled, outcome, count in rows:
        if enabled:
            fleet.total += count
            fleet.by_outcome[outcome] = count
        else:
            fleet.disabled += count
    return fleet


def _changes() -> list[dict[str, Any]]:
    newest = ConfigVersion.objects.filter(number__gt=1).select_related("device").order_by("-first_seen_at")[:_CHANGES]
    versions = list(newest)
    before = {
        (each.device_id, each.kind, each.number): each.pk
        for each in ConfigVersion.objects.filter(
            device__in={version.device_id for version in versions},
            number__in={version.number - 1 for version in versions},
        ).only("device_id", "kind", "number")
    }
    found = []
    for version in versions:
        older = before.get((version.device_id, version.kind, version.number - 1))
        diff = reverse("admin:devices_configversion_diff")
        page = reverse("admin:devices_configversion_page", args=[version.pk])
        found.append(
            {
                "version": version,
                "said": said(version),
                "device_url": reverse("admin:devices_device_page", args=[version.device_id]),
                "url": f"{diff}?before={older}&after={version.pk}" if older else page,
            }
        )
    return found


# --- what needs a person --------------------------------------------------------------------------
def _attention(request: HttpRequest, fleet: Fleet | None) -> list[Attention]:
    may = request.user.has_perm
    found: list[Attention] = []
    if may("jobs.view_run"):
        found += _workers()
    if may("devices.view_hostkey"):
        found += _host_keys()
    if may("credentials.view_guardaccount"):
        found += _held()
    if fleet is not None:
        found += _failing(fleet)
        found += _never_backed_up(fleet)
    return found


def _workers() -> list[Attention]:
    last = WorkerBeat.objects.exclude(answered_at=None).order_by("-answered_at").first()
    if last is not None and last.answered_at is not None:
        if last.answered_at > timezone.now() - timedelta(seconds=_WORKER_SILENT_S):
            return []
        text = f"No worker is alive; the last sign of one was {since(last.answered_at)}"
    else:
        text = "No worker has answered yet"
    advice = "Runs wait until one does. Start it with ./manage.py up, or look at its log."
    runs = reverse("admin:jobs_run_changelist")
    return [Attention("failed", None, text, advice, runs, "Runs", runs)]


def _host_keys() -> list[Attention]:
    waiting = HostKey.objects.filter(state=HostKeyState.PENDING).count()
    if not waiting:
        return []
    queue = f"{reverse('admin:devices_hostkey_changelist')}?state={HostKeyState.PENDING}"
    return [
        Attention(
            "held",
            waiting,
            f"{'host key waits' if waiting == 1 else 'host keys wait'} for approval",
            "NetRaven does not log in to these devices. Compare the fingerprints, then approve or reject.",
            queue,
            "Compare host keys",
            queue,
        )
    ]


def _held() -> list[Attention]:
    held = get_guard().held_accounts()
    if not held:
        return []
    page = reverse("admin:credentials_guardaccount_changelist")
    named = ", ".join(each.account.label for each in held[:3]) + (" …" if len(held) > 3 else "")
    return [
        Attention(
            "held",
            len(held),
            f"{'account is' if len(held) == 1 else 'accounts are'} held: {named}",
            "No rejections are left. Correct the credential, then release the account.",
            page,
            "Held accounts",
            page,
        )
    ]


def _failing(fleet: Fleet) -> list[Attention]:
    bad = [each for each in fleet.by_outcome if info(each).tone in {Tone.FAILED, Tone.PASSING, Tone.HELD}]
    ranked = sorted(bad, key=lambda each: (info(each).tone == Tone.PASSING, -fleet.by_outcome[each]))
    found = []
    for outcome in ranked[:_FAILING]:
        count, known = fleet.by_outcome[outcome], info(outcome)
        listed = devices_url(outcome=outcome, enabled="yes")
        there = mend(outcome) or Mend("Devices", listed)
        found.append(
            Attention(
                known.tone.value,
                count,
                f"{'device' if count == 1 else 'devices'}: {known.label.lower()}",
                known.advice,
                listed,
                there.label,
                listed if there.label == "Devices" else there.url,
            )
        )
    return found


def _never_backed_up(fleet: Fleet) -> list[Attention]:
    has = Exists(ConfigVersion.objects.filter(device=OuterRef("pk"), kind=RUNNING))
    never = Device.objects.filter(enabled=True).filter(~has).count() if fleet.total else 0
    if not never:
        return []
    listed = devices_url(backup="never", enabled="yes")
    return [
        Attention(
            "unknown",
            never,
            f"{'device was' if never == 1 else 'devices were'} never backed up",
            "No configuration of them is kept. Select them and back them up, or add them to a job.",
            listed,
            "Devices",
            listed,
        )
    ]


def _first_steps(request: HttpRequest, fleet: Fleet | None, has_runs: bool) -> list[dict[str, Any]]:
    """What to do first, while it is not done; empty once it is."""
    devices = fleet is not None and bool(fleet.total or fleet.disabled)
    credentials = Credential.objects.exists()
    if devices and credentials and has_runs:
        return []
    return [
        {
            "done": credentials,
            "title": "Add a credential",
            "text": "A login with a tag: it is tried on every device that has the same tag.",
            "label": "Add credential",
            "url": reverse("admin:credentials_credential_add"),
        },
        {
            "done": devices,
            "title": "Import devices",
            "text": "From a CSV file, with a preview of every row before anything is written.",
            "label": "Import CSV",
            "url": reverse("admin:devices_device_import"),
        },
        {
            "done": has_runs,
            "title": "Run a backup",
            "text": "Select devices and back them up now, or make a job that does so again and again.",
            "label": "Devices" if devices else "Add job",
            "url": reverse("admin:devices_device_changelist") if devices else reverse("admin:jobs_job_add"),
        },
    ]
