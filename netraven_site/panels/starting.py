"""Starting runs from buttons and actions."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from jobs.models import Run
from jobs.services import on_devices
from netraven_site.panels.base import say
from netraven_site.panels.cells import counted


def start(request: HttpRequest, begin: Callable[[], Run], fallback: str) -> HttpResponse:
    """Start a run and go and watch it; a refusal is shown where one came from."""
    try:
        run = begin()
    except ValidationError as error:
        say(request, error)
        return HttpResponseRedirect(fallback)
    if run.message:
        messages.warning(request, run.message)
    else:
        where = f" on {counted(run.device_count, 'device')}" if on_devices(run.kind) else ""
        messages.success(request, f"{run} was started{where}.")
    return HttpResponseRedirect(reverse("admin:jobs_run_page", args=[run.pk]))
