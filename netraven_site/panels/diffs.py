"""The diff of any two versions: lines below each other or side by side, folded, copied, downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from devices.configs.diff import DiffLine, LineKind, SideRow, paired, summary, unified
from devices.configs.lines import lines_of
from devices.configs.patch import SIGNS, patch_text
from devices.configs.store import heading, version_text
from devices.models import ConfigVersion, Device
from netraven_site.panels.texts import attachment, marked

if TYPE_CHECKING:
    from netraven_site.panels.base import Panel

MOST_ROWS: Final = 4_000
"""Rows that one page shows; more would keep the browser busy, and nobody reads them at once."""
_MOST_VERSIONS: Final = 200
_MOST_UNFOLDED: Final = 1_000
_SUMMED_UP: Final = 600_000
"""Characters of both texts up to which a summary is made for the page."""
_CONTEXTS: Final = (3, 10, 25)


def diff_view(panel: Panel, request: HttpRequest) -> HttpResponse:
    """Two versions, of one device or of two; `whole=1` folds nothing, `view=side` puts them side by side."""
    if not panel.has_view_permission(request):
        raise PermissionDenied
    before, after = _asked(request, "before"), _asked(request, "after")
    if _turned_round(before, after):
        return HttpResponseRedirect(f"?{_query(request, before=after.pk, after=before.pk)}")
    whole = request.GET.get("whole") == "1"
    is_side = request.GET.get("view") == "side"
    context = _number(request, "context", 3)
    lines = unified(version_text(before), version_text(after), None if whole else context)
    rows: Sequence[DiffLine | SideRow] = paired(lines) if is_side else lines
    parts = max(1, -(-len(rows) // MOST_ROWS))
    part = min(_number(request, "part", 1), parts) or 1
    shown = rows[(part - 1) * MOST_ROWS : part * MOST_ROWS]
    one_device = before.device_id == after.device_id
    return panel.render(
        request,
        "netraven/diff.html",
        _title(before, after),
        {
            "before": before,
            "after": after,
            "one_device": one_device,
            "rows": side_rows(shown) if is_side else unified_rows(shown),
            "is_side": is_side,
            "part": part,
            "parts": parts,
            "row_count": len(rows),
            "added": sum(line.kind == LineKind.ADDED for line in lines),
            "removed": sum(line.kind == LineKind.REMOVED for line in lines),
            "whole": whole,
            "context": context,
            "contexts": _CONTEXTS,
            "said": _said(before, after) if lines else "",
            "before_versions": versions_of(before),
            "after_versions": versions_of(after),
            "patch_url": f"{reverse('admin:devices_configversion_patch')}?before={before.pk}&after={after.pk}",
        },
    )


def patch_view(panel: Panel, request: HttpRequest) -> HttpResponse:
    """The diff as a file that every viewer of diffs reads."""
    if not panel.has_view_permission(request):
        raise PermissionDenied
    before, after = _asked(request, "before"), _asked(request, "after")
    lines = unified(version_text(before), version_text(after))
    one = before.file_stem
    two = after.called.replace(" ", "-") if before.device_id == after.device_id else after.file_stem
    return attachment(patch_text(heading(before), heading(after), lines), f"{one}-{two}.diff")


def unfold_view(panel: Panel, request: HttpRequest) -> HttpResponse:
    """The rows of lines that were folded away: `count` equal lines from line `start` of the later text."""
    if not panel.has_view_permission(request):
        raise PermissionDenied
    after = _asked(request, "after")
    start, before = _number(request, "start", 1), _number(request, "from", 1)
    count = _number(request, "count", 0)
    texts = lines_of(version_text(after))[start - 1 : start - 1 + min(count, _MOST_UNFOLDED)]
    lines = [DiffLine(LineKind.SAME, text, before=before + at, after=start + at) for at, text in enumerate(texts)]
    if texts and count > len(texts):
        left = count - len(texts)
        lines.append(DiffLine(LineKind.GAP, "", before + len(texts), start + len(texts), folded=left))
    is_side = request.GET.get("view") == "side"
    return HttpResponse(side_rows(paired(lines)) if is_side else unified_rows(lines))


def suggest_view(panel: Panel, request: HttpRequest) -> HttpResponse:
    """Names of devices that have a configuration, for the picker."""
    if not panel.has_view_permission(request):
        raise PermissionDenied
    typed = request.GET.get("q", "").strip()[:100]
    found = Device.objects.filter(name__icontains=typed, config_versions__isnull=False).order_by("name")
    return JsonResponse({"names": list(found.values_list("name", flat=True).distinct()[:20])})


# --- rows -----------------------------------------------------------------------------------------------
# Written here and not in a template: a long diff has thousands, and a template takes some ten times as long.
def unified_rows(lines: Iterable[Any], *, unfolds: bool = True) -> SafeString:
    """The rows of a diff whose lines stand below each other; `unfolds`: folded lines can be asked for."""
    rows = "\n".join(_unified_row(line, unfolds) for line in lines)
    return mark_safe(rows)  # noqa: S308 - each row escapes its texts


def side_rows(rows: Iterable[Any]) -> SafeString:
    """The rows of a diff with the two texts side by side."""
    return mark_safe("\n".join(_side_row(row) for row in rows))  # noqa: S308 - each row escapes its texts


def _unified_row(line: DiffLine, unfolds: bool) -> str:
    if line.kind is LineKind.GAP:
        return f'<tr class="nr-gap"><td></td><td></td><td></td><td>{_gap(line, unfolds)}</td></tr>'
    return (
        f'<tr class="nr-{line.kind.value}"><td>{line.before or ""}</td><td>{line.after or ""}</td>'
        f"<td>{SIGNS[line.kind]}</td><td>{marked(line)}</td></tr>"
    )


def _side_row(row: SideRow) -> str:
    left, right = row.left, row.right
    if left is not None and left.kind is LineKind.GAP:
        return f'<tr class="nr-gap"><td></td><td colspan="3">{_gap(left)}</td></tr>'
    if not row.changed and left is not None and right is not None:
        text = escape(left.text, quote=False)
        return f"<tr><td>{left.before}</td><td>{text}</td><td>{right.after}</td><td>{text}</td></tr>"
    return f"<tr>{_side(left, 'before', 'removed')}{_side(right, 'after', 'added')}</tr>"


def _side(line: DiffLine | None, which: str, kind: str) -> str:
    if line is None:
        return '<td></td><td class="nr-blank"></td>'
    return f'<td>{getattr(line, which)}</td><td class="nr-{kind}-side">{marked(line)}</td>'


def _gap(line: DiffLine, unfolds: bool = True) -> str:
    said = f"{line.folded:,} equal {'line' if line.folded == 1 else 'lines'}"
    if not unfolds:
        return said
    return (
        f'<button type="button" class="nr-unfold" data-nr-unfold="from={line.before}&amp;start={line.after}'
        f'&amp;count={line.folded}" title="Show them">{said}</button>'
    )


# --- what was asked for -----------------------------------------------------------------------------------
def versions_of(version: ConfigVersion) -> list[ConfigVersion]:
    """The versions of the same device and kind, newest first; the version itself is always among them."""
    same = ConfigVersion.objects.filter(device=version.device_id, kind=version.kind).order_by("-number")
    found = list(same[:_MOST_VERSIONS])
    return found if version in found else [*found, version]


def _asked(request: HttpRequest, which: str) -> ConfigVersion:
    """The version of a side: by its id, unless another device was named; then the latest of that one."""
    rows = ConfigVersion.objects.select_related("text", "device").defer("text__sealed")
    number = _number(request, which, 0)
    found = rows.filter(pk=number).first() if number else None
    name = request.GET.get(f"{which}_device", "").strip()
    if name and (found is None or found.device.name != name):
        of_device = rows.filter(device__name__iexact=name)
        same_kind = of_device.filter(kind=found.kind) if found else of_device.filter(kind="running")
        other = same_kind.order_by("-number").first() or of_device.order_by("-number").first()
        if other is None:
            messages.warning(request, f"There is no configuration of a device named {name[:100]}.")
        found = other or found
    if found is None:
        raise Http404("There is no such version.")
    return found


def _turned_round(before: ConfigVersion, after: ConfigVersion) -> bool:
    same = before.device_id == after.device_id and before.kind == after.kind
    return same and before.number > after.number


def _query(request: HttpRequest, **changes: int) -> str:
    query = request.GET.copy()
    for name in ("before_device", "after_device", "part"):
        query.pop(name, None)
    for name, value in changes.items():
        query[name] = str(value)
    return query.urlencode()


def _number(request: HttpRequest, name: str, default: int) -> int:
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else default


def _title(before: ConfigVersion, after: ConfigVersion) -> str:
    if before.device_id == after.device_id:
        return f"{after.device} {before.called} to {after.called}"
    return f"{before.device} {before.called} and {after.device} {after.called}"


def _said(before: ConfigVersion, after: ConfigVersion) -> str:
    """The change in one line: as it was stored, or made now where the texts are not too long for that."""
    same = before.device_id == after.device_id and before.kind == after.kind
    if same and after.number == before.number + 1:
        return after.summary
    if before.device.platform != after.device.platform:
        return ""
    one, two = version_text(before), version_text(after)
    return summary(one, two, after.device.platform) if len(one) + len(two) <= _SUMMED_UP else ""
