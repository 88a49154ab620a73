"""The door and the policy on scripts, in a real browser: what the browser itself refuses would stand in its console."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, expect

from jobs.models import Result
from tests.e2e.browser import Visit, chromium
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
def visit(browser: Browser, live_server, settings) -> Iterator[Callable[[], Visit]]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    visits: list[Visit] = []

    def arrive() -> Visit:
        made = Visit(browser, live_server.url)
        visits.append(made)
        return made

    yield arrive
    for each in visits:
        each.context.close()


def _links(page, selector: str) -> list[str]:
    found = page.eval_on_selector_all(selector, "all => all.map(each => each.getAttribute('href'))")
    return [link for link in dict.fromkeys(found) if link and link.startswith("/") and "logout" not in link]


def test_no_page_of_the_menu_asks_for_what_the_policy_forbids(visit) -> None:
    device = make_device()
    make_version(device, config("vlan 1"))
    make_key(device)
    run = make_run(device, job=make_job(all_devices=True), outcome="rejected")
    make_attempt(device, make_credential(), run=run)
    User.objects.create_superuser("root", password=PASSWORD)
    someone = visit()
    someone.sign_in("root", PASSWORD)
    menu = _links(someone.page, "nav a[href], #nav-sidebar a[href], aside a[href]")
    assert len(menu) > 15, menu
    seen = set()
    for path in menu:
        page = someone.open(path)
        page.wait_for_load_state("load")
        seen.add(path)
        # From each list on to one of its rows and to the form for a new one.
        further = _links(page, "#result_list tbody tr:first-child a[href]")[:1]
        further += _links(page, "a.addlink, a[href$='/add/']")
        for link in further:
            if link not in seen:
                seen.add(link)
                someone.open(link).wait_for_load_state("load")
    assert someone.troubles == []
    assert any(path.startswith("/api/v1/docs/") for path in seen)


def test_the_page_to_try_the_api_at_works_under_its_policy(visit) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    someone = visit()
    someone.sign_in("root", PASSWORD)
    page = someone.open("/api/v1/docs/")
    expect(page.locator(".opblock-tag").first).to_be_visible(timeout=30_000)
    assert someone.troubles == []


@pytest.mark.parametrize("path", ["/admin/login/", "/nothing/", "/admin/devices/device/4711/"])
def test_the_pages_outside_and_of_errors_have_their_style_under_the_strict_policy(visit, path) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    someone = visit()
    if "device" in path:
        someone.sign_in("root", PASSWORD)
    page = someone.open(path)
    assert page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") == "10px"
    assert [each for each in someone.troubles if "404" not in each] == []
    refused = page.evaluate(
        """() => new Promise(done => {
            document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
            const script = document.createElement('script');
            script.textContent = 'window.hacked = 1';
            document.body.append(script);
            setTimeout(() => done('ran'), 2000);
        })"""
    )
    assert refused == "script-src-elem"
    assert page.evaluate("window.hacked") is None


def test_an_inline_script_inside_the_portal_is_refused_by_the_browser(visit) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    someone = visit()
    someone.sign_in("root", PASSWORD)
    page = someone.page
    page.evaluate(
        """() => { const each = document.createElement('div');
        each.innerHTML = '<img src=x onerror="window.hacked = 1">'; document.body.append(each); }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in each for each in someone.troubles)


def test_somebody_who_is_locked_out_is_told_so_and_for_how_long(visit, settings) -> None:
    settings.NETRAVEN_SIGN_IN_TRIES = 2
    User.objects.create_superuser("root", password=PASSWORD)
    page = visit().open("/admin/login/")
    for _ in range(3):
        page.fill("#id_username", "root")
        page.fill("#id_password", "wrong")
        page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("sign-in is closed here for a minute")


def test_secrets_are_shown_once_the_password_was_typed_again(visit, settings) -> None:
    settings.NETRAVEN_REAUTH_S = 0
    version = make_version(make_device(), "hostname sw1\nsnmp-server community canaryOfTheConfig7 RO\nend\n")
    User.objects.create_superuser("root", password=PASSWORD)
    someone = visit()
    someone.sign_in("root", PASSWORD)
    settings.NETRAVEN_REAUTH_S = -1
    page = someone.open(f"/admin/devices/configversion/{version.pk}/")
    page.click("button:has-text('Reveal')")
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    settings.NETRAVEN_REAUTH_S = 600
    page.fill("#id_netraven_password", PASSWORD)
    page.click("button:has-text('Go on')")
    expect(page.locator("text=canaryOfTheConfig7")).to_be_visible()
    assert someone.troubles == []


EVIL = (
    "<img src=x onerror=window.hacked=1>",
    '"><script>window.hacked=1</script>',
    "'-window.hacked=1-'",
    "{{constructor.constructor('window.hacked=1')()}}",
    "</textarea></title><svg onload=window.hacked=1>",
)


def test_no_stored_text_of_a_device_or_a_person_runs_on_any_page(visit) -> None:
    devices = []
    for number, evil in enumerate(EVIL):
        short = evil.replace("/", "").replace("\\", "")[:80]
        device = make_device(
            f"{number}{short}", site=evil, description=evil, aaa_domain=evil[:60], tags=(evil.replace(",", "")[:80],)
        )
        devices.append(device)
        make_version(device, config(f"banner motd {evil}", f"description {evil}"))
        make_version(device, config(f"banner motd {evil} changed"))
        make_key(device)
        run = make_run(device, outcome="rejected", job_name=evil[:60])
        credential = make_credential(f"{number}{evil}"[:80], description=evil)
        make_attempt(device, credential, run=run, detail=evil, device_name=evil[:80], credential_name=evil[:80])
        make_job(f"{number}{evil}"[:80], description=evil)
    Result.objects.update(detail=EVIL[0], advice=EVIL[1], finished_at=timezone.now())
    User.objects.create_superuser("root", password=PASSWORD, first_name=EVIL[0][:60], last_name=EVIL[1][:60])
    User.objects.create_user("nils", first_name=EVIL[1][:60], last_name=EVIL[4][:60])
    someone = visit()
    someone.sign_in("root", PASSWORD)
    queue = _links(someone.page, "nav a[href], #nav-sidebar a[href], aside a[href]")
    seen: set[str] = set()
    while queue:
        path = queue.pop(0)
        kind = "".join("#" if each.isdigit() else each for each in path.partition("?")[0])
        if kind in seen or "/api/" in path:
            continue
        seen.add(kind)
        page = someone.open(path)
        page.wait_for_load_state("load")
        assert page.evaluate("window.hacked") is None, path
        queue += [
            link
            for link in _links(page, "#result_list a[href], #content-main a[href]")
            if link.startswith("/admin/") and not any(word in link for word in ("download", "export", "patch"))
        ]
    assert len(seen) > 30, sorted(seen)
    # What the policy would have stopped would have been a mistake of ours already.
    assert [each for each in someone.troubles if "Content Security Policy" in each or "script" in each] == []
