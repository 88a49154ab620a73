"""The cells of the panels, for templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import template
from django.db.models import Model
from django.template import Context
from django.urls import reverse
from django.utils.text import capfirst

from netraven_site.panels import cells, mending, texts

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
register.filter("marked", texts.marked)
register.filter("moment", cells.moment)
register.filter("outcome", cells.outcome)
register.filter("run_status", cells.run_status)
register.filter("size", cells.size)
register.filter("taglist", cells.tags)
register.filter("window_state", cells.window_state)
register.filter("counted", cells.counted)
register.simple_tag(cells.toned, name="toned")
register.simple_tag(mending.mend, name="mend")
register.simple_tag(texts.line_url, name="config_line")


@register.filter
def thousands(value: Any) -> str:
    """A whole number with separators."""
    return f"{value:,}" if isinstance(value, int) else str(value)


@register.filter
def value_of(values: Mapping[str, Any], name: str) -> Any:
    """The value of that name, if there is one."""
    return values.get(name, "")


@register.filter
def minus(value: int, other: int) -> int:
    """The difference of two numbers."""
    return value - other


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
    elif "cl" not in context and title != found[0][0]:
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
