"""Keeping a configuration: got ready in the device's thread, stored together with those of other devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.configs.asides import set_aside
from devices.configs.integrity import Verdict
from devices.configs.keeping import Keep, keep, save_all
from devices.configs.store import PreparedText
from jobs.kinds.base import KindContext, Store, Stored


@dataclass(frozen=True)
class KeepConfig:
    """A `Store` of which the engine writes many in a few statements."""

    keep: Keep

    def __call__(self) -> Stored:
        """Store this one alone."""
        return self.together([self])[0]

    @staticmethod
    def together(stores: Sequence[KeepConfig]) -> list[Stored]:
        """Store all of them; the answers in the same order."""
        kept = save_all([store.keep for store in stores])
        return [Stored(config_version=found.version, config_changed=found.changed) for found in kept]


def keep_config(context: KindContext, kind: str, text: PreparedText) -> Store:
    """What is left to be written to keep a text as a version of the device, if it changed."""
    last = context.previous
    changed = last is not None and last.compared != text.compared
    return KeepConfig(keep(context.device, kind, text, last, context.previous_text() if changed else None))


def keep_aside(context: KindContext, kind: str, text: PreparedText, verdict: Verdict, evidence: str) -> Store:
    """What is left to be written to keep an answer aside that is no whole configuration."""
    _ = text.shown  # made here, in the device's thread, and not within the transaction

    def store() -> Stored:
        set_aside(context.device, kind, text, verdict, evidence)
        return Stored()

    return store
