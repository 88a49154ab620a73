"""Fields and inputs of our forms: tags, suggestions, and secrets that are never shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse_lazy
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

_PLAIN = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
_SEPARATORS = re.compile(r"[,;\n]")


class SuggestInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A text with suggestions (value and label); anything else may be typed too."""

    def __init__(self, suggestions: Callable[[], Iterable[tuple[str, str]]], mono: bool = False) -> None:
        super().__init__({**_PLAIN, "class": "nr-id" if mono else ""})
        self._suggestions = suggestions

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """The input and its list."""
        options = format_html_join("", '<option value="{}">{}</option>', self._suggestions())
        field = super().render(name, value, {**(attrs or {}), "list": f"nr-list-{name}"}, renderer)
        return format_html('{}<datalist id="nr-list-{}">{}</datalist>', field, name, options)


class TagsInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """Tags as words between commas; the script makes chips of them and suggests existing ones."""

    def __init__(self) -> None:
        super().__init__({**_PLAIN, "data-nr-tags": reverse_lazy("admin:taggit_tag_suggest")})

    def format_value(self, value: Any) -> str:
        """Tags between commas."""
        return str(value) if isinstance(value, str) else ", ".join(value or ())


class DevicesInput(TagsInput):
    """Names of devices between commas, as chips, with suggestions."""

    def __init__(self) -> None:
        super().__init__()
        self.attrs["data-nr-tags"] = reverse_lazy("admin:devices_device_suggest")


class TagsField(forms.CharField):
    """A list of tags; no two that differ in case alone."""

    widget = TagsInput

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """The tags, in the order in which they were typed."""
        parts = _SEPARATORS.split(value) if isinstance(value, str) else list(value or ())
        found: dict[str, str] = {}
        for part in parts:
            if word := " ".join(part.split()):
                if not word.isprintable():
                    raise ValidationError("A tag has no control characters.")
                found.setdefault(word.casefold(), word)
        return list(found.values())

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the set differs, whatever the order and the case."""
        before, after = self.to_python(initial), self.to_python(data)
        return {each.casefold() for each in before} != {each.casefold() for each in after}


class SecretInput(UnfoldAdminPasswordWidget):  # type: ignore[misc]
    """One line that is typed blind and never filled in again, not even after a mistake elsewhere."""

    def __init__(self) -> None:
        super().__init__({**_PLAIN, "autocomplete": "new-password"}, render_value=False)


class SecretText(UnfoldAdminTextareaWidget):  # type: ignore[misc]
    """Several lines, for a private key; never filled in again either."""

    def __init__(self) -> None:
        super().__init__({**_PLAIN, "autocomplete": "new-password", "rows": 4, "class": "nr-id"})

    def format_value(self, value: Any) -> str:
        """Nothing, ever."""
        return ""
