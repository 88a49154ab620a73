"""What the audit trail is told from here: who is at work, who signs in, and what becomes of people, jobs and settings.

Services of the apps below record what they do themselves. Models that are written in several ways are watched by
Django's signals instead, so that no way is left out.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import models, transaction
from django.db.models import signals
from django.http import HttpRequest, HttpResponse

from credentials import audit, keyring
from credentials.models import AuditEvent
from devices.models import Device, HostKey
from devices.retention import RetentionRule
from jobs.limits import ConcurrencyLimit
from jobs.models import Job
from jobs.windows import MaintenanceWindow
from netraven_site.security.backends import locked_out
from netraven_site.security.client import address_of

SETTINGS: Final = "settings.changed"
_REFUSALS_EVERY_S: Final = 60.0
_API: Final = "/api/"


# --- who is at work ---------------------------------------------------------------------------------------


class ActingMiddleware:
    """Whatever a request makes a service record is recorded as done by its user, from its address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Nothing is looked up unless something is recorded."""
        with audit.acting(lambda: _acting(request)):
            return self._get_response(request)


def _acting(request: HttpRequest) -> audit.Acting:
    user = getattr(request, "user", None)
    name = user.get_username() if user is not None and user.is_authenticated else "anonymous"
    way = "api" if request.path.startswith(_API) else "web"
    return audit.Acting(name, f"{way} {address_of(request)}".rstrip())


# --- signing in -------------------------------------------------------------------------------------------


def _signed_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    audit.record("sign_in.succeeded", user=user, user_id=user.pk)


def _signed_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if user is not None:
        audit.record("sign_in.left", user=user, user_id=user.pk)


def _sign_in_failed(sender: Any, credentials: Mapping[str, Any], request: Any = None, **kwargs: Any) -> None:
    if locked_out(request) is not None:
        return  # no password was looked at; the lock is on record, and a stranger must not fill the trail
    # People type passwords into the field for the name: a name that nobody has is told by a fingerprint alone.
    name = str(credentials.get("username") or "")
    known = User.objects.filter(username=name).values_list("pk", flat=True).first() if name else None
    if known is not None:
        audit.record("sign_in.failed", subject=name, user_id=known)
    else:
        audit.record("sign_in.failed", subject="unknown user", name_fingerprint=keyring.current().fingerprint(name))


_refused: dict[tuple[str, str], tuple[float, int]] = {}


def token_refused(request: HttpRequest, digest: str, row: Any) -> None:
    """Record that an API token was refused; of one from one address once a minute, with how many there were.

    `row` is the token, if it is known and expired, or its user disabled.
    """
    key, now = (digest, address_of(request)), time.monotonic()
    last, unsaid = _refused.get(key, (float("-inf"), 0))
    if now - last < _REFUSALS_EVERY_S:
        _refused[key] = (last, unsaid + 1)
        return
    if len(_refused) > 1_000:
        _refused.clear()
    _refused[key] = (now, 0)
    more = {"token": row.pk, "hint": row.hint, "of_user": row.user.get_username()} if row is not None else {}
    subject = "expired, or of a disabled user" if row is not None else "unknown token"
    audit.record("token.refused", subject=subject, repeated=unsaid, fingerprint=digest[:12], **more)


# --- rows that are written in several ways ----------------------------------------------------------------

_NEVER: Final = frozenset({"password", "last_login", "next_run_at", "created_at", "updated_at", "date_joined", "uuid"})
_WATCHED: Final[dict[type[models.Model], str]] = {
    User: "user",
    Group: "group",
    Job: "job",
    MaintenanceWindow: "window",
    ConcurrencyLimit: "limit",
    RetentionRule: "retention_rule",
}
_DELETIONS: Final[dict[type[models.Model], str]] = {**_WATCHED, Device: "device", HostKey: "host_key"}
_RELATIONS: Final = (
    (User.groups.through, "groups"),
    (User.user_permissions.through, "permissions"),
    (Group.permissions.through, "permissions"),
    (Job.tags.through, "tags"),
    (Job.devices.through, "devices"),
    (MaintenanceWindow.tags.through, "tags"),
)
_BEFORE: Final = "_values_before"


def connect() -> None:
    """Watch; called once at the start."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_sign_in_failed, dispatch_uid="audit")
    for model in _WATCHED:
        signals.pre_save.connect(_before_save, sender=model, dispatch_uid="audit")
        signals.post_save.connect(_saved, sender=model, dispatch_uid="audit")
    for model in _DELETIONS:
        signals.post_delete.connect(_deleted, sender=model, dispatch_uid="audit")
    for through, _ in _RELATIONS:
        signals.m2m_changed.connect(_related, sender=through, dispatch_uid="audit")


def _before_save(sender: type[models.Model], instance: Any, update_fields: Any = None, **kwargs: Any) -> None:
    named = _values_of(sender, update_fields)
    before = sender._default_manager.filter(pk=instance.pk).values(*named).first() if instance.pk and named else None
    setattr(instance, _BEFORE, before)


