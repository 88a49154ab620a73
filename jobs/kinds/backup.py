"""Backup: fetch the running configuration, and keep it when it is whole."""

from __future__ import annotations

from credentials import keyring
from devices.configs import integrity
from devices.configs.normalise import clean, normalise
from devices.configs.redact import redact
from devices.configs.store import prepare
from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.platforms import Collect
from jobs.kinds.base import KindContext, LoginKind, PartlyDone, Store
from jobs.kinds.keeping import keep_aside, keep_config

_REFUSED = {integrity.ReasonCode.ERROR_LINE}
RUNNING = "running"


class Backup(LoginKind):
    """Keeps versions of the running configuration."""

    name = "backup"
    label = "Backup"
    description = "Fetch the running configuration of each device and keep it as a version when it changed."

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Fetch, judge, and prepare the text for the store."""
        connector.enable()
        for command in connector.platform.setup:
            connector.send(command)
        collect = connector.platform.collect(RUNNING)
        text, verdict = self._fetch(connector, context, collect)
        if verdict.may_be_confirmed and not verdict.whole:
            # Much smaller than last time: either it was cut, or much was deleted. A second dump tells.
            again, _ = self._fetch(connector, context, collect)
            if normalise(again, context.platform) == normalise(text, context.platform):
                verdict = integrity.check(text, context.platform, RUNNING, prompt_seen=True)
        if not verdict.whole:
            outcome = Outcome.COMMAND_ERROR if verdict.reason_code in _REFUSED else Outcome.INCOMPLETE_OUTPUT
            # A line of a configuration may hold a secret of the device's own.
            evidence = redact(connector.mask(verdict.evidence), context.platform)[:160]
            detail = f"{verdict.reason[:1].upper()}{verdict.reason[1:]}: {evidence}"
            if outcome is Outcome.COMMAND_ERROR or not text.strip():
                raise ConnectorError(outcome, detail)
            prepared = prepare(connector.mask(text), context.platform)
            raise PartlyDone(outcome, detail, keep_aside(context, RUNNING, prepared, verdict, evidence))
        prepared = prepare(connector.mask(text), context.platform, context.previous)
        return keep_config(context, RUNNING, prepared)

    def _fetch(
        self, connector: CoreDeviceConnector, context: KindContext, collect: Collect
    ) -> tuple[str, integrity.Verdict]:
        # Without an end mark only the prompt and the version before can show that a text was cut.
        unmarked = collect.end_marker is None
        previous = context.previous_text() if unmarked else None
        for command in (collect.command, *collect.fallback):
            answer = connector.send(command, timeout_s=collect.read_timeout_s, confirm=unmarked, end=collect.end_marker)
            text = clean(answer).strip("\n") + "\n"
            verdict = self._judge(text, context, previous)
            if verdict.reason_code not in _REFUSED:
                break
        return text, verdict

    @staticmethod
    def _judge(text: str, context: KindContext, previous: str | None) -> integrity.Verdict:
        verdict = integrity.check(text, context.platform, RUNNING, context.previous_size, prompt_seen=True)
        if verdict.whole and previous is not None:
            # What is kept shows placeholders, so it is compared with the same.
            shown = redact(text, context.platform, keyring.current().fingerprint)
            verdict = integrity.check(shown, context.platform, RUNNING, prompt_seen=True, previous=previous)
        return verdict
