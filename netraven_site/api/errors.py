"""Every error in one shape: `{"detail": "...", "errors": {"field": ["..."]}}`. No value that was sent comes back."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.conf import settings
from django.core import exceptions as django_errors
from django.db import DatabaseError, IntegrityError, InterfaceError, InternalError, OperationalError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from credentials.exceptions import KeyringError, SecretNotWritable
from devices.inventory.columns import InventoryError
from devices.services import StaleDecision

logger = logging.getLogger(__name__)

_GENERAL: Final = frozenset({api_settings.NON_FIELD_ERRORS_KEY, django_errors.NON_FIELD_ERRORS, "detail"})
_RETRY_AFTER_S: Final = 5
_LONGEST: Final = 1000


class Conflict(exceptions.APIException):
    """What was asked for does not go with the present state."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This does not go with the present state. Nothing was written."
    default_code = "conflict"


class Unavailable(exceptions.APIException):
    """The database or the keyring cannot be used just now."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "NetRaven cannot do this just now."
    default_code = "unavailable"


class TooLarge(exceptions.APIException):
    """The body has more bytes than are read."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is too large."
    default_code = "too_large"


class Unprocessable(exceptions.APIException):
    """Well-formed, but wrong in its rows; the whole report is in `report`."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unprocessable"

    def __init__(self, detail: str, errors: dict[str, list[str]], report: dict[str, Any]) -> None:
        super().__init__(detail)
        self.errors = errors
        self.report = report


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response:
    """The answer to any exception of a view; an unforeseen one becomes a 500 with a reference to the log."""
    error = translated(exc)
    if error is None:
        return _answer(context, status.HTTP_500_INTERNAL_SERVER_ERROR, _internal(exc, context))
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    body = error_body(error.detail)
    if isinstance(error, Unprocessable):
        body |= {"errors": error.errors, "report": error.report}
    return _answer(context, error.status_code, body, headers)


def _answer(
    context: dict[str, Any], code: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response:
    set_rollback()
    request = context.get("request")
    if request is not None:
        # A view that answers in another form still reports its errors in this one.
        request.accepted_renderer = JSONRenderer()
        request.accepted_media_type = JSONRenderer.media_type
    return Response(body, status=code, headers=headers)


def translated(exc: Exception) -> exceptions.APIException | None:
    """The exception as one that has a status; None for what nobody foresaw."""
    match exc:
        case exceptions.APIException():
            return exc
        case Http404():
            return exceptions.NotFound(*exc.args)
        case django_errors.PermissionDenied():
            return exceptions.PermissionDenied(*exc.args)
        case django_errors.ValidationError():
            return exceptions.ValidationError(exc.message_dict if hasattr(exc, "error_dict") else list(exc.messages))
        case InventoryError():
            if isinstance(exc.__cause__, DatabaseError):
                return translated(exc.__cause__)
            return exceptions.ValidationError({"file": [str(exc)]})
        case StaleDecision():
            return Conflict(str(exc))
        case ProtectedError() | RestrictedError():
            return Conflict(_still_used(exc))
        case KeyringError():
            logger.error("the keyring cannot be used: %s", exc)
            return Unavailable(f"No secret can be kept just now, and nothing was written. {exc}")
        case SecretNotWritable():
            return exceptions.ValidationError([str(exc)])
        case django_errors.RequestDataTooBig():
            return TooLarge(
                f"A body has at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes; an inventory can be sent as a file."
            )
        case django_errors.SuspiciousOperation() | UnreadablePostError():
            return exceptions.ParseError("The body cannot be read.")
        case DatabaseError() | InterfaceError():
            return _database(exc)
    return None


def _still_used(exc: ProtectedError | RestrictedError) -> str:
    objects = exc.protected_objects if isinstance(exc, ProtectedError) else exc.restricted_objects
    users = sorted(f"{each._meta.verbose_name} {each}" for each in objects)
    more = f" and {len(users) - 3} more" if len(users) > 3 else ""
    return f"This is still used by {', '.join(users[:3])}{more}. Nothing was deleted."


def _database(exc: DatabaseError | InterfaceError) -> exceptions.APIException | None:
    if isinstance(exc, IntegrityError):
        return Conflict(
            "The database refused: somebody changed the same thing at this moment, or the name is taken. "
            "Nothing was written; look again."
        )
    if not isinstance(exc, OperationalError | InternalError | InterfaceError):
        return None
    logger.error("the database refused: %s", exc)
    said = str(exc).lower()
    if "readonly" in said or "read-only" in said:
        return Unavailable(
            "The database is read-only: nothing was written. Its file and folder, or its server, must "
            "let NetRaven write."
        )
    if "locked" in said or "busy" in said:
        return Unavailable("The database is busy: nothing was written. Try again in a moment.")
    if "full" in said:
        return Unavailable("The disk of the database is full: nothing was written. Make room on it.")
    return Unavailable("The database does not answer as it should: nothing was written. Its log has the reason.")


def _internal(exc: Exception, context: dict[str, Any]) -> dict[str, Any]:
    reference = secrets.token_hex(4)
    view = context.get("view")
    where = type(view).__name__
    if getattr(view, "handles_secrets", False):
        # The words of an exception can quote what was sent; its frames cannot.
        frames = "".join(traceback.format_tb(exc.__traceback__))
        logger.error("error %s in %s: %s\n%s", reference, where, type(exc).__name__, frames)
    else:
        logger.error("error %s in %s", reference, where, exc_info=exc)
    return error_body(f"NetRaven failed. Look up the reference {reference} in the log of the web server.")


# --- the shape --------------------------------------------------------------------------------------------


def error_body(detail: Any) -> dict[str, Any]:
    """The one shape: a sentence, and the messages by field, empty where it is about no field."""
    if not isinstance(detail, list | dict):
        return {"detail": _printable(str(detail)), "errors": {}}
    if isinstance(detail, list):
        return {"detail": " ".join(_messages(detail)), "errors": {}}
    general = [message for key in detail if key in _GENERAL for message in _messages(detail[key])]
    errors = {_printable(str(key)): list(_messages(value)) for key, value in detail.items() if key not in _GENERAL}
    if not general:
        general = [f"Not accepted: {', '.join(errors)}."]
    return {"detail": " ".join(general), "errors": errors}


def _messages(found: Any, prefix: str = "") -> Iterator[str]:
    """All messages of a nested detail, each with where it stands: `core: A valid integer is required.`"""
    if isinstance(found, Mapping):
        for key, value in found.items():
            # A list counts from 0, people from 1.
            place = f"item {key + 1}" if isinstance(key, int) else str(key)
            yield from _messages(value, f"{prefix}{place}: ")
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _messages(value, prefix)
    else:
        yield _printable(f"{prefix}{found}")


def _printable(text: str) -> str:
    """A message can quote what was sent: cut to a length, and without what cannot be written as UTF-8."""
    return text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
