"""Git export: the latest configurations as files of a repository, one commit a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from django.conf import settings
from django.core.exceptions import ValidationError

from credentials.querysets import known_tags
from devices.configs.export.layout import DEFAULT, FIELDS
from devices.configs.export.service import MESSAGE, Wish, check, export, remote_of_settings
from devices.configs.export.target import ExportError
from jobs.kinds.base import Checked, Checkpoint, KindFailed, Parameter

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class GitExport(Checked):
    """Ended at any moment, it has committed or it has not, and is simply made again."""

    name = "git_export"
    label = "Git export"
    description = (
        "Write the latest configurations, with a placeholder for each secret, into a git repository: one file a "
        "device, one commit a run, pushed where the settings name a remote. Works on no device."
    )
    on_devices: Literal[False] = False
    permissions: tuple[str, ...] = ("devices.view_configversion",)
    parameters: tuple[Parameter, ...] = (
        Parameter(
            "repository",
            "Repository",
            "The name of its folder below NETRAVEN_EXPORT_DIR; it is made at the first run.",
            default="configurations",
        ),
        Parameter(
            "template",
            "Files",
            f"Folders and name of a device's file, of {', '.join(f'{{{name}}}' for name in FIELDS)}.",
            default=DEFAULT,
        ),
        Parameter("tags", "Devices with a tag", "One tag a line; none: all devices.", type="lines"),
        Parameter("message", "Message", "First line of a commit, of {count} and {devices}.", default=MESSAGE),
        Parameter("bare", "Without work tree", "A new repository without files beside it, as Oxidized keeps.", "flag"),
        Parameter("push", "Push", "To the remote of the settings, where there is one.", type="flag", default=True),
    )

    def clean(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Also that the template can be used, and that the tags exist."""
        cleaned = super().clean(parameters)
        if not _NAME.fullmatch(cleaned["repository"]):
            raise ValidationError("A repository is named by letters, digits, dots, hyphens and underscores alone.")
        _, missing = known_tags(cleaned.get("tags", []))
        if missing:
            raise ValidationError(f"There is no tag {missing[0][:100]}.")
        try:
            check(_wish({**cleaned, "push": False}))
        except ExportError as error:
            raise ValidationError(str(error)) from error
        return cleaned

    def perform(self, parameters: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
        """A checkpoint after each part that was read; KindFailed also when it was committed and could not be pushed."""
        try:
            report = export(_wish(parameters), checkpoint=lambda state: checkpoint({"read": state.read}))
        except ExportError as error:
            raise KindFailed(str(error)) from error
        return report.as_summary()


def _wish(parameters: Mapping[str, Any]) -> Wish:
    return Wish(
        folder=settings.NETRAVEN_EXPORT_DIR / parameters["repository"],
        template=parameters["template"],
        tags=tuple(parameters.get("tags", ())),
        bare=True if parameters.get("bare") else None,
        remote=remote_of_settings() if parameters.get("push", True) else None,
        author=settings.NETRAVEN_GIT_AUTHOR,
        message=parameters["message"],
    )
