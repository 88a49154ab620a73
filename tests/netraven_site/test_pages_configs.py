"""Configurations: the text with its line numbers, and the diff of two versions."""

from __future__ import annotations

import pytest
from django.urls import reverse

from devices.models import ConfigVersion, Device
from tests.netraven_site.api_helpers import config, make_device, make_version
from tests.netraven_site.pages import administrator, body, list_of, page_of, staff_with, text_of

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
        page_of("devices_device", first.device_id),
        list_of(VERSIONS),
    ):
        assert canary not in body(client.get(url)), url
    assert "secret:" in body(client.get(page_of(VERSIONS, first.pk)))


def test_what_a_device_says_is_escaped_in_text_and_diff() -> None:
    evil = "description <script>alert(1)</script>"
    _, first, second = _two(evil, evil + "<img src=x onerror=alert(2)>")
    client = administrator()
    for url in (page_of(VERSIONS, first.pk), f"{DIFF}?before={first.pk}&after={second.pk}&whole=1"):
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


def test_versions_of_two_devices_are_not_compared() -> None:
    _, first, _ = _two()
    other = make_version(make_device("sw2"), config("vlan 9"))
    assert administrator().get(f"{DIFF}?before={first.pk}&after={other.pk}").status_code == 404


def test_text_download_and_diff_need_the_right_to_see_configurations() -> None:
    _, first, second = _two()
    client = staff_with("devices.view_device")
    for url in (
        page_of(VERSIONS, first.pk),
        page_of(VERSIONS, first.pk, "download"),
        f"{DIFF}?before={first.pk}&after={second.pk}",
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
