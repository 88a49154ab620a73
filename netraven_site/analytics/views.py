"""Rates, advice, coverage, and devices that nothing opens: pages over `jobs.analytics`, which decides everything."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from devices.connector.outcomes import Tone
from jobs.analytics import advice, coverage, ordering, rates, reordering, replay
from jobs.analytics.facts import load_facts
from jobs.analytics.report import advise
from jobs.analytics.rollup import not_counted, roll_up
from jobs.rollups import Dimension, Reordering
from netraven_site.analytics.charts import logins_chart, rejections_chart
from netraven_site.panels import cells
from netraven_site.panels.base import say

DAYS = (7, 30, 90, 365)
# A page counts what is new for so long before it reads; the worker's heartbeat counts the rest.
_COUNT_FOR_S = 0.2
_ROWS = 50
_SHOWN = 10
_VIEW = "credentials.view_credential"
_VIEW_DEVICES = "devices.view_device"
_CHANGE = "credentials.change_credential"

_TABS = (
    ("rates", "Rates", "monitoring", (_VIEW,)),
    ("advice", "Advice", "lightbulb", (_VIEW,)),
    ("coverage", "Coverage", "grid_on", (_VIEW, _VIEW_DEVICES)),
    ("loginless", "No working login", "no_accounts", (_VIEW, _VIEW_DEVICES)),
)
TROUBLES = {
    trouble: (about.label, Tone.HELD if trouble == advice.Trouble.HELD else Tone.FAILED, f"{about.known} {about.mend}")
    for trouble, about in advice.TROUBLES.items()
}
COVERS = {
    coverage.Cover.PROVEN: ("opens", Tone.GOOD),
    coverage.Cover.REJECTED: ("rejected", Tone.FAILED),
    coverage.Cover.EARLIER: ("opened before its change", Tone.PASSING),
    coverage.Cover.MATCHED: ("only matched", Tone.UNKNOWN),
    coverage.Cover.UNMATCHED: ("not matched", Tone.UNKNOWN),
}

_View = Callable[..., HttpResponse]


def _needs(*permissions: str) -> Callable[[_View], _View]:
    """Refuse those who lack one of the permissions."""

    def decorate(view: _View) -> _View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return checked

    return decorate


def _render(request: HttpRequest, tab: str, title: str, context: dict[str, Any]) -> HttpResponse:
    tabs = [
        {"name": name, "label": label, "icon": icon, "url": reverse(f"analytics:{name}"), "is_here": name == tab}
        for name, label, icon, permissions in _TABS
        if request.user.has_perms(permissions)
    ]
    request.current_app = admin.site.name
    return TemplateResponse(
        request,
        f"netraven/analytics/{tab}.html",
        {**admin.site.each_context(request), "title": title, "is_fullwidth": "1", "tabs": tabs, **context},
    )


def _count() -> int:
    """Count what is new; how many attempts are left, for the page to say."""
    return 0 if roll_up(limit_s=_COUNT_FOR_S).is_complete else not_counted()


def _text(request: HttpRequest, name: str) -> str:
    """A parameter as text; what no database can look up is left out."""
    return request.GET.get(name, "").replace("\x00", "").strip()


# --- rates ----------------------------------------------------------------------------------------
@require_GET
@_needs(_VIEW)
def rates_page(request: HttpRequest) -> HttpResponse:
    """How logins ended, day by day and by credential, tag, platform or site."""
    left = _count()
    by, days = request.GET.get("by", ""), request.GET.get("days", "")
    dimension = Dimension(by) if by in Dimension.values else Dimension.ALL
    span = int(days) if days in {str(each) for each in DAYS} else 30
    tests = request.GET.get("tests") == "yes"
    value = _text(request, "value") if "value" in request.GET else None
    found = rates.rates(dimension, span, value=value, tests=tests)
    # Without a choice the table has every credential, also one without a login, with its last use.
    is_overview = dimension == Dimension.ALL and found.value is None and not tests
    rows: list[Any] = list(rates.credential_uses(span)) if is_overview else found.groups
    return _render(
        request,
        "rates",
        "Login rates",
        {
            "left": left,
            "found": found,
            "charts": [logins_chart(found.series), rejections_chart(found.series)],
            "page": Paginator(rows, _ROWS).get_page(request.GET.get("p")),
            "is_overview": is_overview,
            "dimensions": Dimension.choices,
            "day_choices": DAYS,
            "least": rates.LEAST_ANSWERED,
        },
    )


# --- advice ---------------------------------------------------------------------------------------
@require_GET
@_needs(_VIEW)
def advice_page(request: HttpRequest) -> HttpResponse:
    """What to change, each with its sample; and the button that applies a better order."""
    left = _count()
    found = advise()
    return _render(
        request,
        "advice",
        "Advice",
        {
            "left": left,
            "found": found,
            "ordering": found.ordering,
            "offer": reordering.offer(found.ordering) if found.ordering.changes else "",
            "avoided": found.ordering.avoided[:_SHOWN],
            "avoided_more": max(0, len(found.ordering.avoided) - _SHOWN),
            "loginless": [
                (*TROUBLES[trouble], count) for trouble, count in found.loginless.by_trouble.items() if count
            ],
            "may_change": request.user.has_perm(_CHANGE),
            "may_see_devices": request.user.has_perm(_VIEW_DEVICES),
            "applied": Reordering.objects.all()[:_SHOWN],
            "window": replay.WINDOW_DAYS,
            "least": {
                "saved": ordering.LEAST_SAVED,
                "rejected": advice.LEAST_REJECTED,
                "opened": advice.LEAST_OPENED,
            },
        },
    )


@require_POST
@_needs(_VIEW, _CHANGE)
def apply_view(request: HttpRequest) -> HttpResponse:
    """Apply the order that the page of advice offered."""
    try:
        done = reordering.apply_offer(request.POST.get("offer", ""), request.user)  # type: ignore[arg-type]
    except ValidationError as error:
        say(request, error)
    else:
        messages.success(
            request, f"{cells.counted(len(done.changes), 'priority', 'priorities')} changed. Undo is below."
        )
    return HttpResponseRedirect(reverse("analytics:advice"))


@require_POST
@_needs(_VIEW, _CHANGE)
def undo_view(request: HttpRequest, number: int) -> HttpResponse:
    """Give the priorities of a reordering their former numbers back."""
    try:
        done = reordering.undo(number, request.user)  # type: ignore[arg-type]
    except ValidationError as error:
        say(request, error)
    else:
        messages.success(
            request, f"{cells.counted(len(done.changes), 'priority has', 'priorities have')} its former number again."
        )
    return HttpResponseRedirect(reverse("analytics:advice"))


# --- coverage -------------------------------------------------------------------------------------
@require_GET
@_needs(_VIEW, _VIEW_DEVICES)
def coverage_page(request: HttpRequest) -> HttpResponse:
    """Devices by credentials: who opens what."""
    left = _count()
    given = {name: _text(request, name) for name in ("tag", "site", "platform", "credential")}
    cover = request.GET.get("cover", "")
    chosen = coverage.CoverageFilter(
        **given, cover=coverage.Cover(cover) if cover in {each.value for each in coverage.Cover} else None
    )
    found = coverage.coverage(chosen, request.GET.get("p", 1), request.GET.get("columns", 1))
    return _render(
        request,
        "coverage",
        "Coverage",
        {
            "left": left,
            "found": found,
            "page": found.page,
            "rows": [(row.device, [_said(cell) for cell in row.cells]) for row in found.rows],
            "chosen": chosen,
            "is_filtered": any(given.values()),
            "choices": coverage.choices(),
            "covers": [(each.value, label) for each, (label, _) in COVERS.items()],
            "legend": [(label, tone.value) for label, tone in COVERS.values()],
        },
    )


def _said(cell: coverage.Cell) -> dict[str, str]:
    """A cell in words: what is known, and in its title the times, the numbers and the place in the order."""
    label, tone = COVERS[cell.cover]
    parts = []
    if cell.at is not None:
        label = f"{label}, {cells.since(cell.at)}"
        word = "rejected" if cell.cover == coverage.Cover.REJECTED else "accepted"
        parts.append(f"Last {word} {cells.absolute(cell.at)}.")
        parts.append(f"{cells.counted(cell.accepted, 'login')} accepted, {cell.rejected:,} rejected.")
    elif cell.order is not None:
        label = f"{label}, no. {cell.order}"
    if cell.order is not None:
        parts.append(f"No. {cell.order} in the order of trying: {cell.reason}.")
    else:
        parts.append(f"Not tried: {cell.reason}.")
    blank = "yes" if cell.cover == coverage.Cover.UNMATCHED else ""
    return {"label": label, "tone": tone.value, "title": " ".join(parts), "blank": blank}


# --- devices that nothing opens -------------------------------------------------------------------
@require_GET
@_needs(_VIEW, _VIEW_DEVICES)
def loginless_page(request: HttpRequest) -> HttpResponse:
    """Devices without a working credential, each with what is known of it."""
    left = _count()
    found = advice.loginless(load_facts())
    why = request.GET.get("why", "")
    rows = [each for each in found.found if not why or each.trouble.value == why]
    page = Paginator(rows, _ROWS).get_page(request.GET.get("p"))
    return _render(
        request,
        "loginless",
        "Devices without a working login",
        {
            "left": left,
            "page": page,
            "rows": [
                {"detail": each, "trouble": TROUBLES[each.about.trouble]}
                for each in advice.loginless_details(list(page.object_list))
            ],
            "total": len(found.found),
            "untried": found.untried,
            "why": why,
            "troubles": [(trouble.value, *TROUBLES[trouble][:2], count) for trouble, count in found.by_trouble.items()],
        },
    )
