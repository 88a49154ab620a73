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
    r"(?:^|\n)(?:>> ?)?[^\n#>$%]{0,60}?\b(?:user ?name|login(?: as| name)?|user(?: id)?|account) ?: ?$", re.IGNORECASE
)
PASSWORD_PROMPT = re.compile(
    r"(?:^|\n)(?:>> ?)?[^\n#>$%]{0,60}?\b(?:passwor[dt]|passcode|passwd|pin)\b[^:\n>#$%]{0,60}: ?$", re.IGNORECASE
)
REFUSED = re.compile(
    r"(?:log ?in|authentication|authorization|access|logon|password|username)[^\n]{0,40}"
    r"(?:incorrect|fail|invalid|denied|wrong|reject|error|bad\b)"
    r"|(?:incorrect|invalid|wrong|bad|failed)[^\n]{0,30}(?:log ?in|password|user|authentication|secrets?)"
    r"|% ?Bad (?:passwords|secrets)|% ?Login invalid|permission denied|locked out",
    re.IGNORECASE,
)
EXPIRED = re.compile(
    r"(?:enter|set|choose|type|change)[^\n]{0,40}new password|new password\s*[:>]\s*$"
    r"|password (?:has )?expired|must change (?:your|the) password|current (?:unix )?password\s*:\s*$",
    re.IGNORECASE,
)
SHELL_PROMPT = re.compile(r"(?:^|\n)(?:[^\n]{0,200}[>#$%\]]|[\w.-]{0,64} ?\*)[ \t]{0,2}$")
# A lone "%" may be the first character of "% Login invalid": it must stand alone for a while.
_BARE_PROMPT_S = 2.5
ENTER_WANTED = re.compile(r"(?:press|hit)\s+(?:the\s+)?[<\[']?(?:return|enter|any key)", re.IGNORECASE)
# Asked between the right password and the prompt; "no" keeps the password and lets one in.
CHANGE_OFFERED = re.compile(r"change[^\n]{0,40}\?\s*[\[(]y(?:es)?/no?[\])]\s*:?\s*$", re.IGNORECASE)
_MOST_NUDGES = 3
_GOODBYE_S = 3.0
_QUESTION_S = 3.0
# Commands that may themselves be an enable secret in a laboratory.
_ENABLE_COMMANDS = {"enable", "enable-admin", "administrator", "su", "admin"}
# A device that has said something and no prompt gets Enter only after so long: it may be slow.
_TALKED_QUIET_S = 4.0


def _plain(text: str) -> str:
    return ANSI.sub("", text).replace("\r", "")


def terminal_login(
    channel: DeviceChannel,
    target: Target,
    username: str,
    provide: Callable[[], LoginSecrets],
    evidence: Evidence,
    *,
    is_ours: bool = False,
) -> None:
    """Go through a login dialogue, submitting user name and password once at the most.

    `is_ours`: the terminal was opened for us (SSH), so a prompt without a login is no stranger's session.
    Leaves what came after the login unread, for the driver. Raises ConnectorError.
    """
    _TerminalLogin(channel, target, username, provide, evidence, is_ours).run()


