"""Names and folders of an export: always safe, always distinct."""

from __future__ import annotations

import pytest

from devices.configs.export.layout import BadTemplate, Entry, check_template, is_safe, paths, safe_name


def entry(name: str, device: int = 1, kind: str = "running", **fields: str) -> Entry:
    values = {"site": "ams", "platform": "cisco_ios", "aaa_domain": "default", **fields}
    return Entry(device=device, name=name, kind=kind, version=1, text=1, digest="d", **values)


@pytest.mark.parametrize(
    "text",
    [
        "..", ".", "", " ", ".git", ".GIT", ".g\u200cit", ".gitmodules", "git~1", "GIT~1", "a/b", "a\\b", "/etc", "-x",
        "con", "NUL.txt", "a:b", "a\x00b", "a\nb", "name.", "x" * 500, "ü" * 300, "a\u202eb",
    ],
)  # fmt: skip
def test_a_name_cannot_leave_its_folder_nor_touch_what_is_gits(text):
    name = safe_name(text)
    assert is_safe(name)
    assert name
    assert name not in {".", ".."}
    assert "/" not in name
    assert len(name.encode()) <= 181


@pytest.mark.parametrize("name", ["core1", "sw-1.example.net", "Büro 3", "r1 (alt)", "10.0.0.1"])
def test_a_harmless_name_stays_as_it_is(name):
    assert safe_name(name) == name


def test_a_device_without_a_site_has_a_folder_too():
    assert list(paths([entry("a", site="")], "{site}/{name}")) == ["none/a"]


def test_a_sites_slashes_make_no_folders():
    assert list(paths([entry("a", site="../../etc")], "{site}/{name}")) == ["_.._.._etc/a"]


def test_paths_that_differ_in_case_alone_get_the_number_of_the_younger_device():
    found = paths([entry("A", 7), entry("a", 3)], "{name}")
    assert {path: each.device for path, each in found.items()} == {"a": 3, "A~7": 7}


def test_names_that_become_the_same_are_kept_apart():
    found = paths([entry("a:b", 1), entry("a?b", 2), entry("a_b~2", 3)], "{name}")
    assert len(found) == 3
    assert {each.device for each in found.values()} == {1, 2, 3}


def test_a_device_named_like_the_further_text_of_another_keeps_its_file():
    found = paths([entry("a", 1), entry("a", 1, "startup"), entry("a.startup", 2)], "{name}")
    assert len(found) == 3


def test_the_kind_stands_where_the_template_says():
    found = paths([entry("a"), entry("a", kind="startup")], "{kind}/{name}.cfg")
    assert list(found) == ["running/a.cfg", "startup/a.cfg"]


@pytest.mark.parametrize(
    "template", ["", "{site}", "{name", "a//{name}", "{name!r}", "{name:>9}", "{0}", "{x}/{name}", "{}"]
)
def test_a_template_that_cannot_be_used_is_refused(template):
    with pytest.raises(BadTemplate):
        check_template(template)


def test_a_template_cannot_lead_out_of_the_folder():
    assert list(paths([entry("a")], "../.git/{name}")) == ["none/_.git/a"]
