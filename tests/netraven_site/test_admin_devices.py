"""Devices in the portal: form, page, bulk actions, import and export."""

from __future__ import annotations

import csv
import io

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from credentials.models import Credential
from devices.models import Device
from jobs.choices import ResultStatus
from jobs.models import Result, Run
from netraven_site.panels.importing import pack
from tests.netraven_site.api_helpers import (
    config,
    make_attempt,
    make_credential,
    make_device,
    make_key,
    make_run,
    make_version,
)
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db

DEVICES = "devices_device"
HEADER = "name,host,port,platform,tags\n"


def _form(**changed: str) -> dict[str, str]:
    return {
        "name": "sw1",
        "host": "10.0.0.1",
        "port": "22",
        "platform": "cisco_ios",
        "transport": "ssh",
        "site": "",
        "aaa_domain": "default",
        "description": "",
        "tags": "core, floor 3; core",
        "enabled": "on",
        **changed,
    }


def _act(client: Client, action: str, devices: list[Device], **more: str):
    data = {"action": action, "index": "0", "select_across": "0", "_selected_action": [str(d.pk) for d in devices]}
    return client.post(list_of(DEVICES), {**data, **more}, follow=True)


def _upload(client: Client, text: str):
    file = SimpleUploadedFile("devices.csv", text.encode(), "text/csv")
    return client.post(reverse("admin:devices_device_import"), {"file": file})


# --- form -----------------------------------------------------------------------------------------
def test_a_new_device_gets_its_tags_once_and_one_looks_at_it_next() -> None:
    answer = administrator().post(reverse("admin:devices_device_add"), _form())
    device = Device.objects.get()
    assert answer.url == page_of(DEVICES, device.pk)
    assert sorted(device.tags.names()) == ["core", "floor 3"]


def test_the_form_of_a_device_shows_its_tags_and_takes_them_away() -> None:
    device = make_device(tags=("core", "lab"))
    client = administrator()
    url = page_of(DEVICES, device.pk, "change")
    assert 'value="core, lab"' in body(client.get(url))
    client.post(url, _form(tags="lab"))
    assert list(device.tags.names()) == ["lab"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"platform": "cisco_ioss"}, "cisco_ios"),
        ({"host": "300.1.1.1"}, "is not a valid IP address"),
        ({"port": "70000"}, "65535"),
        ({"name": "taken"}, "already exists"),
        ({"name": "a/b"}, "no slashes"),
        ({"transport": "telnet", "platform": "linux_ssh"}, ""),
        ({"tags": "x" * 101}, "at most 100 characters"),
        ({"tags": "a\x07b"}, "no control characters"),
    ],
)
def test_what_is_wrong_with_a_device_stands_at_its_field_and_nothing_is_written(wrong, says: str) -> None:
    make_device("taken")
    page = administrator().post(reverse("admin:devices_device_add"), _form(**wrong))
    assert page.status_code == 200
    assert set(page.context["adminform"].form.errors) <= set(wrong)
    assert says in text_of(page)
    assert Device.objects.count() == 1


def test_a_refused_change_leaves_the_old_name_in_the_title() -> None:
    device = make_device("sw1")
    page = administrator().post(page_of(DEVICES, device.pk, "change"), _form(name="b/ad"))
    crumbs = body(page).split('class="nr-crumbs"')[1].split("</h1>")[0]
    assert "sw1" in crumbs
    assert "b/ad" not in crumbs


def test_who_changed_a_device_and_what_stands_in_its_history() -> None:
    device = make_device("sw1", site="Oslo")
    client = administrator("vera")
    client.post(page_of(DEVICES, device.pk, "change"), _form(site="Bergen"))
    seen = text_of(client.get(page_of(DEVICES, device.pk, "history")))
    assert "vera" in seen
    assert "Site Oslo → Bergen" in seen


def test_the_history_is_not_written_through() -> None:
    device = make_device()
    old = device.history.first()
    answer = administrator().post(f"/admin/devices/device/{device.pk}/history/{old.pk}/", _form(name="changed"))
    assert answer.status_code in {302, 404}
    assert Device.objects.get().name == "sw1"


