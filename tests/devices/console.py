"""A small telnet server on loopback that speaks like any platform's login, and counts what is typed into it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any

NAME = "sw1"
_LEAVES = {"exit", "quit", "logout", "end", "return", "ZZ"}
_CONFIGURES = {"configure terminal", "config", "config system", "configure", "svintr-config"}
_ENABLES = {"enable", "enable-admin", "administrator", "su"}


class After(Enum):
    """What the server does once a password was typed."""

    CHECKS_IT = auto()
    """Lets the right one in and asks again after a wrong one."""
    CLOSES = auto()
    """Lets the right one in; after a wrong one says so and closes."""
    HANGS_UP = auto()
    """Lets the right one in; after a wrong one closes without a word."""
    IS_SILENT = auto()
    """Never says a word again."""
    FALLS_BACK = auto()
    """Lets the right one in, and asks for a login again at the first line that is typed."""


@dataclass(frozen=True)
class Tongue:
    """How a platform's terminal speaks, as far as its driver looks."""

    prompt: str = f"{NAME}#"
    user_prompt: str = f"{NAME}>"
    ask: tuple[str, str] = ("Username: ", "Password: ")
    wrong: str = "% Login invalid"
    answers: tuple[tuple[str, str], ...] = ()
    """Pattern of a command and the answer to it."""
    config: str = f"{NAME}(config)#"
    has_levels: bool = False
    """The session begins unprivileged, and `exit` goes back there."""


@dataclass
class Typed:
    """What the server was given."""

    usernames: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    enables: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


