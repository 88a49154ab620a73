"""Devices, what hangs on one, and host keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from devices import services
from devices.choices import HostKeyState
from devices.facts import DeviceFacts
from devices.host_keys import KnownHostsError, import_known_hosts
from devices.inventory import importer
from devices.inventory.reader import MAX_BYTES
from devices.models import ConfigVersion, Device, HostKey
from jobs.choices import Trigger
from jobs.explaining import explain
from jobs.models import Attempt
from jobs.services import start_adhoc
from netraven_site.api import filters
from netraven_site.api.base import EditViewSet, ListViewSet, PlainListViewSet, ReadViewSet, user_of
from netraven_site.api.errors import Conflict, Unprocessable
from netraven_site.api.fields import NothingSerializer
from netraven_site.api.parsers import CsvBody, JSONBody
from netraven_site.api.serializers.configs import VersionSerializer
from netraven_site.api.serializers.devices import (
    CandidateSerializer,
    ChangedSerializer,
    DecisionSerializer,
    DeviceSerializer,
    HostKeySerializer,
    ImportErrorSerializer,
    ImportReportSerializer,
    ImportSerializer,
    KnownHostsReportSerializer,
    KnownHostsSerializer,
    ManySerializer,
)
from netraven_site.api.serializers.jobs import AttemptSerializer, RunSerializer
from netraven_site.api.views.configs import VERSIONS
from netraven_site.api.views.jobs import ATTEMPTS

_SWITCHES = frozenset({"dry_run", "skip_errors"})


@extend_schema_view(
    import_csv=extend_schema(
        summary="Import devices from CSV",
        description=(
            "Devices are matched by name. Nothing is written when a row is wrong, unless `skip_errors` is set. "
            "The body is the file itself (`text/csv`), a form with `file`, or JSON with the text as `csv`; "
            "`dry_run` and `skip_errors` stand in the form, in the JSON or in the address."
        ),
        parameters=[OpenApiParameter(name, OpenApiTypes.BOOL) for name in sorted(_SWITCHES)],
        request={
            "text/csv": OpenApiTypes.STR,
            "multipart/form-data": ImportSerializer,
            "application/json": ImportSerializer,
        },
        responses={200: ImportReportSerializer, 422: ImportErrorSerializer},
    ),
    many=extend_schema(
        summary="Change many devices at once",
        description="All or none. Deleting needs the right to delete devices.",
        request=ManySerializer,
        responses=ChangedSerializer,
    ),
    backup=extend_schema(summary="Back up one device now", request=NothingSerializer, responses={201: RunSerializer}),
)
class DeviceViewSet(EditViewSet[Device]):
    """The inventory."""

    queryset = Device.objects.prefetch_related(
        "tag_links__tag", Prefetch("facts", DeviceFacts.objects.current(), to_attr="current_facts")
    )
    serializer_class = DeviceSerializer
    filterset_class = filters.DeviceFilter
    search_fields = ("name", "host", "site", "platform", "description", "facts__serial")
    ordering_fields = (
        "id",
        "name",
        "host",
        "platform",
        "site",
        "last_outcome",
        "last_outcome_at",
        "last_success_at",
        "created_at",
        "updated_at",
    )
    ordering = ("name",)
    action_permissions = {
        "import_csv": ("devices.add_device", "devices.change_device"),
        "many": ("devices.view_device", "devices.change_device"),
        "backup": ("devices.view_device", "jobs.run_job"),
    }
    action_parameters = {"import_csv": _SWITCHES}

    @action(
        detail=False,
        methods=["post"],
        url_path="import",
        parser_classes=[JSONBody, MultiPartParser, CsvBody],
    )
    def import_csv(self, request: Request) -> Response:
        """Bring the inventory in line with a CSV file."""
        body = request.data
        if hasattr(body, "items"):
            in_address = {name: text for name, text in request.query_params.items() if name in _SWITCHES}
            # `items` of a form gives one value each, where `dict` would give lists.
            body = {**in_address, **dict(body.items())}
        values = self.checked(ImportSerializer, body)
        data = values["file"].read(MAX_BYTES + 1) if "file" in values else values["csv"].encode()
        if values["dry_run"]:
            report = importer.preview(data)
        else:
            report = importer.apply(data, skip_errors=values["skip_errors"], user=user_of(request))
        if report.errors and not values["skip_errors"]:
            wrong = {f"line {row.line}": row.errors for row in report.rows if row.errors}
            raise Unprocessable(report.summary, wrong, report.as_dict())
        return Response(report.as_dict())

    @action(detail=False, methods=["post"])
    def many(self, request: Request) -> Response:
        """Enable, disable, tag, untag or delete the named devices."""
        values = self.checked(ManySerializer, request.data)
        user = user_of(request)
        chosen = Device.objects.filter(pk__in=[device.pk for device in values["devices"]])
        match values["change"]:
            case "add_tags":
                changed = services.add_tags(chosen, values["tags"], user)
            case "remove_tags":
                changed = services.remove_tags(chosen, values["tags"], user)
            case "delete":
                if not user.has_perm("devices.delete_device"):
                    raise PermissionDenied("This needs the permission devices.delete_device.")
                changed = services.delete_devices(chosen, user)
            case change:
                changed = services.set_enabled(chosen, change == "enable", user)
        return Response(ChangedSerializer({"changed": changed}).data)

    def perform_destroy(self, instance: Device) -> None:
        """With all that is the device's."""
        services.delete_devices(Device.objects.filter(pk=instance.pk), user_of(self.request))

    @action(detail=True, methods=["post"])
    def backup(self, request: Request, pk: int) -> Response:
        """Start a run that backs up this device."""
        device = self.get_object()
        self.checked(NothingSerializer, request.data)
        run = start_adhoc("backup", devices=[device], trigger=Trigger.API, user=user_of(request))
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)


