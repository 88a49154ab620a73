"""Jobs, runs with their results, and attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from devices.models import Device
from jobs import services
from jobs.choices import Trigger
from jobs.kinds import KINDS, JobKind
from jobs.models import Attempt, Job, Result, Run
from jobs.outputs import CommandOutput
from jobs.testing import is_test, tested
from netraven_site.api import filters
from netraven_site.api.base import EditViewSet, ListViewSet, PlainListViewSet, ReadViewSet, user_of
from netraven_site.api.errors import Conflict
from netraven_site.api.fields import NothingSerializer
from netraven_site.api.serializers.jobs import (
    AttemptSerializer,
    JobSerializer,
    KindSerializer,
    ProgressSerializer,
    ResultSerializer,
    RunNowSerializer,
    RunSerializer,
    StartSerializer,
)
from netraven_site.api.serializers.outputs import OutputSerializer

ATTEMPTS = Attempt.objects.all()


@extend_schema_view(
    run=extend_schema(summary="Run a job now", request=RunNowSerializer, responses={201: RunSerializer}),
)
class JobViewSet(EditViewSet[Job]):
    """What to do, on which devices, with which parameters."""

    queryset = Job.objects.prefetch_related("tags", Prefetch("devices", Device.objects.only("id", "name")))
    serializer_class = JobSerializer
    filterset_class = filters.JobFilter
    search_fields = ("name", "description")
    ordering_fields = ("id", "name", "kind", "recurrence", "next_run_at", "created_at", "updated_at")
    ordering = ("name",)
    action_permissions = {"run": ("jobs.view_job", "jobs.run_job")}

    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: int) -> Response:
        """Start a run of this job; 409 when the job is disabled or its parameters no longer hold."""
        values = self.checked(RunNowSerializer, request.data)
        job = self.get_object()
        try:
            run = services.start_run(job, trigger=Trigger.API, user=user_of(request), **values)
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from error
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)


@extend_schema_view(
    create=extend_schema(
        summary="Start a run without a stored job",
        description=(
            "On the devices with one of the tags, and the named ones. Where neither `tags` nor `devices` is "
            "given, and with `all_devices`, on every enabled device; lists that are given and empty are "
            "refused. A run that finds no device answers with `status` failed and the reason in `message`."
        ),
        request=StartSerializer,
        responses={201: RunSerializer},
    ),
    cancel=extend_schema(summary="Cancel a run", request=NothingSerializer, responses=RunSerializer),
    pause=extend_schema(summary="Pause a run", request=NothingSerializer, responses=RunSerializer),
    resume=extend_schema(summary="Go on with a paused run", request=NothingSerializer, responses=RunSerializer),
    retry=extend_schema(
        summary="Retry what failed",
        description=(
            "A new run of the same kind over the enabled devices of this run that did not succeed, those that a "
            "maintenance window kept it from excepted. 409 while the run goes on, and when nothing failed."
        ),
        request=NothingSerializer,
        responses={201: RunSerializer},
    ),
    progress=extend_schema(summary="How far a run is", responses=ProgressSerializer),
)
class RunViewSet(mixins.CreateModelMixin, ReadViewSet[Run]):
    """Executions of jobs."""

    queryset = Run.objects.all()
    serializer_class = RunSerializer
    filterset_class = filters.RunFilter
    search_fields = ("job_name", "message")
    ordering_fields = ("id", "job_name", "status", "device_count", "created_at", "started_at", "finished_at")
    ordering = ("-id",)
    action_permissions = {
        "create": ("jobs.run_job",),
        **dict.fromkeys(("cancel", "pause", "resume", "retry"), ("jobs.view_run", "jobs.run_job")),
    }

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Start an ad-hoc run."""
        values = self.checked(StartSerializer, request.data)
        tags = [tag.name for tag in values.pop("tags", ())]
        run = services.start_adhoc(values.pop("kind"), tags=tags, trigger=Trigger.API, user=user_of(request), **values)
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Let devices in hand finish and leave the others; 409 when the run has ended already."""
        return self._told(request, services.cancel_run)

    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Let devices in hand finish and the others wait; 409 when the run has ended or is paused already."""
        return self._told(request, services.pause_run)

    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: int) -> Response:
        """Work on the devices that wait; 409 when the run is not paused."""
        return self._told(request, services.resume_run)

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: int) -> Response:
        """Start a run over what failed."""
        self.checked(NothingSerializer, request.data)
        run = self.get_object()
        try:
            again = services.retry_failed(run, trigger=Trigger.API, user=user_of(request))
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from error
        return Response(RunSerializer(again).data, status=status.HTTP_201_CREATED)

    def _told(self, request: Request, verb: Callable[[Run], None]) -> Response:
        self.checked(NothingSerializer, request.data)
        try:
            verb(self.get_object())
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from error
        return Response(self.get_serializer(self.get_object()).data)

    @action(detail=True, methods=["get"])
    def progress(self, request: Request, pk: int) -> Response:
        """Devices done, by outcome, with rate and time left; cheap enough to poll."""
        found = services.progress(self.get_object().pk)
        return Response(ProgressSerializer(found).data)


class KindViewSet(PlainListViewSet[Job]):
    """The kinds of jobs that there are, with the parameters that each takes."""

    queryset = Job.objects.none()
    serializer_class = KindSerializer
    action_permissions = {"list": ("jobs.view_job",)}

    def get_items(self) -> Sequence[JobKind]:
        """In the order of the form."""
        return list(KINDS.values())


class RunResults(ListViewSet[Result]):
    """What happened on each device of a run."""

    queryset = Result.objects.select_related("config_version")
    serializer_class = ResultSerializer
    filterset_class = filters.ResultFilter
    search_fields = ("device_name", "detail")
    ordering_fields = ("id", "device_name", "outcome", "duration_s", "login_count", "finished_at")
    ordering = ("device_name",)
    action_permissions = {"list": ("jobs.view_run", "jobs.view_result")}

    def get_queryset(self) -> QuerySet[Result]:
        """Those of the run in the address."""
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset.none()
        self._run = get_object_or_404(Run, pk=self.kwargs["run_id"])
        return queryset.filter(run=self._run)

    def paginate_queryset(self, queryset: Any) -> Any:
        """A page; of a credential test with what it found out."""
        page = super().paginate_queryset(queryset)
        self.tested = tested(self._run, page) if page and is_test(self._run) else {}
        return page


class ResultOutputs(ListViewSet[CommandOutput]):
    """What a device answered to the commands of a run, in the order of the job."""

    queryset = CommandOutput.objects.order_by("number")
    serializer_class = OutputSerializer
    action_permissions = {"list": ("jobs.view_run", "jobs.view_result")}

    def get_queryset(self) -> QuerySet[CommandOutput]:
        """Those of the result in the address."""
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset.none()
        result = get_object_or_404(Result, run=self.kwargs["run_id"], pk=self.kwargs["result_id"])
        return queryset.filter(result=result)


class AttemptViewSet(ReadViewSet[Attempt]):
    """Every login that was tried."""

    queryset = ATTEMPTS
    serializer_class = AttemptSerializer
    filterset_class = filters.AttemptFilter
    search_fields = ("device_name", "credential_name", "username")
    ordering_fields = ("id", "device_name", "credential_name", "outcome", "started_at", "duration_s")
    ordering = ("-id",)
