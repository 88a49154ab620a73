"""The addresses below /api/v1/."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver, path, re_path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import DefaultRouter

from netraven_site.api import schema  # noqa: F401 - registers how a token is sent
from netraven_site.api.views.access import Docs, Me, NothingHere
from netraven_site.api.views.asides import AsideViewSet
from netraven_site.api.views.audit import AuditViewSet
from netraven_site.api.views.configs import VersionViewSet
from netraven_site.api.views.credentials import CredentialDevices, CredentialViewSet, HeldAccountViewSet
from netraven_site.api.views.devices import (
    DeviceAttempts,
    DeviceCandidates,
    DeviceHostKeys,
    DeviceVersions,
    DeviceViewSet,
    HostKeyViewSet,
)
from netraven_site.api.views.facts import DeviceFactsHistory, FactsViewSet
from netraven_site.api.views.jobs import AttemptViewSet, JobViewSet, KindViewSet, ResultOutputs, RunResults, RunViewSet
from netraven_site.api.views.keys import KeyViewSet
from netraven_site.api.views.limits import LimitViewSet, WindowViewSet
from netraven_site.api.views.platforms import PlatformViewSet
from netraven_site.api.views.retention import RetentionPreview, RetentionViewSet
from netraven_site.api.views.searches import ConfigSearch, SavedSearchViewSet

app_name = "api"

router = DefaultRouter(use_regex_path=False)
router.include_format_suffixes = False
router.register("devices", DeviceViewSet, basename="device")
router.register("credentials", CredentialViewSet, basename="credential")
router.register("facts", FactsViewSet, basename="facts")
router.register("host-keys", HostKeyViewSet, basename="host-key")
router.register("held-accounts", HeldAccountViewSet, basename="held-account")
router.register("jobs", JobViewSet, basename="job")
router.register("kinds", KindViewSet, basename="kind")
router.register("runs", RunViewSet, basename="run")
router.register("maintenance-windows", WindowViewSet, basename="maintenance-window")
router.register("concurrency-limits", LimitViewSet, basename="concurrency-limit")
router.register("platforms", PlatformViewSet, basename="platform")
router.register("versions", VersionViewSet, basename="version")
router.register("incomplete-outputs", AsideViewSet, basename="incomplete-output")
router.register("retention-rules", RetentionViewSet, basename="retention-rule")
router.register("saved-searches", SavedSearchViewSet, basename="saved-search")
router.register("keys", KeyViewSet, basename="key")
router.register("attempts", AttemptViewSet, basename="attempt")
router.register("audit", AuditViewSet, basename="audit")

_LIST: dict[str, Any] = {"get": "list"}

urlpatterns: list[URLPattern | URLResolver] = [
    path("devices/<int:device_id>/candidates/", DeviceCandidates.as_view(_LIST), name="device-candidates"),
    path("devices/<int:device_id>/versions/", DeviceVersions.as_view(_LIST), name="device-versions"),
    path("devices/<int:device_id>/attempts/", DeviceAttempts.as_view(_LIST), name="device-attempts"),
    path("devices/<int:device_id>/facts/", DeviceFactsHistory.as_view(_LIST), name="device-facts"),
    path("devices/<int:device_id>/host-keys/", DeviceHostKeys.as_view(_LIST), name="device-host-keys"),
    path("credentials/<int:credential_id>/devices/", CredentialDevices.as_view(_LIST), name="credential-devices"),
    path("runs/<int:run_id>/results/", RunResults.as_view(_LIST), name="run-results"),
    path("runs/<int:run_id>/results/<int:result_id>/outputs/", ResultOutputs.as_view(_LIST), name="result-outputs"),
    path("retention-rules/preview/", RetentionPreview.as_view(_LIST), name="retention-preview"),
    path("versions/search/", ConfigSearch.as_view(_LIST), name="version-search"),
    path("me/", Me.as_view(), name="me"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", Docs.as_view(), name="docs"),
    *router.urls,
    re_path("", NothingHere.as_view(), name="nothing"),
]