def _saved(sender: type[models.Model], instance: Any, created: bool, update_fields: Any = None, **kwargs: Any) -> None:
    named = _values_of(sender, update_fields)
    after = {name: getattr(instance, name) for name in named}
    shown = {name: value for name, value in after.items() if name != "password"}
    event, about = _WATCHED[sender], {"subject": str(instance), f"{_WATCHED[sender]}_id": instance.pk}
    if created:
        said = {name: value for name, value in shown.items() if value not in (None, "")}
        audit.record(f"{event}.created", **about, values=_plain(said))
        return
    before = getattr(instance, _BEFORE, None) or {}
    changes = {name: [before.get(name), value] for name, value in shown.items() if before.get(name) != value}
    if "password" in before and before["password"] != after["password"]:
        changes["password"] = ["", "changed"]
    if changes:
        audit.record(f"{event}.changed", **about, changes=_plain(changes))


def _deleted(sender: type[models.Model], instance: Any, **kwargs: Any) -> None:
    kind = _DELETIONS[sender]
    device = instance.pk if sender is Device else getattr(instance, "device_id", None)
    named = {"device": device, "device_name": str(instance)} if sender is Device else {"device": device}
    audit.record(f"{kind}.deleted", subject=str(instance), **named, **{f"{kind}_id": instance.pk})


def _related(sender: Any, instance: Any, action: str, reverse: bool, model: Any, pk_set: Any, **kwargs: Any) -> None:
    words = {"post_add": "added", "post_remove": "removed", "pre_clear": "removed"}
    if action not in words:
        return
    what = next(name for through, name in _RELATIONS if through is sender)
    if pk_set is None:
        # Everything goes, and this is the last moment at which it can be named.
        field = next(each for each in sender._meta.fields if each.related_model is type(instance))
        other = next(each for each in sender._meta.fields if each.related_model is model)
        pk_set = set(sender._default_manager.filter(**{field.name: instance}).values_list(other.attname, flat=True))
    if not pk_set:
        return
    kind = _WATCHED.get(type(instance)) or type(instance).__name__.lower()
    details: dict[str, Any] = {f"{kind}_id": instance.pk, words[action]: _names(model, pk_set)}
    audit.record(f"{kind}.changed", subject=str(instance), what="members" if reverse else what, **details)


def _names(model: type[models.Model], pks: Iterable[Any]) -> list[str]:
    rows = model._default_manager.filter(pk__in=set(pks))
    if model is Permission:
        labels = rows.values_list("content_type__app_label", "codename")
        return sorted(f"{label}.{name}" for label, name in labels)
    return sorted(str(row) for row in rows[:200])


def _values_of(model: type[models.Model], update_fields: Any) -> list[str]:
    """The columns that are compared: those that people set, and for users whether the password is another one."""
    mine = [field.attname for field in model._meta.concrete_fields if not field.primary_key]
    kept = [name for name in mine if name not in _NEVER or (name == "password" and model is User)]
    return [name for name in kept if update_fields is None or name in update_fields]


def _plain(values: Mapping[str, Any]) -> Any:
    """What JSON can say, times and choices as text."""
    return json.loads(json.dumps(values, default=str))


# --- settings ---------------------------------------------------------------------------------------------

_ALSO: Final = (
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "DEBUG",
    "HTTPS",
    "LOG_LEVEL",
    "SESSION_COOKIE_AGE",
    "TIME_ZONE",
)
_SECRET_WORDS: Final = ("SECRET", "PASSWORD", "TOKEN")


@transaction.atomic
def note_settings() -> None:
    """Record the settings of this host when they differ from those that it last started with."""
    host, now = socket.gethostname(), _settings()
    last = AuditEvent.objects.filter(event=SETTINGS, subject=host[:250]).first()
    before = last.data.get("values", {}) if last is not None else {}
    changes = {
        name: [before.get(name), now.get(name)]
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and last is not None
    }
    if last is None or changes:
        audit.record(SETTINGS, subject=host, changes=changes, values=now)


def _settings() -> dict[str, Any]:
    names = [name for name in dir(settings) if name.startswith("NETRAVEN_")]
    found = {name: _shown(name, getattr(settings, name, None)) for name in (*names, *_ALSO)}
    database = settings.DATABASES["default"]
    found["DATABASE"] = " ".join(str(database.get(key) or "") for key in ("ENGINE", "USER", "HOST", "PORT", "NAME"))
    found["SECRET_KEY"] = _fingerprint(settings.SECRET_KEY)
    # As it comes back from the trail, to be compared with what is there.
    return {audit.printable(name, 60): value for name, value in json.loads(json.dumps(found, default=str)).items()}


def _shown(name: str, value: Any) -> Any:
    if any(word in name for word in _SECRET_WORDS) and not isinstance(value, bool | int):
        return _fingerprint(str(value)) if value else ""
    if isinstance(value, str) and "://" in value:
        # An address may hold a password or a token.
        parts = urlsplit(value)
        return f"{parts.scheme}://{parts.hostname or ''} {_fingerprint(value)}"
    if isinstance(value, list | tuple):
        return [_shown(name, each) for each in value]
    return audit.printable(str(value)) if not isinstance(value, bool | int | float | type(None)) else value


def _fingerprint(text: str) -> str:
    return f"fingerprint {keyring.current().fingerprint(text)}"
