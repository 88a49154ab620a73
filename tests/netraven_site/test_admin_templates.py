"""Each template of the theme that is overridden, pinned: an update of the theme that moves something fails here."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse

from tests.netraven_site.api_helpers import make_device
from tests.netraven_site.pages import administrator, body, list_of, page_of, text_of

pytestmark = pytest.mark.django_db

OURS = ("admin/index.html", "admin/login.html", "unfold/helpers/search.html", "unfold/helpers/welcomemsg.html")


@pytest.mark.parametrize("name", OURS)
def test_our_template_stands_before_the_one_of_the_theme(name: str) -> None:
    assert "/site-packages/" not in get_template(name).origin.name


@pytest.mark.parametrize("name", OURS)
def test_the_theme_still_has_a_template_of_that_name(name: str) -> None:
    import unfold

    assert (__import__("pathlib").Path(unfold.__file__).parent / "templates" / name).exists()


def test_signing_in_leads_to_where_one_was_going(client: Client) -> None:
    User.objects.create_superuser("root", password="a good long one")
    make_device("sw1")
    asked = client.get(list_of("devices_device"))
    form = client.get(asked.url)
    following = re.search(r'name="next" value="([^"]*)"', body(form))
    assert following
    answer = client.post(
        asked.url, {"username": "root", "password": "a good long one", "next": following.group(1)}, follow=True
    )
    assert answer.redirect_chain[-1][0] == list_of("devices_device")
    assert "sw1" in text_of(answer)


def test_signing_in_without_going_anywhere_leads_to_the_dashboard(client: Client) -> None:
    User.objects.create_superuser("root", password="a good long one")
    form = client.get("/admin/login/")
    following = re.search(r'name="next" value="([^"]*)"', body(form)).group(1)
    answer = client.post("/admin/login/", {"username": "root", "password": "a good long one", "next": following})
    assert answer.url == "/admin/"


def test_a_wrong_password_is_said_and_not_sent_back(client: Client) -> None:
    page = client.post("/admin/login/", {"username": "root", "password": "wrong-one-77"})
    assert "Please enter the correct username and password" in text_of(page)
    assert "wrong-one-77" not in body(page)


def test_a_list_has_its_bar_its_rows_and_what_the_scripts_of_the_theme_look_for() -> None:
    make_device("sw1")
    page = body(administrator().get(list_of("devices_device")))
    assert 'class="module result-list-wrapper" id="changelist"' in page
    assert '<form id="changelist-search" class="nr-bar" method="get" role="search">' in page
    assert 'id="changelist-form"' in page
    assert re.search(r'<table id="result_list" class="result-list\b', page)
    assert 'id="action-toggle"' in page
    assert 'class="action-select' in page or "action-select" in page
    assert 'name="action"' in page
    assert "actions.js" in page


def test_the_name_of_a_device_is_not_capitalised_on_the_way_to_it() -> None:
    device = make_device("sw1")
    page = body(administrator().get(page_of("devices_device", device.pk)))
    crumbs = " ".join(re.sub(r"<[^>]*>", " ", page.split('class="nr-crumbs"')[1].split("</h1>")[0]).split())
    assert crumbs.endswith("Devices / sw1")


@pytest.mark.parametrize(
    ("page", "crumbs"),
    [("change", "Devices / sw1 / Edit"), ("history", "Devices / sw1 / History"), ("delete", "Devices / Delete")],
)
def test_the_way_to_a_page_is_shown(page: str, crumbs: str) -> None:
    device = make_device("sw1")
    raw = body(administrator().get(page_of("devices_device", device.pk, page)))
    shown = " ".join(re.sub(r"<[^>]*>", " ", raw.split('class="nr-crumbs"')[1].split("</h1>")[0]).split())
    assert shown.endswith(crumbs)


def test_the_form_has_the_save_line_of_the_theme() -> None:
    page = body(administrator().get(reverse("admin:devices_device_add")))
    assert 'id="submit-row"' in page
    assert 'name="_save"' in page
    assert "nr-edit" in page


def test_our_stylesheet_and_script_are_on_every_page_and_are_served(client: Client) -> None:
    page = body(administrator().get("/admin/"))
    assert 'href="/static/netraven/netraven.css"' in page
    assert 'src="/static/netraven/netraven.js"' in page
    assert "/static/netraven/mark.svg" in page


def test_the_page_to_sign_in_has_a_stylesheet_and_a_script_of_its_own_and_nothing_inline(client: Client) -> None:
    page = body(client.get("/admin/login/"))
    assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=\"([^\"]+)", page) == [
        "/static/netraven/mark.svg",
        "/static/netraven/door.css",
        "/static/netraven/door.js",
    ]
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=|x-data", page)


def test_no_page_asks_for_anything_from_elsewhere() -> None:
    device = make_device()
    client = administrator()
    for url in (
        "/admin/",
        list_of("devices_device"),
        page_of("devices_device", device.pk),
        "/admin/devices/device/add/",
    ):
        found = re.findall(r'(?:src|href|action)="(https?:)?//[^"]+"', body(client.get(url)))
        assert found == []


def test_the_classes_of_our_templates_are_in_our_stylesheets() -> None:
    from pathlib import Path

    from django.conf import settings

    sheets = Path(settings.BASE_DIR / "netraven_site/static/netraven").glob("*.css")
    css = "\n".join(sheet.read_text() for sheet in sheets)
    styled = set(re.findall(r"\.(nr-[a-z-]+)", css))
    used: set[str] = set()
    for path in [*Path(settings.BASE_DIR / "templates").rglob("*.html")]:
        for value in re.findall(r'class="([^"]*)"', path.read_text()):
            used |= {word for word in re.sub(r"\{[{%].*?[%}]\}", " ", value).split() if word.startswith("nr-")}
    # The ends of these come from a variable, and these two mark a page as a whole.
    open_ended = {word for word in used if word.endswith("-")}
    assert used - open_ended - styled <= {"nr-page", "nr-progress"}
