"""The states that rows of this app can have, the terminal ones named."""

from django.db import models

from devices.connector.outcomes import INFO


class RunStatus(models.TextChoices):
    """How far a run is."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    PARTIAL = "partial", "Partly failed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    PAUSED = "paused", "Paused"
    SKIPPED = "skipped", "Skipped"


RUN_FINISHED = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SKIPPED}
)


class ShardStatus(models.TextChoices):
    """How far a shard, the part of a run that one worker takes, is."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"


class ResultStatus(models.TextChoices):
    """How far a device of a run is."""

    PENDING = "pending", "Pending"
    DONE = "done", "Done"


class Trigger(models.TextChoices):
    """What started a run."""

    PERSON = "person", "Person"
    API = "api", "API"
    COMMAND = "command", "Command"
    SCHEDULE = "schedule", "Schedule"


class Recurrence(models.TextChoices):
    """When a job starts by itself."""

    NONE = "none", "Only when somebody starts it"
    CRON = "cron", "By a cron line"
    INTERVAL = "interval", "At an interval"
    ONCE = "once", "Once"


class Overlap(models.TextChoices):
    """What a scheduled start does while an earlier run of the job still goes on."""

    SKIP = "skip", "Skip this start"
    QUEUE = "queue", "Start when the earlier run has ended"


class LimitScope(models.TextChoices):
    """What a concurrency limit counts devices by."""

    SYSTEM = "system", "Whole system"
    SITE = "site", "Site"
    TAG = "tag", "Tag"
    DOMAIN = "domain", "AAA domain"


OUTCOME_CHOICES = [(outcome.value, info.label) for outcome, info in INFO.items()]