@extend_schema_view(
    list=extend_schema(
        summary="Which credentials would be tried on a device",
        description="In order, each with its reason. Nothing is connected to and no secret is opened.",
    )
)
class DeviceCandidates(PlainListViewSet[Device]):
    """The candidates of one device."""

    queryset = Device.objects.all()
    serializer_class = CandidateSerializer
    action_permissions = {"list": ("devices.view_device", "credentials.view_credential")}

    def get_items(self) -> Sequence[Any]:
        """The candidates in order."""
        device = get_object_or_404(Device, pk=self.kwargs["device_id"])
        return [
            {**asdict(each.candidate), "order": each.order, "held": each.held, "held_until": each.held_until}
            for each in explain(device).candidates
        ]


class DeviceVersions(ListViewSet[ConfigVersion]):
    """The configuration versions of one device."""

    queryset = VERSIONS
    serializer_class = VersionSerializer
    filterset_class = filters.VersionFilter
    ordering_fields = ("id", "number", "first_seen_at", "last_seen_at")
    ordering = ("kind", "-number")
    action_permissions = {"list": ("devices.view_device", "devices.view_configversion")}

    def get_queryset(self) -> QuerySet[ConfigVersion]:
        """Those of the device in the address."""
        return of_device(self, super().get_queryset())


class DeviceAttempts(ListViewSet[Attempt]):
    """The logins on one device."""

    queryset = ATTEMPTS
    serializer_class = AttemptSerializer
    filterset_class = filters.AttemptFilter
    ordering_fields = ("id", "started_at", "duration_s")
    ordering = ("-id",)
    action_permissions = {"list": ("devices.view_device", "jobs.view_attempt")}

    def get_queryset(self) -> QuerySet[Attempt]:
        """Those of the device in the address."""
        return of_device(self, super().get_queryset())


HOST_KEYS = HostKey.objects.select_related("device", "decided_by").prefetch_related(
    Prefetch(
        "device__host_keys",
        queryset=HostKey.objects.filter(state=HostKeyState.PINNED).order_by("key_type"),
        to_attr="pinned_keys",
    )
)


class DeviceHostKeys(ListViewSet[HostKey]):
    """The host keys of one device."""

    queryset = HOST_KEYS
    serializer_class = HostKeySerializer
    filterset_class = filters.HostKeyFilter
    ordering_fields = ("id", "key_type", "state", "first_seen_at", "last_seen_at")
    ordering = ("key_type",)
    action_permissions = {"list": ("devices.view_device", "devices.view_hostkey")}

    def get_queryset(self) -> QuerySet[HostKey]:
        """Those of the device in the address."""
        return of_device(self, super().get_queryset())


def of_device(view: Any, queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The rows of the device in the address; Http404 when there is no such device."""
    if getattr(view, "swagger_fake_view", False):
        return queryset.none()
    return queryset.filter(device=get_object_or_404(Device, pk=view.kwargs["device_id"]))


@extend_schema_view(
    approve=extend_schema(
        summary="Approve a waiting host key", request=DecisionSerializer, responses=HostKeySerializer
    ),
    reject=extend_schema(summary="Reject a waiting host key", request=NothingSerializer, responses=HostKeySerializer),
    import_known_hosts=extend_schema(
        summary="Pin the keys of a known_hosts file",
        description="What is pinned stays: another key of the same type is reported as a conflict.",
        request=KnownHostsSerializer,
        responses=KnownHostsReportSerializer,
    ),
)
class HostKeyViewSet(ReadViewSet[HostKey]):
    """Host keys: pinned, waiting for approval, retired."""

    queryset = HOST_KEYS
    serializer_class = HostKeySerializer
    filterset_class = filters.HostKeyFilter
    search_fields = ("device__name", "fingerprint")
    ordering_fields = ("id", "device__name", "key_type", "state", "first_seen_at", "last_seen_at")
    ordering = ("device__name", "key_type")
    action_permissions = {
        "approve": ("devices.view_hostkey", "devices.approve_hostkey"),
        "reject": ("devices.view_hostkey", "devices.approve_hostkey"),
        "import_known_hosts": ("devices.view_hostkey", "devices.approve_hostkey"),
    }

    @action(detail=False, methods=["post"], url_path="import")
    def import_known_hosts(self, request: Request) -> Response:
        """Pin keys that are known already."""
        values = self.checked(KnownHostsSerializer, request.data)
        try:
            report = import_known_hosts(values["known_hosts"].encode(), user_of(request), dry_run=values["dry_run"])
        except KnownHostsError as error:
            raise ValidationError({"known_hosts": str(error)}) from error
        return Response(KnownHostsReportSerializer(report).data)

    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: int) -> Response:
        """Pin the key with this fingerprint and retire the one before; 409 when another key waits by now."""
        fingerprint = self.checked(DecisionSerializer, request.data)["fingerprint"]
        services.approve_host_key(self.get_object(), user_of(request), fingerprint=fingerprint)
        return Response(self.get_serializer(self.get_object()).data)

    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: int) -> Response:
        """Take the key out of the queue; the device stays pinned to what it had."""
        self.checked(NothingSerializer, request.data)
        key = self.get_object()
        if key.state != HostKeyState.PENDING:
            raise Conflict("This key does not wait for approval.")
        services.reject_host_key(key, user_of(request))
        return Response(self.get_serializer(self.get_object()).data)
