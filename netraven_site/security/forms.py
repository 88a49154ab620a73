"""The form to sign in with."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from netraven_site.security.backends import locked_out


class SignInForm(AuthenticationForm):  # type: ignore[misc]
    """The theme's, which also says when the door is closed."""

    def get_invalid_login_error(self) -> Any:
        """Wrong password, or no password was looked at."""
        closed = locked_out(self.request)
        if closed is not None:
            return ValidationError(str(closed), code="locked_out")
        return super().get_invalid_login_error()
