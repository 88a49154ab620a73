"""Exports into git repositories, read by git itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.configs.export.repository import Repository
from devices.configs.export.service import Wish, export
from devices.configs.export.target import ExportError
from devices.models import Device
from devices.services import delete_devices, save_device
from tests.commands import run
from tests.devices.exported import SECRET, commits_of, export_to, files_of, git, keep

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "configs"


def test_each_device_is_a_file_in_the_folder_of_its_site_and_one_commit_names_them(folder):
    keep("core1")
    keep("edge9", site="ber")
    report = export_to(folder)
    assert files_of(folder) == ["ams/core1", "ber/edge9"]
    assert commits_of(folder) == 1
    assert report.new == ["core1", "edge9"]
    assert git(folder, "log", "--format=%s") == "2 devices: core1, edge9\n"
    assert (folder / "ams/core1").read_text().startswith("hostname core1\n")
    assert git(folder, "status", "--porcelain") == ""
    git(folder, "fsck", "--strict")


def test_no_secret_is_in_any_object(folder):
    keep("core1")
    export_to(folder)
    everything = git(folder, "log", "-p", "--all")
    assert "snmp-server community <" in everything
    assert SECRET not in everything


def test_a_change_is_one_commit_that_says_what_and_who(folder):
    keep("core1", "interface Gi0/1", " shutdown")
    keep("core2")
    export_to(folder)
    keep("core1", "interface Gi0/1", " no shutdown", "! Last configuration change at 10:00:00 UTC by alice")
    report = export_to(folder)
    assert (report.changed, report.new, report.read) == (["core1"], [], 1)
    assert git(folder, "show", "--name-only", "--format=%s") == "1 device: core1\n\nams/core1\n"
    assert "changed core1: interface Gi0/1" in git(folder, "log", "-1", "--format=%b")


def test_nothing_changed_is_no_commit_and_reads_no_text(folder):
    keep("core1")
    export_to(folder)
    with CaptureQueriesContext(connection) as queries:
        report = export_to(folder)
    assert (report.commit, report.read, commits_of(folder)) == ("", 0, 1)
    assert not any("packed" in each["sql"] for each in queries)


def test_a_version_with_the_same_shown_text_makes_no_commit(folder):
    keep("core1")
    export_to(folder)
    report = export_to(folder, full=True)
    assert (report.commit, report.read) == ("", 1)


def test_a_deleted_device_goes_in_a_commit_and_its_history_stays(folder):
    keep("core1")
    keep("core2")
    export_to(folder)
    delete_devices(Device.objects.filter(name="core1"))
    report = export_to(folder)
    assert report.removed == ["core1"]
    assert files_of(folder) == ["ams/core2"]
    assert not (folder / "ams/core1").exists()
    assert git(folder, "log", "--format=%s", "--", "ams/core1").count("\n") == 2


def test_a_renamed_device_is_one_commit_that_git_follows(folder):
    device = keep("core1", *[f"ip route 10.{n}.0.0 255.255.0.0 192.0.2.1" for n in range(20)])
    export_to(folder)
    save_device(device, name="core1-new", site="ber")
    report = export_to(folder)
    assert (report.renamed, report.removed, report.new) == (["core1-new"], [], [])
    assert git(folder, "show", "-M", "--format=", "--name-status") == "R100\tams/core1\tber/core1-new\n"
    assert len(git(folder, "log", "--follow", "--format=%h", "--", "ber/core1-new").split()) == 2
    assert not (folder / "ams").exists()


def test_other_texts_of_a_device_have_their_kind_behind_the_name(folder):
    keep("core1")
    keep("core1", "startup", kind="startup")
    export_to(folder)
    assert files_of(folder) == ["ams/core1", "ams/core1.startup"]


def test_a_bare_repository_named_by_node_is_as_tools_expect_it(folder):
    keep("core1")
    export_to(folder, bare=True, template="{name}")
    assert git(folder, "rev-parse", "--is-bare-repository") == "true\n"
    assert git(folder, "show", "HEAD:core1").startswith("hostname core1\n")
    keep("core1", "changed")
    export_to(folder, template="{name}")
    assert git(folder, "log", "--format=%s", "--", "core1").count("\n") == 2


def test_author_message_and_time_are_as_they_were_asked_for(folder):
    keep("core1")
    at = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
    wish = Wish(folder=folder, author="Net Ops <net@example.net>", message="nightly, {count}")
    export(wish, now=at)
    assert git(folder, "log", "--format=%an|%ae|%cn|%s|%aI|%cI") == (
        "Net Ops|net@example.net|Net Ops|nightly, 1 device|2026-03-01T02:30:00+00:00|2026-03-01T02:30:00+00:00\n"
    )


def test_the_tag_decides_which_devices_are_there(folder):
    keep("core1")
    keep("edge1", tags=["edge"])
    export_to(folder, tags=("edge",))
    assert files_of(folder) == ["ams/edge1"]


def test_files_that_people_added_stay(folder):
    keep("core1")
    export_to(folder)
    (folder / "README").write_text("ours\n")
    git(folder, "add", "README")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "readme")
    keep("core1", "changed")
    report = export_to(folder)
    assert report.foreign == 1
    assert files_of(folder) == ["README", "ams/core1"]
    assert git(folder, "status", "--porcelain") == ""


def test_a_file_that_somebody_spoiled_is_made_whole_by_a_full_export(folder):
    keep("core1")
    export_to(folder)
    (folder / "ams/core1").write_text("spoiled\n")
    export_to(folder, full=True)
    assert git(folder, "status", "--porcelain") == ""
    assert commits_of(folder) == 1


def test_names_that_differ_in_case_alone_are_two_files(folder):
    keep("Core1")
    second = keep("core1")
    export_to(folder)
    assert files_of(folder) == ["ams/Core1", f"ams/core1~{second.pk}"]


def test_many_texts_become_a_pack(folder):
    for number in range(80):
        keep(f"sw{number:03}")
    export_to(folder)
    assert len(files_of(folder)) == 80
    assert list((folder / ".git/objects/pack").glob("*.pack"))
    git(folder, "fsck", "--strict")


# --- what stands in the way ----------------------------------------------------------------------
def test_a_folder_with_other_things_in_it_is_left_alone(folder):
    keep("core1")
    folder.mkdir()
    (folder / "letters.txt").write_text("dear")
    with pytest.raises(ExportError, match="not empty and no git repository"):
        export_to(folder)
    assert os.listdir(folder) == ["letters.txt"]


def test_an_export_of_nothing_empties_no_repository(folder):
    keep("core1")
    export_to(folder)
    Device.objects.all().delete()
    with pytest.raises(ExportError, match="nothing was written"):
        export_to(folder)
    assert files_of(folder) == ["ams/core1"]


def test_a_link_in_the_work_tree_leads_nowhere(folder, tmp_path):
    keep("core1")
    export_to(folder)
    keep("edge1", site="out")
    (tmp_path / "elsewhere").mkdir()
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="is a link"):
        export_to(folder)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_repository_that_another_export_holds_is_refused(folder):
    keep("core1")
    export_to(folder)
    with Repository.opened(folder, 0), pytest.raises(ExportError, match="Another export is writing"):
        export_to(folder)


def test_an_export_waits_for_the_one_before(folder):
    keep("core1")
    export_to(folder)
    keep("core1", "changed")
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with Repository.opened(folder, 0):
            held.set()
            released.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    threading.Timer(0.2, released.set).start()
    report = export(Wish(folder=folder), wait_s=10)
    other.join()
    assert report.changed == ["core1"]


def test_a_lock_of_another_program_is_named_and_stays(folder):
    keep("core1")
    export_to(folder)
    keep("core1", "changed")
    lock = folder / ".git/index.lock"
    lock.touch()
    with pytest.raises(ExportError, match=r"index\.lock is there: another program"):
        export_to(folder)
    assert lock.exists()
    lock.unlink()
    assert export_to(folder).changed == ["core1"]


# --- killed ----------------------------------------------------------------------------------------
_KILLED = """
import os, signal, sys
from pathlib import Path
from datetime import datetime, timezone
from devices.configs.export import repository
from devices.configs.export.target import Commit, Exported

