"""The page of one result, and what devices answered to commands, as page and through the API."""

from __future__ import annotations

import pytest

from jobs.models import Result
from jobs.outputs import CommandOutput, pack
from tests.netraven_site.api_helpers import admin_client, client_with, make_attempt, make_device, make_run
from tests.netraven_site.pages import administrator, body, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db


def result_of(outcome: str = "success", **fields: object) -> Result:
    run = make_run(make_device("sw1"), outcome=outcome, kind="command")
    run.results.update(**fields)
    return run.results.get()


def answer(result: Result, number: int = 1, text: str = "Vlan 1 up\n", rows: list | None = None, **fields: object):
    return CommandOutput.objects.create(
        result=result,
        number=number,
        command=f"show thing {number}",
        packed=pack(text),
        size=len(text),
        packed_rows=pack(rows) if rows is not None else None,
        row_count=len(rows) if rows is not None else None,
        **fields,
    )


def url(result: Result, *more: object) -> str:
    return page_of("jobs_run", result.run_id) + "/".join(["results", str(result.pk), *map(str, more)]) + "/"


def test_a_result_shows_what_was_found_and_every_login() -> None:
    result = result_of(data={"hostname": "core", "uptime_s": 123456, "rows": 12345, "login": True}, detail="fine")
    make_attempt(result.device, run=result.run, credential_name="team", username="netops")
    page = text_of(administrator().get(url(result)))
    for words in (
        "sw1",
        "Success",
        "hostname core",
        "uptime 1 day 10 h 17 min 36 s",
        "rows 12,345",
        "login yes",
        "netops",
    ):
        assert words in page


def test_a_result_that_failed_says_what_to_do() -> None:
    page = text_of(administrator().get(url(result_of("host_key_changed", detail="Another key."))))
    assert "Another key." in page
    assert "Approve the new key only if you know why it changed." in page


def test_the_answers_of_a_device_are_shown_as_text_and_as_a_table() -> None:
    result = result_of()
    answer(result, rows=[{"vlan": "1", "name": "<b>default</b>"}])
    answer(result, 2, text="", error="The device says: invalid input")
    page = administrator().get(url(result))
    for words in ("show thing 1", "Vlan 1 up", "<b>default</b>", "show thing 2", "invalid input"):
        assert words in text_of(page)
    assert "<b>default" not in body(page)


def test_a_long_answer_is_shortened_and_can_be_read_whole() -> None:
    result = result_of()
    answer(result, text="".join(f"line {number}\n" for number in range(1000)))
    client = administrator()
    page = text_of(client.get(url(result)))
    assert "line 399" in page
    assert "line 400" not in page
    assert "and 600 lines more" in page
    whole = client.get(url(result, 1))
    assert "line 999" in body(whole)
    assert whole["Content-Type"].startswith("text/plain")
    assert whole["X-Content-Type-Options"] == "nosniff"
    assert client.get(url(result, 9)).status_code == 404


def test_a_result_needs_its_own_right_and_belongs_to_its_run() -> None:
    result = result_of()
    assert staff_with("jobs.view_run").get(url(result)).status_code == 403
    other = make_run(make_device("sw2"))
    wrong = page_of("jobs_run", other.pk) + f"results/{result.pk}/"
    assert administrator().get(wrong).status_code == 404


def test_the_page_of_a_run_leads_to_its_results() -> None:
    result = result_of()
    assert url(result) in body(administrator().get(page_of("jobs_run", result.run_id)))
    assert url(result) not in body(staff_with("jobs.view_run").get(page_of("jobs_run", result.run_id)))


def test_the_answers_are_read_through_the_api() -> None:
    result = result_of()
    answer(result, rows=[{"vlan": "1"}])
    address = f"/api/v1/runs/{result.run_id}/results/{result.pk}/outputs/"
    (found,) = admin_client().get(address).json()["results"]
    assert (found["command"], found["text"], found["rows"]) == ("show thing 1", "Vlan 1 up\n", [{"vlan": "1"}])
    assert client_with("jobs.view_run", name="a").get(address).status_code == 403
    assert admin_client("b").get(address.replace(str(result.pk), "999")).status_code == 404
