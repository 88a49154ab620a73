"""Jobs, their runs, what happened on each device, and every login that was tried."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords
from taggit.models import Tag

from credentials.models import Credential
from devices.connector.outcomes import OutcomeInfo, info
from devices.models import ConfigVersion, Device
from jobs import limits, outputs, rollups, windows  # noqa: F401 - models of this app that have files of their own
from jobs.choices import OUTCOME_CHOICES, Overlap, Recurrence, ResultStatus, RunStatus, ShardStatus, Trigger


class Job(models.Model):
    """What to do, on which devices, with which parameters."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict, blank=True)
    tags = models.ManyToManyField(Tag, blank=True, related_name="jobs", help_text="Devices with any of these tags.")
    devices = models.ManyToManyField(Device, blank=True, related_name="jobs", help_text="And these devices.")
    all_devices = models.BooleanField(default=False, help_text="Every enabled device.")
    enabled = models.BooleanField(default=True)
    description = models.CharField(max_length=250, blank=True)
    max_parallel = models.PositiveIntegerField(
        "devices at once",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Most devices of one run that are worked on at the same time, over all workers. Empty: no limit.",
    )

    recurrence = models.CharField("schedule", max_length=10, choices=Recurrence, default=Recurrence.NONE)
    cron = models.CharField(
        "cron line", max_length=100, blank=True, help_text="Minute, hour, day, month, weekday: 15 2 * * 1-5"
    )
    time_zone = models.CharField(max_length=64, blank=True, help_text="Of the cron line. Empty: that of the server.")
    interval_s = models.PositiveIntegerField(
        "interval", null=True, blank=True, validators=[MinValueValidator(60)], help_text="Seconds, 60 at least."
    )
    jitter_s = models.PositiveIntegerField(
        "jitter", default=0, help_text="Each start is put off by a random time of at most so many seconds."
    )
    run_at = models.DateTimeField("at", null=True, blank=True, help_text="For a job that starts once.")
    overlap = models.CharField(max_length=10, choices=Overlap, default=Overlap.SKIP)
    next_run_at = models.DateTimeField("next start", null=True, blank=True, editable=False, db_index=True)
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("changed", auto_now=True)

    history = HistoricalRecords(m2m_fields=[tags, devices], excluded_fields=["updated_at", "next_run_at"])

    class Meta:
        ordering = ["name"]
        permissions = [("run_job", "Can run a job")]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One execution of a job."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="runs")
    job_name = models.CharField(max_length=100)
    kind = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    status = models.CharField(max_length=12, choices=RunStatus, default=RunStatus.QUEUED, db_index=True)
    trigger = models.CharField(max_length=10, choices=Trigger, default=Trigger.PERSON)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    requested_by_name = models.CharField(max_length=150, blank=True)
    message = models.CharField(max_length=250, blank=True, help_text="Why there is nothing to show, if so.")
    cancel_requested = models.BooleanField(default=False)
    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retries")
    max_parallel = models.PositiveIntegerField(null=True, help_text="Most devices at once, over all workers.")
    ignores_windows = models.BooleanField(default=False, help_text="A person said: also in maintenance windows.")
    scheduled_for = models.DateTimeField(null=True, help_text="The start of the schedule that this run is.")
    summary = models.JSONField(default=dict, blank=True, help_text="What a kind without devices has done so far.")
    device_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_index=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["job", "-id"], name="run_of_job")]
        constraints = [
            # Two schedulers that see the same start make one run of it.
            models.UniqueConstraint(fields=["job", "scheduled_for"], name="one_run_a_scheduled_start"),
        ]

    def __str__(self) -> str:
        return f"{self.job_name} #{self.pk}"