def test_somebody_who_may_only_look_gets_the_page_in_place_of_the_form() -> None:
    device = make_device()
    client = staff_with("devices.view_device")
    assert client.get(page_of(DEVICES, device.pk, "change")).url == page_of(DEVICES, device.pk)
    assert client.post(page_of(DEVICES, device.pk, "change"), _form(name="changed")).status_code == 302
    assert Device.objects.get().name == "sw1"
    page = body(client.get(page_of(DEVICES, device.pk)))
    assert "Back up now" not in page
    assert page_of(DEVICES, device.pk, "change") not in page


def test_the_platforms_are_suggested_in_the_form() -> None:
    page = body(administrator().get(reverse("admin:devices_device_add")))
    assert '<option value="arista_eos">' in page


# --- page -----------------------------------------------------------------------------------------
def test_the_page_says_which_credentials_would_be_tried_in_which_order_and_why() -> None:
    device = make_device(tags=("core", "lab"))
    make_credential("second", tags=("core",), priority=50)
    make_credential("first", tags=("lab",), priority=10)
    make_credential("spare", tags=(), is_fallback=True)
    page = administrator().get(page_of(DEVICES, device.pk))
    assert [each.candidate.name for each in page.context["explanation"].candidates] == ["first", "second", "spare"]
    seen = text_of(page)
    assert "shares tag lab; priority 10" in seen
    assert "matches every device; fallback, tried last" in seen


def test_the_page_says_which_credential_is_skipped_and_why() -> None:
    device = make_device(transport="telnet", port=23)
    make_credential()
    page = administrator().get(page_of(DEVICES, device.pk))
    assert "Not allowed over telnet." in text_of(page)
    assert page.context["explanation"].candidates[0].order is None


def test_a_device_without_any_credential_says_what_to_do() -> None:
    device = make_device(tags=())
    assert "No enabled credential shares a tag with this device, which has no tags." in text_of(
        administrator().get(page_of(DEVICES, device.pk))
    )


def test_a_failure_shows_its_class_what_happened_advice_and_where_it_is_mended() -> None:
    device = make_device()
    make_run(device, outcome="rejected")
    Result.objects.update(detail="Permission denied <for> netops")
    page = administrator().get(page_of(DEVICES, device.pk))
    seen = text_of(page)
    assert "Rejected" in seen
    assert "Permission denied <for> netops" in seen
    assert "Every matching credential was refused." in seen
    assert f'href="{page_of(DEVICES, device.pk)}#candidates"' in body(page)


def test_the_page_shows_versions_attempts_results_and_host_keys() -> None:
    device = make_device()
    make_version(device, config("vlan 1"))
    second = make_version(device, config("vlan 2"))
    credential = make_credential()
    make_attempt(device, credential, detail="a word of the device")
    make_key(device, "SHA256:waiting")
    page = body(administrator().get(page_of(DEVICES, device.pk)))
    first = device.config_versions.get(number=1)
    assert f"?before={first.pk}&amp;after={second.pk}" in page
    assert "a word of the device" in page
    assert "SHA256:waiting" in page
    assert 'value="approve"' in page


def test_the_page_shows_only_what_one_may_see() -> None:
    device = make_device()
    make_version(device, config("vlan 1"))
    make_attempt(device, make_credential("secretive"), detail="a word of the device")
    make_key(device, "SHA256:waiting")
    page = body(staff_with("devices.view_device").get(page_of(DEVICES, device.pk)))
    for hidden in ("secretive", "a word of the device", "SHA256:waiting", 'id="versions"'):
        assert hidden not in page


def test_the_page_of_a_device_that_is_not_there_is_not_found() -> None:
    assert administrator().get(page_of(DEVICES, 999)).status_code == 404


@pytest.mark.parametrize("kind", ["backup", "credential_test"])
def test_the_buttons_of_the_page_start_a_run_on_this_device_alone(kind: str) -> None:
    device, _ = make_device("sw1"), make_device("sw2")
    answer = administrator("vera").post(page_of(DEVICES, device.pk, "run"), {"kind": kind})
    run = Run.objects.get()
    assert answer.url == page_of("jobs_run", run.pk)
    assert (run.kind, run.requested_by_name, run.trigger) == (kind, "vera", "person")
    assert list(run.results.values_list("device", "status")) == [(device.pk, ResultStatus.PENDING)]


def test_one_credential_is_tested_on_a_device() -> None:
    device = make_device()
    make_credential("team")
    administrator().post(page_of(DEVICES, device.pk, "run"), {"kind": "credential_test", "credential": "team"})
    assert Run.objects.get().parameters == {"credential": "team"}


