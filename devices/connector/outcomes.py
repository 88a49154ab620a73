"""The outcome classes of a login or a job on one device, with the advice for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How it ended; each value is one class of DESIGN's table."""

    SUCCESS = "success"
    REJECTED = "rejected"
    ENABLE_REJECTED = "enable_rejected"
    NO_CREDENTIALS = "no_credentials"
    HELD = "held"
    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    BUSY = "busy"
    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    ALGORITHM_MISMATCH = "algorithm_mismatch"
    UNANSWERED = "unanswered"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 - a class name, not a password
    PROTOCOL_ERROR = "protocol_error"
    COMMAND_ERROR = "command_error"
    INCOMPLETE_OUTPUT = "incomplete_output"
    CANCELLED = "cancelled"
    INTERNAL_ERROR = "internal_error"


class Tone(StrEnum):
    """The five tones in which states are shown."""

    GOOD = "good"
    PASSING = "passing"
    FAILED = "failed"
    HELD = "held"
    UNKNOWN = "unknown"


class Fate(StrEnum):
    """What became of the secret, as seen on the wire."""

    UNSENT = "unsent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class OutcomeInfo:
    """What a class means to the operator."""

    label: str
    tone: Tone
    passing: bool
    advice: str


INFO: dict[Outcome, OutcomeInfo] = {
    Outcome.SUCCESS: OutcomeInfo("Success", Tone.GOOD, False, ""),
    Outcome.REJECTED: OutcomeInfo(
        "Rejected",
        Tone.FAILED,
        False,
        "Every matching credential was refused. Correct the password, or tag the credential that opens this device.",
    ),
    Outcome.ENABLE_REJECTED: OutcomeInfo(
        "Enable rejected",
        Tone.FAILED,
        False,
        "The login works, the enable secret does not. Correct the enable secret of this credential.",
    ),
    Outcome.NO_CREDENTIALS: OutcomeInfo(
        "No credentials",
        Tone.FAILED,
        False,
        "No enabled credential shares a tag with this device. Add one of its tags to the credential that opens it.",
    ),
    Outcome.HELD: OutcomeInfo(
        "Held",
        Tone.HELD,
        True,
        "The account has no rejections left, so it was not tried. Correct the credential, then release the account.",
    ),
    Outcome.UNRESOLVED: OutcomeInfo(
        "Unresolved", Tone.FAILED, False, "The name is not in the DNS. Correct the address of the device."
    ),
    Outcome.UNREACHABLE: OutcomeInfo(
        "Unreachable",
        Tone.PASSING,
        True,
        "Nothing answers at this address. Check that the device is up and that a route leads to it.",
    ),
    Outcome.REFUSED: OutcomeInfo(
        "Refused",
        Tone.PASSING,
        True,
        "The address answers but the port is closed. Check the port, and that SSH is on and open to this host.",
    ),
    Outcome.TIMEOUT: OutcomeInfo(
        "Timeout",
        Tone.PASSING,
        True,
        "Connected, then silent past the deadline. Check the load of the device, or raise its time-out.",
    ),
    Outcome.BUSY: OutcomeInfo(
        "Busy",
        Tone.PASSING,
        True,
        "The device takes no more sessions. Close idle sessions on it, or run the job at another time.",
    ),
    Outcome.HOST_KEY_UNKNOWN: OutcomeInfo(
        "Host key unknown",
        Tone.HELD,
        False,
        "The device's host key waits for approval; no password was sent. Compare the fingerprint, then approve it.",
    ),
    Outcome.HOST_KEY_CHANGED: OutcomeInfo(
        "Host key changed",
        Tone.HELD,
        False,
        "It has shown another host key than the pinned one; no password was sent. "
        "Approve the new key only if you know why it changed.",
    ),
    Outcome.ALGORITHM_MISMATCH: OutcomeInfo(
        "Algorithm mismatch",
        Tone.FAILED,
        False,
        "No common SSH algorithm; no password was sent. Update the device, or allow legacy SSH for it.",
    ),
    Outcome.UNANSWERED: OutcomeInfo(
        "Unanswered",
        Tone.PASSING,
        True,
        "The password was sent and nothing came back: perhaps rejected. Check the accounts server of the device.",
    ),
    Outcome.PASSWORD_EXPIRED: OutcomeInfo(
        "Password expired",
        Tone.FAILED,
        False,
        "The device asks for a new password. Change it on the device, then in the credential.",
    ),
    Outcome.PROTOCOL_ERROR: OutcomeInfo(
        "Protocol error",
        Tone.FAILED,
        False,
        "What answered does not behave like this platform. Check port, transport and platform of the device.",
    ),
    Outcome.COMMAND_ERROR: OutcomeInfo(
        "Command error",
        Tone.FAILED,
        False,
        "The device refused the command. Check its platform, and the rights of the account.",
    ),
    Outcome.INCOMPLETE_OUTPUT: OutcomeInfo(
        "Incomplete output",
        Tone.FAILED,
        False,
        "The answer is not a whole configuration; the last good version stays. Look at the answer, then run again.",
    ),
    Outcome.CANCELLED: OutcomeInfo("Cancelled", Tone.UNKNOWN, False, "Stopped by a person. Run the job again."),
    Outcome.INTERNAL_ERROR: OutcomeInfo(
        "Internal error",
        Tone.FAILED,
        False,
        "NetRaven failed, not the device. Look up the reference in the worker's log and report it.",
    ),
}


def info(outcome: str) -> OutcomeInfo:
    """What an outcome means; an unknown word gives a neutral entry rather than an error."""
    try:
        return INFO[Outcome(outcome)]
    except ValueError:
        return OutcomeInfo(outcome.replace("_", " ").capitalize() or "Not tried", Tone.UNKNOWN, False, "")


class ConnectorError(Exception):
    """A login or command that did not succeed: its outcome class and what happened, in words.

    `detail` never holds a secret; it may hold cleaned words of the device.
    """

    advice = ""
    """Instead of the advice of the class, where there is better."""
    lasting = False
    """A class that passes by itself, for a reason that does not."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
