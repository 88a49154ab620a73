"""Every list: who may see it, what it costs, what it says when it is empty, and that it escapes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import Failure
from taggit.models import Tag

from credentials.models import RememberedRejection
from devices.models import Device
from jobs.models import Run
from netraven_site.models import ApiToken
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
from tests.netraven_site.pages import LISTS, administrator, body, list_of, staff_with, text_of

pytestmark = pytest.mark.django_db


def _device(number: int) -> Device:
    return make_device(f"sw{number:03}", tags=("core", f"floor{number}"), site=f"site{number}", host=f"10.0.0.{number}")


def _remembered(number: int) -> None:
    RememberedRejection.objects.create(
        credential=make_credential(f"team{number}"),
        credential_version=1,
        place=f"device:{number}",
        place_label=f"sw{number}",
        at=timezone.now(),
    )


def _failure(number: int) -> None:
    now = timezone.now()
    Failure.objects.create(id=f"{number:032}", name=f"task{number}", func="x", started=now, stopped=now, success=False)


def _user(number: int) -> None:
    user = User.objects.create_user(f"user{number:03}")
    user.groups.add(Group.objects.get_or_create(name="night")[0], Group.objects.create(name=f"group{number}"))


ROWS: dict[str, Callable[[int], object]] = {
    "devices_device": _device,
    "devices_configversion": lambda n: make_version(_device(n), config(f"vlan {n}")),
    "devices_hostkey": lambda n: (
        make_key(device := _device(n), f"SHA256:old{n}", "pinned"),
        make_key(device, f"SHA256:new{n}"),
    ),
    "credentials_credential": lambda n: make_credential(f"team{n}", tags=("core", f"floor{n}")),
    "credentials_rememberedrejection": _remembered,
    "jobs_job": lambda n: (
        make_run(_device(n), job=(job := make_job(f"job{n}", tags=("core", f"floor{n}")))),
        job.devices.add(*Device.objects.all()),
    ),
    "jobs_run": lambda n: make_run(_device(n), make_device(f"x{n}"), job=make_job(f"job{n}")),
    "jobs_attempt": lambda n: make_attempt(device := _device(n), make_credential(f"team{n}"), run=make_run(device)),
    "auth_user": _user,
    "auth_group": lambda n: Group.objects.create(name=f"group{n}"),
    "taggit_tag": lambda n: _device(n),
    "netraven_site_apitoken": lambda n: ApiToken.issue(User.objects.create_user(f"user{n}"), f"use {n}"),
    "django_q_failure": _failure,
}


@pytest.mark.parametrize("model", ROWS)
def test_a_list_of_fifty_rows_costs_as_many_queries_as_one_of_five(model: str) -> None:
    client = administrator()
    for number in range(5):
        ROWS[model](number)
    client.get(list_of(model))
    with CaptureQueriesContext(connection) as few:
        first = client.get(list_of(model))
    for number in range(5, 50):
        ROWS[model](number)
    with CaptureQueriesContext(connection) as many:
        second = client.get(list_of(model))
    assert first.status_code == second.status_code == 200
    assert len(first.context["cl"].result_list) >= 5
    assert len(second.context["cl"].result_list) >= 5 * len(first.context["cl"].result_list)
    assert len(many) <= len(few), [query["sql"][:90] for query in many]


def test_the_queue_of_host_keys_costs_as_many_queries_for_fifty_as_for_five() -> None:
    client = administrator()
    for number in range(5):
        ROWS["devices_hostkey"](number)
    queue = list_of("devices_hostkey") + "?state=pending"
    client.get(queue)
    with CaptureQueriesContext(connection) as few:
        client.get(queue)
    for number in range(5, 50):
        ROWS["devices_hostkey"](number)
    with CaptureQueriesContext(connection) as many:
        page = client.get(queue)
    assert "SHA256:old49" in body(page)
    assert "SHA256:new49" in body(page)
    assert len(many) == len(few)


@pytest.mark.parametrize("model", LISTS)
def test_an_administrator_sees_every_list(model: str) -> None:
    assert administrator().get(list_of(model)).status_code == 200


@pytest.mark.parametrize("model", LISTS)
def test_somebody_without_the_right_is_refused(model: str) -> None:
    other = next(right for name, right in LISTS.items() if name != model)
    assert staff_with(other).get(list_of(model)).status_code == 403


@pytest.mark.parametrize(("model", "right"), LISTS.items())
def test_the_right_to_see_a_list_is_enough_to_see_it(model: str, right: str) -> None:
    assert staff_with(right).get(list_of(model)).status_code == 200


@pytest.mark.parametrize("model", LISTS)
def test_a_stranger_is_asked_to_sign_in(client, model: str) -> None:
    answer = client.get(list_of(model))
    assert answer.status_code == 302
    assert answer.url.startswith("/admin/login/")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("devices_device", "Import a CSV file"),
        ("devices_configversion", "Run a backup"),
        ("devices_hostkey", "pinned at first contact"),
        ("credentials_credential", "Add a login and give it a tag"),
        ("credentials_guardaccount", "No account is held"),
        ("jobs_job", "Add a backup of all devices"),
        ("jobs_run", "Run a job"),
        ("jobs_attempt", "Each login that a run tries"),
        ("taggit_tag", "made where they are used"),
        ("netraven_site_apitoken", "shown once"),
    ],
)
def test_an_empty_list_says_what_to_do_first(model: str, words: str) -> None:
    assert words in text_of(administrator().get(list_of(model)))


def test_a_filter_that_matches_nothing_offers_to_be_cleared() -> None:
    make_device()
    page = administrator().get(list_of("devices_device") + "?q=nothing-like-this")
    assert "Nothing matches" in text_of(page)
    assert 'href="?"' in body(page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("platform=arista_eos", "eos1"),
        ("site=Oslo", "eos1"),
        ("tag=lab", "eos1"),
        ("outcome=unreachable", "eos1"),
        ("outcome=tone:passing", "eos1"),
        ("outcome=tone:unknown", "ios1"),
        ("enabled=no", "eos1"),
        ("backup=some", "ios1"),
        ("backup=never", "eos1"),
        ("q=10.9.9.9", "eos1"),
    ],
)
def test_devices_are_filtered(query: str, found: str) -> None:
    make_version(make_device("ios1"), config("vlan 1"))
    make_device("eos1", tags=("lab",), platform="arista_eos", site="Oslo", host="10.9.9.9", enabled=False)
    Device.objects.filter(name="eos1").update(last_outcome="unreachable")
    page = administrator().get(f"{list_of('devices_device')}?{query}")
    assert [row.name for row in page.context["cl"].result_list] == [found]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("outcome=rejected", ["sw2"]),
        ("device=SW2", ["sw2"]),
        ("device=gone", ["gone"]),
        ("credential=team", ["sw2", "sw1"]),
        ("credential=nobody", []),
        ("is_test=yes", ["sw2"]),
    ],
)
def test_attempts_are_filtered(query: str, found: list[str]) -> None:
    team = make_credential()
    make_attempt(make_device("sw1"), team)
    make_attempt(make_device("sw2"), team, outcome="rejected", is_test=True)
    gone = make_device("gone")
    make_attempt(gone)
    gone.delete()
    page = administrator().get(f"{list_of('jobs_attempt')}?{query}")
    assert [row.device_name for row in page.context["cl"].result_list] == found


def test_runs_are_filtered_by_how_they_ended_and_by_kind() -> None:
    make_run(make_device("a"), status="failed")
    make_run(make_device("b"), kind="credential_test")
    client = administrator()
    by_status = client.get(list_of("jobs_run") + "?status=failed").context["cl"].result_list
    by_kind = client.get(list_of("jobs_run") + "?kind=credential_test").context["cl"].result_list
    assert [run.status for run in by_status] == ["failed"]
    assert [run.kind for run in by_kind] == ["credential_test"]


def test_what_a_device_says_is_escaped_in_every_list() -> None:
    evil = "<script>alert(1)<|script>"
    device = make_device(evil, site="<b>x</b>", description="<img src=x>", tags=("<i>t</i>",))
    credential = make_credential("<u>c</u>", tags=("<i>t</i>",), description="<img src=y>")
    run = make_run(device, job_name="<s>job</s>", requested_by_name="<em>me</em>", message="<blink>")
    make_attempt(device, credential, run=run, detail="<iframe>", username="<tt>")
    make_key(device, "<fp>")
    make_version(device, config("banner <script>"))
    client = administrator()
    for model in LISTS:
        page = body(client.get(list_of(model)))
        for raw in (
            evil,
            "<b>x</b>",
            "<img src=x",
            "<i>t</i>",
            "<u>c</u>",
            "<s>job</s>",
            "<em>me",
            "<blink>",
            "<iframe>",
            "<tt>",
            "<fp>",
        ):
            assert raw not in page, (model, raw)


def test_a_state_is_a_word_with_a_tone() -> None:
    make_device()
    Device.objects.update(last_outcome="unreachable")
    page = body(administrator().get(list_of("devices_device")))
    assert '<span class="nr-tone nr-passing" title="Nothing answers at this address.' in page
    assert ">Unreachable</span>" in page


def test_times_are_relative_with_the_absolute_one_and_its_zone_in_the_title() -> None:
    make_device()
    then = timezone.now() - timedelta(minutes=12, seconds=5)
    Device.objects.update(last_success_at=then)
    page = body(administrator().get(list_of("devices_device")))
    assert f'title="{then:%Y-%m-%d %H:%M:%S} UTC">12 min ago</time>' in page


def test_the_list_of_runs_counts_devices_by_outcome() -> None:
    make_run(make_device("a"), make_device("b"))
    make_run(make_device("c"), outcome="rejected", status="failed")
    seen = text_of(administrator().get(list_of("jobs_run")))
    assert "2 success" in seen
    assert "1 rejected" in seen


def test_the_list_of_jobs_shows_the_last_run() -> None:
    job = make_job("Nightly", tags=("core",))
    make_run(make_device("a"), job=job, status="failed")
    last = make_run(make_device("b"), job=job, requested_by_name="vera")
    page = administrator().get(list_of("jobs_job"))
    assert "Succeeded" in text_of(page)
    assert "vera" in text_of(page)
    assert f"/admin/jobs/run/{last.pk}/" in body(page)


def test_the_numbers_of_a_tag_lead_to_what_has_it() -> None:
    make_device(tags=("data centre",))
    make_credential(tags=("data centre",))
    page = body(administrator().get(list_of("taggit_tag")))
    assert "/admin/devices/device/?tag=data+centre" in page
    assert "/admin/credentials/credential/?tag=data+centre" in page
    assert Tag.objects.count() == 1


def test_a_page_of_a_list_that_is_not_a_number_is_no_error() -> None:
    make_run(make_device())
    assert administrator().get(list_of("jobs_run") + "?outcome=x&p=abc").status_code in {200, 302}
    assert Run.objects.count() == 1
