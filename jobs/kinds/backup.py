"""Backup: fetch the texts of a device, its configuration first, and keep each that is whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from credentials import keyring
from devices.configs import integrity
from devices.configs.normalise import clean, normalise
from devices.configs.redact import redact
from devices.configs.store import prepare
from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.platforms import Collect, Platform, platform_or_generic, platforms
from jobs.kinds.base import KindContext, LoginKind, Parameter, PartlyDone, Store
from jobs.kinds.keeping import KeepTexts, Missed, aside_of, keep_of

TEXTS = "texts"
ALL = "all"
_REFUSED = {integrity.ReasonCode.ERROR_LINE}


class Backup(LoginKind):
    """Keeps versions of the running configuration, and of further texts that a job names."""

    name = "backup"
    label = "Backup"
    description = "Fetch the configuration of each device and keep it as a version when it changed."
    parameters: tuple[Parameter, ...] = (
        Parameter(
            TEXTS,
            "Texts",
            "Such as running, startup, inventory, one a line; or all. Empty: what each platform collects by default, "
            "which is the running configuration unless its rules say more.",
            type="lines",
        ),
    )

    def clean(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Texts that some platform at least has."""
        cleaned = super().clean(parameters)
        named = [word for line in cleaned.get(TEXTS, ()) for word in re.split(r"[\s,]+", line.lower()) if word]
        known = {each.kind for platform in platforms().values() for each in platform.collects}
        if unknown := [each for each in named if each != ALL and each not in known]:
            raise ValidationError(
                f"No platform has a text {unknown[0]}. There are: {', '.join(sorted(known))}; and {ALL}."
            )
        if named:
            cleaned[TEXTS] = list(dict.fromkeys(named))
        return cleaned

    def clean_for(self, parameters: Mapping[str, Any], platforms: Iterable[str]) -> None:
        """At least one of the platforms must have one of the texts."""
        names = sorted(set(platforms))
        if names and not any(texts_of(platform_or_generic(name), parameters) for name in names):
            raise ValidationError(f"None of {', '.join(names[:5])} has a text {' or '.join(parameters[TEXTS])}.")

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Fetch the texts one after the other, judge each by its own rules, and get ready what is whole.

        What one text lacks takes nothing from another: PartlyDone has the class of the first that is missing, and
        everything that came.
        """
        collects = texts_of(connector.platform, context.parameters)
        if not collects:
            wanted = " or ".join(context.parameters[TEXTS])
            raise ConnectorError(Outcome.COMMAND_ERROR, f"The platform {connector.platform.name} has no text {wanted}.")
        connector.enable()
        for command in connector.platform.setup:
            connector.send(command)
        found = KeepTexts(tells=[each.kind for each in collects] != ["running"])
        for collect in collects:
            try:
                self._collect(connector, context, collect, found)
            except ConnectorError as error:
                if len(collects) == 1:
                    raise
                found.missed.append(Missed(collect.kind, error.outcome, error.detail))
                rest = collects[collects.index(collect) + 1 :]
                found.missed += [Missed(each.kind, error.outcome, "not asked for any more") for each in rest]
                break
        if not found.missed:
            return found
        first = found.missed[0]
        detail = first.detail if len(collects) == 1 else _told(found)
        trouble = PartlyDone(first.outcome, detail, found)
        # Another try could end sooner than this one, and what it has is worth more than what it lacks.
        trouble.lasting = bool(found.keeps)
        raise trouble

    def _collect(
        self, connector: CoreDeviceConnector, context: KindContext, collect: Collect, found: KeepTexts
    ) -> None:
        text, verdict = self._fetch(connector, context, collect)
        if verdict.may_be_confirmed and not verdict.whole:
            # Much smaller than last time: either it was cut, or much was deleted. A second dump tells.
            again, _ = self._fetch(connector, context, collect)
            if normalise(again, context.platform) == normalise(text, context.platform):
                verdict = integrity.check(text, context.platform, collect.kind, prompt_seen=True)
        if verdict.whole:
            prepared = prepare(connector.mask(text), context.platform, context.previous.get(collect.kind))
            found.keeps.append(keep_of(context, collect.kind, prepared))
            return
        outcome = Outcome.COMMAND_ERROR if verdict.reason_code in _REFUSED else Outcome.INCOMPLETE_OUTPUT
        # A line of a configuration may hold a secret of the device's own.
        evidence = redact(connector.mask(verdict.evidence), context.platform)[:160]
        detail = f"{verdict.reason[:1].upper()}{verdict.reason[1:]}: {evidence}"
        is_kept_aside = outcome is not Outcome.COMMAND_ERROR and bool(text.strip())
        found.missed.append(Missed(collect.kind, outcome, detail, is_kept_aside))
        if is_kept_aside:
            prepared = prepare(connector.mask(text), context.platform)
            found.asides.append(aside_of(context, collect.kind, prepared, verdict, evidence))

    def _fetch(
        self, connector: CoreDeviceConnector, context: KindContext, collect: Collect
    ) -> tuple[str, integrity.Verdict]:
        # Without an end mark only the prompt and the version before can show that a text was cut.
        unmarked = collect.end_marker is None
        previous = context.previous_text(collect.kind) if unmarked else None
        for command in (collect.command, *collect.fallback):
            answer = connector.send(command, timeout_s=collect.read_timeout_s, confirm=unmarked, end=collect.end_marker)
            text = clean(answer).strip("\n") + "\n"
            verdict = self._judge(text, context, collect.kind, previous)
            if verdict.reason_code not in _REFUSED:
                break
        return text, verdict

    @staticmethod
    def _judge(text: str, context: KindContext, kind: str, previous: str | None) -> integrity.Verdict:
        last = context.previous.get(kind)
        verdict = integrity.check(text, context.platform, kind, last.size if last else None, prompt_seen=True)
        if verdict.whole and previous is not None:
            # What is kept shows placeholders, so it is compared with the same.
            shown = redact(text, context.platform, keyring.current().fingerprint)
            verdict = integrity.check(shown, context.platform, kind, prompt_seen=True, previous=previous)
        return verdict


def texts_of(platform: Platform, parameters: Mapping[str, Any]) -> tuple[Collect, ...]:
    """What a backup with these parameters collects on a platform: of the texts named, those that it has."""
    wanted: Sequence[str] = parameters.get(TEXTS, ())
    if ALL in wanted:
        return platform.collects
    return tuple(each for each in platform.collects if (each.kind in wanted if wanted else each.default))


def _told(found: KeepTexts) -> str:
    """Which texts were kept and which were not, in words; the first that is missing comes first."""
    missed = "; ".join(f"{each.kind}: {each.detail}" for each in found.missed)
    kept = ", ".join(each.kind for each in found.keeps)
    return f"{missed[:440]}. Kept: {kept}." if kept else f"{missed[:440]}. Nothing was kept."
