"""The menu, in the order of the operator's day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model, Q
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from unfold.dataclasses import SearchResult

from credentials.models import Credential
from devices.choices import HostKeyState
from devices.configs.asides import waiting
from devices.models import Device, HostKey
from jobs.models import Job

_MOST_FOUND = 12
_FOUND: tuple[tuple[type[Model], str, str, tuple[str, ...]], ...] = (
    (Device, "devices.view_device", "dns", ("name", "host")),
    (Credential, "credentials.view_credential", "key", ("name", "username")),
    (Job, "jobs.view_job", "event_repeat", ("name",)),
)
_DAY = (
    ("Devices", "dns", "devices_device", "devices.view_device"),
    ("Configurations", "description", "devices_configversion", "devices.view_configversion"),
    ("Credentials", "key", "credentials_credential", "credentials.view_credential"),
    ("Jobs", "event_repeat", "jobs_job", "jobs.view_job"),
    ("Runs", "play_circle", "jobs_run", "jobs.view_run"),
)
_LOGINS = (
    ("Attempts", "login", "jobs_attempt", "jobs.view_attempt"),
    ("Host keys", "fingerprint", "devices_hostkey", "devices.view_hostkey"),
    ("Held accounts", "lock_clock", "credentials_guardaccount", "credentials.view_guardaccount"),
    (
        "Rejections",
        "block",
        "credentials_rememberedrejection",
        "credentials.view_rememberedrejection",
    ),
)
_ADMINISTRATION = (
    ("Platforms", "memory", "devices_platformoverride", "devices.view_platformoverride"),
    ("Maintenance windows", "do_not_disturb_on", "jobs_maintenancewindow", "jobs.view_maintenancewindow"),
    ("Retention", "auto_delete", "devices_retentionrule", "devices.view_retentionrule"),
    ("Concurrency limits", "speed", "jobs_concurrencylimit", "jobs.view_concurrencylimit"),
    ("Encryption keys", "vpn_key", "credentials_keyreader", "credentials.view_keyreader"),
    ("Audit", "history_edu", "credentials_auditevent", "credentials.view_auditevent"),
    ("Users", "person", "auth_user", "auth.view_user"),
    ("Groups", "group", "auth_group", "auth.view_group"),
    ("Tags", "sell", "taggit_tag", "taggit.view_tag"),
    ("Sign-ins", "devices_other", "netraven_site_signin", ""),
    ("API tokens", "token", "netraven_site_apitoken", "netraven_site.view_apitoken"),
    ("Failed tasks", "error", "django_q_failure", "django_q.view_failure"),
)


ASIDES = ("Incomplete", "rule", "devices_keptaside", "devices.view_keptaside")
"""In the menu only while some wait."""


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the menu; what a person may not see is not in it."""
    dashboard = {
        "title": "Dashboard",
        "icon": "space_dashboard",
        "link": reverse("admin:index"),
        "active": request.path == reverse("admin:index"),
    }
    logins = [_item(request, *each) for each in _LOGINS]
    administration = [_item(request, *each) for each in _ADMINISTRATION]
    if (docs := _api_page()) is not None:
        administration.append({"title": "API", "icon": "api", "link": docs, "active": False})
    return [
        {"items": [dashboard, *_day(request)]},
        {"title": "Logins", "separator": True, "items": [*logins, _analytics(request)]},
        {"title": "Administration", "separator": True, "items": administration},
    ]


def _day(request: HttpRequest) -> list[dict[str, Any]]:
    """The operator's day, with the search of texts below the configurations."""
    items = [_item(request, *each) for each in _DAY]
    at = next(at for at, each in enumerate(_DAY) if each[2] == "devices_configversion")
    link = reverse("admin:devices_configversion_search")
    is_search = request.path.startswith(link)
    items[at]["active"] = items[at]["active"] and not is_search
    search = {"title": "Search", "icon": "manage_search", "link": link, "active": is_search}
    items.insert(at + 1, {**search, "permission": items[at]["permission"]})
    if request.user.has_perm(ASIDES[3]) and (count := waiting().count()):
        waits = {"badge": f"{count:,}", "badge_variant": "warning"}
        items.insert(at + 2, _item(request, *ASIDES) | waits)
    return items


def _analytics(request: HttpRequest) -> dict[str, Any]:
    link = reverse("analytics:rates")
    return {
        "title": "Analytics",
        "icon": "monitoring",
        "link": link,
        "active": request.path.startswith(link),
        "permission": _may("credentials.view_credential"),
    }


def _item(request: HttpRequest, title: str, icon: str, model: str, permission: str) -> dict[str, Any]:
    link = reverse(f"admin:{model}_changelist")
    item: dict[str, Any] = {
        "title": title,
        "icon": icon,
        "link": link,
        "active": request.path.startswith(link),
        "permission": _may(permission),
    }
    if model == "devices_hostkey" and request.user.has_perm(permission) and (waiting := _waiting_keys()):
        item |= {"badge": f"{waiting:,}", "badge_variant": "warning", "link": f"{link}?state={HostKeyState.PENDING}"}
    return item


def _waiting_keys() -> int:
    return HostKey.objects.filter(state=HostKeyState.PENDING).count()


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: not permission or request.user.has_perm(permission)


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    """Devices, credentials and jobs by name or address, for the search that every page has; a few of each."""
    found: list[SearchResult] = []
    for model, permission, icon, fields in _FOUND:
        if request.user.has_perm(permission):
            query = Q()
            for field in fields:
                query |= Q(**{f"{field}__icontains": term})
            names = model._default_manager.filter(query).order_by("name").values_list("pk", "name")
            page = f"admin:{model._meta.app_label}_{model._meta.model_name}_page"
            kind = str(model._meta.verbose_name).capitalize()
            found += [SearchResult(name, kind, reverse(page, args=[pk]), icon) for pk, name in names[:_MOST_FOUND]]
    return found


def _api_page() -> str | None:
    try:
        return reverse("api:docs")
    except NoReverseMatch:
        return None