class Console:
    """One device; use it as a context manager.

    `enable_secret`: the session begins unprivileged and its enable command asks for this. `negotiates`: like
    a telnet server, else like the raw port of a console server. `is_open`: somebody is logged in already.
    `asleep`: nothing is said before Enter.
    """

    def __init__(
        self,
        tongue: Tongue,
        after: After = After.CHECKS_IT,
        *,
        username: str = "ops",
        password: str,
        enable_secret: str | None = None,
        negotiates: bool = True,
        is_open: bool = False,
        asleep: bool = False,
        greeting: str = "",
    ) -> None:
        self.typed = Typed()
        self.logged_out = threading.Event()
        self._tongue, self._after = tongue, after
        self._login = (username, password)
        self._enable_secret = enable_secret
        self._negotiates, self._is_open, self._asleep = negotiates, is_open, asleep
        self._greeting = greeting
        self._server = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Console:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(_Lines(sock),), daemon=True).start()

    def _serve(self, lines: _Lines) -> None:
        with contextlib.suppress(OSError, EOFError), lines.sock:
            if self._negotiates:
                lines.sock.sendall(b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x1f")
            if self._asleep:
                lines.read("")
            lines.say(self._greeting)
            if self._is_open:
                self._shell(lines)
            while self._let_in(lines):
                if self._after != After.FALLS_BACK:
                    self._shell(lines)
                    return
                lines.read(self._tongue.prompt)
                lines.say("\nThe session was ended.\n\n")

    def _let_in(self, lines: _Lines) -> bool:
        """The dialogue of the login, again and again; False: the connection is to be closed."""
        ask_name, ask_password = self._tongue.ask
        while True:
            username = ""
            while ask_name and not username:
                username = lines.read(ask_name)
                self.typed.usernames += [username] if username else []
            password = lines.read(ask_password, echo=False)
            self.typed.passwords.append(password)
            if self._after == After.IS_SILENT:
                while True:
                    self.typed.passwords.append(lines.read("", echo=False))
            if (username or self._login[0], password) == self._login:
                return True
            if self._after == After.HANGS_UP:
                return False
            lines.say(f"\n{self._tongue.wrong}\n\n")
            if self._after == After.CLOSES:
                return False

    def _shell(self, lines: _Lines) -> None:
        tongue = self._tongue
        mode = "user" if tongue.has_levels or self._enable_secret is not None else "exec"
        while True:
            command = lines.read({"user": tongue.user_prompt, "exec": tongue.prompt, "config": tongue.config}[mode])
            self.typed.commands.append(command)
            if command in _LEAVES:
                if mode == "user" or (mode == "exec" and not tongue.has_levels):
                    self.logged_out.set()
                    return
                mode = "exec" if mode == "config" else "user"
            elif command in _CONFIGURES and mode == "exec":
                mode = "config"
            elif command == "disable" and mode == "exec":
                mode = "user"
            elif command in _ENABLES and mode == "user":
                mode = "exec" if self._grants(lines) else "user"
            lines.say(next((text for pattern, text in tongue.answers if re.fullmatch(pattern, command)), ""))

    def _grants(self, lines: _Lines) -> bool:
        if self._enable_secret is None:
            return True
        secret = lines.read("Password: ", echo=False)
        self.typed.enables.append(secret)
        if secret != self._enable_secret:
            lines.say("% Access denied\n")
        return secret == self._enable_secret


def _speaks(**more: Any) -> Tongue:
    answers = ((r"show clock", "12:00:00\n"), *more.pop("answers", ()))
    return Tongue(answers=answers, **more)


# Where a driver looks for words or prompts of its own; all others speak like an IOS.
_TONGUES: dict[str, Tongue] = {
    "arista_eos": _speaks(
        answers=(
            (r"terminal width .*", "Width set to 511 columns.\n"),
            (r"terminal length .*", "Pagination disabled.\n"),
        )
    ),
    "audiocode_shell": _speaks(prompt=f"{NAME}/>"),
    "bintec_boss": _speaks(prompt=f"{NAME}:> "),
    "calix_exa": _speaks(prompt=f"{NAME}>"),
    "genexis_solt33": _speaks(has_levels=True),
    "hp_comware": _speaks(prompt=f"<{NAME}>", ask=("Login: ", "Password: "), wrong="% Authentication failed"),
    "huawei": _speaks(prompt=f"<{NAME}>", wrong="Error: Failed to log in."),
    "huawei_olt": _speaks(
        has_levels=True, ask=(">>User name:", ">>User password:"), wrong="Username or password invalid."
    ),
    "huawei_ont": _speaks(prompt="WAP>", ask=("Login:", "Password:")),
    "juniper_junos": _speaks(
        prompt=f"ops@{NAME}> ",
        ask=("login: ", "Password:"),
        wrong="Login incorrect",
        answers=(
            (r"set cli screen-width .*", "Screen width set to 511\n"),
            (r"set cli complete-on-space .*", "Disabling complete-on-space\n"),
            (r"set cli screen-length .*", "Screen length set to 0\n"),
        ),
    ),
    "nokia_sros": _speaks(prompt=f"A:{NAME}# ", ask=("Login: ", "Password: "), wrong="Login incorrect."),
    "nokia_sros_md": _speaks(prompt=f"A:ops@{NAME}# ", ask=("Login: ", "Password: "), wrong="Login incorrect."),
    "oneaccess_oneos": _speaks(answers=((r"screen-width 512", "error: unknown command\n"),)),
    "optilink_eolt9702": _speaks(has_levels=True, prompt="OP_OLT#", user_prompt="OP_OLT>", config="OP_OLT(config)#"),
    "paloalto_panos": _speaks(
        prompt=f"ops@{NAME}> ",
        ask=(f"{NAME} login: ", "Password: "),
        wrong="Login incorrect",
        answers=(
            (r"set cli scripting-mode on", f"ops@{NAME}> mode on\n"),
            (r"show system info", "operational-mode: normal\n"),
        ),
    ),
    "teldat_cit": _speaks(prompt=f"{NAME} *", ask=("User: ", "Password: ")),
    "yamaha": _speaks(ask=("", "Password: ")),
}


def tongue_of(platform: str) -> Tongue:
    """How a platform's devices speak."""
    return _TONGUES.get(platform) or _speaks()


class _Lines:
    """Reads lines, and echoes them as a terminal does."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._held = b""

    def say(self, text: str) -> None:
        self.sock.sendall(text.replace("\n", "\r\n").encode())

    def read(self, prompt: str, echo: bool = True) -> str:
        self.say(prompt)
        while not (found := re.search(rb"\r\n|\r\x00|\r(?!\n)|\n", self._held)):
            data = self.sock.recv(4096)
            if not data:
                raise EOFError
            self._held += re.sub(rb"\xff[\xfb-\xfe].", b"", data, flags=re.DOTALL)
        line, self._held = self._held[: found.start()], self._held[found.end() :]
        self.say((line.decode() if echo else "") + "\n")
        return line.decode()
