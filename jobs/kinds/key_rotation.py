"""Key rotation as a job: re-encrypt every secret under the active key, while everything goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from credentials.exceptions import KeyringError
from credentials.key_rotation import Rotation, rows_by_key
from credentials.keys import MANAGE, rotate, why_incomplete
from jobs.kinds.base import Checked, Checkpoint, KindFailed

_MOST_NAMED = 10


class KeyRotation(Checked):
    """Goes on where it was ended, as often as it is begun again."""

    name = "key_rotation"
    label = "Key rotation"
    description = "Re-encrypt every secret and every complete configuration under the active key. Works on no device."
    on_devices: Literal[False] = False
    permissions: tuple[str, ...] = (MANAGE,)

    def perform(self, parameters: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
        """A checkpoint after each batch; at the end no value is left under another key, or it fails and says which."""
        try:
            state = rotate(lambda state: checkpoint(_summary(state)))
        except KeyringError as error:
            raise KindFailed(str(error)) from error
        summary = {**_summary(state), "complete": state.is_complete, "rows_by_key": rows_by_key()}
        if checkpoint(summary) or state.is_complete:
            return summary
        if state.bad:
            named = "; ".join(str(bad) for bad in state.bad[:_MOST_NAMED])
            raise KindFailed(f"{len(state.bad)} sealed values cannot be opened and stay as they are: {named}")
        raise KindFailed(why_incomplete(state))


def _summary(state: Rotation) -> dict[str, Any]:
    return {
        "active_key": state.active,
        "done": state.done,
        "left": max(0, state.left - state.done - len(state.bad)),
        "bad": [str(bad) for bad in state.bad[:_MOST_NAMED]],
    }
