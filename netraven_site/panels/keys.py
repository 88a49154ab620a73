"""The encryption keys: what is sealed with each, which hosts read it, and its way from added to retired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.text import capfirst

from credentials import keys
from credentials.audit.labels import label_of
from credentials.audit.models import AuditEvent
from credentials.exceptions import CredentialsError
from credentials.key_readers import KeyReader
from jobs.choices import RUN_FINISHED, Trigger
from jobs.models import Run
from jobs.services import start_adhoc
from netraven_site.panels import cells
from netraven_site.panels.base import CONFIRMED, ReadOnlyPanel
from netraven_site.security.recent import requires_recent_password

_KIND: Final = "key_rotation"
_RUNS_SHOWN = 5
_EVENTS_SHOWN = 12

_ACTIVATE = (
    "From then on what is written is sealed with it; everything else stays as it is until a key rotation. It is "
    "refused unless every live host reads the key."
)
_RETIRE = (
    "Nothing is sealed with it any more. It goes out of the keyring of this host for good: keep a backup of the "
    "keyring as long as you keep backups of the database from before."
)
_ROTATE = (
    "Every secret and every complete configuration is re-encrypted under the active key, by a run in the background. "
    "Everybody goes on working meanwhile, and it may be ended and begun again at any time."
)
_ADD = (
    "It only opens until it is activated. Afterwards back the keyring up (./manage.py keys backup FILE), and give it "
    "to every other host."
)


@admin.register(KeyReader)
class KeysPanel(ReadOnlyPanel):
    """One page; its buttons ask before they do anything."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may look at keys, and whoever may manage them."""
        return super().has_view_permission(request, obj) or request.user.has_perm(keys.MANAGE)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """In the menu for the same people."""
        return self.has_view_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Keys, hosts, rotations, and what was done to keys."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            states, trouble = keys.states(), ""
        except CredentialsError as error:
            states, trouble = [], str(error)
        sealed = sum(state.rows for state in states)
        at_active = sum(state.rows for state in states if state.active)
        runs = list(Run.objects.filter(kind=_KIND).select_related("requested_by").order_by("-pk")[:_RUNS_SHOWN])
        running = next((run for run in runs if run.status not in RUN_FINISHED), None)
        return self.render(
            request,
            "netraven/keys.html",
            "Encryption keys",
            {
                "opts": None,
                "keys": [(state, _made(state.created)) for state in states],
                "trouble": trouble,
                "read_only": keys.why_read_only(),
                "sealed": sealed,
                "left": sealed - at_active,
                "percent": 100 * at_active / sealed if sealed else 100.0,
                "readers": list(KeyReader.objects.all()),
                "runs": runs,
                "running": running,
                "to_go": _to_go(running) if running else "",
                "events": [
                    (event, label_of(event.event))
                    for event in AuditEvent.objects.filter(event__startswith="key.").order_by("-id")[:_EVENTS_SHOWN]
                ],
                "may_manage": request.user.has_perm(keys.MANAGE),
                "may_run": request.user.has_perm("jobs.run_job") and request.user.has_perm(keys.MANAGE),
            },
        )

    def extra_urls(self) -> list[Any]:
        """One address for each thing that can be done."""
        return [
            ("add/", self.add_key_view, "add"),
            ("rotate/", self.rotate_view, "rotate"),
            ("<slug:key_id>/activate/", self.activate_view, "activate"),
            ("<slug:key_id>/retire/", self.retire_view, "retire"),
        ]

    @requires_recent_password
    def add_key_view(self, request: HttpRequest) -> HttpResponse:
        """A new key."""

        def add() -> str:
            key_id = keys.add(user=request.user)  # type: ignore[arg-type]
            return f"The key {key_id} was added. It only opens until it is activated."

        return self._step(request, "Add a key", "one more key", "Add key", _ADD, add)

    @requires_recent_password
    def activate_view(self, request: HttpRequest, key_id: str) -> HttpResponse:
        """Let a key seal."""

        def activate() -> str:
            keys.activate(key_id, user=request.user)  # type: ignore[arg-type]
            return f"{key_id} is the active key. Rotate now, so that everything is sealed with it."

        return self._step(request, "Activate", key_id, "Activate", _ACTIVATE, activate)

    @requires_recent_password
    def retire_view(self, request: HttpRequest, key_id: str) -> HttpResponse:
        """Take a key out of the keyring."""

        def retire() -> str:
            keys.retire(key_id, user=request.user)  # type: ignore[arg-type]
            return f"{key_id} is out of the keyring."

        return self._step(request, "Retire", key_id, "Retire", _RETIRE, retire, danger=True)

    @requires_recent_password
    def rotate_view(self, request: HttpRequest) -> HttpResponse:
        """Start the run that re-encrypts everything."""
        if not request.user.has_perm("jobs.run_job"):
            raise PermissionDenied

        def rotate() -> str:
            keys.require_read_everywhere()
            run = start_adhoc(_KIND, trigger=Trigger.PERSON, user=request.user)  # type: ignore[arg-type]
            return f"Run #{run.pk} re-encrypts everything."

        return self._step(request, "Rotate", "everything that is sealed", "Rotate", _ROTATE, rotate)

    def _step(
        self,
        request: HttpRequest,
        title: str,
        what: str,
        button: str,
        text: str,
        act: Callable[[], str],
        danger: bool = False,
    ) -> HttpResponse:
        """Ask, and when the person has confirmed, do it and say what came of it."""
        if not request.user.has_perm(keys.MANAGE):
            raise PermissionDenied
        if request.method == "POST" and CONFIRMED in request.POST:
            try:
                messages.success(request, act())
            except CredentialsError as error:
                messages.error(request, capfirst(str(error)))
            except ValidationError as error:
                messages.error(request, " ".join(error.messages))
            return HttpResponseRedirect(self.list_url())
        return self.render(
            request,
            "netraven/confirm.html",
            title,
            {
                "counted": what,
                "names": [],
                "more": 0,
                "rows": None,
                "button": button,
                "text": text,
                "form": None,
                "danger": danger,
                "confirmed_name": CONFIRMED,
                "carried": [],
                "back": self.list_url(),
            },
        )


def _made(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _to_go(run: Run) -> str:
    """How long a rotation still takes, in words; empty until it can be told."""
    done, left = run.summary.get("done", 0), run.summary.get("left", 0)
    if not run.started_at or not done or not left:
        return ""
    return cells.span((timezone.now() - run.started_at).total_seconds() / done * left)
