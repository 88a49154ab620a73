"""One SSH connection, step by step: address, key exchange, host key, and only then the secret."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import time
from collections.abc import Callable

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from paramiko.ssh_exception import BadAuthenticationType, ChannelException, IncompatiblePeer, SSHException

from devices.connector.channel import DeviceChannel, printable
from devices.connector.outcomes import ConnectorError, Fate, Outcome
from devices.connector.target import Evidence, HostKeyData, HostKeyVerdict, LoginSecrets, Target
from devices.connector.transport import SshStream, SyncTransport
from devices.connector.wire import (
    AuthLog,
    WireSocket,
    connect_tcp,
    recording_packetizer,
)

# What OpenSSH no longer offers by default; a device that needs any of it must be opted in.
LEGACY_ALGORITHMS: dict[str, list[str]] = {
    "kex": [
        "diffie-hellman-group-exchange-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group1-sha1",
    ],
    "keys": ["ssh-rsa"],
    "pubkeys": ["ssh-rsa"],
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
}
# paramiko has the time-out of the banner looked at by the one of the socket.
_BANNER_LOOK_S = 1.0
_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
BUSY_WORDS = re.compile(
    r"too many|maximum (?:number|sessions|connections|logins)|max(?:imum)?[ -]?(?:sessions|startups)|exceeded"
    r"|no (?:more|free|available) (?:lines|sessions|connections|vty)|all (?:lines|vtys?|sessions)"
    r"|sessions? (?:limit|full)|resource shortage|not allowed at this time|try again later|\bbusy\b",
    re.IGNORECASE,
)
_NEW_PASSWORD = re.compile(r"new[ _-]*password|change.*password|password.*expired|enter new", re.IGNORECASE)
_ONE_TIME = re.compile(r"one[- ]?time|\botp\b|oath|token|\bcode\b|verification|second factor|duo", re.IGNORECASE)
_PASSWORD_PROMPT = re.compile(r"passw|pass ?phrase|secret|kennwort|mot de passe|contrase|密码|口令", re.IGNORECASE)
KEY_CLASSES: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)

SecretsProvider = Callable[[tuple[str, ...]], LoginSecrets]
HostKeyCheck = Callable[[HostKeyData], None]


class MethodMismatch(ConnectorError):
    """The server offers no method that this credential can use; no secret was sent."""

    def __init__(self, offered: tuple[str, ...], has: str) -> None:
        super().__init__(
            Outcome.PROTOCOL_ERROR,
            f"The server accepts only {', '.join(offered) or 'nothing'}; this credential has {has}. "
            "No secret was sent.",
        )
        self.offered = offered


def load_private_key(text: str, passphrase: str | None) -> paramiko.PKey:
    """Parse a private key; raises ConnectorError without the key's text when it cannot be read."""
    secret = passphrase.encode() if passphrase else None
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in text else load_pem_private_key
        key = load(text.strip().encode() + b"\n", secret)
        # paramiko reads no PKCS#8, so every key is given to it in OpenSSH's form; it never leaves this process.
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        for kind in KEY_CLASSES:
            with contextlib.suppress(SSHException, ValueError, IndexError, UnicodeDecodeError, TypeError):
                return kind.from_private_key(io.StringIO(plain))
    raise ConnectorError(Outcome.INTERNAL_ERROR, "The private key of the credential cannot be read.")


def _is_hidden_question(prompt: tuple[str, bool]) -> bool:
    """Whether a question that does not name a password means one: its answer is not shown, and is no code."""
    text, is_shown = prompt
    return not is_shown and not _ONE_TIME.search(text)


