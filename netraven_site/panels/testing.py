"""Testing a credential: choosing the devices, and the live page of such a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from taggit.models import Tag
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from credentials.models import Credential
from credentials.querysets import known_tags
from devices.connector.outcomes import Outcome, OutcomeInfo, info
from devices.models import Device
from jobs.choices import Trigger
from jobs.engine.plan import devices_of
from jobs.models import Result, Run
from jobs.testing import SAMPLE, check_choice, is_test, start_test, testable_devices, tested
from netraven_site.panels import starting
from netraven_site.panels.base import CONFIRMED
from netraven_site.panels.mending import Mend
from netraven_site.panels.widgets import DevicesInput, TagsField

if TYPE_CHECKING:
    from netraven_site.panels.base import Panel

_NAMED = 24
Failure = tuple[str, OutcomeInfo, int, Mend | None]
"""A class of outcomes on the page of a run: its name, what is known of it, how many, and where it is mended."""


class DevicesForm(forms.Form):
    """On which devices: named ones, those with tags, or a sample by chance."""

    devices = TagsField(required=False, label="Devices", widget=DevicesInput, help_text="By name, between commas.")
    tags = TagsField(required=False, label="Tags", help_text="Every enabled device with one of these tags.")
    sample = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        label="Sample",
        widget=UnfoldAdminIntegerFieldWidget({"placeholder": SAMPLE}),
        help_text="So many by chance: of the devices with the tags, or else of those that the credential matches. "
        f"{SAMPLE} when nothing is filled in.",
    )

    def clean_devices(self) -> list[Device]:
        """The devices of these names."""
        names = self.cleaned_data["devices"]
        found = {device.name.casefold(): device for device in Device.objects.filter(name__in=names)}
        missing = [name for name in names if name.casefold() not in found]
        if missing:
            raise ValidationError(f"There is no device named {missing[0]}.")
        return list(found.values())

    def clean_tags(self) -> list[Tag]:
        """Tags that exist."""
        found, missing = known_tags(self.cleaned_data["tags"])
        if missing:
            raise ValidationError(f"There is no tag {missing[0]}.")
        return found

    def clean(self) -> dict[str, Any]:
        """What the test itself would refuse is said before the devices are shown."""
        data: dict[str, Any] = self.cleaned_data
        try:
            check_choice(data.get("devices", ()), data.get("sample"))
        except ValidationError as error:
            self.add_error(None, error)
        return data

    def chosen(self) -> list[Device] | None:
        """The devices that it would be; None when they are left to chance."""
        data = self.cleaned_data
        if data["sample"] or not (data["devices"] or data["tags"]):
            return None
        return list(
            devices_of([tag.pk for tag in data["tags"]], [device.pk for device in data["devices"]]).order_by("name")
        )


def test_view(panel: Panel, request: HttpRequest, object_id: int) -> HttpResponse:
    """Choose the devices, see which they are, start, and go and watch."""
    credential: Credential = panel.found(request, object_id)
    if not request.user.has_perm("jobs.run_job"):
        raise PermissionDenied
    posted = request.method == "POST"
    form = DevicesForm(request.POST if posted else None)
    chosen: list[Device] | None = None
    if posted and credential.enabled and form.is_valid():
        chosen = form.chosen()
        if chosen is None or CONFIRMED in request.POST:
            data, user = form.cleaned_data, request.user

            def begin() -> Run:
                return start_test(
                    credential,
                    devices=data["devices"],
                    tags=[tag.name for tag in data["tags"]],
                    sample=data["sample"],
                    trigger=Trigger.PERSON,
                    user=user,  # type: ignore[arg-type]
                )

            return starting.start(request, begin, request.path)
        if not chosen:
            form.add_error("tags", "No enabled device has one of these tags.")
            chosen = None
    return panel.render(
        request,
        "netraven/credential_test.html",
        "Test",
        {
            "credential": credential,
            "form": form,
            "confirmed_name": CONFIRMED,
            "matched": testable_devices(credential).count() if request.user.has_perm("devices.view_device") else None,
            "chosen": chosen,
            "names": [device.name for device in (chosen or [])[:_NAMED]],
            "more": max(0, len(chosen or []) - _NAMED),
        },
        credential,
    )


# --- the run --------------------------------------------------------------------------------------
def live_context(run: Run, results: Iterable[Result], failures: list[Failure]) -> dict[str, Any]:
    """What the page of a credential test shows in place of what it shows of other runs."""
    if not is_test(run):
        return {}
    row: Any
    rows = list(results)
    found = tested(run, rows)
    for row in rows:
        row.tested = found[row.pk]
    name = run.parameters.get("credential", "")
    if not name:
        return {"is_test": True}
    pk = Credential.objects.filter(name=name).values_list("pk", flat=True).first()
    page = reverse("admin:credentials_credential_page", args=[pk]) if pk else ""
    edit = reverse("admin:credentials_credential_change", args=[pk]) if pk else ""
    there = {
        Outcome.REJECTED: (
            f"The device refused {name}. Correct its password or user name, or take away the tag that leads it there.",
            Mend("Edit credential", edit),
        ),
        Outcome.HELD: (
            f"Nothing was sent: {name} was proven wrong there before, or its account has no rejections left. "
            "Correct it, or release it.",
            Mend("Its rejections", f"{page}#remembered"),
        ),
        Outcome.ENABLE_REJECTED: (info(Outcome.ENABLE_REJECTED).advice, Mend("Edit credential", edit)),
        Outcome.NO_CREDENTIALS: (f"{name} may not be sent there; the detail says why.", Mend("Edit credential", edit)),
    }
    for row in rows:
        if pk and row.outcome in there:
            row.mend = there[Outcome(row.outcome)][1]
    return {
        "is_test": True,
        "tested_credential": name,
        "tested_page": page,
        "failures": [
            (value, replace(known, advice=there[Outcome(value)][0]), count, there[Outcome(value)][1] if pk else None)
            if value in there
            else (value, known, count, mend)
            for value, known, count, mend in failures
        ],
    }
