"""A login that happens in the terminal: telnet, and SSH servers that let one in and then ask."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from devices.connector.channel import ANSI, DeviceChannel, TelnetStream
from devices.connector.outcomes import ConnectorError, Fate, Outcome
from devices.connector.ssh import BUSY_WORDS, SecretsProvider
from devices.connector.target import Evidence, LoginSecrets, Target
from devices.connector.wire import WireSocket, connect_tcp

# A login prompt is a line of its own that ends in a colon; names such as "spine1>" or "ops-user#" are none.
USERNAME_PROMPT = re.compile(
    r"(?:^|\n)[^\n#>$%]{0,60}?\b(?:user ?name|login(?: as| name)?|user(?: id)?|account) ?: ?$", re.IGNORECASE
)
PASSWORD_PROMPT = re.compile(
    r"(?:^|\n)[^\n#>$%]{0,60}?\b(?:passwor[dt]|passcode|passwd|pin)\b[^:\n>#$%]{0,60}: ?$", re.IGNORECASE
)
REFUSED = re.compile(
    r"(?:login|authentication|authorization|access|logon|password|username)[^\n]{0,40}"
    r"(?:incorrect|fail|invalid|denied|wrong|reject|error|bad\b)"
    r"|(?:incorrect|invalid|wrong|bad|failed)[^\n]{0,30}(?:login|password|user|authentication|secrets?)"
    r"|% ?Bad (?:passwords|secrets)|% ?Login invalid|permission denied|locked out",
    re.IGNORECASE,
)
EXPIRED = re.compile(
    r"(?:enter|set|choose|type|change)[^\n]{0,40}new password|new password\s*[:>]\s*$"
    r"|password (?:has )?expired|must change (?:your|the) password|current (?:unix )?password\s*:\s*$",
    re.IGNORECASE,
)
SHELL_PROMPT = re.compile(r"(?:^|\n)[^\n]{0,200}[>#$%\]]\s{0,2}$")
# A lone "%" may be the first character of "% Login invalid": it must stand alone for a while.
_BARE_PROMPT_S = 2.5
ENTER_WANTED = re.compile(r"press\s+(?:the\s+)?<?(?:return|enter|any key)", re.IGNORECASE)


def terminal_login(
    channel: DeviceChannel,
    target: Target,
    username: str,
    provide: Callable[[], LoginSecrets],
    evidence: Evidence,
) -> None:
    """Go through a login dialogue, submitting user name and password once at the most.

    Leaves what came after the login unread, for the driver. Raises ConnectorError.
    """
    text = ""
    stage = "before"
    nudged = 0
    heard_at = time.monotonic()
    until = time.monotonic() + target.limits.banner_s
    while True:
        try:
            chunk = channel.recv_text(1.0 if stage != "before" else 2.0)
        except ConnectorError as error:
            if stage == "sent" and error.outcome == Outcome.TIMEOUT:
                raise _silent(channel, text, stage) from None
            raise
        text = (text + ANSI.sub("", chunk).replace("\r", ""))[-8192:]
        if chunk:
            heard_at = time.monotonic()
            # A slow console is waited for as long as it says something; the deadline ends it.
            patience = target.limits.auth_s if stage == "sent" else target.limits.banner_s
            until = max(until, time.monotonic() + patience)
        if channel.closed:
            raise _closed(channel, text, stage, evidence)
        if chunk and channel.recv_more():
            continue  # look at a whole screen, not at half a line
        if EXPIRED.search(text):
            evidence.fate = Fate.ACCEPTED if stage == "sent" else evidence.fate
            raise ConnectorError(Outcome.PASSWORD_EXPIRED, f"The device says: {channel.show(text, 120)}")
        if stage == "sent":
            asked_again = PASSWORD_PROMPT.search(text) or USERNAME_PROMPT.search(text)
            at_shell = SHELL_PROMPT.search(text) and re.search(r"\w", text.rsplit("\n", 1)[-1])
            # A message of the day may speak of failed logins: a prompt after it proves that we are in.
            if asked_again or (REFUSED.search(text) and not at_shell):
                evidence.fate = Fate.REJECTED
                raise ConnectorError(Outcome.REJECTED, f"The device refused it: {channel.show(text, 120)}")
            if at_shell or (SHELL_PROMPT.search(text) and time.monotonic() - heard_at >= _BARE_PROMPT_S):
                evidence.fate = Fate.ACCEPTED
                channel.unread(text)
                return
        elif PASSWORD_PROMPT.search(text):
            secrets = provide()
            if not secrets.password:
                raise ConnectorError(Outcome.PROTOCOL_ERROR, "The device asks for a password, the credential has none.")
            channel.mask(secrets.values())
            evidence.secrets_sent = 1
            evidence.fate = Fate.UNANSWERED
            channel.send_text(secrets.password + "\r")
            stage, text = "sent", ""
            until = time.monotonic() + target.limits.auth_s
        elif stage == "before" and USERNAME_PROMPT.search(text):
            channel.send_text(username + "\r")
            stage, text = "named", ""
            until = time.monotonic() + target.limits.banner_s
        elif stage == "before" and BUSY_WORDS.search(text) and not SHELL_PROMPT.search(text):
            raise ConnectorError(Outcome.BUSY, f"The device says: {channel.show(text, 120)}")
        elif stage == "before" and SHELL_PROMPT.search(text) and not chunk:
            channel.unread(text)
            return  # no login asked for
        elif not chunk and stage == "before" and nudged < 2 and (not text or ENTER_WANTED.search(text)):
            nudged += 1
            channel.send_text("\r")
        if time.monotonic() > until:
            raise _silent(channel, text, stage)


def _closed(channel: DeviceChannel, text: str, stage: str, evidence: Evidence) -> ConnectorError:
    said = channel.show(text, 160)
    if stage == "sent":
        if REFUSED.search(text):
            evidence.fate = Fate.REJECTED
            return ConnectorError(Outcome.REJECTED, f"The device refused it and closed: {said}")
        return ConnectorError(Outcome.UNANSWERED, f"The password was sent; the device closed. {said}".strip())
    return ConnectorError(Outcome.BUSY, f"The device closed before the login. {said}".strip())


def _silent(channel: DeviceChannel, text: str, stage: str) -> ConnectorError:
    said = channel.show(text, 160)
    if stage == "sent":
        return ConnectorError(Outcome.UNANSWERED, f"The password was sent; nothing came back. {said}".strip())
    if text.strip():
        return ConnectorError(Outcome.PROTOCOL_ERROR, f"No login prompt came; the device says: {said}")
    return ConnectorError(Outcome.TIMEOUT, "Connected, then silent: no login prompt.")


class TelnetSession:
    """A telnet connection to one target; only for devices that say telnet."""

    def __init__(self, target: Target, secrets: SecretsProvider, deadline: float) -> None:
        self.target = target
        self.evidence = Evidence()
        self.secrets: LoginSecrets | None = None
        self.channel: DeviceChannel | None = None
        self._provide = secrets
        self._deadline = deadline
        self._wire: WireSocket | None = None

    def connect(self) -> None:
        """Connect; telnet proves nothing about who answers."""
        left = min(self.target.limits.connect_s, self._deadline - time.monotonic())
        self._wire = connect_tcp(self.target.host, self.target.port, max(left, 0.1))
        self.evidence.address = self._wire.address

    def log_in(self, username: str, width: int, height: int) -> DeviceChannel:
        """Log in and return the terminal."""
        assert self._wire is not None
        channel = DeviceChannel(TelnetStream(self._wire), self._deadline, self.target.limits.max_output)
        self.channel = channel
        terminal_login(channel, self.target, username, self._open_secrets, self.evidence)
        self._wire.capped = False
        return channel

    def _open_secrets(self) -> LoginSecrets:
        self.secrets = self._provide(("telnet",))
        return self.secrets

    def abort(self) -> None:
        """Close the socket under whoever waits for it; from another thread."""
        if self._wire is not None:
            self._wire.close()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if self._wire is not None:
            self._wire.close()
        self.secrets = None