class _TerminalLogin:
    def __init__(
        self,
        channel: DeviceChannel,
        target: Target,
        username: str,
        provide: Callable[[], LoginSecrets],
        evidence: Evidence,
        is_ours: bool,
    ) -> None:
        self._channel, self._limits = channel, target.limits
        self._username, self._provide = username, provide
        self._evidence, self._is_ours = evidence, is_ours
        self._stage = "before"  # then "named" and "sent": what was submitted last
        self._text = ""
        self._nudged, self._nudged_at = 0, ""
        self._heard_at = time.monotonic()
        self._until = self._heard_at + target.limits.banner_s

    def run(self) -> None:
        """Until the terminal is ours; raises ConnectorError."""
        channel, is_in = self._channel, False
        while not is_in:
            chunk = self._listen()
            if channel.closed:
                raise self._closed()
            if chunk and channel.recv_more():
                continue  # look at a whole screen, not at half a line
            is_quiet = not chunk
            if EXPIRED.search(self._text) and not CHANGE_OFFERED.search(self._text):
                if self._stage == "sent":
                    self._evidence.fate = Fate.ACCEPTED
                raise ConnectorError(Outcome.PASSWORD_EXPIRED, f"The device says: {self._said(120)}")
            is_in = self._look_after_password(is_quiet) if self._stage == "sent" else self._look_before(is_quiet)
            if not is_in and time.monotonic() > self._until:
                raise self._silent()
        channel.unread(self._text)

    def _listen(self) -> str:
        wait_s = 2.0 if self._stage == "before" and not SHELL_PROMPT.search(self._text) else 1.0
        try:
            chunk = self._channel.recv_text(wait_s)
        except ConnectorError as error:
            if self._stage == "sent" and error.outcome == Outcome.TIMEOUT:
                raise self._silent() from None
            raise
        self._text = (self._text + _plain(chunk))[-8192:]
        if chunk:
            # A slow console is waited for as long as it says something; the deadline ends it.
            self._heard_at = time.monotonic()
            self._until = max(self._until, self._heard_at + self._patience_s)
        return chunk

    @property
    def _patience_s(self) -> float:
        return self._limits.auth_s if self._stage == "sent" else self._limits.banner_s

    @property
    def _quiet_s(self) -> float:
        return time.monotonic() - self._heard_at

    @property
    def _last_line(self) -> str:
        return self._text.rsplit("\n", 1)[-1]

    @property
    def _at_shell(self) -> bool:
        if not SHELL_PROMPT.search(self._text):
            return False
        return bool(re.search(r"\w", self._last_line)) or self._quiet_s >= _BARE_PROMPT_S

    # --- before the password ----------------------------------------------------------------------
    def _look_before(self, is_quiet: bool) -> bool:
        """Answer what is asked; whether we are in already, without any login."""
        text, is_first = self._text, self._stage == "before"
        if PASSWORD_PROMPT.search(text):
            secrets = self._provide()
            if not secrets.password:
                raise ConnectorError(Outcome.PROTOCOL_ERROR, "The device asks for a password, the credential has none.")
            self._channel.mask(secrets.values())
            self._evidence.secrets_sent += 1
            self._evidence.fate = Fate.UNANSWERED
            self._submit(secrets.password, "sent")
        elif is_first and USERNAME_PROMPT.search(text):
            self._submit(self._username, "named")
        elif is_first and BUSY_WORDS.search(text) and not SHELL_PROMPT.search(text):
            raise ConnectorError(Outcome.BUSY, f"The device says: {self._said(120)}")
        elif is_first and is_quiet:
            return self._look_at_rest()
        return False

    def _look_at_rest(self) -> bool:
        """Nothing more comes by itself and no login was asked for."""
        if self._at_shell and self._is_ours:
            return True
        if self._at_shell and self._last_line == self._nudged_at:
            raise ConnectorError(
                Outcome.BUSY,
                "Somebody is logged in at this console, or the device asks for no login: "
                f"only Enter was sent. It says: {self._said(120)}",
            )
        wants_enter = not self._text or ENTER_WANTED.search(self._text) or self._quiet_s >= _TALKED_QUIET_S
        # A console is woken by Enter; at a prompt it also tells a banner from somebody's open session.
        if wants_enter or SHELL_PROMPT.search(self._text):
            self._nudge()
        return False

    def _submit(self, line: str, stage: str) -> None:
        self._channel.send_text(line + "\r")
        self._stage, self._text, self._nudged = stage, "", 0
        self._until = time.monotonic() + self._patience_s

    def _nudge(self) -> None:
        if self._nudged < _MOST_NUDGES:
            self._nudged, self._nudged_at = self._nudged + 1, self._last_line
            self._channel.send_text("\r")

    # --- after the password -----------------------------------------------------------------------
    def _look_after_password(self, is_quiet: bool) -> bool:
        """Whether we are in; raises ConnectorError when it was refused."""
        text, evidence = self._text, self._evidence
        if CHANGE_OFFERED.search(text):
            evidence.fate = Fate.ACCEPTED
            self._submit("n", "sent")
            return False
        at_shell = self._at_shell
        asked_again = PASSWORD_PROMPT.search(text) or USERNAME_PROMPT.search(text)
        # A message of the day may speak of failed logins: a prompt after it proves that we are in.
        if evidence.fate != Fate.ACCEPTED and (asked_again or (REFUSED.search(text) and not at_shell)):
            evidence.fate = Fate.REJECTED
            raise ConnectorError(Outcome.REJECTED, f"The device refused it: {self._said(120)}")
        if at_shell:
            evidence.fate = Fate.ACCEPTED
        elif is_quiet and ENTER_WANTED.search(text.rsplit("\n", 2)[-1]):
            self._nudge()
        return at_shell

    # --- how it ended -----------------------------------------------------------------------------
    def _said(self, limit: int) -> str:
        return self._channel.show(self._text, limit)

    def _closed(self) -> ConnectorError:
        said = self._said(160)
        if self._stage != "sent":
            return ConnectorError(Outcome.BUSY, f"The device closed before the login. {said}".strip())
        if self._evidence.fate == Fate.ACCEPTED:
            return ConnectorError(Outcome.BUSY, f"The device closed right after the login. {said}".strip())
        if REFUSED.search(self._text):
            self._evidence.fate = Fate.REJECTED
            return ConnectorError(Outcome.REJECTED, f"The device refused it and closed: {said}")
        return ConnectorError(Outcome.UNANSWERED, f"The password was sent; the device closed. {said}".strip())

    def _silent(self) -> ConnectorError:
        said = self._said(160)
        if self._stage == "sent" and self._evidence.fate != Fate.ACCEPTED:
            return ConnectorError(Outcome.UNANSWERED, f"The password was sent; nothing came back. {said}".strip())
        if self._text.strip():
            return ConnectorError(Outcome.PROTOCOL_ERROR, f"No login prompt came; the device says: {said}")
        return ConnectorError(Outcome.TIMEOUT, "Connected, then silent: no login prompt.")


