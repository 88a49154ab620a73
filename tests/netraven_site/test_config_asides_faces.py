"""Incomplete outputs on their page and through the API; retention rules on theirs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from devices.asides import KeptAside
from devices.configs.asides import set_aside
from devices.configs.integrity import ReasonCode, Verdict
from devices.configs.store import latest, prepare
from devices.models import Device
from devices.retention import RetentionRule
from tests.netraven_site.api_helpers import client_with, config, make_device, make_version
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db
ASIDES = "devices_keptaside"
VIEW, DECIDE = "devices.view_keptaside", "devices.decide_keptaside"
URL = "/api/v1/incomplete-outputs/"


def aside(device: Device, code: ReasonCode = ReasonCode.SIZE_DROP) -> KeptAside:
    verdict = Verdict(False, "less than half of the last good text", "end", code)
    text = prepare(config("vlan 1", "snmp-server community Canary77community RO", "<b>bold</b>"), "cisco_ios")
    return set_aside(device.pk, "running", text, verdict, "end", timezone.now() + timedelta(seconds=5))


@pytest.fixture
def device() -> Device:
    made = make_device()
    make_version(made, config(*(f"vlan {n}" for n in range(50))))
    return made


def test_the_page_shows_why_and_what_differs_without_secrets(device) -> None:
    raw = administrator().get(page_of(ASIDES, aside(device).pk))
    page = text_of(raw)
    assert "less than half of the last good text" in page
    assert "vlan 49" in page
    assert "Canary77community" not in body(raw)
    assert "<b>bold" not in body(raw)
    assert "It is whole: accept" in page


def test_accepting_makes_it_the_latest_version(device) -> None:
    row = aside(device)
    answer = administrator().post(page_of(ASIDES, row.pk, "accept"), follow=True)
    assert messages_of(answer) == ["v2 is the latest."]
    assert latest(device.pk).number == 2
    assert "Accepted as a version by root" in text_of(answer)


def test_declining_leaves_the_last_good_version(device) -> None:
    row = aside(device)
    client = administrator()
    answer = client.post(page_of(ASIDES, row.pk, "decline"), follow=True)
    assert "not kept any more" in text_of(answer)
    assert latest(device.pk).number == 1
    again = client.post(page_of(ASIDES, row.pk, "decline"), follow=True)
    assert "no longer waits" in messages_of(again)[0]


def test_what_was_cut_for_certain_has_no_button_to_accept_it(device) -> None:
    row = aside(device, ReasonCode.NO_END_MARKER)
    client = administrator()
    assert "It is whole" not in text_of(client.get(page_of(ASIDES, row.pk)))
    answer = client.post(page_of(ASIDES, row.pk, "accept"), follow=True)
    assert "cannot become a version" in messages_of(answer)[0]
    assert latest(device.pk).number == 1


def test_deciding_needs_a_right_of_its_own(device) -> None:
    row = aside(device)
    client = staff_with(VIEW)
    assert "It is whole" not in text_of(client.get(page_of(ASIDES, row.pk)))
    for decision in ("accept", "decline"):
        assert client.post(page_of(ASIDES, row.pk, decision)).status_code == 403
    assert staff_with(DECIDE, name="olga").post(page_of(ASIDES, row.pk, "accept")).status_code == 403
    assert latest(device.pk).number == 1


def test_a_look_at_the_address_decides_nothing(device) -> None:
    row = aside(device)
    administrator().get(page_of(ASIDES, row.pk, "accept"))
    assert latest(device.pk).number == 1


def test_the_menu_names_them_while_some_wait(device) -> None:
    client = administrator()
    link = f'href="{list_of(ASIDES)}"'
    assert link not in body(client.get(reverse("admin:index")))
    aside(device)
    assert link in body(client.get(reverse("admin:index")))
    assert link not in body(staff_with("devices.view_device").get(reverse("admin:index")))


def test_the_list_is_filtered_by_what_waits(device) -> None:
    aside(device)
    client = administrator()
    assert "less than half" in text_of(client.get(f"{list_of(ASIDES)}?state=waiting"))
    assert "less than half" not in text_of(client.get(f"{list_of(ASIDES)}?state=accepted"))


def test_the_api_lists_reads_and_decides(device) -> None:
    row = aside(device)
    client = client_with(VIEW, DECIDE)
    (listed,) = client.get(URL, {"state": "waiting"}).json()["results"]
    assert (listed["device_name"], listed["reason_code"], listed["can_be_accepted"]) == ("sw1", "size_drop", True)
    assert "text" not in listed
    text = client.get(f"{URL}{row.pk}/").json()["text"]
    assert "vlan 1" in text
    assert "Canary77community" not in text
    done = client.post(f"{URL}{row.pk}/accept/").json()
    assert (done["state"], done["decided_by"]) == ("accepted", "olga")
    assert latest(device.pk).pk == done["version"]
    assert client.post(f"{URL}{row.pk}/decline/").status_code == 409


def test_the_api_needs_the_right_to_decide(device) -> None:
    row = aside(device)
    client = client_with(VIEW)
    assert client.post(f"{URL}{row.pk}/accept/").status_code == 403
    assert client_with("devices.view_device", name="piet").get(URL).status_code == 403


# --- retention ---------------------------------------------------------------------------------------------
RULES = "devices_retentionrule"
DAYS = {"all_days": "30", "daily_days": "90", "weekly_days": "365", "monthly_days": ""}


def test_a_rule_for_all_devices_is_added_once() -> None:
    client = administrator()
    add = reverse(f"admin:{RULES}_add")
    client.post(add, {**DAYS, "device": "", "tag": ""})
    assert [rule.steps for rule in RetentionRule.objects.all()] == [(30, 90, 365, None)]
    again = client.post(add, {**DAYS, "device": "", "tag": ""})
    assert "There is a rule for all devices already" in text_of(again)
    assert "until 30 days" in text_of(client.get(list_of(RULES)))


def test_a_rule_for_a_device_or_a_tag_says_so_in_the_list(device) -> None:
    client = administrator()
    add = reverse(f"admin:{RULES}_add")
    client.post(add, {**DAYS, "device": device.pk, "tag": ""})
    client.post(add, {**DAYS, "device": "", "tag": device.tags.get().pk})
    page = text_of(client.get(list_of(RULES)))
    assert "device sw1" in page
    assert "tag core" in page
    both = client.post(add, {**DAYS, "device": device.pk, "tag": device.tags.get().pk})
    assert "not for both" in text_of(both)


def test_steps_that_do_not_rise_are_refused_beside_their_field() -> None:
    values = {**DAYS, "daily_days": "10", "device": "", "tag": ""}
    answer = administrator().post(reverse(f"admin:{RULES}_add"), values)
    assert "This step ends before the one before it (30 days)." in text_of(answer)
    assert not RetentionRule.objects.exists()


def test_rules_are_changed_and_deleted_with_rights_alone() -> None:
    rule = RetentionRule.objects.create(all_days=10, daily_days=10, weekly_days=10, monthly_days=10)
    seeing = staff_with("devices.view_retentionrule")
    assert "for ever" not in text_of(seeing.get(list_of(RULES)))
    assert seeing.post(reverse(f"admin:{RULES}_add"), DAYS).status_code == 403
    client = administrator()
    change = reverse(f"admin:{RULES}_change", args=[rule.pk])
    client.post(change, {**DAYS, "device": "", "tag": ""})
    rule.refresh_from_db()
    assert rule.steps == (30, 90, 365, None)
    client.post(reverse(f"admin:{RULES}_delete", args=[rule.pk]), {"confirmed": "yes"})
    assert not RetentionRule.objects.exists()
