"""What a kind of job is, and what all kinds share."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from django.core.exceptions import ValidationError

from credentials.models import Credential
from devices.configs.store import LastVersion
from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.target import Target


@dataclass(frozen=True)
class KindContext:
    """What a kind may know of the device it works on."""

    device: int
    platform: str
    parameters: Mapping[str, Any]
    previous: Mapping[str, LastVersion] = field(default_factory=dict)
    """What is known of the device's last version of each kind of text that is wanted."""
    previous_text: Callable[[str], str | None] = lambda kind: None
    """The last good text of a kind, secrets as placeholders; read only when it is needed."""
    result: int = 0
    """The result that what is brought back belongs to."""


@dataclass(frozen=True)
class Stored:
    """What a kind wrote for a result."""

    config_version: int | None = None
    config_changed: bool | None = None
    data: dict[str, Any] = field(default_factory=dict)
    detail: str = ""


# What a kind leaves to be written: called in the one thread that writes, within its transaction.
Store = Callable[[], Stored]


class PartlyDone(ConnectorError):
    """It did not go well as a whole, and what was brought back all the same is kept: `store`."""

    def __init__(self, outcome: Outcome, detail: str, store: Store) -> None:
        super().__init__(outcome, detail)
        self.store = store


class KindFailed(Exception):
    """A kind without devices could not reach its end; words for the operator, never a secret."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kind, as the form, the API's description and the command offer it.

    What `check_parameters` makes of each type: text and choice `str`, lines `list[str]`, number `int` (or
    `float` where a bound or the default is one), flag `bool`, credential the name of one that is enabled.
    """

    name: str
    label: str
    help_text: str = ""
    type: Literal["text", "lines", "number", "flag", "choice", "credential"] = "text"
    required: bool = False
    default: Any = None
    choices: tuple[tuple[str, str], ...] = ()
    """(value, label) pairs, for type `choice`."""
    minimum: float | None = None
    maximum: float | None = None


