"""The commands import_devices and export_devices: what they print and how they exit."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from devices.models import Device

pytestmark = pytest.mark.django_db

HEADER = "name,host,port,platform,tags\n"


@pytest.fixture
def run(tmp_path, capsys):
    def run_import(text: str | bytes | None, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "devices.csv"
        if text is not None:
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        code = 0
        out = io.StringIO()
        message = ""
        try:
            call_command("import_devices", str(path), *options, stdout=out, no_color=True)
        except SystemExit as stop:
            code = stop.code
        except CommandError as error:
            code, message = error.returncode, str(error)
        return code, out.getvalue(), message

    return run_import


def test_the_table_tells_each_row_and_the_counts_stand_below(run):
    Device.objects.create(name="old", host="10.0.0.2", platform="cisco_ios", description="x")
    Device.objects.create(name="same", host="10.0.0.3", platform="cisco_ios")
    code, out, _ = run(
        HEADER + "sw1,10.0.0.1,,cisco_ios,core\nold,10.0.0.9,22,cisco_ios,\nsame,10.0.0.3,22,cisco_ios,\n"
    )
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "LINE ACTION NAME CHANGES",
        "2 created sw1 host 10.0.0.1, port 22, platform cisco_ios, tags core, transport ssh",
        "3 updated old host 10.0.0.2 -> 10.0.0.9",
        "4 unchanged same",
        "1 created, 1 updated, 1 unchanged, 0 wrong.",
    ]


def test_a_wrong_row_exits_with_one_and_each_problem_has_a_line(run):
    code, out, _ = run(HEADER + "sw1,10.0.0.1,,cisco_ios,\nsw2,no host,0,cisco_ios,\n")
    assert code == 1
    assert "host: 'no host' is neither" in out.splitlines()[2]
    assert "port: '0' is no whole number from 1 to 65535" in out.splitlines()[3]
    assert out.splitlines()[-1].endswith("Nothing was written, because a row is wrong.")
    assert not Device.objects.exists()


def test_skipped_rows_exit_with_one_too(run):
    code, out, _ = run(HEADER + "sw1,10.0.0.1,,cisco_ios,\nsw2,h,0,cisco_ios,\n", "--skip-errors")
    assert code == 1
    assert out.splitlines()[-1].endswith("The wrong rows were skipped.")
    assert Device.objects.get().name == "sw1"


def test_a_dry_run_writes_nothing_and_says_so(run):
    code, out, _ = run(HEADER + "sw1,10.0.0.1,,cisco_ios,\n", "--dry-run")
    assert code == 0
    assert out.splitlines()[-1].startswith("Dry run: 1 created")
    assert not Device.objects.exists()


def test_json_is_one_object_with_counts_and_rows(run):
    Device.objects.create(name="old", host="10.0.0.2", platform="cisco_ios")
    code, out, _ = run(HEADER + "old,10.0.0.2,23,cisco_ios,core\nsw2,h,0,cisco_ios,\n", "--json", "--skip-errors")
    report = json.loads(out)
    assert code == 1
    assert {key: report[key] for key in report if key != "rows"} == {
        "created": 0,
        "updated": 1,
        "unchanged": 0,
        "errors": 1,
        "dry_run": False,
        "written": True,
    }
    assert report["rows"][0] == {
        "line": 2,
        "name": "old",
        "action": "updated",
        "changes": {"port": {"old": 22, "new": 23}, "tags": {"old": [], "new": ["core"]}},
        "errors": [],
    }
    assert report["rows"][1]["errors"] == ["port: '0' is no whole number from 1 to 65535"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"", "empty"),
        (b"name,host\n", "missing column"),
        (b"name,host,port,platform,tags\nz\xfcrich,h,22,linux,\n", "byte 0xFC at offset 30"),
    ],
)
def test_a_file_of_no_use_exits_with_two(run, data, words):
    code, out, message = run(data)
    assert (code, out) == (2, "")
    assert words in message


def test_a_directory_is_wrong_use(tmp_path):
    with pytest.raises(CommandError, match="cannot be read") as caught:
        call_command("import_devices", str(tmp_path))
    assert caught.value.returncode == 2


def test_a_dash_reads_standard_input(monkeypatch):
    data = (HEADER + "zürich,10.0.0.1,,cisco_ios,\n").encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))
    call_command("import_devices", "-", stdout=io.StringIO())
    assert Device.objects.get().name == "zürich"


def test_nothing_printed_can_move_the_cursor(run):
    code, out, _ = run(HEADER + "sw\x1b[2J1,10.0.0.1\x9b,22,cisco\x1b_ios,\u202e\n")
    assert code == 1
    assert out.replace("\n", "").isprintable()


def test_the_help_explains_every_column(capsys):
    with pytest.raises(SystemExit):
        call_command("import_devices", "--help")
    out = capsys.readouterr().out
    for word in ("legacy_ssh", "an empty cell", "exit codes", "cisco_ios_telnet", "apostrophe"):
        assert word in out


def test_an_export_to_a_file_is_imported_unchanged(tmp_path, run):
    made = Device.objects.create(name="zürich", host="10.0.0.1", platform="cisco_ios", description="=1")
    made.tags.add("core", "edge; west")
    path = tmp_path / "out.csv"
    told = io.StringIO()
    call_command("export_devices", str(path), stderr=told)
    assert "1 devices written" in told.getvalue()
    code, out, _ = run(path.read_bytes())
    assert (code, out.splitlines()[-1]) == (
        0,
        "0 created, 0 updated, 1 unchanged, 0 wrong. Nothing was written.",
    )


def test_an_export_without_a_file_prints_the_csv_alone():
    out = io.StringIO()
    call_command("export_devices", stdout=out)
    assert out.getvalue() == "name,host,port,platform,tags,transport,site,aaa_domain,legacy_ssh,description,enabled\n"


def test_an_export_to_a_place_that_cannot_be_written_exits_with_two(tmp_path):
    with pytest.raises(CommandError, match="cannot be written") as caught:
        call_command("export_devices", str(tmp_path / "no" / "out.csv"))
    assert caught.value.returncode == 2
