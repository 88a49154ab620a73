"""The page that searches configurations, and the searches that people keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from taggit.models import Tag

from devices.configs import index
from devices.configs.query import LONGEST_TERM, MOST_TAGS, BadQuery, Mode, Query
from devices.configs.saved import SHARE, delete_search, save_search, searches_of
from devices.configs.search import Found, search
from devices.models import ConfigVersion, Device
from devices.searches import SavedSearch
from netraven_site.panels.base import say
from netraven_site.panels.filters import distinct
from netraven_site.panels.texts import user_of

if TYPE_CHECKING:
    from netraven_site.panels.base import Panel

_PAGE: Final = 25
_LINES: Final = 5
_MODES: Final = ((Mode.TEXT, "text"), (Mode.WORDS, "words"), (Mode.REGEX, "regex"))
_FLAGS: Final = (
    ("absent", "does not contain", "Configurations that lack it"),
    ("case", "match case", "Upper and lower case differ"),
    ("every_version", "all versions", "Not the latest ones alone"),
)


class SearchForm(forms.Form):
    """What the address of the page says."""

    q = forms.CharField(max_length=LONGEST_TERM, required=False, strip=False)
    mode = forms.ChoiceField(choices=_MODES, required=False)
    absent = forms.BooleanField(required=False)
    case = forms.BooleanField(required=False)
    every_version = forms.BooleanField(required=False)
    platform = forms.CharField(max_length=60, required=False)
    site = forms.CharField(max_length=100, required=False)
    kind = forms.CharField(max_length=30, required=False)
    context = forms.IntegerField(min_value=0, max_value=10, required=False)
    after = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False)

    def query(self, tags: Sequence[str]) -> Query | None:
        """The search, None when there is nothing to look for; only of a valid form."""
        data = self.cleaned_data
        if not data["q"].strip():
            return None
        return Query(
            term=data["q"],
            mode=Mode(data["mode"] or Mode.TEXT),
            case=data["case"],
            absent=data["absent"],
            tags=tuple(tag for tag in tags if tag)[:MOST_TAGS],
            platform=data["platform"],
            site=data["site"],
            kind=data["kind"],
            every_version=data["every_version"],
        )


def search_view(panel: Panel, request: HttpRequest) -> HttpResponse:
    """Search, and show what was found with the lines around it."""
    if not panel.has_view_permission(request):
        raise PermissionDenied
    form = SearchForm(request.GET)
    query: Query | None = None
    found: Found | None = None
    problem = ""
    if form.is_valid():
        query = form.query(request.GET.getlist("tag"))
        context = form.cleaned_data["context"]
        try:
            if query is not None:
                after = form.cleaned_data["after"]
                found = search(query, after=after, limit=_PAGE, lines=_LINES, context=2 if context is None else context)
        except BadQuery as error:
            problem = str(error)
    else:
        problem = " ".join(str(message) for errors in form.errors.values() for message in errors)
    user = user_of(request)
    saved = [(each, _address(each), each.owner_id == user.pk) for each in searches_of(user)]
    return panel.render(
        request,
        "netraven/search.html",
        "Search",
        {
            "form": form,
            "data": request.GET,
            "modes": _MODES,
            "flags": _FLAGS,
            "choices": _choices(),
            "query": query,
            "found": found,
            "problem": problem,
            "notice": "" if found is None else _notice(found),
            "saved": saved,
            "may_share": user.has_perm(SHARE),
            "may_delete": user.has_perm("devices.delete_savedsearch"),
            "is_filtered": bool(query and (query.tags or query.platform or query.site or query.kind)),
        },
    )


def save_view(panel: Panel, request: HttpRequest) -> HttpResponse:
    """Keep the search that the address says under a name."""
    if not panel.has_view_permission(request):
        raise PermissionDenied
    back = f"{reverse('admin:devices_configversion_search')}?{request.GET.urlencode()}"
    form = SearchForm(request.GET)
    query = form.query(request.GET.getlist("tag")) if form.is_valid() else None
    if request.method == "POST" and query is not None:
        shared = request.POST.get("shared") == "1"
        try:
            row = save_search(user_of(request), request.POST.get("name", ""), query, shared=shared)
        except ValidationError as error:
            say(request, error)
        else:
            messages.success(request, f"The search “{row.name}” is kept{' for everybody' if shared else ''}.")
    return HttpResponseRedirect(back)


def forget_view(panel: Panel, request: HttpRequest, object_id: int) -> HttpResponse:
    """Delete a search."""
    if not panel.has_view_permission(request):
        raise PermissionDenied
    row = searches_of(user_of(request)).filter(pk=object_id).first()
    if row is None:
        raise Http404("There is no such search.")
    if request.method == "POST":
        delete_search(row, user_of(request))
        messages.success(request, f"The search “{row.name}” was deleted.")
    return HttpResponseRedirect(reverse("admin:devices_configversion_search"))


def _choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """The filters with what can be chosen in each."""
    kinds = ConfigVersion.objects.order_by("kind").values_list("kind", flat=True).distinct()
    found = [
        ("tag", distinct(Tag.objects.filter(device_tags__isnull=False), "name")),
        ("platform", distinct(Device.objects.all(), "platform")),
        ("site", distinct(Device.objects.exclude(site=""), "site")),
        ("kind", [(kind, kind) for kind in kinds]),
    ]
    return [(name, options) for name, options in found if name != "kind" or len(options) > 1]


def _address(row: SavedSearch) -> str:
    """Where a kept search is run again."""
    values: dict[str, Any] = dict(row.query)
    flags = {name: "on" for name, *_ in _FLAGS if values.get(name)}
    plain = {name: values[name] for name in ("mode", "platform", "site", "kind") if values.get(name)}
    address = {"q": values.get("term", ""), **plain, "tag": values.get("tags", []), **flags}
    return f"{reverse('admin:devices_configversion_search')}?{urlencode(address, doseq=True)}"


def _notice(found: Found) -> str:
    """What the index did not know, when that was much."""
    if not found.not_indexed:
        return ""
    if index.current() is None:
        return index.missing()
    if found.not_indexed < found.looked_at:
        return f"The index does not know {found.not_indexed:,} of these texts yet; they were read."
    return "The index was of no use here, so all texts were read."
