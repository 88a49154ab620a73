"""Testing a credential from its page: on which devices, and what the page of the run says of each."""

from __future__ import annotations

from typing import Any

import pytest

from credentials.services import update_credential
from devices.models import Device
from jobs.choices import ResultStatus
from jobs.models import Result, Run
from tests.netraven_site.api_helpers import make_attempt, make_credential, make_device, make_run
from tests.netraven_site.pages import administrator, body, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db
CREDENTIALS = "credentials_credential"


def post(credential: Any, **data: Any) -> Any:
    return administrator().post(page_of(CREDENTIALS, credential.pk, "test"), data, follow=True)


def devices_of_the_run() -> list[str]:
    return sorted(Run.objects.get().results.values_list("device_name", flat=True))


def test_named_devices_are_shown_before_they_are_tested() -> None:
    credential = make_credential()
    make_device("sw1"), make_device("sw2")
    seen = text_of(post(credential, devices="sw1, sw2"))
    assert "Test team on 2 devices sw1 sw2" in seen
    assert not Run.objects.exists()


def test_once_confirmed_the_test_runs_on_these_devices_alone() -> None:
    credential = make_credential()
    make_device("sw1"), make_device("sw2"), make_device("sw3", tags=("other",))
    answer = post(credential, devices="sw1", tags="other", confirmed="yes")
    assert devices_of_the_run() == ["sw1", "sw3"]
    assert Run.objects.get().parameters == {"credential": "team"}
    assert answer.redirect_chain[-1][0] == page_of("jobs_run", Run.objects.get().pk)


def test_a_sample_is_of_the_devices_that_it_matches() -> None:
    credential = make_credential()
    for name in ("sw1", "sw2", "sw3"):
        make_device(name)
    make_device("other", tags=("other",))
    post(credential, sample="2")
    found = devices_of_the_run()
    assert len(found) == 2
    assert "other" not in found


def test_with_nothing_filled_in_it_is_a_small_sample_and_never_the_fleet() -> None:
    credential = make_credential()
    for number in range(9):
        make_device(f"sw{number}")
    post(credential)
    assert len(devices_of_the_run()) == 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"devices": "nothing"}, "There is no device named nothing."),
        ({"devices": "off"}, "off is disabled"),
        ({"tags": "nothing"}, "There is no tag nothing."),
        ({"devices": "sw1", "sample": "2"}, "give one of them"),
        ({"sample": "0"}, "greater than or equal to 1"),
        ({"sample": "many"}, "Enter a whole number"),
    ],
)
def test_a_wrong_choice_is_said_at_its_field_and_starts_nothing(data: dict[str, str], words: str) -> None:
    credential = make_credential()
    make_device("sw1")
    Device.objects.filter(pk=make_device("off").pk).update(enabled=False)
    assert words in text_of(post(credential, **data))
    assert not Run.objects.exists()


def test_a_sample_of_a_credential_that_matches_nothing_says_why() -> None:
    answer = post(make_credential(), sample="3")
    assert "matches no enabled device" in messages_of(answer)[0]
    assert not Run.objects.exists()


def test_a_disabled_credential_offers_no_test() -> None:
    credential = make_credential()
    make_device("sw1")
    update_credential(credential, enabled=False)
    assert page_of(CREDENTIALS, credential.pk, "test") not in body(
        administrator().get(page_of(CREDENTIALS, credential.pk))
    )
    seen = text_of(
        staff_with("credentials.view_credential", "jobs.run_job").post(
            page_of(CREDENTIALS, credential.pk, "test"), {"devices": "sw1", "confirmed": "yes"}
        )
    )
    assert "is disabled. Enable it before testing it." in seen
    assert not Run.objects.exists()


def test_testing_needs_the_right_to_run_jobs() -> None:
    credential = make_credential()
    client = staff_with("credentials.view_credential", "credentials.change_credential")
    assert client.get(page_of(CREDENTIALS, credential.pk, "test")).status_code == 403


# --- the page of the run ----------------------------------------------------------------------------
def _tested(**results: tuple[str, dict[str, bool]]) -> Run:
    credential = make_credential()
    run = make_run(kind="credential_test", parameters={"credential": "team"}, device_count=len(results))
    for name, (outcome, data) in results.items():
        device = make_device(name)
        Result.objects.create(
            run=run, device=device, device_name=name, status=ResultStatus.DONE, outcome=outcome, data=data
        )
        if outcome in {"enable_rejected", "command_error"}:
            make_attempt(device, credential, run=run, fate="accepted", outcome=outcome)
    return run


def test_each_device_says_whether_login_and_privileged_mode_worked() -> None:
    run = _tested(
        good=("success", {"login": True, "enable": True}),
        plain=("success", {"login": True, "enable": False}),
        wrong=("rejected", {}),
        half=("enable_rejected", {}),
        down=("unreachable", {}),
        odd=("command_error", {}),
    )
    page = administrator().get(page_of("jobs_run", run.pk))
    found = {row.device_name: (row.tested.login, row.tested.enable) for row in page.context["page"]}
    assert found == {
        "good": (True, True),
        "plain": (True, False),
        "wrong": (False, None),
        "half": (True, False),
        "down": (None, None),
        "odd": (True, None),
    }
    assert "Login Enable Duration Outcome" in text_of(page)


def test_advice_is_about_the_credential_that_was_tested() -> None:
    run = _tested(wrong=("rejected", {}))
    page = administrator().get(page_of("jobs_run", run.pk))
    assert "The device refused team." in text_of(page)
    assert "Every matching credential" not in text_of(page)


def test_the_page_of_a_device_leaves_out_what_a_test_of_one_credential_said() -> None:
    _tested(sw1=("rejected", {}))
    device = Device.objects.get()
    page = administrator().get(page_of("devices_device", device.pk))
    assert page.context["last"] is None
    assert len(page.context["results"]) == 1