step = sys.argv[2]

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

class Dying(repository.Repository):
    if step == "before the index":
        _stage = die
    if step == "before the commit":
        _commit = die
    if step == "before the branch moves":
        _move = die

if step == "within the branch's lock":
    import dulwich.file
    dulwich.file._GitFile.close = die
if step == "before the note":
    repository.write_state = die

with Dying.opened(Path(sys.argv[1]), 1) as target:
    if step == "at once":
        die()
    target.put({"ams/core1": b"cut off\\n", "ams/new": b"new\\n"})
    files = {"ams/core1": Exported(1, "running", "x"), "ams/new": Exported(2, "running", "y")}
    target.finish([], files, Commit("a <a@b>", "m", datetime.now(timezone.utc)))
raise SystemExit("it was to be killed")
"""
STEPS = (
    "at once",
    "before the index",
    "before the commit",
    "before the branch moves",
    "within the branch's lock",
    "before the note",
)


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_export_is_put_right_by_the_next_one(folder, step):
    keep("core1")
    export_to(folder)
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder), step], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    keep("core2")
    export_to(folder)
    assert (folder / "ams/core1").read_text().startswith("hostname core1\n")
    assert git(folder, "show", "HEAD:ams/core1").startswith("hostname core1\n")
    assert "ams/core2" in files_of(folder)
    git(folder, "fsck", "--strict")
    assert not list(folder.rglob("*.lock"))
    assert not list(folder.rglob(".netraven-*"))
    changes = [line for line in git(folder, "status", "--porcelain").splitlines() if "ams/new" not in line]
    assert changes == []


@pytest.mark.parametrize("bare", [True, False])
def test_a_repository_of_which_only_folders_were_made_is_made_anew(folder, bare):
    keep("core1")
    control = folder if bare else folder / ".git"
    (control / "objects/pack").mkdir(parents=True)
    (control / "refs").mkdir()
    export_to(folder, bare=bare)
    assert files_of(folder) == ["ams/core1"]


def test_a_damaged_repository_is_said_to_be_one(folder):
    keep("core1")
    export_to(folder)
    for each in (folder / ".git/objects").glob("??/*"):
        each.unlink()
    keep("core1", "changed")
    with pytest.raises(ExportError, match="is damaged"):
        export_to(folder)


# --- the command -------------------------------------------------------------------------------------
def test_the_command_writes_plain_files(folder):
    keep("core1")
    keep("core2")
    done = run("export_configs", str(folder))
    assert done.code == 0, done.err
    assert "2 files in" in done.out
    assert (folder / "ams/core1").read_text().startswith("hostname core1\n")
    delete_devices(Device.objects.filter(name="core2"))
    keep("core1", "changed")
    report = json.loads(run("export_configs", str(folder), "--json").out)
    assert (report["changed"], report["removed"], report["read"]) == (["core1"], ["core2"], 1)
    assert sorted(each.name for each in folder.rglob("*") if not each.name.startswith(".")) == ["ams", "core1"]


def test_the_command_commits(folder):
    keep("core1")
    done = run("export_configs", str(folder), "--git", "--bare", "--template", "{name}", "--tag", "core")
    assert done.code == 0, done.err
    assert f"commit {git(folder, 'rev-parse', 'HEAD')[:12]}" in done.out
    assert "nothing has changed" in run("export_configs", str(folder), "--git", "--template", "{name}").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--template", "{site}"], "needs {name}"),
        (["--template", "{name}/{password}"], "not {password}"),
        (["--template", "{name.__class__}"], "not {name.__class__}"),
        (["--tag", "nowhere"], "no tag named"),
        (["--bare"], "needs --git"),
        (["--git", "--push"], "names no remote"),
        (["--git", "--author", "me"], "An author is written as"),
    ],
)
def test_wrong_use_is_said_before_anything_is_written(folder, arguments, said):
    keep("core1")
    done = run("export_configs", str(folder), *arguments)
    assert done.code == 2
    assert said in done.err
    assert not folder.exists()