class _Kind(Protocol):
    name: str
    label: str
    description: str
    parameters: tuple[Parameter, ...]
    permissions: tuple[str, ...]
    """What somebody needs, beside the right to write or run jobs, to set one of this kind up: `app.codename`."""

    def clean(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, checked and completed; ValidationError in words for the form, the API, the command."""


class DeviceKind(_Kind, Protocol):
    """A kind of job that works on devices: one file, and one line in the registry."""

    on_devices: Literal[True]
    is_test: bool
    """Whether its logins are counted as tests of credentials."""
    changes_devices: bool
    """Whether it may change a device: then no other run works on that device at the same time."""

    def clean_for(self, parameters: Mapping[str, Any], platforms: Iterable[str]) -> None:
        """Refuse cleaned parameters that cannot go well on one of these platforms: ValidationError."""

    def needs_login(self, parameters: Mapping[str, Any]) -> bool:
        """Whether a credential is used at all."""

    def look(self, target: Target, context: KindContext) -> Store:
        """Without a login, what can be seen from outside; ConnectorError when it does not go well."""

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Talk to a device that is logged in to; ConnectorError (or PartlyDone) when it does not go well."""


Checkpoint = Callable[[Mapping[str, Any]], bool]
"""Keeps what has been done so far in `Run.summary`; answers whether to stop now (cancelled, or going down)."""


class InstanceKind(_Kind, Protocol):
    """A kind of job that works on NetRaven's own data and on no device.

    It may be ended at any moment and is then performed again from the start: what is done must stay done.
    """

    on_devices: Literal[False]

    def perform(self, parameters: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
        """Do it in short transactions, with a checkpoint after each; the last summary. KindFailed when it cannot."""


JobKind = DeviceKind | InstanceKind


# --- what kinds have in common --------------------------------------------------------------------------------


class Checked:
    """Parameters are checked against what the kind says of them, and by nothing else."""

    name: str
    label: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    permissions: tuple[str, ...] = ()

    def clean(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """See `check_parameters`."""
        return check_parameters(self.label, self.parameters, parameters)


class OnDevices(Checked):
    """A kind on devices that tests nothing, changes nothing and goes on every platform."""

    on_devices: Literal[True] = True
    is_test: bool = False
    changes_devices: bool = False

    def clean_for(self, parameters: Mapping[str, Any], platforms: Iterable[str]) -> None:
        """Every platform will do."""


class LoginKind(OnDevices):
    """What kinds have in common that always log in."""

    def needs_login(self, parameters: Mapping[str, Any]) -> bool:
        """See DeviceKind."""
        return True

    def look(self, target: Target, context: KindContext) -> Store:
        """Never called, since a login is needed."""
        raise NotImplementedError


# --- parameters -----------------------------------------------------------------------------------------------


def check_parameters(kind: str, known: Iterable[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as the kind wants them: typed, defaults filled in, empty ones left out.

    Texts are taken for every type, since forms and command lines have nothing else. Raises ValidationError that
    says everything that is wrong; `kind` is its label.
    """
    wanted = {parameter.name: parameter for parameter in known}
    troubles = [_unknown(kind, name, list(wanted)) for name in given if name not in wanted]
    cleaned: dict[str, Any] = {}
    for parameter in wanted.values():
        value = given.get(parameter.name)
        if _is_empty(value):
            value = parameter.default
        try:
            value = None if _is_empty(value) else _TYPES[parameter.type](parameter, value)
        except ValidationError as error:
            troubles.extend(error.messages)
            continue
        if not _is_empty(value):
            cleaned[parameter.name] = value
        elif parameter.required:
            troubles.append(f"{parameter.label} ({parameter.name}) is missing.")
    if troubles:
        raise ValidationError(troubles)
    return cleaned


def as_text(value: Any) -> str:
    """A value of any type as somebody would type it: lines one below the other, a flag as yes or no."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "\n".join(str(each) for each in value)
    return str(value)


def _unknown(kind: str, name: str, known: list[str]) -> str:
    if not known:
        return f"{kind} takes no parameters, not {name}."
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(known)}."
    return f"{kind} has no parameter {name}.{hint}"


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _text(parameter: Parameter, value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{parameter.label} ({parameter.name}) is a text, not {value!r}.")
    return value.strip()


def _lines(parameter: Parameter, value: Any) -> list[str]:
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        raise ValidationError(f"{parameter.label} ({parameter.name}) are lines of text, not {value!r}.")
    return [line.strip() for line in lines if line.strip()]


def _number(parameter: Parameter, value: Any) -> float:
    bounds = (parameter.minimum, parameter.maximum, parameter.default)
    whole = not any(isinstance(bound, float) for bound in bounds)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        raise ValidationError(
            f"{parameter.label} ({parameter.name}) is a {'whole ' if whole else ''}number, not {value!r}."
        )
    if parameter.minimum is not None and number < parameter.minimum:
        raise ValidationError(f"{parameter.label} ({parameter.name}) is {parameter.minimum:g} at least.")
    if parameter.maximum is not None and number > parameter.maximum:
        raise ValidationError(f"{parameter.label} ({parameter.name}) is {parameter.maximum:g} at most.")
    return int(number) if whole else number


def _flag(parameter: Parameter, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"yes", "true", "on", "1"}:
        return True
    if word in {"no", "false", "off", "0"}:
        return False
    raise ValidationError(f"{parameter.label} ({parameter.name}) is yes or no, not {value!r}.")


def _choice(parameter: Parameter, value: Any) -> str:
    values = [choice for choice, _ in parameter.choices]
    if value not in values:
        raise ValidationError(f"{parameter.label} ({parameter.name}) is one of {', '.join(values)}, not {value!r}.")
    return str(value)


def _credential(parameter: Parameter, value: Any) -> str:
    found = Credential.objects.filter(name=value).values("enabled").first() if isinstance(value, str) else None
    if found is None:
        raise ValidationError(f"There is no credential named {value}.")
    if not found["enabled"]:
        raise ValidationError(f"The credential {value} is disabled: enable it before testing it.")
    return str(value)


_TYPES: dict[str, Callable[[Parameter, Any], Any]] = {
    "text": _text,
    "lines": _lines,
    "number": _number,
    "flag": _flag,
    "choice": _choice,
    "credential": _credential,
}
