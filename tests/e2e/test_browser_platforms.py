"""A platform of one's own, from the list to a backup's texts, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from devices import platforms_table
from devices.connector import platforms
from devices.platforms_overrides import PlatformOverride
from tests.e2e.test_browser import browser, visit  # noqa: F401 - fixtures
from tests.netraven_site.api_helpers import make_device

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

RULES = """[platforms.acme_os]
label = "Acme OS"
vendor = "Acme"
like = "cisco_ios"
driver = "cisco_ios"
volatile = ['^! seen at']
"""
DUMP = "hostname r1\n! seen at 10:00\nenable secret 5 $1$abcd$efghijklmnop\n" + "!\n" * 40 + "end\n"


@pytest.fixture(autouse=True)
def _own_table() -> Iterator[None]:
    before = platforms.table()
    yield
    PlatformOverride.objects.all().delete()
    platforms.use(before)
    platforms_table.refresh(at_once=True)


def _picture(page: Page, name: str) -> None:
    """Kept where somebody asks for it, to look at."""
    if folder := os.environ.get("NETRAVEN_TEST_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page="platforms-" not in name)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_platform_is_added_tried_and_found_again(visit, theme: str) -> None:  # noqa: F811
    make_device("sw1")
    page = visit(theme).open("/admin/devices/platformoverride/")
    expect(page.locator("#platforms tbody tr").nth(100)).to_be_attached()
    _picture(page, f"platforms-{theme}")
    page.click("text=Add platform")
    page.fill("#id_text", RULES.replace("volatile", "volatil"))
    page.click("[name=_save]")
    expect(page.locator("body")).to_contain_text("unknown key; did you mean volatile?")
    page.fill("#id_text", RULES)
    _picture(page, f"platform-form-{theme}")
    page.click("[name=_save]")
    expect(page.locator("#texts")).to_contain_text("show running-config")
    expect(page.locator("#volatile")).to_contain_text("^! seen at")
    _picture(page, f"platform-{theme}")

    page.click("text=Try it")
    page.fill("#id_dump", DUMP)
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("#verdict")).to_contain_text("whole")
    expect(page.locator("#left-out")).to_contain_text("! seen at 10:00")
    expect(page.locator("#shown")).to_contain_text("enable secret 5 <secret>")
    expect(page.locator("#shown")).not_to_contain_text("efghijklmnop")
    _picture(page, f"platform-try-{theme}")

    page.goto(page.url.split("/admin/")[0] + "/admin/devices/platformoverride/?q=acme")
    expect(page.locator("#platforms tbody tr")).to_have_count(1)
    expect(page.locator("#platforms tbody tr")).to_contain_text("own")
