"""Platforms: how each kind of device is read and judged, and what a team changes in it or adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from devices import platforms_table
from devices.configs.trying import MOST_CHARACTERS, TryFailed, attempt
from devices.connector import platforms
from devices.platforms_described import RULES, STATES, Setting, described, overview
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import delete_overrides, devices_of, draft, save_override
from netraven_site.panels.base import HistoryPanel, ServiceForm, ServicePanel, say

TONES = {"shipped": "unknown", "changed": "passing", "own": "good"}
_SHORT = 12
_NEW = """[platforms.our_platform]
label = "Our platform"
vendor = ""
like = "cisco_ios"
driver = "cisco_ios"
"""


def _rules_widget(rows: int) -> UnfoldAdminTextareaWidget:
    return UnfoldAdminTextareaWidget({"rows": rows, "class": "nr-id", "spellcheck": "false"})


class PlatformForm(ServiceForm):
    """Rules of a platform, written by `save_override`."""

    user: Any = None

    class Meta:
        model = PlatformOverride
        fields = ("text", "enabled")
        widgets: ClassVar[dict[str, Any]] = {"text": _rules_widget(15), "enabled": UnfoldBooleanSwitchWidget}

    def write(self, instance: Any, data: dict[str, Any]) -> PlatformOverride:
        """Try it, and keep it."""
        return save_override(instance, text=data["text"], enabled=data["enabled"], user=self.user)


class TryForm(forms.Form):
    """A text to try rules on; neither is kept."""

    dump = forms.CharField(
        label="What a device printed",
        max_length=MOST_CHARACTERS,
        strip=False,
        widget=_rules_widget(12),
        help_text="Paste the answer of a device. It is kept nowhere.",
    )
    kind = forms.CharField(label="Text", required=False, max_length=31)
    command = forms.CharField(
        label="Command of the facts",
        required=False,
        max_length=200,
        help_text="If what you paste is the answer to another command than the platform's own for facts.",
    )
    rules = forms.CharField(
        label="With these rules", required=False, strip=False, widget=_rules_widget(8), help_text="They are not saved."
    )


@admin.register(PlatformOverride)
class PlatformPanel(ServicePanel, HistoryPanel):
    """All platforms, and the rules that were written here."""

    form = PlatformForm
    page_template = "netraven/platform.html"
    fieldsets = (
        (
            None,
            {
                "fields": ("text", "enabled"),
                "description": (
                    "In the form of the shipped table: one [platforms.NAME] and what is different or new. It is laid "
                    "over what is shipped and over the files of NETRAVEN_PLATFORMS, is tried before it is saved, and "
                    "counts for devices that are begun from then on. Whoever may write here decides what is typed "
                    "on devices."
                ),
            },
        ),
    )
    delete_text = "What is shipped, or stands in files, counts again."

    # --- the list ---------------------------------------------------------------------------------
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """All platforms, with those that were changed or added here."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        term, state, used = (request.GET.get(name, "").strip() for name in ("q", "state", "used"))
        every = overview(platforms.table(), devices_of())
        words = term.lower().split()
        lines = [
            each for each in every if each.matches(words) and state in ("", each.state) and (each.devices or not used)
        ]
        return self.render(
            request,
            "netraven/platforms.html",
            "Platforms",
            {
                "lines": [(each, STATES[each.state], TONES[each.state]) for each in lines],
                "total": len(every),
                "term": term,
                "state": state,
                "used": used,
                "states": STATES.items(),
                "may_add": self.has_add_permission(request),
                "off": PlatformOverride.objects.filter(enabled=False),
            },
        )

    # --- one platform -----------------------------------------------------------------------------
    def extra_urls(self) -> list[Any]:
        """The page of a platform, by its name, and the trial of its rules."""
        return [("of/<str:name>/", self.named_view, "named"), ("of/<str:name>/try/", self.try_view, "try")]

    def page_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The page of the platform that a row is about."""
        return HttpResponseRedirect(_url("named", self.found(request, object_id).name))

    def named_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """All that counts for a platform, and where it comes from."""
        row = self._row(request, name)
        table = platforms.table()
        found = described(table, name, devices_of([name]).get(name, 0)) if name in table.platforms else None
        return self.render(
            request,
            self.page_template,
            name,
            {
                "found": found,
                "name": name,
                "row": row,
                "state": (STATES[found.state], TONES[found.state]) if found else None,
                "rules": [_shown(key, label, found.rules[key]) for key, label in RULES.items()] if found else [],
                "may_add": self.has_add_permission(request),
            },
            row,
        )

    @method_decorator(sensitive_post_parameters())
    def try_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """What the rules, or others that are not saved, make of a text that is not kept either."""
        row = self._row(request, name)
        if not self.has_change_permission(request):
            raise PermissionDenied
        table = platforms.table()
        form = TryForm(request.POST or None, initial={"rules": row.text if row else f"[platforms.{name}]\n"})
        trial = None
        if request.method == "POST" and form.is_valid():
            trial = self._tried(form, name, row)
        answer = self.render(
            request,
            "netraven/platform_try.html",
            f"Try {name}",
            {
                "form": form,
                "name": name,
                "kinds": [each.kind for each in table.platforms[name].collects] if name in table.platforms else [],
                "kind": request.POST.get("kind", ""),
                "trial": trial,
            },
            row,
        )
        add_never_cache_headers(answer)
        return answer

    @staticmethod
    def _tried(form: TryForm, name: str, row: PlatformOverride | None) -> Any:
        data = form.cleaned_data
        try:
            if data["rules"].strip():
                sources = draft(data["rules"].replace("\r\n", "\n"), row or PlatformOverride(name=name))
            else:
                sources = [*platforms_table.files(), *platforms_table.rows()]
            return attempt(sources, name, data["kind"] or platforms.RUNNING, data["dump"], data["command"].strip())
        except ValidationError as error:
            form.add_error("rules", error.messages)
        except TryFailed as error:
            form.add_error("dump", str(error))
        return None

    def _row(self, request: HttpRequest, name: str) -> PlatformOverride | None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = PlatformOverride.objects.select_related("changed_by").filter(name=name).first()
        if row is None and name not in platforms.platforms():
            raise Http404(f"There is no platform {name}.")
        return row

    # --- the form ---------------------------------------------------------------------------------
    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Of the person who writes."""
        found = super().get_form(request, obj, change=change, **kwargs)
        return type(found.__name__, (found,), {"user": request.user})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The head of the rules of a platform that one comes from; else an example."""
        name = request.GET.get("platform", "")
        return {"text": f"[platforms.{name}]\n" if name in platforms.platforms() else _NEW}

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Unless something needs it."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except ValidationError as error:
            say(request, error)
            return HttpResponseRedirect(self.page_url(object_id))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PlatformOverride]) -> None:
        """Through the service."""
        person: Any = request.user
        delete_overrides(list(queryset), user=person)


def _shown(key: str, label: str, rules: Sequence[Setting]) -> dict[str, Any]:
    """Rules as the page has them; long lists are folded unless something of one's own is among them."""
    own = sum(not each.origin.startswith("shipped") for each in rules)
    return {"key": key, "label": label, "rules": rules, "own": own, "is_open": bool(own) or len(rules) <= _SHORT}


def _url(page: str, name: str) -> str:
    return reverse(f"admin:devices_platformoverride_{page}", args=[name])