def test_a_refusal_of_the_service_is_shown_and_nothing_starts() -> None:
    device = make_device()
    answer = administrator().post(page_of(DEVICES, device.pk, "run"), {"kind": "format_flash"}, follow=True)
    assert "There is no kind format_flash" in messages_of(answer)[0]
    assert not Run.objects.exists()


def test_starting_needs_its_right_and_a_post() -> None:
    device = make_device()
    assert (
        staff_with("devices.view_device").post(page_of(DEVICES, device.pk, "run"), {"kind": "backup"}).status_code
        == 403
    )
    assert administrator().get(page_of(DEVICES, device.pk, "run")).status_code == 405
    assert not Run.objects.exists()


# --- bulk actions -----------------------------------------------------------------------------------
def test_a_bulk_action_says_how_many_it_touches_and_asks_first() -> None:
    devices = [make_device("sw1"), make_device("sw2"), make_device("sw3", enabled=False)]
    page = _act(administrator(), "back_up", devices)
    assert "Back up now: 2 devices" in text_of(page)
    assert "1 disabled device of the selection will be left alone." in text_of(page)
    assert not Run.objects.exists()


def test_a_confirmed_backup_runs_on_the_chosen_devices() -> None:
    chosen = [make_device("sw1"), make_device("sw2")]
    make_device("sw3")
    _act(administrator(), "back_up", chosen, confirmed="yes")
    run = Run.objects.get()
    assert run.kind == "backup"
    assert set(run.results.values_list("device", flat=True)) == {device.pk for device in chosen}


def test_a_bulk_action_on_disabled_devices_alone_never_means_the_whole_fleet() -> None:
    off = make_device("off", enabled=False)
    make_device("on")
    answer = _act(administrator(), "back_up", [off], confirmed="yes")
    assert "None of the selected devices is enabled" in messages_of(answer)[0]
    assert not Run.objects.exists()


def test_all_pages_of_a_filtered_list_are_chosen_at_once() -> None:
    oslo = [make_device(f"sw{n}", site="Oslo") for n in range(3)]
    make_device("elsewhere")
    data = {"action": "disable", "index": "0", "select_across": "1", "_selected_action": [str(oslo[0].pk)]}
    client = administrator()
    url = list_of(DEVICES) + "?site=Oslo"
    assert "Disable: 3 devices" in text_of(client.post(url, data))
    client.post(url, {**data, "confirmed": "yes"})
    assert set(Device.objects.filter(enabled=False).values_list("site", flat=True)) == {"Oslo"}
    assert Device.objects.filter(enabled=True).count() == 1


def test_tags_are_added_and_none_is_taken_away() -> None:
    device = make_device(tags=("core",))
    client = administrator()
    assert "Tags to add" in text_of(_act(client, "add_tags", [device]))
    assert "This field is required." in text_of(_act(client, "add_tags", [device], confirmed="yes", tags=""))
    _act(client, "add_tags", [device], confirmed="yes", tags="lab, Core")
    assert sorted(device.tags.names()) == ["core", "lab"]


def test_tags_are_removed_and_the_others_stay() -> None:
    device, other = make_device(tags=("core", "lab")), make_device("sw2", tags=("lab",))
    client = administrator()
    assert "Tags to remove" in text_of(_act(client, "remove_tags", [device]))
    said = _act(client, "remove_tags", [device, other], confirmed="yes", tags="CORE")
    assert "1 device lost the tag CORE. 1 other had none of them." in text_of(said)
    assert list(device.tags.names()) == ["lab"]
    assert list(other.tags.names()) == ["lab"]


def test_removing_a_tag_that_does_not_exist_says_so() -> None:
    device = make_device(tags=("core",))
    said = _act(administrator(), "remove_tags", [device], confirmed="yes", tags="core, kore")
    assert "There is no tag kore." in text_of(said)
    assert list(device.tags.names()) == ["core"]


@pytest.mark.parametrize(
    "action", ["back_up", "test_logins", "add_tags", "remove_tags", "enable", "disable", "delete_chosen"]
)
def test_an_action_without_its_right_is_not_offered_and_does_nothing(action: str) -> None:
    device = make_device()
    client = staff_with("devices.view_device")
    assert f'value="{action}"' not in body(client.get(list_of(DEVICES)))
    _act(client, action, [device], confirmed="yes", tags="x")
    assert Device.objects.get().enabled
    assert not Run.objects.exists()


