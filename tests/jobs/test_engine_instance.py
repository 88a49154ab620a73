"""Kinds of jobs that work on no device: performed once, stopped between two steps, performed again when lost."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from jobs.choices import RunStatus, ShardStatus, Trigger
from jobs.engine import drain
from jobs.engine.claims import claim
from jobs.engine.shard import run_shard
from jobs.kinds.base import KindFailed
from jobs.models import Job, Result, Run, Shard
from jobs.services import cancel_run, pause_run, progress, resume_run, start_adhoc, start_run
from tests.jobs.engine_kinds import Chore, named, registered

pytestmark = pytest.mark.django_db(transaction=True)


def perform(act) -> Run:
    with registered(Chore(act)):
        run = start_adhoc("chore", trigger=Trigger.COMMAND)
        run_shard(run.shards.get().pk)
    run.refresh_from_db()
    return run


def test_it_is_performed_and_its_summary_kept():
    seen = []

    def act(checkpoint):
        seen.append(checkpoint({"done": 1}))
        seen.append(Run.objects.get().summary)
        return {"done": 2}

    run = perform(act)
    assert seen == [False, {"done": 1}]
    assert (run.status, run.summary, run.device_count) == (RunStatus.SUCCEEDED, {"done": 2}, 0)
    assert not Result.objects.exists()
    assert progress(run.pk).summary == {"done": 2}


def test_it_refuses_devices():
    device = named("one")["one"]
    job = Job.objects.create(name="tidy", kind="chore", all_devices=True)
    with registered(Chore(lambda checkpoint: {})):
        for start in (
            lambda: start_adhoc("chore", devices=[device], trigger=Trigger.COMMAND),
            lambda: start_adhoc("chore", tags=["lab"], trigger=Trigger.COMMAND),
            lambda: start_run(job, trigger=Trigger.COMMAND),
        ):
            with pytest.raises(ValidationError, match="works on no device"):
                start()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KindFailed("The keyring is gone."), "The keyring is gone."),
        (ValidationError("No such key."), "No such key."),
        (ZeroDivisionError("secret"), "Internal error. Reference "),
    ],
)
def test_one_that_cannot_reach_its_end_fails_and_says_why(error, words):
    def act(checkpoint):
        raise error

    run = perform(act)
    assert run.status == RunStatus.FAILED
    assert run.message.startswith(words)
    assert "secret" not in run.message


def test_it_is_stopped_at_a_checkpoint_when_a_person_cancels():
    def act(checkpoint):
        cancel_run(Run.objects.get())
        assert not Run.objects.get().finished_at
        assert checkpoint({"done": 3})
        return {"done": 3}

    run = perform(act)
    assert (run.status, run.summary) == (RunStatus.CANCELLED, {"done": 3})


def test_one_that_waits_is_cancelled_at_once():
    with registered(Chore(lambda checkpoint: {})):
        run = start_adhoc("chore", trigger=Trigger.COMMAND)
        cancel_run(run)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert run.shards.get().status == ShardStatus.DONE


def test_it_stops_when_paused_and_is_performed_again_when_resumed():
    times = []

    def act(checkpoint):
        times.append(1)
        if len(times) == 1:
            pause_run(Run.objects.get())
        return {} if checkpoint({"times": len(times)}) else {"times": len(times)}

    with registered(Chore(act)):
        run = start_adhoc("chore", trigger=Trigger.COMMAND)
        shard = run.shards.get()
        run_shard(shard.pk)
        run_shard(shard.pk)
        run.refresh_from_db()
        assert (run.status, len(times)) == (RunStatus.PAUSED, 1)
        resume_run(run)
        run_shard(shard.pk)
    run.refresh_from_db()
    assert (run.status, run.summary) == (RunStatus.SUCCEEDED, {"times": 2})


def test_a_draining_worker_gives_it_back():
    def act(checkpoint):
        drain.begin()
        assert checkpoint({})
        return {}

    try:
        run = perform(act)
    finally:
        drain.clear()
    assert run.status == RunStatus.RUNNING
    assert run.shards.get().status == ShardStatus.QUEUED


def test_a_worker_that_was_taken_for_lost_learns_it_at_its_next_checkpoint_and_writes_nothing():
    ended = []

    def act(checkpoint):
        Shard.objects.update(status=ShardStatus.QUEUED)
        assert claim(Shard.objects.get().pk) is not None
        try:
            checkpoint({"by": "the old one"})
        finally:
            ended.append(True)
        return {"by": "the old one"}

    run = perform(act)
    assert ended
    assert run.summary == {}
    assert not run.finished_at
    assert run.shards.get().status == ShardStatus.RUNNING
