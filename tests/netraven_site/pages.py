"""What the tests of the pages share: people with just some rights, and what stands on a page."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.netraven_site.api_helpers import user_with

LISTS = {
    "devices_device": "devices.view_device",
    "devices_configversion": "devices.view_configversion",
    "devices_keptaside": "devices.view_keptaside",
    "devices_retentionrule": "devices.view_retentionrule",
    "devices_platformoverride": "devices.view_platformoverride",
    "devices_hostkey": "devices.view_hostkey",
    "credentials_credential": "credentials.view_credential",
    "credentials_guardaccount": "credentials.view_guardaccount",
    "credentials_rememberedrejection": "credentials.view_rememberedrejection",
    "credentials_auditevent": "credentials.view_auditevent",
    "jobs_job": "jobs.view_job",
    "jobs_run": "jobs.view_run",
    "jobs_attempt": "jobs.view_attempt",
    "jobs_maintenancewindow": "jobs.view_maintenancewindow",
    "jobs_concurrencylimit": "jobs.view_concurrencylimit",
    "credentials_keyreader": "credentials.view_keyreader",
    "auth_user": "auth.view_user",
    "auth_group": "auth.view_group",
    "taggit_tag": "taggit.view_tag",
    "netraven_site_apitoken": "netraven_site.view_apitoken",
    "django_q_failure": "django_q.view_failure",
}
"""Every list of the portal, and the right to see it."""


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def administrator(name: str = "root") -> Client:
    return signed_in(User.objects.create_superuser(name))


def staff_with(*permissions: str, name: str = "nils") -> Client:
    """Somebody who may use the portal, with these rights and no others."""
    return signed_in(user_with(*permissions, name=name, is_staff=True))


def list_of(model: str) -> str:
    return reverse(f"admin:{model}_changelist")


def page_of(model: str, pk: int, page: str = "page") -> str:
    return reverse(f"admin:{model}_{page}", args=[pk])


def body(response: Any) -> str:
    return response.content.decode()


def text_of(response: Any) -> str:
    """What a reader sees: without tags, spaces as one."""
    from html import unescape

    without = re.sub(r"<(script|style|datalist)\b.*?</\1>|<[^>]*>", " ", body(response), flags=re.DOTALL)
    return " ".join(unescape(without).split())


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]