def test_devices_are_deleted_with_their_versions_and_leave_their_results() -> None:
    device = make_device()
    make_version(device, config("vlan 1"))
    run = make_run(device)
    client = administrator()
    page = client.get(page_of(DEVICES, device.pk, "delete"))
    assert "configuration version go with a device" in text_of(page)
    client.post(page_of(DEVICES, device.pk, "delete"), {"confirmed": "yes"})
    assert not Device.objects.exists()
    assert run.results.get().device_name == "sw1"
    assert LogEntry.objects.get().object_repr == "sw1"


# --- export and import ---------------------------------------------------------------------------------
def test_the_export_is_what_the_list_shows() -> None:
    make_device("sw1", site="Oslo")
    make_device("sw2", site="Bergen")
    answer = administrator().get(reverse("admin:devices_device_export") + "?site=Oslo")
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [row["name"] for row in rows] == ["sw1"]
    assert answer["Content-Disposition"].startswith('attachment; filename="devices-')


def test_a_preview_shows_each_row_and_writes_nothing() -> None:
    make_device("old", host="10.0.0.1")
    make_device("same", host="10.0.0.2", tags=())
    page = _upload(
        administrator(),
        HEADER
        + "new,10.0.0.9,22,cisco_ios,core\nold,10.0.0.7,22,cisco_ios,core\n"
        + "same,10.0.0.2,22,cisco_ios,\nbad,nowhere at all,22,cisco_ios,\n",
    )
    seen = text_of(page)
    assert "Preview: nothing is written yet" in seen
    assert "host 10.0.0.1 -> 10.0.0.7" in seen
    assert "5 bad host:" in seen
    assert [(group["action"], group["count"]) for group in page.context["groups"]] == [
        ("error", 1),
        ("updated", 1),
        ("created", 1),
        ("unchanged", 1),
    ]
    assert Device.objects.count() == 2


def test_a_confirmed_preview_is_imported_with_the_person_in_the_history() -> None:
    client = administrator("vera")
    page = _upload(client, HEADER + "new,10.0.0.9,22,cisco_ios,core\n")
    packed = page.context["confirm"].initial["packed"]
    result = client.post(reverse("admin:devices_device_import"), {"packed": packed})
    assert "1 created" in messages_of(result)[0]
    device = Device.objects.get()
    assert device.history.get().history_user.username == "vera"


def test_wrong_rows_stop_the_import_unless_skipping_them_is_asked_for() -> None:
    client = administrator()
    packed = pack((HEADER + "good,10.0.0.9,22,cisco_ios,\nbad,x y,22,cisco_ios,\n").encode())
    page = client.post(reverse("admin:devices_device_import"), {"packed": packed})
    assert "Nothing was written, because a row is wrong." in messages_of(page)[0]
    assert not Device.objects.exists()
    client.post(reverse("admin:devices_device_import"), {"packed": packed, "skip_errors": "on"})
    assert Device.objects.get().name == "good"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,address\nx,y\n", "did you mean 'host'"),
        (HEADER, "no device below it"),
        ("PK\x03\x04rest", "workbook"),
    ],
)
def test_a_file_of_no_use_is_explained(text: str, says: str) -> None:
    page = _upload(administrator(), text)
    assert says in text_of(page)
    assert page.context["report"] is None


@pytest.mark.parametrize("packed", ["not base64 !", "eJwDAAAAAAE", ""])
def test_a_preview_that_was_tampered_with_is_refused(packed: str) -> None:
    page = administrator().post(reverse("admin:devices_device_import"), {"packed": packed})
    assert page.status_code == 200
    assert not Device.objects.exists()


def test_importing_needs_the_right_to_add_and_to_change() -> None:
    client = staff_with("devices.view_device", "devices.add_device")
    assert client.get(reverse("admin:devices_device_import")).status_code == 403


def test_words_of_a_file_are_escaped_in_the_preview() -> None:
    page = body(_upload(administrator(), HEADER + "<script>x,<b>,22,<i>,<u>\n"))
    for raw in ("<script>x", "<b>,", "'<b>'", "<u>"):
        assert raw not in page


def test_no_page_of_a_device_holds_a_secret() -> None:
    device = make_device()
    make_credential(password="canary-of-the-device-page")
    client = administrator()
    for url in (page_of(DEVICES, device.pk), list_of(DEVICES)):
        assert "canary-of-the-device-page" not in body(client.get(url))
    assert Credential.objects.count() == 1
