"""The page that searches configurations."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from devices.configs import index
from devices.models import ConfigVersion
from devices.searches import SavedSearch
from tests.netraven_site.api_helpers import config, make_device, make_version
from tests.netraven_site.pages import administrator, body, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db


def address(**values: Any) -> str:
    return f"{reverse('admin:devices_configversion_search')}?{urlencode(values, doseq=True)}"


@pytest.fixture
def versions() -> tuple[ConfigVersion, ConfigVersion]:
    one = make_version(make_device("sw1", site="ams"), config("ntp server 10.0.0.1", "router bgp 65001"))
    two = make_version(make_device("sw2", tags=("edge",)), config("ntp server 10.0.0.2"))
    return one, two


def test_each_line_leads_to_its_place_in_the_configuration(versions) -> None:
    page = body(administrator().get(address(q="router bgp")))
    assert f'<a href="{page_of("devices_configversion", versions[0].pk)}#L4">4</a>' in page
    assert "<mark>router bgp</mark> 65001" in page
    assert f'<a href="{page_of("devices_configversion", versions[0].pk)}#L3">3</a>' in page, "the line before"
    assert "sw2" not in page


def test_a_line_far_down_in_a_long_text_is_on_the_page_that_its_link_leads_to() -> None:
    long = make_version(make_device("long"), config(*(f"line {n}" for n in range(30_000)), "needle"))
    client = administrator()
    link = f"{page_of('devices_configversion', long.pk)}?line=30003#L30003"
    assert link in body(client.get(address(q="needle")))
    page = body(client.get(link))
    assert '<tr id="L30003"><td><a href="#L30003">30003</a></td><td>needle</td>' in page
    assert 'id="L100"' not in page


def test_devices_that_lack_it_are_listed_with_those_of_which_nothing_is_kept(versions) -> None:
    make_device("fresh")
    page = text_of(administrator().get(address(q="router bgp", absent="on")))
    assert "1 configuration without it, of 2" in page
    assert "Of 1 device nothing is kept" in page
    assert "sw2" in page


def test_filters_and_ways_of_reading_are_applied(versions) -> None:
    client = administrator()
    for values, expected in (
        ({"q": "ntp server"}, 2),
        ({"q": "ntp server", "site": "ams"}, 1),
        ({"q": "ntp server", "tag": "edge"}, 1),
        ({"q": "ntp server", "platform": "arista_eos"}, 0),
        ({"q": "server ntp", "mode": "words"}, 2),
        ({"q": r"^router \w+ \d+$", "mode": "regex"}, 1),
        ({"q": "NTP", "case": "on"}, 0),
    ):
        assert client.get(address(**values)).context["found"].count == expected, values


def test_what_is_typed_and_what_devices_say_is_escaped() -> None:
    make_version(make_device(), config("description <script>alert(1)</script>"))
    page = body(administrator().get(address(q="<script>")))
    assert "<mark>&lt;script&gt;</mark>alert(1)" in page
    assert "<script>alert" not in page
    assert 'value="&lt;script&gt;"' in page


def test_a_wrong_expression_is_said_and_nothing_breaks(versions) -> None:
    page = administrator().get(address(q="(", mode="regex"))
    assert page.status_code == 200
    assert "no regular expression" in text_of(page)


@pytest.mark.parametrize(
    "values", [{"q": "x", "after": "0"}, {"q": "x", "mode": "glob"}, {"q": "x" * 300}, {"after": "x"}]
)
def test_a_wrong_address_is_answered_in_words(values) -> None:
    page = administrator().get(address(**values))
    assert page.status_code == 200
    assert 'role="alert"' in body(page)


def test_pages_follow_one_another() -> None:
    for number in range(30):
        make_version(make_device(f"sw{number:02}"), config("vlan 7"))
    client = administrator()
    first = client.get(address(q="vlan 7"))
    assert len(first.context["found"].hits) == 25
    second = client.get(address(q="vlan 7", after=first.context["found"].next))
    assert [hit.version.device.name for hit in second.context["found"].hits] == [f"sw{n}" for n in range(25, 30)]
    assert "first page" in text_of(second)


def test_the_page_says_what_the_index_does_not_know_yet(versions) -> None:
    client = administrator()
    index.index_latest()
    assert "does not know" not in text_of(client.get(address(q="ntp server")))
    make_version(make_device("sw3"), config("ntp server 10.0.0.3"))
    page = client.get(address(q="ntp server"))
    assert "The index does not know 1 of these texts yet; they were read." in text_of(page)
    assert page.context["found"].count == 3


def test_a_search_is_kept_run_again_and_deleted(versions) -> None:
    client = administrator()
    values = {"q": "ntp server", "site": "ams", "tag": ["core", "edge"], "absent": "on"}
    save = reverse("admin:devices_configversion_search_save")
    answer = client.post(f"{save}?{urlencode(values, doseq=True)}", {"name": "ntp at ams"}, follow=True)
    assert "is kept" in messages_of(answer)[0]
    ((row, link, is_own),) = answer.context["saved"]
    assert (row.name, is_own) == ("ntp at ams", True)
    again = client.get(link)
    assert again.context["query"].as_dict() == row.query
    assert again.context["query"].tags == ("core", "edge")
    client.post(reverse("admin:devices_configversion_search_delete", args=[row.pk]))
    assert not SavedSearch.objects.exists()


def test_another_persons_search_can_be_neither_seen_nor_deleted(versions) -> None:
    owner = staff_with("devices.view_configversion", name="olga")
    owner.post(f"{reverse('admin:devices_configversion_search_save')}?q=ntp", {"name": "mine"})
    row = SavedSearch.objects.get()
    other = staff_with("devices.view_configversion", name="nils")
    assert "mine" not in text_of(other.get(address()))
    assert other.post(reverse("admin:devices_configversion_search_delete", args=[row.pk])).status_code == 404


def test_sharing_needs_a_right_of_its_own(versions) -> None:
    save = f"{reverse('admin:devices_configversion_search_save')}?q=ntp"
    client = staff_with("devices.view_configversion", name="nils")
    assert client.post(save, {"name": "ours", "shared": "1"}).status_code == 403
    sharing = staff_with("devices.view_configversion", "devices.share_savedsearch", name="olga")
    assert sharing.post(save, {"name": "ours", "shared": "1"}).status_code == 302
    assert "ours" in text_of(client.get(address()))


def test_searching_needs_the_right_to_see_configurations() -> None:
    client = staff_with("devices.view_device")
    assert client.get(address(q="x")).status_code == 403
    assert client.post(reverse("admin:devices_configversion_search_save"), {}).status_code == 403
    assert "Search" not in text_of(client.get(reverse("admin:index"))).split("Dashboard")[0]


def test_the_menu_has_the_search_and_lights_it_alone(versions) -> None:
    page = administrator().get(address())
    day = page.context["sidebar_navigation"][0]["items"] if "sidebar_navigation" in page.context else []
    lit = [item["title"] for item in day if item.get("active")]
    assert lit == ["Search"]
