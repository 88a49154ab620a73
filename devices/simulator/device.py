"""The living state of one simulated device: who may log in, what was offered, what it shows."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from devices.simulator.dialects import DIALECTS, PRIVILEGED, USER, Dialect, Shell
from devices.simulator.keys import HostKeys
from devices.simulator.spec import Fault, Offer, SimDevice, SimLogin
from devices.simulator.texts import configuration
from devices.simulator.texts.base import Text
from devices.simulator.texts.shows import Facts

_STILL = datetime(2026, 1, 5, 6, 7, 8, tzinfo=UTC)
"""When every dump of a steady device was made."""


class RunningDevice:
    """One device while its fleet runs. Everything here happens in the thread of the fleet's event loop."""

    def __init__(self, spec: SimDevice, keys: HostKeys, on_offer: Callable[[Offer], None]) -> None:
        self.spec = spec
        self.keys = keys
        self.facts = Facts(spec)
        self.dialect: Dialect = DIALECTS[spec.platform]
        self.revision = keys.saved_revision
        self.offers: list[Offer] = []
        self.commands: list[str] = []
        self.connections = 0
        self.open_connections = 0
        self.transports: set[Any] = set()
        """The TCP connections that are open, to be ended when the device stops."""
        self._on_offer = on_offer
        self._dumps = 0
        self._text: Text | None = None
        self._wrong: dict[str, int] = {}

    def has(self, fault: Fault) -> bool:
        """Whether the device has this fault now."""
        return fault in self.spec.faults

    # Logins
    def _record(self, username: str, secret: str, method: str, accepted: bool) -> None:
        offer = Offer(self.spec.name, username, secret, method, accepted, time.time())
        self.offers.append(offer)
        self._on_offer(offer)

    def is_locked(self, username: str) -> bool:
        """Whether wrong passwords have locked this account."""
        limit = self.spec.lockout_after
        return limit is not None and self._wrong.get(username, 0) >= limit

    def try_password(self, username: str, secret: str, method: str, *, answered: bool = True) -> SimLogin | None:
        """Record the password and say whose it is; None: it is refused. The caller waits before it says no.

        `answered` False: the device will not let this login in even if the password is right.
        """
        # A console that asks for no user name accepts the password of any account.
        name_counts = not self.has(Fault.TELNET_PASSWORD_ONLY)
        login = next(
            (
                login
                for login in self.spec.logins
                if login.password == secret and (not name_counts or login.username == username)
            ),
            None,
        )
        if self.is_locked(username):
            login = None
        if login is None:
            self._wrong[username] = self._wrong.get(username, 0) + 1
        elif answered:
            self._wrong.pop(username, None)
        self._record(username, secret, method, login is not None and answered)
        return login

    def try_public_key(self, username: str, key: str, fingerprint: str) -> SimLogin | None:
        """Record the key (two words of an OpenSSH line) by its fingerprint and say whose it is."""
        login = next(
            (
                login
                for login in self.spec.logins
                if login.username == username
                and login.public_key is not None
                and login.public_key.split()[:2] == key.split()[:2]
            ),
            None,
        )
        self._record(username, fingerprint, "publickey", login is not None)
        return login

    def try_enable(self, login: SimLogin, username: str, secret: str) -> bool:
        """Record an enable secret and say whether it opens the privileged mode."""
        expected = login.enable_secret
        if self.spec.platform == "linux" and expected is None:
            expected = login.password
        right = secret == expected and not self.has(Fault.ENABLE_REFUSED)
        self._record(username, secret, "enable", right)
        return right

    # Sessions
    def open_shell(self, login: SimLogin, username: str) -> Shell:
        """The command line of a new session."""
        name = self.spec.name
        if self.has(Fault.PROMPT_ECHOES_PASSWORD) and login.password:
            name = login.password
        unprivileged = self.spec.needs_enable or self.spec.platform == "linux"
        if username == "root" or self.dialect.enable is None:
            unprivileged = False
        return Shell(
            device=self.spec,
            facts=self.facts,
            username=username or "admin",
            shown_name=name,
            mode=USER if unprivileged else PRIVILEGED,
            pages=self.dialect.page_lines > 0 and self.spec.platform != "linux",
        )

    def dump_configuration(self) -> bytes:
        """The configuration with CR and LF; its volatile lines differ from those of the dump before, unless steady."""
        if self._text is None:
            self._text = configuration(self.spec, self.revision)
        seed = self.spec.seed or 0
        if self.spec.steady:
            return self._text.dump(now=_STILL, seed=seed)
        self._dumps += 1
        return self._text.dump(count=self._dumps, seed=seed)

    # Changes at run time
    def change_config(self) -> int:
        """A few real lines change; returns the new revision."""
        self.revision += 1
        self._text = None
        self.keys.save_revision(self.revision)
        return self.revision

    def set_faults(self, faults: Iterable[Fault | str]) -> None:
        """The faults from now on; sessions that are open keep what has already struck them."""
        self.spec = replace(self.spec, faults=frozenset(Fault(fault) for fault in faults))

    def set_logins(self, logins: Iterable[SimLogin]) -> None:
        """The accounts from now on. No account is locked any more."""
        self.spec = replace(self.spec, logins=tuple(logins))
        self._wrong.clear()
