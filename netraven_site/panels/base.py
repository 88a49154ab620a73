"""What all panels share: dense lists with their filters in one line, pages of single objects, forms over services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, Model, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import capfirst
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from netraven_site.panels.cells import counted

_NAMED = 12
CONFIRMED = "confirmed"

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = ModelAdmin


class _PageList(ChangeList):  # type: ignore[misc]
    """A list whose rows lead to the page of the object, not to its form."""

    def url_for_result(self, result: Model) -> str:
        return str(self.model_admin.page_url(result.pk))


@dataclass(frozen=True)
class Tool:
    """A button above a list: where it leads (the name of an address) and who may use it."""

    label: str
    url: str
    icon: str
    permission: str
    keeps_filters: bool = False


class Panel(_ModelAdmin):
    """A list, perhaps a page of its own for each object (`page_template`), and a form."""

    list_per_page = 50
    list_max_show_all = 500
    list_fullwidth = True
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    compressed_fields = False
    change_list_template = "netraven/change_list.html"
    change_form_template = "netraven/change_form.html"
    save_on_top = False

    page_template: ClassVar[str] = ""
    delete_text: ClassVar[str] = "This cannot be undone."
    list_note: ClassVar[str] = ""
    """A word on how to read the list."""
    tools: ClassVar[tuple[Tool, ...]] = ()
    empty_title: ClassVar[str] = ""
    """What an empty list says, and below it what to do first: a text and links (label, name of the address)."""
    empty_text: ClassVar[str] = ""
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = ()

    # --- pages ------------------------------------------------------------------------------------
    @cached_property
    def url_names(self) -> str:
        """The beginning of the names of this panel's addresses."""
        return f"{self.opts.app_label}_{self.opts.model_name}"

    @cached_property
    def add_url_name(self) -> str:
        """The name of the address of the form for a new object."""
        return f"admin:{self.url_names}_add"

    def page_url(self, pk: Any) -> str:
        """The address of the page of one object."""
        return reverse(f"admin:{self.url_names}_page", args=[pk])

    def list_url(self) -> str:
        """The address of the list."""
        return reverse(f"admin:{self.url_names}_changelist")

    def get_urls(self) -> list[URLPattern]:
        """The page of an object, and the extra pages of the panel, before Django's own."""
        own = [self.url(route, view, name) for route, view, name in self.extra_urls()]
        if self.page_template:
            own.append(self.url("<int:object_id>/", self.page_view, "page"))
        return own + super().get_urls()

    def extra_urls(self) -> list[tuple[str, Callable[..., HttpResponse], str]]:
        """Further pages: route, view and the end of the name."""
        return []

    def url(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        """A page for people who are signed in."""
        return path(route, self.admin_site.admin_view(view), name=f"{self.url_names}_{name}")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Rows lead to the page where there is one."""
        return _PageList if self.page_template else super().get_changelist(request, **kwargs)

    def page_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The page of one object."""
        found = self.found(request, object_id)
        return self.render(request, self.page_template, str(found), self.page_context(request, found), found)

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the page shows besides the object."""
        return {}

    def found(self, request: HttpRequest, object_id: int) -> Any:
        """The object, for somebody who may see it: 404 or 403 otherwise."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).filter(pk=object_id).first()
        if found is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        return found

    def render(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any], obj: Model | None = None
    ) -> TemplateResponse:
        """A page of ours within the portal."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "panel": self,
                "title": title,
                "object": obj,
                "may_change": self.has_change_permission(request, obj),
                "may_run": request.user.has_perm("jobs.run_job"),
                "is_fullwidth": "1",
                **context,
            },
        )

    # --- forms ------------------------------------------------------------------------------------
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form is for people who may write; others get the page, which is made for reading."""
        if object_id and self.page_template and not self.has_change_permission(request):
            if not self.has_view_permission(request):
                raise PermissionDenied
            return HttpResponseRedirect(self.page_url(object_id))
        extra = {**(extra_context or {}), "is_fullwidth": "1", "panel": self}
        return super().changeform_view(request, object_id, form_url, extra)

    def response_add(self, request: HttpRequest, obj: Model, post_url_continue: str | None = None) -> HttpResponse:
        """After adding one looks at what was added."""
        if self.page_template and not request.POST.keys() & {"_addanother", "_continue", "_popup"}:
            messages.success(request, f"{capfirst(str(self.opts.verbose_name))} {obj} was added.")
            return HttpResponseRedirect(self.page_url(obj.pk))
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Model) -> HttpResponse:
        """After changing one looks at what was changed."""
        if self.page_template and not request.POST.keys() & {"_addanother", "_continue", "_popup"}:
            messages.success(request, f"{capfirst(str(self.opts.verbose_name))} {obj} was changed.")
            return HttpResponseRedirect(self.page_url(obj.pk))
        return super().response_change(request, obj)

    # --- actions on many rows -----------------------------------------------------------------------
    def ask(
        self,
        request: HttpRequest,
        chosen: QuerySet[Any],
        *,
        title: str,
        button: str,
        text: str = "",
        form: forms.Form | None = None,
        rows: list[dict[str, Any]] | None = None,
        danger: bool = False,
    ) -> HttpResponse | None:
        """The page that names what an action touches; None once the person has confirmed (and `form` is valid).

        `{}` in `button` stands for the number of rows with their noun.
        """
        if CONFIRMED in request.POST and (form is None or form.is_valid()):
            return None
        count = chosen.count()
        named = counted(count, str(self.opts.verbose_name), str(self.opts.verbose_name_plural))
        return self.render(
            request,
            "netraven/confirm.html",
            title,
            {
                "counted": named,
                "names": [str(each) for each in chosen[:_NAMED]],
                "more": max(0, count - _NAMED),
                "rows": rows,
                "button": button.format(named),
                "text": text,
                "form": form,
                "danger": danger,
                "confirmed_name": CONFIRMED,
                "carried": [
                    (name, value)
                    for name in ("action", "index", "select_across", ACTION_CHECKBOX_NAME)
                    for value in request.POST.getlist(name)
                ],
                "back": request.get_full_path() if "action" in request.POST else self.list_url(),
            },
        )

    def get_actions(self, request: HttpRequest) -> Any:
        """Our own deletion in place of Django's, which lists every related row and asks rights for each."""
        found = {name: each for name, each in super().get_actions(request).items() if name != "delete_selected"}
        if found or self.actions is not None:
            action = self.get_action("delete_chosen")
            if action is not None and self.has_delete_permission(request):
                found["delete_chosen"] = action
        return found

    @admin.action(description="Delete", permissions=["delete"])
    def delete_chosen(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse:
        """Take rows away, all or none, once the person has seen how many."""
        asked = self.ask(request, chosen, title="Delete", button="Delete {}", text=self.delete_text, danger=True)
        if asked:
            return asked
        count = chosen.count()
        self._delete(request, chosen)
        names = counted(count, str(self.opts.verbose_name), str(self.opts.verbose_name_plural))
        messages.success(request, f"{names} deleted.")
        return HttpResponseRedirect(request.get_full_path())

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One row, the same way."""
        found = self.found(request, int(object_id) if object_id.isdecimal() else 0)
        if not self.has_delete_permission(request, found):
            raise PermissionDenied
        chosen = self.get_queryset(request).filter(pk=found.pk)
        asked = self.ask(request, chosen, title="Delete", button="Delete {}", text=self.delete_text, danger=True)
        if asked:
            return asked
        name = str(found)
        self._delete(request, chosen)
        messages.success(request, f"{name} was deleted.")
        return HttpResponseRedirect(self.list_url())

    def _delete(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        with transaction.atomic():
            self.log_deletions(request, chosen)
            self.delete_queryset(
                request, self.model._default_manager.filter(pk__in=list(chosen.values_list("pk", flat=True)))
            )


class ReadOnlyPanel(Panel):
    """Rows that only the product itself writes."""

    actions: Any = None
    show_add_link = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """There is no form: the page of the row, or the list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(self.page_url(object_id) if object_id and self.page_template else self.list_url())


class HistoryPanel(SimpleHistoryAdmin, Panel):  # type: ignore[misc]
    """A panel with the history of its objects: who changed what. Nothing is reverted from there."""

    object_history_template = "netraven/history.html"
    object_history_list_template = "netraven/history_list.html"
    history_list_per_page = 50

    def get_urls(self) -> list[URLPattern]:
        """Without the form over an old row: posted to, it would write past the services."""
        found: list[URLPattern] = super().get_urls()
        return [each for each in found if each.name != f"{self.url_names}_simple_history"]

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        """Always."""
        return True


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that decides nothing: a service validates and writes, its ValidationError goes to the fields.

    The admin saves within one transaction and calls `is_valid` once, so writing there leaves nothing behind
    when anything else fails.
    """

    field_of: ClassVar[dict[str, str]] = {}
    """The field of the form for a field of the service, where the names differ."""

    def write(self, instance: Any, data: dict[str, Any]) -> Model:
        """Call the service with the cleaned data; returns the row."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        if self.errors:
            return
        # A fresh row: what a refused change left on the object is not shown as its title.
        fresh = type(self.instance)
        target = fresh._default_manager.get(pk=self.instance.pk) if self.instance.pk else fresh()
        try:
            self.instance = self.write(target, self.cleaned_data)
        except ValidationError as error:
            for name, found in self._by_field(error).items():
                self.add_error(name, found)

    def _by_field(self, error: ValidationError) -> dict[str | None, list[ValidationError]]:
        if not hasattr(error, "error_dict"):
            return {None: error.error_list}
        placed: dict[str | None, list[ValidationError]] = {}
        for name, found in error.error_dict.items():
            field = self.field_of.get(name, name)
            known = field if field in self.fields and name != NON_FIELD_ERRORS else None
            placed.setdefault(known, []).extend(found)
        return placed

    def save(self, commit: bool = True) -> Any:
        """The row that the service wrote."""
        self.save_m2m = lambda: None  # type: ignore[method-assign]
        return self.instance


class ServicePanel(Panel):
    """A panel whose form is a ServiceForm."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The model's fields that the form names; what else the fieldsets hold is the form's own."""
        kwargs["fields"] = self.form._meta.fields
        return super().get_form(request, obj, change=change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Nothing: the service has written."""


def how_many(rows: QuerySet[Any], field: str) -> Subquery:
    """The number of rows of a subquery, which are filtered by `field` of the outer one."""
    numbers: Any = rows.order_by().values(field).annotate(n=Count("pk"))
    return Subquery(numbers.values("n"))


def say(request: HttpRequest, error: ValidationError) -> None:
    """Show a refusal of a service as messages."""
    for text in error.messages:
        messages.error(request, text)


def back_to(request: HttpRequest, fallback: str) -> HttpResponseRedirect:
    """Where a small form was sent from: its `next`, when that is an address of ours."""
    wanted = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(wanted if ours else fallback)
