"""The cells of the panels, for templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.db.models import Model
from django.template import Context
from django.urls import reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from devices.configs.diff import DiffLine
from netraven_site.panels import cells, mending

if TYPE_CHECKING:
    from netraven_site.panels.base import Tool

register = template.Library()

# Titles of Django's own pages name the object again, which the way there has shown already.
_SHORT = {"Change": "Edit", "View": "History", "Are": "Delete", "Delete": "Delete"}

register.filter("ago", cells.ago)
register.filter("code", cells.code)
register.filter("cut", cells.cut)
register.filter("duration", cells.span)
register.filter("key_state", cells.key_state)
register.filter("outcome", cells.outcome)
register.filter("run_status", cells.run_status)
register.filter("size", cells.size)
register.filter("taglist", cells.tags)
register.filter("counted", cells.counted)
register.simple_tag(cells.toned, name="toned")
register.simple_tag(mending.mend, name="mend")


@register.filter
def thousands(value: Any) -> str:
    """A whole number with separators."""
    return f"{value:,}" if isinstance(value, int) else str(value)


@register.filter
def marked(line: DiffLine) -> SafeString:
    """The text of a diff line with its changed words marked."""
    parts: list[str] = []
    at = 0
    for start, end in line.marks:
        parts += [conditional_escape(line.text[at:start]), format_html("<mark>{}</mark>", line.text[start:end])]
        at = end
    parts.append(conditional_escape(line.text[at:]))
    return mark_safe("".join(parts))  # noqa: S308 - every part was escaped above


@register.simple_tag(takes_context=True)
def may_use(context: Context, tool: Tool) -> bool:
    """Whether this person may use a tool."""
    return bool(context["request"].user.has_perm(tool.permission))


@register.simple_tag(takes_context=True)
def crumbs(context: Context) -> list[tuple[str, str]]:
    """The way to this page: the list, the object, the page; each a label and an address, or none."""
    opts, title = context.get("opts"), str(context.get("title") or "")
    if opts is None:
        return [(title, "")]
    names = f"admin:{opts.app_label}_{opts.model_name}"
    found = [(capfirst(opts.verbose_name_plural), reverse(f"{names}_changelist"))]
    thing = context.get("original") or context.get("object")
    if isinstance(thing, Model) and thing.pk is not None:
        panel = context.get("panel") or context.get("cl", {})
        has_page = bool(getattr(panel, "page_template", ""))
        found.append((str(thing), reverse(f"{names}_{'page' if has_page else 'change'}", args=[thing.pk])))
        if title and title != str(thing):
            found.append((_SHORT.get(title.split(" ")[0], title), ""))
    elif "cl" not in context:
        found.append((title, ""))
    return found


@register.simple_tag(takes_context=True)
def page_query(context: Context, **changes: Any) -> str:
    """The query string of this page with some parameters changed; None takes one away."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = str(value)
    return f"?{query.urlencode()}"
