"""Command: send commands that only show something, and keep what the device answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from credentials import keyring
from devices.configs import integrity
from devices.configs.answers import redact_answer
from devices.configs.normalise import clean
from devices.connector.commands import CommandRefused, refuse_everywhere, refuse_unless_read_only
from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError, Outcome
from jobs.kinds.base import KindContext, LoginKind, Parameter, PartlyDone, Store, Stored
from jobs.outputs import MOST_KEPT, CommandOutput, pack

MOST_COMMANDS = 50
_MOST_ROWS = 5_000
# The patterns of some templates take a time that grows with the square of a line: device output is hostile input.
_LONGEST_LINE = 300
_MOST_PARSED = 128 * 1024


@dataclass
class _Answer:
    """What became of one command."""

    command: str
    text: str = ""
    size: int = 0
    is_cut: bool = False
    error: str = ""
    rows: list[dict[str, Any]] | None = None

    def summary(self) -> dict[str, Any]:
        """For the result itself: everything but the text."""
        return {
            "command": self.command,
            "lines": self.text.count("\n"),
            "size": self.size,
            "is_cut": self.is_cut,
            "rows": len(self.rows) if self.rows is not None else None,
            "error": self.error,
        }


class Command(LoginKind):
    """Keeps the answers to any commands that change nothing."""

    name = "command"
    label = "Commands"
    description = "Send show commands to each device and keep the answers, secrets masked."
    parameters: tuple[Parameter, ...] = (
        Parameter(
            "commands",
            "Commands",
            "One a line. Only commands that show something: what could change a device is refused.",
            type="lines",
            required=True,
        ),
        Parameter(
            "parse",
            "Read into tables",
            "Also keep an answer as rows where a TextFSM template of ntc-templates fits it.",
            type="flag",
            default=True,
        ),
    )

    def clean(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Commands that some platform at least takes for harmless."""
        cleaned = super().clean(parameters)
        if len(cleaned["commands"]) > MOST_COMMANDS:
            raise ValidationError(f"{len(cleaned['commands'])} commands are more than the {MOST_COMMANDS} of one job.")
        _refuse(cleaned["commands"], refuse_everywhere)
        return cleaned

    def clean_for(self, parameters: Mapping[str, Any], platforms: Iterable[str]) -> None:
        """Each command must be harmless on each platform."""
        for platform in sorted(set(platforms)):
            _refuse(
                parameters["commands"],
                lambda command, on=platform: refuse_unless_read_only(command, on),  # type: ignore[misc]
                f" on {platform}",
            )

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Send what is harmless here, one after the other, and keep what came even if one goes wrong."""
        answers = [_Answer(command) for command in context.parameters["commands"]]
        for answer in answers:
            try:
                refuse_unless_read_only(answer.command, connector.platform)
            except CommandRefused as refused:
                answer.error = f"Not sent: {refused}."
        broken: ConnectorError | None = None
        if not all(answer.error for answer in answers):
            connector.enable()
        for answer in answers:
            if answer.error:
                continue
            if broken is not None:
                answer.error = "Not sent: the session had ended."
                continue
            try:
                self._ask(connector, context, answer)
            except ConnectorError as error:
                broken, answer.error = error, error.detail
        store = _store(context.result, answers)
        wrong = [answer for answer in answers if answer.error]
        if not wrong:
            return store
        if broken is not None:
            raise PartlyDone(broken.outcome, broken.detail, store)
        more = f" ({len(wrong)} of {len(answers)} commands)" if len(answers) > 1 else ""
        raise PartlyDone(Outcome.COMMAND_ERROR, f"{wrong[0].command[:80]!r}: {wrong[0].error}{more}", store)

    @staticmethod
    def _ask(connector: CoreDeviceConnector, context: KindContext, answer: _Answer) -> None:
        text = clean(connector.send(answer.command, confirm=True)).strip("\n") + "\n"
        answer.size, answer.is_cut = len(text), len(text) > MOST_KEPT
        # At the end of a line, so that no secret is cut in two and shows its first half.
        kept = text[: text.rfind("\n", 0, MOST_KEPT) + 1] if answer.is_cut else text
        answer.text = redact_answer(connector.mask(kept), context.platform, keyring.current().fingerprint)
        refused = integrity.refusal(answer.text, context.platform)
        if refused is not None:
            answer.error = f"The device says: {refused}"
        elif context.parameters.get("parse") and not answer.is_cut:
            answer.rows = rows_of(answer.text, answer.command, connector.platform.templates)


def rows_of(text: str, command: str, templates: str) -> list[dict[str, Any]] | None:
    """The answer to a command as a template of ntc-templates reads it; None where none fits."""
    if "|" in command:
        return None  # a filtered answer is not what a template was written for
    if len(text) > _MOST_PARSED or any(len(line) > _LONGEST_LINE for line in text.splitlines()):
        return None
    from ntc_templates.parse import parse_output  # takes a while to load, and not all need it

    try:
        rows: list[dict[str, Any]] = parse_output(platform=templates, command=command, data=text)
        json.dumps(rows[:_MOST_ROWS])
    except Exception:  # noqa: BLE001 - a template may fail in any way on text that it does not expect
        return None
    return rows[:_MOST_ROWS] or None


def _refuse(commands: Iterable[str], check: Callable[[str], None], where: str = "") -> None:
    troubles = []
    for command in commands:
        try:
            check(command)
        except CommandRefused as refused:
            troubles.append(f"{command[:80]!r} is refused{where}: {refused}.")
    if troubles:
        raise ValidationError(troubles)


def _store(result: int, answers: list[_Answer]) -> Store:
    rows = [
        CommandOutput(
            result_id=result,
            number=number,
            command=answer.command[:400],
            error=answer.error[:300],
            packed=pack(answer.text),
            size=answer.size,
            is_cut=answer.is_cut,
            packed_rows=pack(answer.rows) if answer.rows is not None else None,
            row_count=len(answer.rows) if answer.rows is not None else None,
        )
        for number, answer in enumerate(answers, start=1)
    ]

    def store() -> Stored:
        # A device that is done again after its worker was lost has its answers once.
        CommandOutput.objects.filter(result=result).delete()
        CommandOutput.objects.bulk_create(rows)
        good = sum(1 for answer in answers if not answer.error)
        return Stored(
            data={"commands": [answer.summary() for answer in answers]},
            detail=f"{good} of {len(answers)} commands answered.",
        )

    return store
