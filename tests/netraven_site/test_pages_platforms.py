"""The pages, the API and the command of platforms."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from credentials.audit.models import AuditEvent
from devices import platforms_table
from devices.configs.pruning import prune_configs
from devices.configs.query import Query
from devices.configs.retaining import save_rule
from devices.configs.search import search
from devices.configs.store import prepare, save_version
from devices.connector import platforms
from devices.models import ConfigVersion
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import save_override
from devices.retention import RetentionRule
from netraven_site.processes import preflight
from tests.netraven_site.api_helpers import client_with, config, make_device
from tests.netraven_site.pages import administrator, list_of, staff_with

VIEW, CHANGE, ADD = (f"devices.{each}_platformoverride" for each in ("view", "change", "add"))
OWN = '[platforms.acme_os]\nlike = "cisco_ios"\ndriver = "cisco_ios"\nlabel = "Acme"\nvolatile = ["^! seen at"]\n'
DUMP = "hostname r1\n! seen at 10:00\nenable secret 5 $1$abcd$efghijklmnop\n" + "!\n" * 40 + "end\n"


@pytest.fixture(autouse=True)
def _own_table() -> Iterator[None]:
    before = platforms.table()
    yield
    platforms.use(before)


def page_of(name: str, page: str = "named") -> str:
    return reverse(f"admin:devices_platformoverride_{page}", args=[name])


def row(text: str = OWN) -> PlatformOverride:
    saved = save_override(PlatformOverride(), text=text, user=None)
    platforms_table.refresh(at_once=True)
    return saved


@pytest.mark.django_db
def test_the_list_has_every_platform_with_its_texts_devices_and_state():
    make_device("sw1")
    row()
    page = staff_with(VIEW).get(list_of("devices_platformoverride"))
    html = page.content.decode()
    assert page.status_code == 200
    assert html.count("<tr>") > 180
    assert "running, startup, inventory" in html
    assert "?platform=cisco_ios" in html
    page = staff_with(VIEW, name="olaf").get(list_of("devices_platformoverride"), {"state": "own"})
    assert [line.name for line, *_ in page.context["lines"]] == ["acme_os"]


@pytest.mark.django_db
def test_the_list_is_searched_by_name_vendor_and_text():
    client = staff_with(VIEW)
    for term, name in (("eos", "arista_eos"), ("arista inventory", "arista_eos"), ("juniper junos", "juniper_junos")):
        page = client.get(list_of("devices_platformoverride"), {"q": term})
        assert name in [line.name for line, *_ in page.context["lines"]], term
    assert "No such platform" in client.get(list_of("devices_platformoverride"), {"q": "nonsense"}).content.decode()


@pytest.mark.django_db
def test_the_page_of_a_platform_shows_what_counts_and_where_it_comes_from():
    row()
    html = staff_with(VIEW).get(page_of("acme_os")).content.decode()
    for words in ("show running-config", "^! seen at", "portal", "shipped, cisco_ios", "shipped, general"):
        assert words in html, words
    assert page_of("acme_os", "try") not in html
    assert staff_with(VIEW, name="olaf").get(page_of("nonsense")).status_code == 404


@pytest.mark.django_db
def test_pages_of_platforms_need_their_own_permission():
    client = staff_with("devices.view_device", "devices.change_device")
    assert client.get(list_of("devices_platformoverride")).status_code == 403
    assert client.get(page_of("cisco_ios")).status_code == 403
    reader = staff_with(VIEW, name="olaf")
    assert reader.get(page_of("cisco_ios", "try")).status_code == 403
    assert reader.post(reverse("admin:devices_platformoverride_add"), {"text": OWN}).status_code == 403


@pytest.mark.django_db
def test_a_platform_is_added_in_the_portal_and_on_record():
    client = staff_with(VIEW, CHANGE, ADD)
    answer = client.post(reverse("admin:devices_platformoverride_add"), {"text": OWN, "enabled": "on"})
    saved = PlatformOverride.objects.get()
    assert answer.status_code == 302
    assert saved.changed_by.username == "nils"
    assert AuditEvent.objects.filter(event="platform.saved").exists()


@pytest.mark.django_db
def test_what_does_not_fit_stays_in_the_form_with_the_reason():
    client = staff_with(VIEW, CHANGE, ADD)
    wrong = OWN.replace("volatile", "volatil")
    page = client.post(reverse("admin:devices_platformoverride_add"), {"text": wrong, "enabled": "on"})
    assert page.status_code == 200
    assert "unknown key; did you mean volatile?" in page.content.decode()
    assert not PlatformOverride.objects.exists()


@pytest.mark.django_db
def test_a_row_that_is_needed_is_not_deleted_and_the_page_says_why():
    saved = row()
    make_device("a1", platform="acme_os")
    client = administrator()
    page = client.post(
        reverse("admin:devices_platformoverride_delete", args=[saved.pk]), {"confirmed": "yes"}, follow=True
    )
    assert "Devices have the platform acme_os (1)" in page.content.decode()
    assert PlatformOverride.objects.exists()


@pytest.mark.django_db
def test_trying_rules_shows_what_they_make_of_a_text_and_keeps_nothing(caplog):
    client = staff_with(VIEW, CHANGE)
    rules = OWN.replace("acme_os", "cisco_xe").replace("^! seen at", "^! seen")
    page = client.post(page_of("cisco_xe", "try"), {"dump": DUMP, "rules": rules, "kind": "running"})
    html = page.content.decode()
    assert "whole" in html
    assert page.context["trial"].left_out == [(2, "! seen at 10:00")]
    assert page.context["trial"].secrets == 1
    shown = html[html.index('id="shown"') : html.index("<form", html.index('id="shown"'))]
    assert "efghijklmnop" not in shown
    assert "efghijklmnop" not in caplog.text
    assert "no-store" in page["Cache-Control"]
    assert not PlatformOverride.objects.exists()


@pytest.mark.django_db
def test_rules_that_do_not_fit_are_refused_by_the_trial_as_well():
    page = staff_with(VIEW, CHANGE).post(page_of("cisco_xe", "try"), {"dump": DUMP, "rules": OWN})
    assert page.context["form"].errors["rules"] == [
        "These are the rules of cisco_xe. Add acme_os as a platform of its own."
    ]
    assert page.context["trial"] is None


# --- API --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_api_lists_platforms_and_shows_one():
    make_device("sw1")
    row()
    client = client_with(VIEW)
    found = client.get("/api/v1/platforms/", {"used": "true"}).json()
    assert [(each["name"], each["devices"]) for each in found["results"]] == [("cisco_ios", 1)]
    assert client.get("/api/v1/platforms/", {"state": "own"}).json()["count"] == 1
    one = client.get("/api/v1/platforms/acme_os/").json()
    assert one["collects"][0]["kind"] == "running"
    assert {each["value"]: each["origin"] for each in one["rules"]["volatile"]}["^! seen at"] == "portal"
    assert client.get("/api/v1/platforms/nonsense/").status_code == 404
    assert client.get("/api/v1/platforms/", {"state": "nonsense"}).status_code == 400
    assert client_with("devices.view_device", name="olaf").get("/api/v1/platforms/").status_code == 403


# --- command and start ------------------------------------------------------------------------------------


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("platforms", *words, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_the_command_lists_shows_and_checks(tmp_path):
    make_device("sw1")
    listed = json.loads(run("list", "--used", "--json"))
    assert [each["name"] for each in listed] == ["cisco_ios"]
    assert "show running-config" in run("show", "cisco_ios")
    with pytest.raises(CommandError, match="did you mean"):
        run("show", "cisco_iso")
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    assert json.loads(run("check", str(file), "--json"))["own"] == 1
    file.write_text(OWN + "errors = ['^x(?:a|aa)*$']\n")
    with pytest.raises(CommandError, match=r"own\.toml: \[platforms\.acme_os\] errors: .* takes too long"):
        run("check", str(file))


@pytest.mark.django_db
def test_a_file_that_does_not_fit_refuses_the_start_with_its_place(settings, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(OWN.replace("volatile", "volatil"))
    settings.NETRAVEN_PLATFORMS = [str(file)]
    found = [each for each in run_checks() if each.id == "netraven.E040"]
    assert f"{file}: [platforms.acme_os] volatil: unknown key" in found[0].msg
    with pytest.raises(preflight.NotReady, match=r"netraven\.E040"):
        preflight.require_ready()


@pytest.mark.django_db
def test_a_row_that_does_not_fit_any_more_refuses_the_start_until_it_is_disabled():
    PlatformOverride.objects.create(name="acme_os", text='[platforms.acme_os]\nlike = "gone_os"\n')
    with pytest.raises(preflight.NotReady, match=r"acme_os\] like: no platform 'gone_os'.*platforms disable NAME"):
        preflight._require_platforms()
    run("disable", "acme_os")
    preflight._require_platforms()


# --- texts ------------------------------------------------------------------------------------------------


def kept(device, kind: str, text: str):
    return save_version(device.pk, kind, prepare(text, "cisco_ios")).version


@pytest.mark.django_db
def test_pages_name_the_kind_of_a_text_and_compare_it_with_its_own_kind():
    device = make_device("sw1")
    kept(device, "running", config("vlan 1"))
    kept(device, "inventory", "NAME: one\n")
    second = kept(device, "inventory", "NAME: two\n")
    client = administrator()
    assert "inventory v2" in client.get(reverse("admin:devices_device_page", args=[device.pk])).content.decode()
    page = client.get(reverse("admin:devices_configversion_page", args=[second.pk]))
    assert [each.kind for each in page.context["versions"]] == ["inventory", "inventory"]
    listed = client.get(list_of("devices_configversion"), {"kind": "inventory"}).content.decode()
    assert "inventory v2" in listed
    assert "running" not in listed.split('id="result_list"')[1].split("</table>")[0]
    file = client.get(reverse("admin:devices_configversion_download", args=[second.pk]))
    assert 'filename="sw1-inventory-v2.txt"' in file["Content-Disposition"]


@pytest.mark.django_db
def test_an_inventory_alone_is_no_backup():
    kept(make_device("sw1"), "inventory", "NAME: one\n")
    client = administrator()
    assert client.get(list_of("devices_device"), {"backup": "never"}).context["cl"].result_count == 1
    assert client.get(list_of("devices_device"), {"backup": "some"}).context["cl"].result_count == 0


@pytest.mark.django_db
def test_what_configurations_lack_is_not_asked_of_other_texts():
    device = make_device("sw1")
    kept(device, "running", config("ntp server 10.0.0.1"))
    kept(device, "inventory", "NAME: one\n")
    assert search(Query(term="ntp server", absent=True)).hits == []
    assert len(search(Query(term="ntp server", absent=True, kind="inventory")).hits) == 1
    assert len(search(Query(term="NAME: one")).hits) == 1


@pytest.mark.django_db
def test_retention_leaves_the_latest_of_each_text():
    device = make_device("sw1")
    save_rule(RetentionRule(), all_days=1, daily_days=1, weekly_days=1, monthly_days=1)
    for kind in ("running", "inventory"):
        for word in ("one", "two"):
            kept(device, kind, config(word) if kind == "running" else f"NAME: {word}\n")
    later = timezone.now() + timedelta(days=30)
    prune_configs(later, lambda done: False)
    left = ConfigVersion.objects.filter(device=device).order_by("kind").values_list("kind", "number")
    assert list(left) == [("inventory", 2), ("running", 2)]


@pytest.mark.django_db
def test_the_command_shows_the_text_that_is_asked_for(capsys):
    device = make_device("sw1")
    kept(device, "inventory", "NAME: one\n")
    call_command("show_config", "sw1", "--text", "inventory")
    assert capsys.readouterr().out == "NAME: one\n"
    with pytest.raises(CommandError, match=r"no configuration of sw1 yet, only inventory: .*run_job"):
        call_command("show_config", "sw1")
    with pytest.raises(CommandError, match="--set texts=startup"):
        call_command("show_config", "sw1", "--text", "startup")
