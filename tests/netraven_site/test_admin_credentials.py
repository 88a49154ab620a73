"""Credentials in the portal: secrets go in and never come out; held accounts are released by those who may."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from credentials.guard import get_guard
from credentials.models import Credential, GuardAccount, RememberedRejection
from devices.models import Device
from tests.credentials.sealed import ANY
from tests.netraven_site.api_helpers import hold_account, make_attempt, make_credential, make_device
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db

CREDENTIALS = "credentials_credential"
CANARY = "canary-Zx81-never-shown"


def _form(**changed: Any) -> dict[str, Any]:
    return {
        "name": "team",
        "username": "netops",
        "priority": "100",
        "scope": "central",
        "tags": "core",
        "tag_priorities": "",
        "enabled": "on",
        **changed,
    }


def _change(pk: int) -> str:
    return page_of(CREDENTIALS, pk, "change")


# --- secrets --------------------------------------------------------------------------------------
def test_a_typed_password_is_sealed_and_is_on_no_page_afterwards() -> None:
    client = administrator()
    client.post(reverse("admin:credentials_credential_add"), _form(password=CANARY, enable_secret=CANARY + "2"))
    row = Credential.objects.get()
    assert row.password.reveal(ANY) == CANARY
    assert row.enable_secret.reveal(ANY) == CANARY + "2"
    for url in (
        list_of(CREDENTIALS),
        page_of(CREDENTIALS, row.pk),
        _change(row.pk),
        page_of(CREDENTIALS, row.pk, "history"),
        page_of(CREDENTIALS, row.pk, "delete"),
        reverse("admin:index"),
    ):
        assert CANARY not in body(client.get(url)), url


def test_a_mistake_elsewhere_does_not_send_the_typed_secrets_back() -> None:
    page = administrator().post(
        reverse("admin:credentials_credential_add"),
        _form(name="", password=CANARY, enable_secret=CANARY, private_key=CANARY, passphrase=CANARY),
    )
    assert page.status_code == 200
    assert CANARY not in body(page)
    assert not Credential.objects.exists()


def test_an_empty_secret_keeps_what_is_there_and_the_version() -> None:
    row = make_credential(password=CANARY)
    administrator().post(_change(row.pk), _form(description="new words", password=""))
    row.refresh_from_db()
    assert (row.password.reveal(ANY), row.version, row.description) == (CANARY, 1, "new words")


def test_a_typed_secret_replaces_what_is_there_and_raises_the_version() -> None:
    row = make_credential(password=CANARY)
    administrator().post(_change(row.pk), _form(password=" new one "))
    row.refresh_from_db()
    assert (row.password.reveal(ANY), row.version) == (" new one ", 2)


def test_a_secret_is_taken_away_only_when_that_is_ticked() -> None:
    row = make_credential()
    client = administrator()
    client.post(_change(row.pk), _form(enable_secret="en"))
    client.post(_change(row.pk), _form(clear=["enable_secret"]))
    row.refresh_from_db()
    assert not row.enable_secret
    assert row.password


def test_the_last_login_secret_is_not_taken_away() -> None:
    row = make_credential()
    page = administrator().post(_change(row.pk), _form(clear=["password"]))
    assert "there is nothing to log in with" in text_of(page)
    row.refresh_from_db()
    assert row.password


def test_the_form_says_in_words_which_secrets_are_set() -> None:
    row = make_credential()
    page = administrator().get(_change(row.pk))
    fields = page.context["adminform"].form.fields
    assert fields["password"].help_text.startswith("Set.")
    assert fields["private_key"].help_text == "Not set."
    assert [value for value, _ in fields["clear"].choices] == ["password"]


def test_browsers_are_told_not_to_fill_in_a_secret() -> None:
    page = body(administrator().get(reverse("admin:credentials_credential_add")))
    for name in ("password", "enable_secret", "private_key", "passphrase"):
        field = page.split(f'name="{name}"')[1].split(">")[0]
        assert 'autocomplete="new-password"' in field


def test_a_private_key_pasted_with_line_ends_of_a_browser_is_taken() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )
    pasted = text.replace("\n", "\r\n")
    administrator().post(reverse("admin:credentials_credential_add"), _form(private_key=pasted))
    assert Credential.objects.get().private_key.reveal(ANY) == text


def test_the_history_names_no_secret() -> None:
    row = make_credential(password=CANARY)
    client = administrator("vera")
    client.post(_change(row.pk), _form(password=CANARY + "new", description="x"))
    seen = text_of(client.get(page_of(CREDENTIALS, row.pk, "history")))
    assert "vera" in seen
    assert "Description (empty) → x" in seen
    assert CANARY not in seen
    assert "gAAAA" not in seen


def test_somebody_who_may_only_look_gets_no_form() -> None:
    row = make_credential()
    client = staff_with("credentials.view_credential")
    assert client.get(_change(row.pk)).url == page_of(CREDENTIALS, row.pk)
    client.post(_change(row.pk), _form(password="other"))
    assert Credential.objects.get().version == 1


# --- form -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        ({"tags": ""}, "tags", "at least one tag"),
        ({"priority": "first"}, "priority", "whole number"),
        ({"name": "taken"}, "name", "already exists"),
        ({"tag_priorities": "core"}, "tag_priorities", "tag = number"),
        ({"tag_priorities": "core = soon"}, "tag_priorities", "tag = number"),
        ({"tag_priorities": "lab = 5"}, "tags", "a tag that is not set"),
        ({"private_key": "rubbish"}, "private_key", "not a private key"),
        ({"passphrase": "alone"}, "passphrase", "needs a private key"),
        ({"password": ""}, "password", "nothing to log in with"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_is_written(wrong, field: str, says: str) -> None:
    make_credential("taken")
    page = administrator().post(reverse("admin:credentials_credential_add"), _form(**{"password": "x", **wrong}))
    assert page.status_code == 200
    errors = page.context["adminform"].form.errors
    assert says in " ".join(errors[field])
    assert Credential.objects.count() == 1


def test_priorities_by_tag_are_written_and_shown_again() -> None:
    client = administrator()
    client.post(
        reverse("admin:credentials_credential_add"),
        _form(password="x", tags="core, branch", tag_priorities="branch = 200"),
    )
    row = Credential.objects.get()
    assert dict(row.tag_links.values_list("tag__name", "priority")) == {"core": None, "branch": 200}
    assert 'value="branch = 200"' in body(client.get(_change(row.pk)))
    client.post(_change(row.pk), _form(tags="core, branch", tag_priorities=""))
    assert set(row.tag_links.values_list("priority", flat=True)) == {None}


def test_the_form_explains_what_the_account_scope_means() -> None:
    seen = text_of(administrator().get(reverse("admin:credentials_credential_add")))
    assert "every device that refuses it counts against the same budget" in seen
    assert "refusals are counted per device" in seen


def test_the_list_says_that_a_lower_priority_is_tried_first() -> None:
    make_credential()
    seen = text_of(administrator().get(list_of(CREDENTIALS)))
    assert "A lower priority is tried first." in seen
    assert "password" in seen


def test_credentials_are_disabled_after_a_confirmation() -> None:
    row = make_credential()
    client = administrator()
    data = {"action": "disable", "index": "0", "select_across": "0", "_selected_action": [str(row.pk)]}
    page = client.post(list_of(CREDENTIALS), data)
    assert "Disable: 1 credential" in text_of(page)
    client.post(list_of(CREDENTIALS), {**data, "confirmed": "yes"})
    assert not Credential.objects.get().enabled


# --- page -------------------------------------------------------------------------------------------
def test_the_page_shows_the_devices_it_matches_and_which_it_opened() -> None:
    row = make_credential(tags=("core",))
    opened, _ = make_device("sw1"), make_device("sw2")
    make_device("other", tags=("lab",))
    Device.objects.filter(pk=opened.pk).update(last_good_credential=row)
    page = administrator().get(page_of(CREDENTIALS, row.pk))
    assert [each["device"].name for each in page.context["devices"]] == ["sw1", "sw2"]
    assert (page.context["device_count"], page.context["opened_count"]) == (2, 1)


def test_a_fallback_matches_every_device() -> None:
    make_device("sw1", tags=())
    make_device("sw2")
    row = make_credential(tags=(), is_fallback=True)
    assert administrator().get(page_of(CREDENTIALS, row.pk)).context["device_count"] == 2


def test_a_credential_that_matches_nothing_says_what_to_do() -> None:
    row = make_credential(tags=("lab",))
    assert "so it is never tried" in text_of(administrator().get(page_of(CREDENTIALS, row.pk)))


def test_the_page_shows_its_attempts() -> None:
    row = make_credential()
    make_attempt(make_device(), row, outcome="rejected", detail="<b>no</b>")
    page = administrator().get(page_of(CREDENTIALS, row.pk))
    assert "<b>no</b>" in text_of(page)
    assert "<b>no</b>" not in body(page)


# --- held accounts ------------------------------------------------------------------------------------
def _held() -> tuple[Credential, Device]:
    credential, device = make_credential(), make_device()
    hold_account(credential, device)
    return credential, device


def test_a_held_account_is_shown_with_its_budget_and_released() -> None:
    credential, _ = _held()
    client = administrator("vera")
    seen = text_of(client.get(list_of("credentials_guardaccount")))
    assert "netops in AAA domain default" in seen
    assert "3 of 3 rejections used up" in seen
    account = GuardAccount.objects.get()
    answer = client.post(page_of("credentials_guardaccount", account.pk, "release"), follow=True)
    assert "was released" in messages_of(answer)[0]
    account.refresh_from_db()
    assert account.released_by == "vera"
    assert get_guard().held_accounts() == []
    assert not RememberedRejection.objects.filter(credential=credential).exists()


def test_releasing_needs_its_right() -> None:
    _held()
    account = GuardAccount.objects.get()
    client = staff_with("credentials.view_guardaccount")
    assert "ask somebody who has that permission" in text_of(client.get(list_of("credentials_guardaccount")))
    assert client.post(page_of("credentials_guardaccount", account.pk, "release")).status_code == 403
    assert get_guard().held_accounts()


def test_a_release_by_following_a_link_does_nothing() -> None:
    _held()
    account = GuardAccount.objects.get()
    assert administrator().get(page_of("credentials_guardaccount", account.pk, "release")).status_code == 405
    assert get_guard().held_accounts()


def test_a_credential_is_released_where_it_was_rejected() -> None:
    credential, _ = _held()
    client = administrator("vera")
    page = client.get(page_of(CREDENTIALS, credential.pk))
    assert page.context["remembered"]
    client.post(page_of(CREDENTIALS, credential.pk, "release"))
    assert not credential.remembered_rejections.exists()
    assert GuardAccount.objects.get().released_by == "vera"


def test_releasing_a_credential_needs_its_right() -> None:
    credential, _ = _held()
    client = staff_with("credentials.view_credential", "credentials.change_credential")
    assert client.post(page_of(CREDENTIALS, credential.pk, "release")).status_code == 403
    assert credential.remembered_rejections.exists()


def test_remembered_rejections_say_where_and_lead_to_the_credential() -> None:
    credential, _ = _held()
    page = body(administrator().get(list_of("credentials_rememberedrejection")))
    assert "AAA domain default" in page
    assert page_of(CREDENTIALS, credential.pk) in page


def test_a_release_keeps_the_reason_on_record_and_shows_it() -> None:
    _held()
    client = administrator("vera")
    account = GuardAccount.objects.get()
    client.post(page_of("credentials_guardaccount", account.pk, "release"), {"reason": "password corrected"})
    seen = text_of(client.get(list_of("credentials_guardaccount")))
    assert "Account netops in AAA domain default vera password corrected" in seen
    history = LogEntry.objects.get(object_id=str(account.pk))
    assert history.change_message == "Released. password corrected"


def test_the_page_of_held_accounts_names_the_credentials_and_what_is_not_sent_again() -> None:
    credential, _ = _held()
    page = administrator().get(list_of("credentials_guardaccount"))
    assert "tried again in 14 min" in text_of(page)
    assert [login.credential_name for login in page.context["accounts"][0]["logins"]] == ["team"] * 3
    assert [row.credential for row in page.context["remembered"]] == [credential] * len(page.context["remembered"])
    assert page.context["remembered"]


# --- the order --------------------------------------------------------------------------------------
def test_the_page_shows_the_priority_of_each_tag_and_where_it_comes_from() -> None:
    row = make_credential(tags=("core", "branch"), priority=50, tag_priorities={"branch": 200})
    (
        make_device("sw1", tags=("core",)),
        make_device("sw2", tags=("branch",)),
        make_device("sw3", tags=("core", "branch")),
    )
    page = administrator().get(page_of(CREDENTIALS, row.pk))
    assert "branch 200 the tag 2 core 50 the credential 2" in text_of(page)
    found = {
        each["device"].name: (each["candidate"].priority, each["candidate"].priority_from)
        for each in page.context["devices"]
    }
    assert found == {"sw1": (50, "credential"), "sw2": (200, "tag branch"), "sw3": (200, "tag branch")}


def test_the_list_shows_the_priorities_of_tags() -> None:
    make_credential(tags=("core", "branch"), priority=50, tag_priorities={"branch": 200})
    assert "50* Central branch = 200 core" in text_of(administrator().get(list_of(CREDENTIALS)))


def test_a_second_credential_of_the_same_account_is_pointed_out() -> None:
    make_credential()
    client = administrator()
    answer = client.post(reverse("admin:credentials_credential_add"), _form(name="second", password="p"), follow=True)
    assert Credential.objects.count() == 2
    assert text_of(answer).count("'team' has the same user name and scope") == 1


def test_what_may_not_be_meant_is_said_as_well_where_the_next_one_is_added() -> None:
    make_credential()
    form = {**_form(name="second", password="p"), "_addanother": "1"}
    answer = administrator().post(reverse("admin:credentials_credential_add"), form, follow=True)
    assert any("'team' has the same user name and scope" in text for text in messages_of(answer))


@pytest.mark.parametrize(
    ("priorities", "words"),
    [
        ("core = first", "Write tag = number"),
        ("core = 9999999", "from -1,000,000 to 1,000,000"),
        (f"core = {'9' * 40}", "from -1,000,000 to 1,000,000"),
        ("edge = 3", "a tag that is not set"),
    ],
)
def test_a_wrong_priority_of_a_tag_is_refused(priorities: str, words: str) -> None:
    answer = administrator().post(
        reverse("admin:credentials_credential_add"), _form(password="p", tag_priorities=priorities)
    )
    assert words in text_of(answer)
    assert not Credential.objects.exists()


def test_a_priority_below_zero_is_taken() -> None:
    administrator().post(
        reverse("admin:credentials_credential_add"), _form(password="p", priority="-5", tag_priorities="core = -7")
    )
    row = Credential.objects.get()
    assert (row.priority, row.tag_links.get().priority) == (-5, -7)
