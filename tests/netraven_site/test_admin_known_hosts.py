"""Import of a known_hosts file from the portal: preview, confirm, result."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from devices.choices import HostKeyState
from devices.models import HostKey
from tests.netraven_site.api_helpers import make_device, make_key
from tests.netraven_site.pages import administrator, list_of, messages_of, staff_with, text_of

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNnn0RTOJpEPOKZFVhxF5Jr1KW6KhQO8Vl1OSQ8lTHq"


def address() -> str:
    return reverse("admin:devices_hostkey_import")


def test_the_preview_writes_nothing_and_the_confirmation_pins() -> None:
    make_device("sw1", host="10.0.0.1")
    client = administrator("vera")
    page = client.post(address(), {"text": f"10.0.0.1 {KEY}\n10.9.9.9 {KEY}\n"})
    seen = text_of(page)
    assert "Preview: nothing is written yet" in seen
    assert "Pin 1 key" in seen
    assert "Lines that pin nothing 1" in seen
    assert "No device has this address: 10.9.9.9" in seen
    assert not HostKey.objects.exists()

    answer = client.post(address(), {"packed": page.context["packed"]})

    assert messages_of(answer) == ["1 host key pinned."]
    pinned = HostKey.objects.get()
    assert (pinned.state, pinned.decided_by.username) == (HostKeyState.PINNED, "vera")


def test_a_file_is_taken_as_well() -> None:
    make_device("sw1", host="10.0.0.1")
    page = administrator().post(address(), {"file": SimpleUploadedFile("known_hosts", f"10.0.0.1 {KEY}\n".encode())})
    assert "Pin 1 key" in text_of(page)


def test_a_key_that_differs_from_the_pinned_one_is_a_conflict() -> None:
    make_key(make_device("sw1", host="10.0.0.1"), "SHA256:old", HostKeyState.PINNED)
    seen = text_of(administrator().post(address(), {"text": f"10.0.0.1 {KEY}"}))
    assert "SHA256:old stays pinned." in seen
    assert "There is nothing to pin." in seen


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "Choose a file or paste its lines."),
        ({"text": "nonsense"}, "This file holds no host key."),
    ],
)
def test_what_is_no_known_hosts_file_is_said_at_the_field(data: dict[str, Any], words: str) -> None:
    assert words in text_of(administrator().post(address(), data))
    assert not HostKey.objects.exists()


def test_a_preview_that_was_tampered_with_is_refused() -> None:
    answer = administrator().post(address(), {"packed": "AAAA"})
    assert "did not arrive whole" in messages_of(answer)[0]


def test_importing_needs_the_right_to_approve() -> None:
    client = staff_with("devices.view_hostkey")
    assert client.get(address()).status_code == 403
    assert address() not in client.get(list_of("devices_hostkey")).content.decode()