class SshSession:
    """An SSH connection to one target; the order of its steps keeps secrets from strangers."""

    noauth = False

    def __init__(self, target: Target, secrets: SecretsProvider, check_host_key: HostKeyCheck, deadline: float):
        self.target = target
        self.evidence = Evidence()
        self.secrets: LoginSecrets | None = None
        self.channel: DeviceChannel | None = None
        self._provide = secrets
        self._check_host_key = check_host_key
        self._deadline = deadline
        self._log = AuthLog()
        self._wire: WireSocket | None = None
        self._transport: SyncTransport | None = None
        self._asked_again: str | None = None
        self._first_question = ""

    def _left(self, limit_s: float) -> float:
        left = min(limit_s, self._deadline - time.monotonic())
        if left <= 0:
            raise ConnectorError(Outcome.TIMEOUT, "The device used up its deadline.")
        return left

    # --- before any secret --------------------------------------------------------------------
    def connect(self) -> None:
        """Connect, exchange keys and have the host key checked; no secret is touched."""
        limits = self.target.limits
        wire = connect_tcp(self.target.host, self.target.port, self._left(limits.connect_s), self.target.policy)
        self._wire = wire
        self.evidence.address = wire.address
        disabled = {} if self.target.legacy_ssh else LEGACY_ALGORITHMS
        transport = SyncTransport(
            wire,
            disabled_algorithms=disabled,
            packetizer_class=recording_packetizer(self._log),
        )
        self._transport = transport
        transport.banner_timeout = self._left(limits.banner_s)
        self._prefer_pinned(transport)
        wire.settimeout(_BANNER_LOOK_S)
        try:
            transport.negotiate(self._left(limits.banner_s + 5))
        except (SSHException, EOFError, OSError, ValueError) as error:
            raise self._handshake_error(error) from None
        if not transport.initial_kex_done:
            raise ConnectorError(Outcome.TIMEOUT, "Connected, but the SSH key exchange did not finish.")
        key = transport.get_remote_server_key()
        presented = HostKeyData(key.get_name(), base64.b64encode(key.asbytes()).decode())
        self.evidence.host_key = presented
        try:
            self._check_host_key(presented)
        except HostKeyVerdict as verdict:
            outcome = Outcome.HOST_KEY_CHANGED if verdict.changed else Outcome.HOST_KEY_UNKNOWN
            raise ConnectorError(outcome, verdict.detail) from None

    def _prefer_pinned(self, transport: paramiko.Transport) -> None:
        """Ask for a pinned key type first, so that a changed preference is no false alarm."""
        names: list[str] = []
        for key in self.target.pinned:
            names.extend(_RSA_ALGORITHMS if key.key_type == "ssh-rsa" else [key.key_type])
        options = transport.get_security_options()
        known = list(options.key_types)
        first = [name for name in names if name in known]
        options.key_types = [*first, *[name for name in known if name not in first]]

    def _handshake_error(self, error: Exception) -> ConnectorError:
        wire = self._wire
        assert wire is not None
        said = self._said
        head = printable(wire.head.decode("utf-8", "replace"), 120)
        if isinstance(error, IncompatiblePeer):
            return ConnectorError(
                Outcome.ALGORITHM_MISMATCH, printable(f"{error}", 160).rstrip(".") + "." + self._legacy_hint()
            )
        if not wire.bytes_in:
            if wire.closed_by_peer:
                return ConnectorError(Outcome.BUSY, "The device closed the connection before it said anything.")
            return ConnectorError(Outcome.TIMEOUT, "Connected, but no SSH banner came.")
        if BUSY_WORDS.search(said) or (not head.startswith("SSH-") and BUSY_WORDS.search(head)):
            return ConnectorError(Outcome.BUSY, f"The device said: {said or head}")
        if not head.startswith("SSH-") and "SSH-" not in head:
            return ConnectorError(Outcome.PROTOCOL_ERROR, f"What answers is not SSH; it said: {head[:80]}")
        if wire.closed_by_peer:
            return ConnectorError(
                Outcome.BUSY, f"The device closed the connection during the key exchange. {said}".strip()
            )
        if isinstance(error, EOFError | TimeoutError) or "imeout" in str(error) or "timed out" in str(error):
            # EOF without the other side closing is our own end of patience.
            return ConnectorError(Outcome.TIMEOUT, "Connected, then silent during the SSH key exchange.")
        return ConnectorError(Outcome.PROTOCOL_ERROR, f"SSH key exchange failed: {printable(str(error), 160)}")

    @property
    def _said(self) -> str:
        """What the server said when it hung up: printable, and without the login's secrets."""
        return self._show(self._log.disconnect_text, 160)

    def _show(self, text: str, limit: int) -> str:
        """The server's words for a message: first made printable, so that no control character hides a secret."""
        text = printable(text, len(text) + 1)
        for secret in self.secrets.values() if self.secrets else []:
            text = text.replace(secret, "<secret>")
        return printable(text, limit)

    def _legacy_hint(self) -> str:
        if self.target.legacy_ssh:
            return ""
        return " Legacy algorithms (SHA-1, CBC) are switched off for this device."

    # --- the login ----------------------------------------------------------------------------
    def authenticate(self, username: str) -> None:
        """Ask which methods there are, then send one credential's secret, once."""
        transport = self._transport
        assert transport is not None
        transport.auth_timeout = self._left(self.target.limits.auth_s)
        offered: tuple[str, ...] = ()
        try:
            transport.auth_none(username)
            self.noauth = True
        except BadAuthenticationType as error:
            offered = tuple(error.allowed_types)
        except Exception as error:  # noqa: BLE001 - a hostile server can make paramiko raise nearly anything
            if transport.is_active() and "failed" in str(error):
                offered = ()  # refused without a list: try what we have
            else:
                raise self._closed_before_secret(error) from None
        self.evidence.offered_methods = offered
        secrets = self._provide(offered if not self.noauth else ("none",))
        self.secrets = secrets
        if self.noauth:
            return
        transport.auth_timeout = self._left(self.target.limits.auth_s)
        try:
            self._send_secret(transport, username, secrets, offered)
        except ConnectorError:
            raise
        except Exception:  # noqa: BLE001, S110 - a hostile server can make paramiko raise nearly anything
            pass  # what it means is read from the wire, not from the exception
        finally:
            self.evidence.fate = self._log.fate
            self.evidence.secrets_sent = self._log.secrets_sent
        self._judge(transport)

    def _closed_before_secret(self, error: Exception) -> ConnectorError:
        wire = self._wire
        assert wire is not None
        said = self._said
        if wire.closed_by_peer or said or not (self._transport and self._transport.is_active()):
            return ConnectorError(Outcome.BUSY, f"The device closed the connection before the login. {said}".strip())
        return ConnectorError(Outcome.TIMEOUT, f"The device did not offer a login: {printable(str(error), 160)}")

    def _send_secret(
        self, transport: paramiko.Transport, username: str, secrets: LoginSecrets, offered: tuple[str, ...]
    ) -> None:
        usable = False
        if secrets.private_key and (not offered or "publickey" in offered):
            usable = True
            key = load_private_key(secrets.private_key, secrets.passphrase)
            with contextlib.suppress(paramiko.AuthenticationException):
                further = transport.auth_publickey(username, key)
                if transport.is_authenticated():
                    return
                offered = tuple(further) or offered
            if not transport.is_active() or (self._log.fate != Fate.REJECTED and not self._log.was_partial):
                return  # the key is not answered yet: a password now would get its answer
        if secrets.password and (not offered or "password" in offered):
            transport.auth_password(username, secrets.password, fallback=False)
        elif secrets.password and "keyboard-interactive" in offered:
            transport.auth_interactive(username, self._answer)
        elif not usable:
            has = "a private key" if secrets.private_key else "a password" if secrets.password else "no secret"
            raise MethodMismatch(offered, has)

    def _answer(self, title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        """Answer a keyboard-interactive dialogue: the password once, and nothing else."""
        if not prompts:
            return []
        assert self.secrets is not None
        text = " ".join([title, instructions, *[prompt for prompt, _ in prompts]]).strip()
        if _NEW_PASSWORD.search(text) and self._log.secrets_sent:
            self._asked_again = "new"
        elif self._log.secrets_sent:
            # Only the very same question again says no to the first answer; a code is a further factor.
            again = text.casefold() == self._first_question and not _ONE_TIME.search(text)
            self._asked_again = "same" if again else "other"
        elif len(prompts) > 1 or not (_PASSWORD_PROMPT.search(text) or _is_hidden_question(prompts[0])):
            self._asked_again = "other"
        self._first_question = self._first_question or text.casefold()
        if self._asked_again:
            raise SSHException("The dialogue asks for something that is not ours to answer.")
        return [self.secrets.password or ""]

    def _judge(self, transport: paramiko.Transport) -> None:
        """Turn what the wire shows after the secret into an outcome class."""
        log, evidence = self._log, self.evidence
        if transport.is_authenticated() and transport.is_active() and evidence.fate == Fate.ACCEPTED:
            return
        said = self._said
        if log.wants_new_password or self._asked_again == "new":
            evidence.fate = Fate.ACCEPTED
            raise ConnectorError(
                Outcome.PASSWORD_EXPIRED, "The password was accepted, but the device demands a new one."
            )
        if self._asked_again == "same":
            evidence.fate = Fate.REJECTED
            raise ConnectorError(Outcome.REJECTED, "The device asked for the password again.")
        if self._asked_again == "other" or (evidence.fate == Fate.ACCEPTED and log.was_partial):
            raise ConnectorError(
                Outcome.PROTOCOL_ERROR,
                "The device asks for a further factor that the credential does not hold.",
            )
        if evidence.fate == Fate.REJECTED:
            raise ConnectorError(Outcome.REJECTED, f"The device refused this credential. {said}".strip())
        if evidence.fate == Fate.UNSENT:
            raise self._closed_before_secret(SSHException("the login ended before the secret was sent"))
        if evidence.fate == Fate.ACCEPTED:
            raise ConnectorError(Outcome.BUSY, f"The device closed the connection after the login. {said}".strip())
        if BUSY_WORDS.search(said):
            raise ConnectorError(Outcome.UNANSWERED, f"The device closed the login and said: {said}")
        how = "closed the connection" if not transport.is_active() else "stayed silent"
        raise ConnectorError(Outcome.UNANSWERED, f"The secret was sent; the device {how}. {said}".strip())

    def log_in(self, username: str, width: int, height: int) -> DeviceChannel:
        """Authenticate and return the terminal."""
        self.authenticate(username)
        stream = self.open_shell(width, height)
        assert self.secrets is not None
        assert self._wire is not None
        self._wire.capped = False
        channel = DeviceChannel(stream, self._deadline, self.target.limits.max_output)
        channel.mask(self.secrets.values())
        self.channel = channel
        return channel

    # --- after the login ----------------------------------------------------------------------
    def open_shell(self, width: int, height: int) -> SshStream:
        """Open a terminal; raises ConnectorError `busy` when the device refuses another session."""
        transport = self._transport
        assert transport is not None
        try:
            return transport.open_terminal(width, height, self._left(self.target.limits.auth_s))
        except ChannelException as error:
            raise ConnectorError(
                Outcome.BUSY, f"The device refused a session: {self._show(str(error.text), 160)}"
            ) from None
        except (SSHException, EOFError, OSError) as error:
            said = self._said
            if not transport.is_active():
                if not said or BUSY_WORDS.search(said):
                    raise ConnectorError(
                        Outcome.BUSY,
                        f"The device closed the connection right after the login. {said}".strip(),
                    ) from None
                raise ConnectorError(Outcome.PROTOCOL_ERROR, f"The device hung up: {said}") from None
            if isinstance(error, TimeoutError) or "imeout" in str(error):
                raise ConnectorError(Outcome.TIMEOUT, "Logged in, then no terminal came.") from None
            raise ConnectorError(Outcome.PROTOCOL_ERROR, f"No terminal: {self._show(str(error), 160)}") from None

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands."""
        return self._transport is not None and self._transport.is_active()

    def abort(self) -> None:
        """Close the socket under whoever waits for it; from another thread."""
        if self._wire is not None:
            self._wire.close()

    def close(self) -> None:
        """Close the connection; safe to call twice and from another thread."""
        if self._transport is not None:
            self._transport.close()
        if self._wire is not None:
            self._wire.close()
        self.secrets = None
