"""The facts of a device on its page."""

from __future__ import annotations

import pytest

from devices.facts import save_facts
from tests.netraven_site.api_helpers import make_device
from tests.netraven_site.pages import administrator, body, page_of, staff_with

pytestmark = pytest.mark.django_db
FACTS = {"vendor": "Cisco", "model": "C9300-48P", "serial": "FOC1234X", "version": "17.9.4", "hostname": "sw1"}


def page(device) -> str:
    return body(administrator().get(page_of("devices_device", device.pk)))


def test_a_device_that_was_never_asked_says_which_job_asks():
    text = page(make_device())
    assert "a job of the kind Facts asks" in text
    assert 'value="facts">Ask now' in text


def test_the_facts_of_now_and_before_are_shown():
    device = make_device()
    save_facts(device.pk, {**FACTS, "uptime_s": 90_000})
    save_facts(device.pk, {**FACTS, "version": "17.12.1"})
    text = page(device)
    for word in ("C9300-48P", "FOC1234X", "17.9.4", "17.12.1"):
        assert word in text
    assert "It calls itself" not in text


def test_a_hostname_that_is_not_the_name_of_the_device_is_pointed_out():
    device = make_device(name="ams-core-01")
    save_facts(device.pk, FACTS)
    assert "It calls itself" in page(device)


def test_what_a_device_says_cannot_become_markup():
    device = make_device()
    save_facts(device.pk, {**FACTS, "model": "<script>alert(1)</script>"})
    assert "<script>alert(1)" not in page(device)


def test_whoever_may_start_nothing_has_no_button():
    device = make_device()
    text = body(staff_with("devices.view_device").get(page_of("devices_device", device.pk)))
    assert "Ask now" not in text
