"""Credentials: the list, the form with its write-only secrets, the page with devices and attempts."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from credentials.choices import SCOPE_MEANING, AccountScope
from credentials.guard import held_accounts_of, release_credential
from credentials.models import SECRET_FIELDS, Credential
from credentials.services import (
    SecretsInput,
    create_credential,
    delete_credentials,
    notes_on,
    update_credential,
)
from devices.models import Device
from jobs.engine.plan import candidates_of
from jobs.models import Attempt
from jobs.testing import matching_devices
from netraven_site.panels import cells, filters, testing
from netraven_site.panels.base import HistoryPanel, ServiceForm, ServicePanel, say
from netraven_site.panels.widgets import SecretInput, SecretText, TagsField

_PLAIN = ("name", "username", "priority", "scope", "is_fallback", "allow_telnet", "enabled", "description")
_SHOWN = 15
_LABELS = {
    "password": "Password",
    "enable_secret": "Enable secret",
    "private_key": "Private key",
    "passphrase": "Passphrase of the private key",
}


def _placed(credential: Credential, devices: list[Device]) -> list[dict[str, Any]]:
    """Devices with the credential as a candidate: its priority there, where that comes from, and its place."""
    candidates = candidates_of(devices)
    found = []
    for device in devices:
        mine = next((each for each in candidates[device.pk] if each.credential == credential.pk), None)
        usable = [each.credential for each in candidates[device.pk] if not each.skipped]
        place = usable.index(credential.pk) + 1 if credential.pk in usable else None
        found.append({"device": device, "candidate": mine, "place": place, "of": len(usable)})
    return found


def _typed(value: str | None) -> str | None:
    """A secret as it was typed; browsers send line ends as CR LF, which no key file has."""
    return value.replace("\r\n", "\n") if value else None


class CredentialForm(ServiceForm):
    """A credential, written by the services; secrets go in and never come out."""

    tags = TagsField(required=False, help_text="Between commas. It is tried on every device that shares a tag.")
    tag_priorities = forms.CharField(
        required=False,
        label="Priority by tag",
        widget=UnfoldAdminTextInputWidget({"placeholder": "branch = 200, lab = 10", "autocomplete": "off"}),
        help_text="Where it is to come earlier or later for one tag. Lower is tried first.",
    )
    password = forms.CharField(required=False, strip=False, label=_LABELS["password"], widget=SecretInput)
    enable_secret = forms.CharField(required=False, strip=False, label=_LABELS["enable_secret"], widget=SecretInput)
    private_key = forms.CharField(required=False, strip=False, label=_LABELS["private_key"], widget=SecretText)
    passphrase = forms.CharField(required=False, strip=False, label=_LABELS["passphrase"], widget=SecretInput)
    clear = forms.MultipleChoiceField(
        required=False,
        label="Take away",
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Secrets to be forgotten.",
    )

    class Meta:
        model = Credential
        fields = _PLAIN

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = [field for field in SECRET_FIELDS if self.instance.pk and getattr(self.instance, field)]
        for field in SECRET_FIELDS:
            self.fields[field].help_text = (
                "Set. Leave empty to keep it; what is typed replaces it." if field in kept else "Not set."
            )
        clear: Any = self.fields["clear"]
        clear.choices = [(field, _LABELS[field]) for field in kept]
        if not kept:
            del self.fields["clear"]
        if self.instance.pk:
            links = list(self.instance.tag_links.select_related("tag"))
            self.initial["tags"] = sorted(link.tag.name for link in links)
            self.initial["tag_priorities"] = ", ".join(
                f"{link.tag.name} = {link.priority}" for link in links if link.priority is not None
            )

    def clean_tag_priorities(self) -> dict[str, int]:
        """`tag = number` between commas, as a dictionary."""
        found: dict[str, int] = {}
        for part in self.cleaned_data["tag_priorities"].replace(";", ",").split(","):
            if not part.strip():
                continue
            name, separator, number = part.rpartition("=")
            try:
                if not separator:
                    raise ValueError
                found[" ".join(name.split())] = int(number)
            except ValueError:
                raise ValidationError(f"Write tag = number between commas, not {part.strip()!r}.") from None
        return found

    def write(self, instance: Any, data: dict[str, Any]) -> Credential:
        """Make or change the credential."""
        secrets = SecretsInput(**{field: _typed(data[field]) for field in SECRET_FIELDS})
        given: dict[str, Any] = {
            "tags": data["tags"],
            "tag_priorities": data["tag_priorities"],
            **{field: data[field] for field in _PLAIN},
        }
        if instance.pk is None:
            return create_credential(secrets=secrets, **given)
        return update_credential(instance, secrets=secrets, clear=data.get("clear", []), **given)


@admin.register(Credential)
class CredentialPanel(HistoryPanel, ServicePanel):
    """Who we log in as."""

    form = CredentialForm
    page_template = "netraven/credential.html"
    list_display = (
        "credential",
        "user",
        "priority_",
        "scope_",
        "tag_list",
        "secrets",
        "successes",
        "rejections",
        "used",
    )
    list_display_links = ("credential",)
    list_filter = (filters.CredentialsTag, filters.Enabled)
    search_fields = ("name", "username", "description")
    search_help_text = "Name, user name, description"
    ordering = ("priority", "id")
    list_note = "A lower priority is tried first."
    actions = ("enable", "disable")
    delete_text = (
        "Its secrets cannot be brought back. Devices that only it opens will fail; attempts stay, under its name."
    )
    empty_title = "No credentials yet"
    empty_text = "Add a login and give it a tag: it is tried on every device that has the same tag."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Add credential", "credentials_credential_add"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Credential]:
        """Two queries for the tags of a whole page."""
        return super().get_queryset(request).prefetch_related("tag_links__tag")

    # --- the list ---------------------------------------------------------------------------------
    @admin.display(description="Name", ordering="name")
    def credential(self, row: Credential) -> SafeString:
        """The name; one that is not used says so."""
        if row.enabled:
            return cells.code(row.name)
        return format_html('{} <span class="nr-off">disabled</span>', cells.code(row.name))

    @admin.display(description="User name", ordering="username")
    def user(self, row: Credential) -> SafeString:
        """May be empty."""
        return cells.code(row.username)

    @admin.display(description="Priority", ordering="priority")
    def priority_(self, row: Credential) -> SafeString:
        """Lower is tried first."""
        own = [f"{link.tag.name} = {link.priority}" for link in row.tag_links.all() if link.priority is not None]
        title = "Lower is tried first." + (f" By tag: {', '.join(sorted(own))}." if own else "")
        return format_html('<span class="nr-num" title="{}">{}{}</span>', title, row.priority, "*" if own else "")

    @admin.display(description="Account scope", ordering="scope")
    def scope_(self, row: Credential) -> SafeString:
        """What it means is in the title."""
        return cells.cut(AccountScope(row.scope).name.capitalize(), row.scope_meaning)

    @admin.display(description="Tags")
    def tag_list(self, row: Credential) -> SafeString:
        """Each with its own priority, where it has one; all of them in the title. A fallback needs none."""
        names = sorted(
            link.tag.name if link.priority is None else f"{link.tag.name} = {link.priority}"
            for link in row.tag_links.all()
        )
        if row.is_fallback:
            return format_html(
                '<span class="nr-off" title="Matches every device, tried last">fallback</span> {}',
                cells.tags(names) if names else "",
            )
        return cells.tags(names)

    @admin.display(description="Secrets set")
    def secrets(self, row: Credential) -> SafeString:
        """In words; never a value."""
        return cells.cut(", ".join(row.kinds))

    @admin.display(description="Successes", ordering="success_count")
    def successes(self, row: Credential) -> SafeString:
        """Logins that opened a device."""
        return cells.number(row.success_count)

    @admin.display(description="Rejections", ordering="rejected_count")
    def rejections(self, row: Credential) -> SafeString:
        """Logins that were proven wrong."""
        return cells.number(row.rejected_count)

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, row: Credential) -> SafeString:
        """Relative to now."""
        return cells.ago(row.last_used_at)

    # --- the form ---------------------------------------------------------------------------------
    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who, then where, then the secrets."""
        meaning = format_html(
            '<dl class="nr-meaning"><dt>Central</dt><dd>{}</dd><dt>Local</dt><dd>{}</dd></dl>',
            SCOPE_MEANING[AccountScope.CENTRAL],
            SCOPE_MEANING[AccountScope.LOCAL],
        )
        secrets = [("password", "enable_secret"), ("private_key", "passphrase")]
        kept = obj is not None and any(getattr(obj, field) for field in SECRET_FIELDS)
        return (
            (None, {"fields": (("name", "username"), ("description", "enabled"))}),
            ("Which devices, and in which order", {"fields": ("tags", ("priority", "tag_priorities"))}),
            ("Secrets, sealed and never shown again", {"fields": [*secrets, *(["clear"] if kept else [])]}),
            (
                "Where the account lives",
                {"fields": ("scope", ("is_fallback", "allow_telnet")), "description": meaning},
            ),
        )

    @method_decorator(sensitive_post_parameters(*SECRET_FIELDS))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Should it fail, no report holds what was typed."""
        return super().changeform_view(request, *args, **kwargs)

    # --- the page ---------------------------------------------------------------------------------
    def page_context(self, request: HttpRequest, obj: Credential) -> dict[str, Any]:
        """Which devices it matches and opens, and how its logins went."""
        may = request.user.has_perm
        links = sorted(obj.tag_links.all(), key=lambda link: link.tag.name)
        sees_devices = may("devices.view_device")
        devices = matching_devices(obj) if obj.enabled else Device.objects.none()
        shown = list(devices.order_by("name")[:_SHOWN]) if sees_devices else []
        attempts = Attempt.objects.filter(credential=obj).select_related("run").order_by("-id")
        return {
            "credential": obj,
            "priorities": self._priorities(links) if sees_devices else None,
            "links": links,
            "secrets": [(_LABELS[field].partition(" of ")[0], bool(getattr(obj, field))) for field in SECRET_FIELDS],
            "device_count": devices.count() if sees_devices else None,
            "opened_count": devices.filter(last_good_credential=obj).count() if sees_devices else None,
            "devices": _placed(obj, shown) if sees_devices else None,
            "attempts": list(attempts[:_SHOWN]) if may("jobs.view_attempt") else None,
            "may_release": may("credentials.release_guardaccount"),
            "remembered": list(obj.remembered_rejections.order_by("-at")[:_SHOWN]),
            "held": held_accounts_of(obj)[:_SHOWN] if may("credentials.view_guardaccount") else [],
            "notes": notes_on(obj) if obj.enabled else [],
            "shown": _SHOWN,
        }

    @staticmethod
    def _priorities(links: list[Any]) -> list[dict[str, Any]]:
        """Each tag with the priority that it gives, where that comes from, and how many devices have it."""
        tags = [link.tag_id for link in links]
        counts = dict(
            Device.objects.filter(enabled=True, tag_links__tag__in=tags)
            .order_by()
            .values_list("tag_links__tag")
            .annotate(n=Count("pk"))
        )
        return [{"link": link, "devices": counts.get(link.tag_id, 0)} for link in links]

    def extra_urls(self) -> list[Any]:
        """The page that tests it, and the button that releases its accounts."""
        return [
            ("<int:object_id>/test/", self.test_view, "test"),
            ("<int:object_id>/release/", self.release_view, "release"),
        ]

    def test_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """On chosen devices, or on a sample of those that it matches."""
        return testing.test_view(self, request, object_id)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The service has written; what may not be meant is said, by the page of the credential or else here."""
        if request.POST.keys() & {"_addanother", "_continue"} and (not change or form.changed_data):
            for note in notes_on(obj):
                messages.warning(request, note)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Credential]) -> None:
        """With their secrets, for good."""
        delete_credentials(queryset)

    def release_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Give its accounts their budget back, and let it be tried again where it was rejected."""
        credential = self.found(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("credentials.release_guardaccount"):
            raise PermissionDenied
        reason = request.POST.get("reason", "")
        released = release_credential(credential, request.user.get_username(), reason=reason)
        self.log_change(request, credential, f"Released. {reason}".strip())
        accounts = cells.counted(len(released.accounts), "account")
        places = cells.counted(len(released.forgotten), "remembered rejection")
        messages.success(request, f"Released: {accounts} and {places}. It is tried again in the next run.")
        return HttpResponseRedirect(self.page_url(credential.pk))

    # --- actions ----------------------------------------------------------------------------------
    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, chosen: QuerySet[Credential]) -> HttpResponse:
        """They are candidates again."""
        asked = self.ask(
            request, chosen, title="Enable", button="Enable {}", text="They are tried on matching devices again."
        )
        return asked or self._set_enabled(request, chosen, True)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, chosen: QuerySet[Credential]) -> HttpResponse:
        """No device gets them."""
        asked = self.ask(
            request,
            chosen,
            title="Disable",
            button="Disable {}",
            text="They are no longer tried anywhere. Devices that only they open will fail.",
        )
        return asked or self._set_enabled(request, chosen, False)

    def _set_enabled(self, request: HttpRequest, chosen: QuerySet[Credential], enabled: bool) -> HttpResponse:
        count = 0
        for credential in chosen:
            try:
                update_credential(credential, enabled=enabled)
            except ValidationError as error:
                say(request, error)
            else:
                count += 1
        word = "enabled" if enabled else "disabled"
        messages.success(request, f"{cells.counted(count, 'credential')} {word}.")
        return HttpResponseRedirect(request.get_full_path())
