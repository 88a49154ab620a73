"""Configurations: the text with its line numbers, and the diff of two versions."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from devices.configs.store import version_text
from devices.models import ConfigVersion, Device
from tests.netraven_site.api_helpers import config, make_device, make_version
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db

VERSIONS = "devices_configversion"
DIFF = "/admin/devices/configversion/diff/"


def _two(before: str = "vlan 1", after: str = "vlan 2") -> tuple[Device, ConfigVersion, ConfigVersion]:
    device = make_device()
    return device, make_version(device, config(before)), make_version(device, config(after))


def test_the_text_stands_line_by_line_with_anchors() -> None:
    _, first, _ = _two("vlan 7")
    page = body(administrator().get(page_of(VERSIONS, first.pk)))
    assert '<tr id="L3"><td><a href="#L3">3</a></td><td>vlan 7</td></tr>' in page


def test_a_secret_is_a_placeholder_in_text_download_and_diff() -> None:
    canary = "canaryOfTheConfig7"
    _, first, second = _two(f"snmp-server community {canary} RO", f"snmp-server community {canary}X RO")
    client = administrator()
    for url in (
        page_of(VERSIONS, first.pk),
        page_of(VERSIONS, first.pk, "download"),
        f"{DIFF}?before={first.pk}&after={second.pk}",
        f"{DIFF}?before={first.pk}&after={second.pk}&view=side",
        f"{DIFF}patch/?before={first.pk}&after={second.pk}",
        f"{DIFF}lines/?after={second.pk}&start=1&from=1&count=9",
        page_of("devices_device", first.device_id),
        list_of(VERSIONS),
    ):
        assert canary not in body(client.get(url)), url
    assert "secret:" in body(client.get(page_of(VERSIONS, first.pk)))


def test_what_a_device_says_is_escaped_in_text_and_diff() -> None:
    evil = "description <script>alert(1)</script>"
    _, first, second = _two(evil, evil + "<img src=x onerror=alert(2)>")
    client = administrator()
    diff = f"{DIFF}?before={first.pk}&after={second.pk}&whole=1"
    lines = f"{DIFF}lines/?after={second.pk}&start=1&from=1&count=9"
    for url in (page_of(VERSIONS, first.pk), diff, f"{diff}&view=side", lines, f"{lines}&view=side"):
        page = body(client.get(url))
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;" in page


def test_the_download_is_text_that_no_browser_takes_for_a_page() -> None:
    _, first, _ = _two()
    answer = administrator().get(page_of(VERSIONS, first.pk, "download"))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == 'attachment; filename="sw1-v1.txt"'


def test_the_diff_has_signs_numbers_and_marks_the_changed_words() -> None:
    _, first, second = _two("vlan 1", "vlan 2")
    page = administrator().get(f"{DIFF}?before={first.pk}&after={second.pk}")
    raw = body(page)
    assert '<tr class="nr-removed"><td>3</td><td></td><td>-</td><td>vlan <mark>1</mark></td></tr>' in raw
    assert '<tr class="nr-added"><td></td><td>3</td><td>+</td><td>vlan <mark>2</mark></td></tr>' in raw
    assert (page.context["added"], page.context["removed"]) == (1, 1)


def test_equal_lines_are_folded_unless_the_whole_text_is_asked_for() -> None:
    many = "\n".join(f"line {number}" for number in range(60))
    _, first, second = _two(many + "\nvlan 1", many + "\nvlan 2")
    client = administrator()
    url = f"{DIFF}?before={first.pk}&after={second.pk}"
    assert "equal lines" in text_of(client.get(url))
    assert "line 17" not in text_of(client.get(url))
    assert "line 17" in text_of(client.get(url + "&whole=1"))


def test_versions_in_the_wrong_order_are_turned_round() -> None:
    _, first, second = _two()
    answer = administrator().get(f"{DIFF}?before={second.pk}&after={first.pk}")
    assert answer.url == f"?before={first.pk}&after={second.pk}"


def test_a_version_compared_with_itself_shows_no_difference() -> None:
    _, first, _ = _two()
    page = administrator().get(f"{DIFF}?before={first.pk}&after={first.pk}")
    assert "show no difference" in text_of(page)


@pytest.mark.parametrize("query", ["", "?before=1", "?before=x&after=y", "?before=99999999999999999999&after=1"])
def test_a_diff_of_versions_that_are_not_there_is_not_found(query: str) -> None:
    assert administrator().get(DIFF + query).status_code == 404


def test_versions_of_two_devices_are_compared() -> None:
    _, first, _ = _two()
    other = make_version(make_device("sw2"), config("vlan 9"))
    page = administrator().get(f"{DIFF}?before={other.pk}&after={first.pk}")
    assert "vlan <mark>9</mark>" in body(page)
    assert "sw2 v1 and sw1 v1" in text_of(page)


def test_naming_another_device_takes_its_latest_version() -> None:
    _, first, second = _two()
    other = make_device("sw2")
    make_version(other, config("vlan 8"))
    latest = make_version(other, config("vlan 9"))
    page = administrator().get(f"{DIFF}?before={first.pk}&after={second.pk}&after_device=SW2")
    assert (page.context["before"], page.context["after"]) == (first, latest)


def test_a_device_that_is_not_there_is_said_and_the_versions_stay() -> None:
    _, first, second = _two()
    page = administrator().get(f"{DIFF}?before={first.pk}&after={second.pk}&before_device=nobody")
    assert page.context["before"] == first
    assert messages_of(page) == ["There is no configuration of a device named nobody."]


def test_side_by_side_has_a_line_before_and_a_line_after_in_a_row() -> None:
    _, first, second = _two("vlan 1", "vlan 2\nvlan 3")
    raw = body(administrator().get(f"{DIFF}?before={first.pk}&after={second.pk}&view=side"))
    assert (
        '<tr><td>3</td><td class="nr-removed-side">vlan <mark>1</mark></td>'
        '<td>3</td><td class="nr-added-side">vlan <mark>2</mark></td></tr>' in raw
    )
    assert '<tr><td></td><td class="nr-blank"></td><td>4</td><td class="nr-added-side">vlan 3</td></tr>' in raw


@pytest.mark.parametrize("view", ["", "&view=side"])
def test_folded_lines_are_shown_where_they_are_asked_for(view: str) -> None:
    many = "\n".join(f"line {number}" for number in range(60))
    _, first, second = _two("vlan 1\n" + many + "\nvlan 1", "vlan 2\nvlan 7\n" + many + "\nvlan 2")
    client = administrator()
    raw = body(client.get(f"{DIFF}?before={first.pk}&after={second.pk}{view}"))
    asked = re.findall(r'data-nr-unfold="([^"]+)"', raw)
    assert asked == ["from=7&amp;start=8&amp;count=54"]
    lines = client.get(f"{DIFF}lines/?after={second.pk}{view}&{asked[0].replace('&amp;', '&')}")
    rows = re.findall(r"<tr.*?</tr>", body(lines))
    assert len(rows) == 54
    numbers = [[cell for cell in re.findall(r">([^<]*)</td>", row) if cell.isdigit()] for row in rows]
    assert (numbers[0], numbers[-1]) == (["7", "8"], ["60", "61"])
    assert rows[0].count("<td") == 4


def test_very_many_folded_lines_come_in_parts() -> None:
    _, first, _ = _two("\n".join(f"line {number}" for number in range(3000)))
    raw = body(administrator().get(f"{DIFF}lines/?after={first.pk}&from=11&start=1&count=2500"))
    assert raw.count("<tr") == 1001
    assert 'data-nr-unfold="from=1011&amp;start=1001&amp;count=1500"' in raw


def test_a_long_diff_comes_in_parts() -> None:
    _, first, second = _two("\n".join(f"a {n}" for n in range(3000)), "\n".join(f"b {n}" for n in range(3000)))
    client = administrator()
    page = client.get(f"{DIFF}?before={first.pk}&after={second.pk}")
    assert page.context["parts"] == 2
    assert body(page).count('<tr class="nr-') == 4000
    assert "b 2999" in body(client.get(f"{DIFF}?before={first.pk}&after={second.pk}&part=2"))


def _applied(text: str, patch: str) -> str:
    """What `patch` makes of a text."""
    lines, kept, at = text.splitlines(), [], 0
    for line in patch.splitlines()[2:]:
        if line.startswith("@@"):
            start, count = (int(part) for part in re.findall(r"-(\d+),(\d+)", line)[0])
            start -= count > 0
            kept += lines[at:start]
            at = start
        elif line.startswith("+"):
            kept.append(line[1:])
        else:
            assert lines[at] == line[1:]
            kept += [line[1:]] if line.startswith(" ") else []
            at += 1
    return "\n".join([*kept, *lines[at:], ""])


def test_the_diff_as_a_file_can_be_applied() -> None:
    _, first, second = _two("vlan 1\nvlan 2\nvlan 3", "vlan 1\nvlan 5\nvlan 3\nvlan 9")
    answer = administrator().get(f"{DIFF}patch/?before={first.pk}&after={second.pk}")
    assert answer["Content-Disposition"] == 'attachment; filename="sw1-v1-v2.diff"'
    assert _applied(version_text(first), body(answer)) == version_text(second)


def test_who_changed_it_is_said_where_the_device_says_it() -> None:
    head = "! Last configuration change at 10:00:00 UTC Mon Mar 2 2026 by olga\n"
    device = make_device()
    first = make_version(device, config("vlan 1"))
    second = make_version(device, head + config("vlan 2"))
    client = administrator()
    for url in (f"{DIFF}?before={first.pk}&after={second.pk}", page_of(VERSIONS, second.pk)):
        assert "changed by olga, " in text_of(client.get(url)).replace(" , ", ", "), url
    assert "changed by" not in text_of(client.get(page_of(VERSIONS, first.pk)))


def test_the_change_is_said_in_one_line() -> None:
    device, first, second = _two("vlan 1", "vlan 2")
    third = make_version(device, config("vlan 2", "router bgp 7", " neighbor 10.0.0.1 remote-as 1"))
    client = administrator()
    assert second.summary in text_of(client.get(f"{DIFF}?before={first.pk}&after={second.pk}"))
    assert "router bgp 7 added" in text_of(client.get(f"{DIFF}?before={first.pk}&after={third.pk}"))


def test_names_of_devices_that_have_a_configuration_are_suggested() -> None:
    _two()
    make_device("sw-without")
    client = administrator()
    assert client.get(f"{DIFF}devices/?q=SW").json() == {"names": ["sw1"]}


def test_text_download_and_diff_need_the_right_to_see_configurations() -> None:
    _, first, second = _two()
    client = staff_with("devices.view_device")
    for url in (
        page_of(VERSIONS, first.pk),
        page_of(VERSIONS, first.pk, "download"),
        f"{DIFF}?before={first.pk}&after={second.pk}",
        f"{DIFF}patch/?before={first.pk}&after={second.pk}",
        f"{DIFF}lines/?after={second.pk}&start=1&from=1&count=9",
        f"{DIFF}devices/?q=s",
    ):
        assert client.get(url).status_code == 403


def test_a_version_leads_to_the_ones_before_and_after_it() -> None:
    device, first, second = _two()
    third = make_version(device, config("vlan 3"))
    page = administrator().get(page_of(VERSIONS, second.pk))
    assert (page.context["older"], page.context["newer"]) == (first, third)


def test_the_list_leads_to_device_and_text() -> None:
    device, first, _ = _two()
    page = body(administrator().get(reverse("admin:devices_configversion_changelist")))
    assert page_of("devices_device", device.pk) in page
    assert page_of(VERSIONS, first.pk) in page
    assert "First version" in page
