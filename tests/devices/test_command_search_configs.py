"""The commands search_configs and index_configs."""

import json

import pytest

from devices.configs import index
from devices.configs.store import prepare, save_version
from devices.models import Device
from devices.services import save_device
from tests.commands import run

pytestmark = pytest.mark.django_db


def device(name: str, *lines: str, **fields: str) -> None:
    values = {"host": "192.0.2.1", "platform": "cisco_ios", **fields}
    made = save_device(Device(), name=name, tags=["lab"], **values)
    text = "\n".join([f"hostname {name}", *lines, "end", ""])
    save_version(made.pk, "running", prepare(text, made.platform))


@pytest.fixture(autouse=True)
def _fleet() -> None:
    device("a1", "ntp server 10.0.0.1", "router bgp 65001")
    device("a2", "ntp server 10.0.0.2", "ip http server", site="ams")


def test_lines_are_printed_in_the_manner_of_grep():
    done = run("search_configs", "router bgp", "--context", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out == "a1-2-ntp server 10.0.0.1\na1:3:router bgp 65001\na1-4-end\n"


def test_devices_that_lack_it_are_listed_by_name():
    assert run("search_configs", "--not", "ip http server").out == "a1\n"


def test_names_alone_can_be_listed():
    assert run("search_configs", "--regex", r"^ntp server \S+$", "--list").out == "a1\na2\n"


def test_what_is_left_out_is_said():
    assert "a1: and 2 more lines" in run("search_configs", "--regex", ".", "--lines", "2").out


def test_nothing_found_is_said_and_is_exit_code_one():
    done = run("search_configs", "nothing of this")
    assert (done.code, done.out) == (1, "")
    assert "Nothing was found in 2 configurations." in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--regex", "("), "no regular expression"),
        (("x", "--tag", "nope"), "There is no tag named 'nope'"),
        (("x", "--context", "99"), "--context"),
        (("x", "--lines", "0"), "--lines"),
        (("",), "Type what to look for"),
    ],
)
def test_wrong_use_is_refused_in_words(arguments, words):
    done = run("search_configs", *arguments)
    assert done.code == 2
    assert words in done.err


def test_json_has_lines_and_numbers():
    report = json.loads(run("search_configs", "http", "--site", "ams", "--json").out)
    assert report["count"] == 1
    assert report["looked_at"] == 1
    assert report["results"][0] == {
        "device": "a2",
        "kind": "running",
        "version": 1,
        "lines_found": 1,
        "lines": [{"number": 3, "text": "ip http server", "is_hit": True}],
    }


def test_indexing_reports_what_it_did_and_then_has_nothing_to_do():
    assert run("index_configs", "--status").out == "0 texts are indexed, 2 wait.\n"
    assert run("index_configs").out == "2 texts are indexed, 0 wait; 2 added, 0 dropped.\n"
    assert run("index_configs").out == "2 texts are indexed, 0 wait; 0 added, 0 dropped.\n"
    report = json.loads(run("index_configs", "--rebuild", "--json").out)
    assert (report["known"], report["waiting"], report["added"]) == (2, 0, 2)


def test_a_missing_index_is_made_by_the_command():
    index.drop()
    assert run("index_configs", "--status").code == 1
    assert run("index_configs").out.startswith("2 texts are indexed")
