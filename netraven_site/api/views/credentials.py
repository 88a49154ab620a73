"""Credentials, the devices that they match, and held accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from credentials.guard import get_guard, release_credential
from credentials.models import Credential, CredentialTag, GuardAccount
from credentials.services import delete_credentials
from devices.models import Device
from jobs.choices import Trigger
from jobs.testing import CredentialDisabled, NothingToTest, start_test
from netraven_site.api import filters
from netraven_site.api.base import EditViewSet, ListViewSet, PlainListViewSet, user_of
from netraven_site.api.errors import Conflict
from netraven_site.api.serializers.credentials import (
    CredentialSerializer,
    HeldAccountSerializer,
    LoginTestSerializer,
    MatchedDeviceSerializer,
    ReleasedAccountSerializer,
    ReleasedCredentialSerializer,
    ReleaseSerializer,
)
from netraven_site.api.serializers.jobs import RunSerializer


@extend_schema_view(
    test=extend_schema(
        summary="Test a credential",
        description=(
            "Log in with this credential alone, enter the privileged mode and leave again, through the guard and "
            "the host-key rule like any login. The answer is the run; its results say login, enable, duration, "
            "outcome and advice for each device."
        ),
        request=LoginTestSerializer,
        responses={201: RunSerializer},
    ),
    release=extend_schema(
        summary="Release a credential", request=ReleaseSerializer, responses=ReleasedCredentialSerializer
    ),
)
class CredentialViewSet(EditViewSet[Credential]):
    """Who NetRaven logs in as. Secrets can be written and are in no response."""

    queryset = Credential.objects.prefetch_related("tag_links__tag")
    serializer_class = CredentialSerializer
    filterset_class = filters.CredentialFilter
    search_fields = ("name", "username", "description")
    ordering_fields = (
        "id",
        "name",
        "username",
        "priority",
        "scope",
        "success_count",
        "rejected_count",
        "last_used_at",
        "last_success_at",
        "created_at",
        "updated_at",
    )
    ordering = ("priority", "id")
    handles_secrets = True
    action_permissions = {
        "test": ("credentials.view_credential", "jobs.run_job"),
        "release": ("credentials.view_credential", "credentials.release_guardaccount"),
    }

    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: int) -> Response:
        """On these devices, or on a sample; 409 when it is disabled or there is no device that it may be sent to."""
        credential = self.get_object()
        values = self.checked(LoginTestSerializer, request.data)
        if empty := [name for name in ("devices", "tags") if name in values and not values[name]]:
            raise ValidationError(dict.fromkeys(empty, "Empty: name something, or leave it out."))
        try:
            run = start_test(
                credential,
                devices=values.get("devices", ()),
                tags=[tag.name for tag in values.get("tags", ())],
                sample=values.get("sample"),
                trigger=Trigger.API,
                user=user_of(request),
            )
        except (CredentialDisabled, NothingToTest) as error:
            raise Conflict(" ".join(error.messages)) from error
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: Credential) -> None:
        """With its secrets, for good."""
        delete_credentials(Credential.objects.filter(pk=instance.pk))

    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: int) -> Response:
        """Give its accounts their budget back, and let it be tried again where it was rejected."""
        credential = self.get_object()
        values = self.checked(ReleaseSerializer, request.data)
        by = user_of(request).get_username()
        released = release_credential(credential, by, reason=values.get("reason", ""))
        return Response(ReleasedCredentialSerializer(released).data)


class CredentialDevices(ListViewSet[Device]):
    """The devices that one credential matches."""

    queryset = Device.objects.prefetch_related("tag_links__tag")
    serializer_class = MatchedDeviceSerializer
    filterset_class = filters.DeviceFilter
    search_fields = ("name", "host", "site", "platform", "description")
    ordering_fields = ("id", "name", "host", "platform", "site")
    ordering = ("name",)
    action_permissions = {"list": ("credentials.view_credential", "devices.view_device")}

    def get_queryset(self) -> QuerySet[Device]:
        """All devices for a fallback, else those that share a tag."""
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset.none()
        tags = self._tag_ids
        if self._credential.is_fallback:
            return queryset
        return queryset.filter(pk__in=Device.objects.filter(tags__in=tags).order_by().values("pk"))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find the credential in the address, once it is clear that the user may see it."""
        super().initial(request, *args, **kwargs)
        self._credential = get_object_or_404(Credential, pk=self.kwargs["credential_id"])
        links = CredentialTag.objects.filter(content_object=self._credential)
        self._tag_ids = set(links.values_list("tag_id", flat=True))

    def get_serializer_context(self) -> dict[str, Any]:
        """With the tags of the credential."""
        return {**super().get_serializer_context(), "tag_ids": getattr(self, "_tag_ids", set())}


@extend_schema_view(list=extend_schema(summary="Accounts that the lockout guard holds"))
@extend_schema_view(
    release=extend_schema(summary="Release an account", request=ReleaseSerializer, responses=ReleasedAccountSerializer),
)
class HeldAccountViewSet(PlainListViewSet[GuardAccount]):
    """Accounts with no rejections left in their window."""

    queryset = GuardAccount.objects.all()
    serializer_class = HeldAccountSerializer
    action_permissions = {"release": ("credentials.view_guardaccount", "credentials.release_guardaccount")}

    def get_items(self) -> Sequence[Any]:
        """The held accounts by name."""
        return get_guard().held_accounts()

    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: int) -> Response:
        """Give the account its budget back and forget its remembered rejections."""
        values = self.checked(ReleaseSerializer, request.data)
        account = self.get_object()
        get_guard().release(account, by=user_of(request).get_username(), reason=values.get("reason", ""))
        return Response(ReleasedAccountSerializer(account).data)
