"""The result of one device in a run: what happened, what was found, and what the device answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from devices.connector.outcomes import info
from jobs.choices import ResultStatus
from jobs.kinds.base import as_text
from jobs.models import Attempt, Result, Run
from jobs.outputs import CommandOutput
from jobs.timing import in_words
from netraven_site.panels import mending
from netraven_site.panels.tallies import kind_label

if TYPE_CHECKING:
    from netraven_site.panels.base import Panel

# Beyond this a page of answers takes long to open; each answer can be read whole by itself.
_MOST_LINES = 400
_MOST_ROWS = 200
# Lists and tables of a result, such as the answers to commands, are shown in their own place.
_ELSEWHERE = frozenset({"commands", "texts"})
_TEXT_TONES = {"changed": "good", "unchanged": "good", "kept aside": "held"}


def result_view(panel: Panel, request: HttpRequest, object_id: int, result_id: int) -> HttpResponse:
    """The page of one result."""
    result = _result(panel, request, object_id, result_id)
    may = request.user.has_perm
    known = info(result.outcome)
    outputs = list(result.outputs.order_by("number"))
    attempts = Attempt.objects.filter(run=result.run_id, device=result.device_id).order_by("order", "pk")
    return panel.render(
        request,
        "netraven/result.html",
        result.device_name,
        {
            "run": result.run,
            "result": result,
            "kind": kind_label(result.run.kind),
            "is_pending": result.status == ResultStatus.PENDING,
            "known": known,
            "advice": result.advice or known.advice,
            "there": mending.mend(result.outcome, result.device_id, result.device_name, result.credential_id),
            "data": [(name, value) for name, value in values_shown(result.data) if name not in _ELSEWHERE],
            "texts": [
                {**each, "tone": _TEXT_TONES.get(each["state"], "failed")} for each in result.data.get("texts", ())
            ],
            "outputs": [_shown(output) for output in outputs],
            "attempts": list(attempts) if result.device_id and may("jobs.view_attempt") else None,
        },
        result.run,
    )


def output_view(panel: Panel, request: HttpRequest, object_id: int, result_id: int, number: int) -> HttpResponse:
    """One answer as plain text, as far as it is kept."""
    result = _result(panel, request, object_id, result_id)
    output = result.outputs.filter(number=number).first()
    if output is None:
        raise Http404(f"This result has no answer {number}.")
    answer = HttpResponse(output.text, content_type="text/plain; charset=utf-8")
    # What a device says is never taken for a page, whatever the browser makes of it.
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = "sandbox"
    return answer


def values_shown(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values as people read them; a name that ends in `_s` is that of some seconds."""
    found = []
    for name, value in data.items():
        if name.endswith("_s") and isinstance(value, int) and not isinstance(value, bool):
            found.append((name.removesuffix("_s").replace("_", " "), in_words(value)))
        else:
            found.append((name.replace("_", " "), value_shown(value)))
    return found


def value_shown(value: Any) -> str:
    """A value of JSON in words: numbers with separators, lists and pairs between commas."""
    if isinstance(value, bool) or value is None:
        return as_text(value) or "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {value_shown(each)}" for name, each in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(value_shown(each) for each in value) or "–"
    return str(value)


def _result(panel: Panel, request: HttpRequest, run_id: int, result_id: int) -> Result:
    run: Run = panel.found(request, run_id)
    if not request.user.has_perm("jobs.view_result"):
        raise PermissionDenied
    found = Result.objects.select_related("run", "config_version").filter(run=run, pk=result_id).first()
    if found is None:
        raise Http404(f"Run {run_id} has no result {result_id}.")
    return found


def _shown(output: CommandOutput) -> dict[str, Any]:
    text = output.text
    lines = text.splitlines()
    rows = output.rows or []
    return {
        "output": output,
        "text": "\n".join(lines[:_MOST_LINES]),
        "more_lines": max(0, len(lines) - _MOST_LINES),
        "columns": list(rows[0]) if rows else [],
        "rows": [[value_shown(value) for value in row.values()] for row in rows[:_MOST_ROWS]],
        "more_rows": max(0, len(rows) - _MOST_ROWS),
    }
