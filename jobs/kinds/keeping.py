"""Keeping the texts of a device: got ready in its thread, stored together with those of other devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from devices.configs.asides import set_aside
from devices.configs.integrity import Verdict
from devices.configs.keeping import Keep, Kept, keep, save_all
from devices.configs.store import PreparedText
from devices.connector.outcomes import Outcome
from jobs.kinds.base import KindContext, Stored


@dataclass(frozen=True)
class Missed:
    """A text that was wanted and is not kept, and why."""

    kind: str
    outcome: Outcome
    detail: str
    is_kept_aside: bool = False


@dataclass
class KeepTexts:
    """A `Store` of what came of a device's texts, of which the engine writes many in a few statements."""

    tells: bool = False
    """Whether the result says what became of each text, since there is more to say than one version."""
    keeps: list[Keep] = field(default_factory=list)
    asides: list[Callable[[], None]] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)

    def __call__(self) -> Stored:
        """Store this one alone."""
        return self.together([self])[0]

    @staticmethod
    def together(stores: Sequence[KeepTexts]) -> list[Stored]:
        """Store all of them; the answers in the same order."""
        kept = iter(save_all([each for store in stores for each in store.keeps]))
        answers = [store._stored([next(kept) for _ in store.keeps]) for store in stores]
        for store in stores:
            for put_aside in store.asides:
                put_aside()
        return answers

    def _stored(self, kept: Sequence[Kept]) -> Stored:
        changed = [each for each in kept if each.changed]
        # The one that a result leads to: what changed, else the first, which is the configuration.
        shown = next(iter(changed or kept), None)
        answer = Stored(config_version=shown.version if shown else None, config_changed=bool(changed) if kept else None)
        if not self.tells:
            return answer
        texts: list[dict[str, Any]] = [
            {"text": text.kind, "state": "changed" if each.changed else "unchanged", "version": each.version}
            for text, each in zip(self.keeps, kept, strict=True)
        ]
        texts += [
            {"text": each.kind, "state": "kept aside" if each.is_kept_aside else "missing", "detail": each.detail[:300]}
            for each in self.missed
        ]
        words = ", ".join(f"{each['text']} {each['state']}" for each in texts)
        return Stored(
            answer.config_version, answer.config_changed, {"texts": texts}, f"{words[:1].upper()}{words[1:]}."
        )


def keep_of(context: KindContext, kind: str, text: PreparedText) -> Keep:
    """What is left to be written to keep a text as a version of the device, if it changed."""
    last = context.previous.get(kind)
    changed = last is not None and last.compared != text.compared
    return keep(context.device, kind, text, last, context.previous_text(kind) if changed else None)


def aside_of(
    context: KindContext, kind: str, text: PreparedText, verdict: Verdict, evidence: str
) -> Callable[[], None]:
    """What is left to be written to keep an answer aside that is no whole text."""
    _ = text.shown  # made here, in the device's thread, and not within the transaction

    def put_aside() -> None:
        set_aside(context.device, kind, text, verdict, evidence)

    return put_aside
