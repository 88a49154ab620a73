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


RUN_FINISHED = frozenset({RunStatus.SUCCEEDED, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.CANCELLED})


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


OUTCOME_CHOICES = [(outcome.value, info.label) for outcome, info in INFO.items()]