class Shard(models.Model):
    """The part of a run that one worker takes, under a lease that others can see end."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="shards")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=ShardStatus, default=ShardStatus.QUEUED)
    fence = models.PositiveIntegerField(default=0, help_text="Rises with every claim; an older holder may not write.")
    holder = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    suspected_at = models.DateTimeField(null=True, help_text="When its lease looked wrong; a living holder clears it.")
    written = models.PositiveBigIntegerField(default=0, help_text="Number of the holder's last batch of writes.")
    enqueued_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="shard_number_once")]
        indexes = [models.Index(fields=["status", "lease_until"], name="shard_lease")]

    def __str__(self) -> str:
        return f"run {self.run_id} shard {self.number}"


class Result(models.Model):
    """What happened on one device in one run."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results")
    shard = models.ForeignKey(Shard, null=True, on_delete=models.SET_NULL, related_name="results")
    device = models.ForeignKey(Device, null=True, on_delete=models.SET_NULL, related_name="results")
    device_name = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=ResultStatus, default=ResultStatus.PENDING)
    outcome = models.CharField(max_length=30, blank=True, choices=OUTCOME_CHOICES)
    detail = models.CharField(max_length=500, blank=True)
    advice = models.CharField(max_length=500, blank=True)
    credential = models.ForeignKey(Credential, null=True, on_delete=models.SET_NULL, related_name="+")
    credential_name = models.CharField(max_length=100, blank=True)
    login_count = models.PositiveIntegerField(default=0)
    open_login = models.JSONField(null=True, editable=False, help_text="A login under way: no secret, for the books.")
    tries = models.PositiveIntegerField(default=1, help_text="Above 1 when a worker was lost and another took over.")
    config_version = models.ForeignKey(ConfigVersion, null=True, on_delete=models.SET_NULL, related_name="results")
    config_changed = models.BooleanField(null=True)
    data = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    duration_s = models.FloatField(null=True)

    class Meta:
        ordering = ["run", "device_name"]
        constraints = [models.UniqueConstraint(fields=["run", "device"], name="one_result_a_device")]
        indexes = [
            models.Index(fields=["run", "status", "outcome"], name="result_by_outcome"),
            models.Index(fields=["device", "-id"], name="result_of_device"),
        ]

    def __str__(self) -> str:
        return f"{self.device_name}: {self.outcome or self.status}"

    @property
    def outcome_info(self) -> OutcomeInfo:
        """Label, tone and advice of the outcome."""
        return info(self.outcome)


class Attempt(models.Model):
    """One login with one credential on one device."""

    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="attempts")
    device = models.ForeignKey(Device, null=True, on_delete=models.SET_NULL, related_name="attempts")
    device_name = models.CharField(max_length=100)
    credential = models.ForeignKey(Credential, null=True, on_delete=models.SET_NULL, related_name="attempts")
    credential_name = models.CharField(max_length=100, blank=True)
    credential_version = models.PositiveIntegerField(null=True)
    username = models.CharField(max_length=150, blank=True)
    order = models.PositiveIntegerField(help_text="1 for the first login on this device in this run")
    reason = models.CharField(max_length=200, blank=True, help_text="Why this credential, in words")
    outcome = models.CharField(max_length=30, choices=OUTCOME_CHOICES)
    fate = models.CharField(max_length=12, help_text="What became of the secret on the wire")
    detail = models.CharField(max_length=500, blank=True)
    address = models.CharField(max_length=300, blank=True)
    host_key = models.CharField("host key fingerprint", max_length=60, blank=True)
    is_test = models.BooleanField(default=False)
    requested_by_name = models.CharField("user", max_length=150, blank=True)
    started_at = models.DateTimeField(db_index=True)
    duration_s = models.FloatField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["device", "-id"], name="attempt_of_device"),
            models.Index(fields=["credential", "-id"], name="attempt_of_credential"),
        ]

    def __str__(self) -> str:
        return f"{self.device_name} with {self.credential_name}: {self.outcome}"

    @property
    def outcome_info(self) -> OutcomeInfo:
        """Label, tone and advice of the outcome."""
        return info(self.outcome)


class WorkerBeat(models.Model):
    """The last sign of life of a task cluster: written by a task, so it proves that tasks run."""

    host = models.CharField(max_length=100, unique=True)
    asked_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.host
