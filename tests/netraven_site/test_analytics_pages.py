"""The pages of the analytics: what they show, to whom, and that the button and its undo do what they say."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from credentials.services import update_credential
from jobs.analytics.rollup import roll_up
from jobs.rollups import Reordering
from tests.jobs.attempts import credential, device, login, visit

pytestmark = pytest.mark.django_db

PAGES = ("rates", "advice", "coverage", "loginless")
VIEW = ("credentials.view_credential", "devices.view_device")


def person(client, *permissions: str) -> User:
    user = User.objects.create_user("pat", password="x", is_staff=True)
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client.force_login(user)
    return user


def page(client, name: str, **query: str) -> str:
    answer = client.get(reverse(f"analytics:{name}"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture
def wrong_order():
    """Five devices on which `old` is rejected before `new` opens them."""
    old, new = credential("old", priority=1), credential("new", priority=2)
    for number in range(5):
        visit(device(f"r{number}", site="Bonn"), (old, "rejected"), (new, "accepted"), at=timezone.now())
    return old, new


# --- who may see and do what ----------------------------------------------------------------------
@pytest.mark.parametrize("name", PAGES)
def test_a_stranger_is_sent_to_the_login(client, name):
    answer = client.get(reverse(f"analytics:{name}"))
    assert answer.status_code == 302
    assert "login" in answer["Location"]


@pytest.mark.parametrize("name", PAGES)
def test_without_the_permission_to_view_credentials_no_page_is_shown(client, name):
    person(client, "devices.view_device")
    assert client.get(reverse(f"analytics:{name}")).status_code == 403


@pytest.mark.parametrize(("name", "status"), [("rates", 200), ("advice", 200), ("coverage", 403), ("loginless", 403)])
def test_pages_that_list_devices_need_the_permission_to_view_devices_too(client, name, status):
    person(client, "credentials.view_credential")
    assert client.get(reverse(f"analytics:{name}")).status_code == status


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_what_to_do_on_an_empty_instance(client, name):
    person(client, *VIEW)
    assert {"rates": "Run a job", "advice": "run a job first", "coverage": "Add devices", "loginless": "nothing to do"}[
        name
    ] in words(page(client, name))


@pytest.mark.parametrize("name", PAGES)
def test_nonsense_in_the_address_is_no_error(client, name, wrong_order):
    person(client, *VIEW)
    nonsense = {"by": "x", "days": "-1", "value": "9" * 40, "p": "zz", "columns": "-3", "cover": "?", "why": "?"}
    page(client, name, **nonsense)
    page(client, name, by="all", value="\x00", site="\x00", credential="no-such", cover="proven", p="99999")


# --- rates ----------------------------------------------------------------------------------------
def test_the_rates_page_counts_what_is_new_before_it_shows(client, wrong_order):
    person(client, *VIEW)
    found = words(page(client, "rates"))
    assert "10 logins, 50.0 % of 10 answered were accepted" in found
    assert re.search(r"old 1 0 5 0 0 – – 5", found), "a rate from five logins is none"


def test_the_charts_have_axes_unit_legend_and_a_table_behind_them(client, wrong_order):
    person(client, *VIEW)
    html = page(client, "rates", days="7")
    charts = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(charts) == 2
    assert "logins" in charts[0]
    assert charts[0].count('text-anchor="end"') > 2
    assert charts[0].count("<rect") == 2
    assert re.search(r"<title>\d{4}-\d\d-\d\d: 5 rejected</title>", charts[0])
    assert "50.0 % of 10 answered logins were rejected" in charts[1]
    assert html.count("nr-legend") == 2
    assert "Show 7 days" in words(html)


def test_a_site_opens_the_rates_of_its_credentials(client, wrong_order):
    person(client, *VIEW)
    assert "value=Bonn" in page(client, "rates", by="site")
    assert "Site Bonn, by credential" in words(page(client, "rates", by="site", value="Bonn"))


def test_a_name_that_is_markup_stays_text(client):
    person(client, *VIEW)
    evil = credential("<b>x</b>")
    login(device("r1", site="<script>alert(1)</script>"), evil, at=timezone.now())
    for name, query in (("rates", {"by": "site"}), ("rates", {}), ("coverage", {}), ("advice", {})):
        html = page(client, name, **query)
        assert "<script>alert(1)" not in html
        assert "<b>x</b>" not in html


def test_a_backlog_is_said_and_not_hidden(client, wrong_order, monkeypatch):
    from jobs.analytics import rollup

    monkeypatch.setattr(rollup, "BATCH", 4)
    monkeypatch.setattr("netraven_site.analytics.views._COUNT_FOR_S", 0)
    person(client, *VIEW)
    assert "The newest 6 login attempts are not in these numbers yet" in words(page(client, "rates"))


# --- advice ---------------------------------------------------------------------------------------
def offered(html: str) -> str:
    return re.search(r'name="offer" value="([^"]+)"', html).group(1)


def test_the_advice_is_applied_by_its_button_and_undone_by_the_other(client, wrong_order):
    old, new = wrong_order
    person(client, *VIEW, "credentials.change_credential")
    html = page(client, "advice")
    assert "Reordering these saves about 5 failed logins a week" in words(html)
    answer = client.post(reverse("analytics:apply"), {"offer": offered(html)}, follow=True)
    assert "1 priority changed" in words(answer.content.decode())
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.priority, new.priority) == (3, 2)
    undo = re.search(r'action="([^"]+/undo/)"', answer.content.decode()).group(1)
    answer = client.post(undo, follow=True)
    assert "undone by pat" in words(answer.content.decode())
    old.refresh_from_db()
    assert old.priority == 1


def test_who_may_not_change_credentials_gets_no_button_and_is_refused(client, wrong_order):
    person(client, *VIEW)
    html = page(client, "advice")
    assert 'name="offer"' not in html
    assert "ask somebody who has that permission" in words(html)
    assert client.post(reverse("analytics:apply"), {"offer": "x"}).status_code == 403
    assert client.post(reverse("analytics:undo", args=[1])).status_code == 403


def test_applying_needs_a_post(client):
    person(client, *VIEW, "credentials.change_credential")
    assert client.get(reverse("analytics:apply")).status_code == 405


def test_a_stale_or_forged_offer_is_refused_with_a_message(client, wrong_order):
    old, _ = wrong_order
    person(client, *VIEW, "credentials.change_credential")
    offer = offered(page(client, "advice"))
    forged = client.post(reverse("analytics:apply"), {"offer": offer[:-2] + "xx"}, follow=True)
    assert "too old or not complete" in words(forged.content.decode())
    update_credential(old, priority=50)
    stale = client.post(reverse("analytics:apply"), {"offer": offer}, follow=True)
    assert "were changed since this advice was made" in words(stale.content.decode())
    assert not Reordering.objects.exists()


# --- coverage and devices without a login -----------------------------------------------------------
def test_the_coverage_page_shows_who_opens_what(client, wrong_order):
    credential("spare", priority=9)
    person(client, *VIEW)
    html = page(client, "coverage")
    found = words(html)
    assert re.search(r"r0 rejected, just now opens, just now only matched, no. 3", found)
    assert "No. 3 in the order of trying: shares tag dc; priority 9." in html


def test_the_coverage_page_can_be_narrowed(client, wrong_order):
    person(client, *VIEW)
    assert "0 devices" in words(page(client, "coverage", credential="old", cover="proven"))
    assert "5 devices" in words(page(client, "coverage", credential="old", cover="rejected"))
    assert "Nothing matches" in words(page(client, "coverage", site="Cologne"))


def test_devices_without_a_login_are_listed_with_their_reason(client):
    old = credential("old")
    visit(device("r1"), (old, "rejected"), at=timezone.now())
    device("lonely", ["nobody"])
    person(client, *VIEW)
    found = words(page(client, "loginless"))
    assert "lonely Nothing to try 0 0 never" in found
    assert "r1 All rejected 1 1 never" in found
    assert "lonely" not in page(client, "loginless", why="rejected")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_as_many_questions_for_forty_devices_as_for_two(client, name):
    old, new = credential("old", priority=1), credential("new", priority=2)
    person(client, *VIEW)

    def queries(first: int, last: int) -> int:
        for number in range(first, last):
            where = device(f"r{number:03}", site=f"s{number % 7}")
            visit(where, (old, "rejected"), *[(new, "accepted")] * (number % 2), at=timezone.now())
        roll_up()
        page(client, name)
        with CaptureQueriesContext(connection) as found:
            page(client, name)
        return len(found)

    assert queries(0, 2) == queries(2, 40)
