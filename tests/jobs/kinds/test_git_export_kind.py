"""The kind `git_export`: what may be asked for, and what a run of it does."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from jobs.choices import RunStatus
from jobs.kinds import KINDS
from jobs.kinds.base import KindFailed
from tests.devices.exported import commits_of, files_of, git, keep

pytestmark = pytest.mark.django_db(transaction=True)
KIND = KINDS["git_export"]


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.NETRAVEN_EXPORT_DIR = tmp_path / "export"
    settings.NETRAVEN_GIT_REMOTE = ""
    settings.NETRAVEN_GIT_AUTHOR = "Net <net@example.net>"
    return tmp_path / "export" / "configurations"


def never(summary) -> bool:
    return False


def test_a_run_commits_and_its_summary_names_the_devices(folder):
    keep("core1")
    keep("core2")
    summary = KIND.perform(KIND.clean({}), never)
    assert files_of(folder) == ["ams/core1", "ams/core2"]
    assert git(folder, "log", "--format=%an") == "Net\n"
    assert summary == {
        "files": 2,
        "new": 2,
        "changed": 0,
        "renamed": 0,
        "removed": 0,
        "commit": git(folder, "rev-parse", "HEAD")[:12],
        "pushed": None,
        "devices": "core1, core2",
    }
    assert KIND.perform(KIND.clean({}), never)["commit"] is None
    assert commits_of(folder) == 1


def test_a_run_that_is_stopped_has_changed_nothing_and_is_made_again(folder):
    keep("core1")
    KIND.perform(KIND.clean({}), never)
    keep("core1", "changed")
    KIND.perform(KIND.clean({}), lambda summary: True)
    assert commits_of(folder) == 1
    KIND.perform(KIND.clean({}), never)
    assert commits_of(folder) == 2
    assert git(folder, "status", "--porcelain") == ""


def test_a_run_in_the_engine_ends_green(folder):
    from tests.jobs.fleet import run_now

    keep("core1")
    run, _ = run_now("git_export", parameters={"template": "{name}", "bare": True})
    assert run.status == RunStatus.SUCCEEDED, run.message
    assert files_of(folder) == ["core1"]


def test_a_push_that_fails_is_a_failure_after_the_commit(folder, settings, tmp_path):
    settings.NETRAVEN_GIT_REMOTE = (tmp_path / "nowhere.git").as_uri()
    keep("core1")
    with pytest.raises(KindFailed, match="is not there"):
        KIND.perform(KIND.clean({}), never)
    assert commits_of(folder) == 1
    KIND.perform(KIND.clean({"push": "no"}), never)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"repository": "../../etc"}, "named by letters"),
        ({"repository": ".git"}, "named by letters"),
        ({"template": "{site}"}, "needs {name}"),
        ({"tags": ["nowhere"]}, "no tag nowhere"),
        ({"remote": "https://elsewhere.example/a.git"}, "no parameter remote"),
    ],
)
def test_wrong_parameters_are_refused_by_the_form(parameters, said):
    with pytest.raises(ValidationError, match=said):
        KIND.clean(parameters)