def leave_console(channel: DeviceChannel, goodbye: Callable[[], None]) -> None:
    """Log out of a console by the driver's own words, and stay until the device has taken them."""
    channel.end_within(_GOODBYE_S)
    goodbye()
    text = ""
    for _ in range(_MOST_NUDGES):
        while chunk := channel.recv_text(0.5):
            text = (text + _plain(chunk))[-2048:]
        if channel.closed or not SHELL_PROMPT.search(text):
            return
        channel.send_text("exit\r")  # the first one left a mode, not the device


class PromptGuard:
    """Watches what is typed after a login: nothing goes into a login prompt but one enable secret, when it is due.

    Drivers send empty lines and commands blindly, some type the enable secret whether it is asked for or not,
    and some type it several times: each would count as a wrong login, or show a secret in the clear.
    """

    def __init__(self, channel: DeviceChannel, username: str) -> None:
        self.refusal: ConnectorError | None = None  # of the enable secret: it is not typed again in this session
        self._channel = channel
        self._username = username
        self._secret: str | None = None
        self._typed: set[str] = set()

    @property
    def typed_enable(self) -> bool:
        """Whether the enable secret was typed since it is expected."""
        return bool(self._secret) and self._secret in self._typed

    def expect_enable(self, secret: str | None) -> None:
        """From now on this secret may be typed once, at a password prompt; `""`: there is none, None: no longer."""
        self._secret = secret
        self._typed = set()

    def __call__(self, text: str) -> str:
        """The text as it may be sent now. Raises ConnectorError instead of typing into a login prompt."""
        channel = self._channel
        # What has come meanwhile decides, also where the driver has not looked at it yet.
        channel.take_in()
        line, secret = text.strip("\r\n"), self._secret
        is_secret = bool(secret) and line.rstrip() == (secret or "").rstrip()
        if is_secret:
            self._await_question()
        screen = _plain(channel.tail)
        if PASSWORD_PROMPT.search(screen):
            if secret is None:
                raise self._asked(screen)
            if not secret:
                raise ConnectorError(
                    Outcome.ENABLE_REJECTED,
                    "The device asks for an enable secret and the credential has none; nothing was typed.",
                )
            if not is_secret or secret in self._typed:
                raise ConnectorError(Outcome.ENABLE_REJECTED, f"The device said: {channel.show(screen, 120)}")
            self._typed.add(secret)
            return secret + text[len(line) :]
        if USERNAME_PROMPT.search(screen):
            if secret is None or line != self._username or line in self._typed:
                raise self._asked(screen)
            self._typed.add(line)
        elif is_secret and secret not in _ENABLE_COMMANDS:
            return "\r"  # not asked for: typed here, it would stand in the clear
        return text

    def _await_question(self) -> None:
        """Give the device time to answer what was typed before the secret; some drivers do not wait for it."""
        channel, until = self._channel, time.monotonic() + _QUESTION_S
        while time.monotonic() < until and not channel.closed:
            screen = _plain(channel.tail)
            if not channel.awaiting and (PASSWORD_PROMPT.search(screen) or SHELL_PROMPT.search(screen)):
                return
            channel.take_in(0.1)

    def _asked(self, screen: str) -> ConnectorError:
        return ConnectorError(
            Outcome.PROTOCOL_ERROR,
            f"After the login the device asks for one again; nothing was typed. {self._channel.show(screen, 120)}",
        )


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
        self._wire = connect_tcp(self.target.host, self.target.port, max(left, 0.1), self.target.policy)
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
