"""Who is asking, the description of the API, and everything that is not there."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponseBase, HttpResponsePermanentRedirect
from django.urls import Resolver404, resolve
from django.utils.http import escape_leading_slashes
from drf_spectacular.utils import extend_schema, extend_schema_view
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.exceptions import NotAuthenticated, NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from netraven_site.api.serializers.access import MeSerializer
from netraven_site.models import ApiToken


@extend_schema_view(
    get=extend_schema(summary="Who am I, and what may I do", responses=MeSerializer),
)
class Me(APIView):
    """Who the request comes from."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """User, groups, permissions, and which token was used."""
        user = request.user
        assert isinstance(user, User)
        answer = {
            "id": user.pk,
            "username": user.get_username(),
            "is_superuser": user.is_superuser,
            "groups": sorted(user.groups.values_list("name", flat=True)),
            "permissions": sorted(user.get_all_permissions()),
            "token": request.auth if isinstance(request.auth, ApiToken) else None,
        }
        return Response(MeSerializer(answer).data)


class Docs(SpectacularSwaggerSplitView):  # type: ignore[misc]
    """The page to try the API at; people who are not signed in are asked to."""

    url_name = "api:schema"

    def handle_exception(self, exc: Exception) -> HttpResponseBase:
        """To the sign-in page, instead of a 401 that says nothing to a person."""
        if isinstance(exc, NotAuthenticated):
            return redirect_to_login(self.request.get_full_path())
        answer: HttpResponseBase = super().handle_exception(exc)
        return answer


class NothingHere(APIView):
    """Every address below the API that leads nowhere."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Readers who forgot the last slash are sent on; the others get a 404."""
        path = request.path
        if not path.endswith("/") and _leads_somewhere(f"{path}/") and request.method in {"GET", "HEAD"}:
            return HttpResponsePermanentRedirect(escape_leading_slashes(request.get_full_path(force_append_slash=True)))
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Nothing here, whatever the method."""
        hint = "" if request.path.endswith("/") else " Every address ends with a slash."
        raise NotFound(f"There is nothing at this address.{hint}")


def _leads_somewhere(path: str) -> bool:
    try:
        return getattr(resolve(path).func, "cls", None) is not NothingHere
    except Resolver404:
        return False
