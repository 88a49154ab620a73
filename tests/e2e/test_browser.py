"""The portal as a person meets it: in a real browser, in both themes, with a hostile device in the list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Route, expect

from devices.models import Device
from jobs.choices import ResultStatus, RunStatus
from jobs.models import Result, Run
from tests.e2e.browser import LAPTOP, Visit, chromium
from tests.netraven_site.api_helpers import (
    config,
    make_attempt,
    make_credential,
    make_device,
    make_job,
    make_key,
    make_run,
    make_version,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a good long one"


@pytest.fixture(scope="module")
def browser(django_db_setup: None) -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch:
        # Playwright runs an event loop in this thread, which Django takes for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium() as found:
            yield found


@pytest.fixture
def visit(browser: Browser, live_server) -> Iterator[Callable[..., Visit]]:
    """Sign in and look around; afterwards nothing may have gone wrong in the browser."""
    visits: list[Visit] = []

    def arrive(theme: str = "light") -> Visit:
        User.objects.create_superuser("root", password=PASSWORD)
        made = Visit(browser, live_server.url, theme)
        visits.append(made)
        made.sign_in("root", PASSWORD)
        return made

    yield arrive
    for each in visits:
        each.context.close()
    assert [trouble for each in visits for trouble in each.troubles] == []


def _fleet(count: int) -> list[Device]:
    return [
        make_device(f"sw{number:02}", host=f"10.0.0.{number}", site=f"Site {number % 3}", tags=("core", "dc"))
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_opens_without_an_error_and_asks_nothing_of_the_internet(visit, theme: str) -> None:
    device, *_ = _fleet(3)
    credential = make_credential()
    first, second = make_version(device, config("vlan 1")), make_version(device, config("vlan 2"))
    make_key(device)
    job = make_job(all_devices=True)
    run = make_run(device, job=job, outcome="rejected")
    make_attempt(device, credential, run=run)
    someone = visit(theme)
    for path in (
        "devices/device/",
        f"devices/device/{device.pk}/",
        f"devices/device/{device.pk}/change/",
        f"devices/device/{device.pk}/history/",
        "devices/device/import/",
        "devices/configversion/",
        f"devices/configversion/{first.pk}/",
        f"devices/configversion/diff/?before={first.pk}&after={second.pk}",
        "devices/hostkey/?state=pending",
        "credentials/credential/",
        f"credentials/credential/{credential.pk}/",
        f"credentials/credential/{credential.pk}/change/",
        "credentials/guardaccount/",
        "jobs/job/",
        f"jobs/job/{job.pk}/",
        f"jobs/job/{job.pk}/change/",
        "jobs/run/",
        f"jobs/run/{run.pk}/",
        "jobs/attempt/",
        "auth/user/",
        "auth/group/add/",
        "taggit/tag/",
        "netraven_site/apitoken/add/",
    ):
        page = someone.open(f"/admin/{path}")
        expect(page.locator("#content-main")).to_be_visible()
        assert page.evaluate("document.documentElement.classList.contains('dark')") is (theme == "dark")


def test_twenty_five_rows_of_devices_fit_on_a_laptop_screen(visit) -> None:
    _fleet(60)
    page = visit().open("/admin/devices/device/")
    expect(page.locator("#result_list tr.data-row")).to_have_count(50)
    bottom = page.evaluate(
        """() => {
            const bar = document.querySelector('#main > .lg\\\\:sticky').getBoundingClientRect().top;
            return [...document.querySelectorAll('#result_list tr.data-row')]
                .filter((row) => row.getBoundingClientRect().bottom <= bar).length;
        }"""
    )
    assert bottom >= 25
    assert page.evaluate("document.documentElement.scrollWidth") <= LAPTOP["width"]


def test_a_row_stays_one_line_however_long_its_words_are(visit) -> None:
    make_device("x" * 100, site="a site with a very long name " * 3, tags=tuple(f"tag-number-{n}" for n in range(30)))
    make_device("short")
    page = visit().open("/admin/devices/device/")
    heights = page.evaluate(
        "[...document.querySelectorAll('#result_list tr.data-row')].map((row) => row.getBoundingClientRect().height)"
    )
    assert max(heights) <= min(heights) + 1


def test_choosing_a_filter_applies_it_and_keeps_the_address_short(visit) -> None:
    _fleet(6)
    page = visit().open("/admin/devices/device/")
    page.select_option("select[name=site]", "Site 1")
    page.wait_for_url("**/admin/devices/device/?site=Site+1")
    expect(page.locator("#result_list tr.data-row")).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("sw04")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=sw04&site=Site+1")
    expect(page.locator("#result_list tr.data-row")).to_have_count(1)


def test_all_devices_of_a_filtered_list_are_chosen_and_counted_before_anything_happens(visit) -> None:
    _fleet(60)
    page = visit().open("/admin/devices/device/")
    page.click("#action-toggle")
    page.click("text=Select all 60 devices")
    page.select_option("select[name=action]", "disable")
    page.click("button[name=index]")
    expect(page.locator("#content-main h2")).to_have_text("Disable: 60 devices")
    assert Device.objects.filter(enabled=False).count() == 0
    page.click("button[name=confirmed]")
    expect(page.locator("text=60 devices are disabled now.")).to_be_visible()
    assert Device.objects.filter(enabled=False).count() == 60


def test_a_running_run_shows_each_result_as_soon_as_it_is_there(visit) -> None:
    devices = _fleet(3)
    now = timezone.now()
    run = Run.objects.create(
        job_name="Backup",
        kind="backup",
        status=RunStatus.RUNNING,
        device_count=3,
        created_at=now - timedelta(seconds=2),
    )
    results = [Result.objects.create(run=run, device=each, device_name=each.name) for each in devices]
    page = visit().open(f"/admin/jobs/run/{run.pk}/")
    page.evaluate("window.sameDocument = true")
    expect(page.locator(".nr-headline")).to_contain_text("0 of 3 devices")
    Result.objects.filter(pk=results[0].pk).update(status=ResultStatus.DONE, outcome="unreachable")
    expect(page.locator(".nr-headline")).to_contain_text("1 of 3 devices")
    expect(page.locator(".nr-table tbody tr").first).to_contain_text("Unreachable")
    Result.objects.filter(run=run).exclude(pk=results[0].pk).update(status=ResultStatus.DONE, outcome="success")
    Run.objects.filter(pk=run.pk).update(status=RunStatus.PARTIAL, finished_at=timezone.now())
    expect(page.locator(".nr-headline")).to_contain_text("Partly failed")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert page.evaluate("window.sameDocument") is True


def test_tags_are_typed_suggested_and_taken_away_as_chips(visit) -> None:
    make_device("old", tags=("branch", "backbone"))
    page = visit().open("/admin/devices/device/add/")
    page.fill("#id_name", "new")
    page.fill("#id_host", "10.0.0.9")
    page.fill("#id_platform", "cisco_ios")
    page.fill("#id_tags", "bra")
    page.click(".nr-options button:has-text('branch')")
    page.click("#id_tags")
    page.keyboard.type("lab,")
    page.keyboard.type("spare")
    page.keyboard.press("Enter")
    expect(page.locator(".nr-tagbox .nr-tag")).to_have_count(3)
    page.click(".nr-tagbox button[aria-label='Remove lab']")
    page.click("button[name=_save]")
    page.wait_for_url("**/admin/devices/device/*/")
    assert sorted(Device.objects.get(name="new").tags.names()) == ["branch", "spare"]


def test_suggestions_that_come_late_stay_closed_after_a_choice(visit) -> None:
    """The answer to what was typed comes when the word is chosen already, or somebody has gone on."""
    make_device("sw1", tags=("core", "branch"))
    page = visit().open("/admin/credentials/credential/add/")
    held: list[Route] = []
    page.route("**/suggest/?q=cor", lambda route: held.append(route))
    typing = page.get_by_label("Add a tag")
    for leave in (lambda: page.keyboard.press("Enter"), lambda: page.focus("#id_name")):
        with page.expect_request("**/suggest/?q=cor"):
            typing.fill("cor")
        leave()
        with page.expect_response("**/suggest/?q=cor"):
            held.pop().continue_()
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        assert page.locator(".nr-options:visible").count() == 0


def test_a_typed_secret_is_nowhere_on_the_page_after_a_mistake(visit) -> None:
    page = visit().open("/admin/credentials/credential/add/")
    page.fill("#id_password", "canary-in-the-browser")
    page.fill("#id_private_key", "canary-in-the-browser")
    page.click("button[name=_save]")
    expect(page.locator(".errornote")).to_be_visible()
    assert "canary-in-the-browser" not in page.content()
    assert page.input_value("#id_password") == page.input_value("#id_private_key") == ""


def test_words_of_devices_run_nowhere_as_a_script(visit) -> None:
    evil = "<img src=x onerror=window.hacked=1>"
    device = make_device(evil, site=evil, description=evil, tags=("<svg onload=window.hacked=1>",))
    first = make_version(device, config(f"banner {evil}"))
    second = make_version(device, config(f"banner {evil}{evil}"))
    run = make_run(device, outcome="rejected", job_name=evil)
    Result.objects.update(detail=evil)
    make_attempt(device, make_credential(evil), run=run, detail=evil)
    someone = visit()
    for path in (
        "",
        "devices/device/",
        f"devices/device/{device.pk}/",
        f"devices/device/{device.pk}/change/",
        f"devices/configversion/{first.pk}/",
        f"devices/configversion/diff/?before={first.pk}&after={second.pk}",
        f"jobs/run/{run.pk}/",
        "jobs/attempt/",
        "credentials/credential/",
        "taggit/tag/",
    ):
        page = someone.open(f"/admin/{path}")
        assert page.evaluate("window.hacked") is None, path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_words_of_the_tones_are_readable_in_both_themes(visit, theme: str) -> None:
    for number, outcome in enumerate(("success", "unreachable", "rejected", "held", "")):
        device = make_device(f"sw{number}")
        Device.objects.filter(pk=device.pk).update(last_outcome=outcome)
    page = visit(theme).open("/admin/")
    ratios = page.evaluate(
        """() => {
            const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
            const light = (colour) => {
                pixel.clearRect(0, 0, 1, 1); pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1);
                const [r, g, b] = [...pixel.getImageData(0, 0, 1, 1).data].map((value) => {
                    const part = value / 255;
                    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            return Object.fromEntries([...document.querySelectorAll('.nr-tile')].map((tile) => {
                const word = tile.querySelector('.nr-tone');
                const card = tile.closest('.nr-card');
                const [a, b] = [light(getComputedStyle(word).color), light(getComputedStyle(card).backgroundColor)];
                return [word.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
            }));
        }"""
    )
    assert len(ratios) == 5
    assert {word: ratio for word, ratio in ratios.items() if ratio < 4.5} == {}


def test_somebody_who_signs_in_goes_where_he_was_going(visit, live_server) -> None:
    someone = visit()
    someone.context.clear_cookies()
    page = someone.open("/admin/jobs/run/")
    page.fill("#id_username", "root")
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/jobs/run/")
