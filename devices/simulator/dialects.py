"""How each platform's command line speaks: prompts, error lines, paging, and the answers to short commands.

A dialect holds no state of a session; that is in `Shell`. The configuration itself is not answered here,
since most faults strike there: `Dialect.config` says which command asks for it.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from devices.simulator.spec import SimDevice
from devices.simulator.texts import shows
from devices.simulator.texts.juniper import as_set
from devices.simulator.texts.shows import Facts

USER, PRIVILEGED, CONFIGURE = "user", "privileged", "configure"


@dataclass
class Shell:
    """The state of one session at the command line."""

    device: SimDevice
    facts: Facts
    username: str
    shown_name: str
    """The host name in the prompt."""
    mode: str = PRIVILEGED
    pages: bool = True
    echo: bool = True
    closed: bool = False
    context: str = ""
    """Part of the prompt in configuration mode."""


Answer = str | Callable[[Shell], str]


def _any(*patterns: str) -> re.Pattern[str]:
    """One pattern that matches a whole command."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """One platform. Texts are written with LF; the terminal sends CR and LF."""

    config: re.Pattern[str]
    """The commands that show the configuration."""
    shows: re.Pattern[str] = field(default_factory=lambda: _any(r"show\b.*"))
    """The commands that `Fault.UNKNOWN_COMMAND` refuses."""
    unpage: re.Pattern[str] | None = None
    unpage_answer: str = ""
    page_lines: int = 24
    more: str = " --More-- "
    more_erase: str = "\b" * 9 + " " * 8 + "\b" * 9
    answers: tuple[tuple[re.Pattern[str], Answer], ...] = ()
    enable: re.Pattern[str] | None = None
    enable_prompt: str = "Password: "
    enable_tries: int = 3
    enable_failed: str = "% Bad secrets\n"
    enable_refused: str = "% Error in authentication.\n"
    configure: re.Pattern[str] | None = None
    configure_answer: str = ""
    unconfigure: re.Pattern[str] = field(default_factory=lambda: _any("end", "exit", "abort"))
    leave: re.Pattern[str] = field(default_factory=lambda: _any("exit", "quit", "logout"))
    greeting: Callable[[Shell], str] = lambda shell: ""
    telnet_prompts: tuple[str, str] = ("Username: ", "Password: ")
    telnet_greeting: str = "\nUser Access Verification\n\n"
    telnet_wrong: str = "% Login invalid\n\n"

    def prompt(self, shell: Shell) -> str:
        """The prompt, with what precedes it on its line."""
        mark = ">" if shell.mode == USER else "#"
        return f"{shell.shown_name}{shell.context}{mark}"

    def unknown(self, shell: Shell, command: str) -> str:
        """The answer to a command that the platform does not know."""
        return " " * len(self.prompt(shell)) + "^\n% Invalid input detected at '^' marker.\n\n"

    def shape(self, command: str, configuration: bytes) -> bytes:
        """The configuration in the form that the command asks for."""
        return configuration

    def answer(self, shell: Shell, command: str) -> str:
        """The answer to a command that does not ask for the configuration; changes the state of the shell."""
        if self.unpage is not None and self.unpage.fullmatch(command):
            shell.pages = False
            return self.unpage_answer
        if shell.mode == CONFIGURE:
            if self.unconfigure.fullmatch(command):
                shell.mode, shell.context = PRIVILEGED, ""
            return ""
        if self.leave.fullmatch(command):
            shell.closed = True
            return ""
        if self.configure is not None and shell.mode == PRIVILEGED and self.configure.fullmatch(command):
            shell.mode, shell.context = CONFIGURE, "(config)"
            return self.configure_answer
        for pattern, answer in self.answers:
            if pattern.fullmatch(command):
                return answer if isinstance(answer, str) else answer(shell)
        return self.unknown(shell, command)


def _said(make: Callable[[Facts], str]) -> Callable[[Shell], str]:
    return lambda shell: make(shell.facts)


_SHOW = r"sh(?:o|ow)?\s+"
_IOS_CONFIG = _any(_SHOW + r"(?:run|runn|running-config|start|startup-config)(?:\s+all)?(?:\s*\|\s*no-more)?")
_CONFIGURE = _any(r"conf(?:ig|igure)?(?:\s+t(?:erm|erminal)?)?")
_ENABLE = _any("en|ena|enab|enabl|enable")


class _Ios(Dialect):
    def answer(self, shell: Shell, command: str) -> str:
        if _any("disable").fullmatch(command) and shell.mode == PRIVILEGED:
            shell.mode = USER
            return ""
        return super().answer(shell, command)


class _Nxos(Dialect):
    def unknown(self, shell: Shell, command: str) -> str:
        return " " * len(self.prompt(shell)) + "^\n% Invalid command at '^' marker.\n"

    def prompt(self, shell: Shell) -> str:
        return super().prompt(shell) + " " * (shell.mode != CONFIGURE)


class _Eos(_Ios):
    def unknown(self, shell: Shell, command: str) -> str:
        return "% Invalid input\n"


class _Junos(Dialect):
    def prompt(self, shell: Shell) -> str:
        if shell.mode == CONFIGURE:
            return f"\n{{master:0}}[edit]\n{shell.username}@{shell.shown_name}# "
        return f"\n{{master:0}}\n{shell.username}@{shell.shown_name}> "

    def unknown(self, shell: Shell, command: str) -> str:
        return " " * len(f"{shell.username}@{shell.shown_name}> ") + "^\nunknown command.\n"

    def shape(self, command: str, configuration: bytes) -> bytes:
        if re.search(r"\|\s*display\s+set", command):
            return as_set(configuration.decode()).encode()
        return configuration


class _Linux(Dialect):
    _ECHO = re.compile(r"echo(?:\s+(?P<words>.*))?")
    _PRINTF = re.compile(r"printf\s+(?:--\s+)?(?P<quote>['\"])(?P<words>.*?)(?P=quote)")
    _STTY = re.compile(r"stty\b(?P<words>.*)")
    _QUIET = re.compile(r"(?:export|unset|set|unalias|alias|cd|true|:|LANG=\S*|LC_ALL=\S*|PS1=\S*)\b.*")

    def prompt(self, shell: Shell) -> str:
        if shell.mode == PRIVILEGED and shell.username != "root":
            return f"root@{shell.shown_name}:/home/{shell.username}# "
        return f"{shell.username}@{shell.shown_name}:~{'#' if shell.username == 'root' else '$'} "

    def unknown(self, shell: Shell, command: str) -> str:
        return f"bash: {command.split()[0]}: command not found\n"

    def answer(self, shell: Shell, command: str) -> str:
        if ";" in command and not set(command) & set("'\""):
            parts = filter(None, map(str.strip, command.split(";")))
            return "".join(self.answer(shell, part) for part in parts)
        if match := self._STTY.fullmatch(command):
            words = match["words"].split()
            if "-echo" in words:
                shell.echo = False
            elif "echo" in words or "sane" in words:
                shell.echo = True
            return ""
        if match := self._ECHO.fullmatch(command):
            return (match["words"] or "").replace('"', "").replace("'", "") + "\n"
        if match := self._PRINTF.fullmatch(command):
            return match["words"].replace("\\n", "\n")
        if self._QUIET.fullmatch(command):
            return ""
        if shell.mode == PRIVILEGED and shell.username != "root" and self.leave.fullmatch(command):
            shell.mode = USER
            return ""
        return super().answer(shell, command)


class _Angle(Dialect):
    """Huawei VRP and Comware: <name> and [name]."""

    def prompt(self, shell: Shell) -> str:
        left, right = "[]" if shell.mode == CONFIGURE else "<>"
        return f"{left}{shell.shown_name}{right}"

    def unknown(self, shell: Shell, command: str) -> str:
        pad = " " * len(self.prompt(shell))
        if shell.device.platform == "huawei":
            return f"{pad}^\nError: Unrecognized command found at '^' position.\n"
        return f"{pad}^\n % Unrecognized command found at '^' position.\n"

    def answer(self, shell: Shell, command: str) -> str:
        text = super().answer(shell, command)
        shell.context = ""
        return text


class _RouterOs(Dialect):
    def prompt(self, shell: Shell) -> str:
        return f"[{shell.username}@{shell.shown_name}] > "

    def unknown(self, shell: Shell, command: str) -> str:
        return f"bad command name {command.split()[0]} (line 1 column 1)\n"


class _FortiOs(Dialect):
    def prompt(self, shell: Shell) -> str:
        return f"{shell.shown_name} {shell.context}# "

    def unknown(self, shell: Shell, command: str) -> str:
        return f"Unknown action 0\n\n-{command.split()[0]}: command parse error\nCommand fail. Return code -61\n"

    def answer(self, shell: Shell, command: str) -> str:
        if command.startswith("config "):
            shell.context = f"({command.split()[-1]}) "
            return ""
        if shell.context:
            if command == "end":
                shell.context = ""
            elif command.startswith("set output "):
                shell.pages = command.endswith("more")
            return "" if command.split()[0] in ("set", "end", "edit", "next") else self.unknown(shell, command)
        filtered = re.fullmatch(r"get system status \| grep (\S+)", command)
        if filtered:
            lines = shows.fortios_status(shell.facts).splitlines()
            return "".join(f"{line}\n" for line in lines if filtered[1] in line)
        return super().answer(shell, command)


def _ios_like(version: Callable[[Facts], str]) -> Dialect:
    return _Ios(
        config=_IOS_CONFIG,
        shows=_any(_SHOW + ".*"),
        unpage=_any(r"term(?:inal)?\s+len(?:gth)?\s+0"),
        answers=(
            (_any(r"term(?:inal)?\s+(?:width|length|no|monitor)\b.*"), ""),
            (_any(_SHOW + r"ver(?:sion)?"), _said(version)),
            (_any(_SHOW + r"inv(?:entory)?"), _said(shows.ios_inventory)),
            (
                _any(_SHOW + "privilege"),
                lambda shell: f"Current privilege level is {1 if shell.mode == USER else 15}\n",
            ),
            (_any("write", r"write\s+mem(?:ory)?"), "Building configuration...\n[OK]\n"),
        ),
        enable=_ENABLE,
        configure=_CONFIGURE,
        configure_answer="Enter configuration commands, one per line.  End with CNTL/Z.\n",
    )


def _linux_greeting(shell: Shell) -> str:
    return (
        f"Linux {shell.device.name} 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 x86_64\n\n"
        "Last login: Mon Nov  2 08:11:52 2026 from 10.0.0.5\n"
    )


DIALECTS: dict[str, Dialect] = {
    "cisco_ios": _ios_like(shows.ios_version),
    "cisco_xe": _ios_like(shows.xe_version),
    "cisco_nxos": _Nxos(
        config=_IOS_CONFIG,
        shows=_any(_SHOW + ".*"),
        unpage=_any(r"term(?:inal)?\s+len(?:gth)?\s+0"),
        more="--More--",
        more_erase="\r" + " " * 8 + "\r",
        answers=(
            (_any(r"term(?:inal)?\s+(?:width|length|no|monitor)\b.*"), ""),
            (_any(_SHOW + r"ver(?:sion)?"), _said(shows.nxos_version)),
            (_any(_SHOW + r"inv(?:entory)?"), _said(shows.nxos_inventory)),
            (_any("copy running-config startup-config"), "[########################################] 100%\n"),
        ),
        configure=_CONFIGURE,
        configure_answer="Enter configuration commands, one per line. End with CNTL/Z.\n",
        telnet_prompts=("login: ", "Password: "),
        telnet_greeting="\n",
        telnet_wrong="Login incorrect\n\n",
    ),
    "arista_eos": _Eos(
        config=_IOS_CONFIG,
        shows=_any(_SHOW + ".*"),
        unpage=_any(r"term(?:inal)?\s+len(?:gth)?\s+0"),
        unpage_answer="Pagination disabled.\n",
        answers=(
            (_any(r"term(?:inal)?\s+width\s+\d+"), "Width set to 511 columns.\n"),
            (_any(r"term(?:inal)?\s+(?:length|no|monitor)\b.*"), ""),
            (_any(_SHOW + r"ver(?:sion)?"), _said(shows.eos_version)),
            (_any(_SHOW + r"inv(?:entory)?"), _said(shows.eos_inventory)),
            (_any("write", r"write\s+mem(?:ory)?"), "Copy completed successfully.\n"),
        ),
        enable=_ENABLE,
        enable_failed="% Bad secret\n",
        enable_refused="% Authentication failed\n",
        configure=_CONFIGURE,
        telnet_prompts=("{name} login: ", "Password: "),
        telnet_greeting="\n",
        telnet_wrong="Login incorrect\n\n",
    ),
    "juniper_junos": _Junos(
        config=_any(r"show\s+conf(?:iguration)?(?:\s*\|\s*(?:no-more|display\s+set))*"),
        unpage=_any(r"set\s+cli\s+screen-length\s+0"),
        unpage_answer="Screen length set to 0\n",
        more="---(more)---",
        more_erase="\r" + " " * 40 + "\r",
        answers=(
            (_any(r"set\s+cli\s+screen-width\s+\d+"), "Screen width set to 511\n"),
            (_any(r"set\s+cli\s+screen-length\s+\d+"), "Screen length set to 24\n"),
            (_any(r"set\s+cli\s+complete-on-space\s+off"), "Disabling complete-on-space\n"),
            (_any(r"show\s+version(?:\s*\|\s*no-more)?"), _said(shows.junos_version)),
            (_any(r"show\s+chassis\s+hardware(?:\s*\|\s*no-more)?"), _said(shows.junos_inventory)),
        ),
        configure=_any("conf(?:ig|igure)?(?: exclusive| private)?"),
        configure_answer="Entering configuration mode\n",
        unconfigure=_any("exit(?: configuration-mode)?", "quit"),
        telnet_prompts=("login: ", "Password:"),
        telnet_greeting="\n{name} (ttyp0)\n\n",
        telnet_wrong="Login incorrect\n",
    ),
    "linux": _Linux(
        config=_any(r"(?:.*;\s*)?for\s+f\s+in\s.*", r"(?:.*;\s*)?sh\s+-c\s.*"),
        shows=_any(r"(?:.*;\s*)?(?:for\s+f\s+in|sh\s+-c|uname|cat)\b.*"),
        answers=(
            (_any(r"uname(?:\s+-s)?"), "Linux\n"),
            (
                _any(r"uname\s+-a"),
                lambda shell: f"Linux {shell.device.name} 6.1.0-18-amd64 #1 SMP Debian 6.1.76-1 x86_64 GNU/Linux\n",
            ),
            (_any(r"uname\s+-r"), "6.1.0-18-amd64\n"),
            (_any(r"hostname(?:\s+-s)?", r"cat\s+/etc/hostname"), lambda shell: f"{shell.device.name}\n"),
            (
                _any(r"cat\s+/etc/os-release"),
                'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n',
            ),
            (
                _any(r"cat\s+/proc/uptime"),
                lambda shell: f"{shell.facts.days * 86400 + int(time.time()) % 86400}.12 991234.56\n",
            ),
            (_any("whoami", r"id\s+-un"), lambda shell: f"{shell.username}\n"),
            (
                _any("uptime"),
                lambda shell: (
                    f" 10:11:12 up {shell.facts.days} days,  1:02,  1 user,  load average: 0.00, 0.01, 0.05\n"
                ),
            ),
        ),
        enable=_any(r"sudo\s+-[si]", "sudo su", "su"),
        enable_prompt="[sudo] password for {user}: ",
        enable_failed="sudo: 3 incorrect password attempts\n",
        enable_refused="{user} is not in the sudoers file.\n",
        greeting=_linux_greeting,
        telnet_prompts=("{name} login: ", "Password: "),
        telnet_greeting="\nDebian GNU/Linux 12\n",
        telnet_wrong="\nLogin incorrect\n",
    ),
    "huawei": _Angle(
        config=_any(r"dis(?:play)?\s+(?:cur|current-configuration|saved|saved-configuration)"),
        shows=_any(r"dis(?:play)?\s.*"),
        unpage=_any(r"screen-length\s+0\s+temporary"),
        unpage_answer="Info: The configuration takes effect on the current user terminal interface only.\n",
        more="  ---- More ----",
        more_erase="\x1b[16D                \x1b[16D",
        answers=((_any(r"dis(?:play)?\s+ver(?:sion)?"), _said(shows.huawei_version)),),
        configure=_any("sys(?:tem-view)?"),
        configure_answer="Enter system view, return user view with Ctrl+Z.\n",
        unconfigure=_any("return", "quit"),
        telnet_prompts=("Username:", "Password:"),
        telnet_greeting="\nLogin authentication\n\n\n",
        telnet_wrong="Error: Username or password error.\n",
    ),
    "hp_comware": _Angle(
        config=_any(r"dis(?:play)?\s+(?:cur|current-configuration|saved|saved-configuration)"),
        shows=_any(r"dis(?:play)?\s.*"),
        unpage=_any(r"screen-length\s+disable"),
        more="---- More ----",
        more_erase="\r" + " " * 14 + "\r",
        answers=(
            (_any(r"dis(?:play)?\s+ver(?:sion)?"), _said(shows.comware_version)),
            (_any(r"dis(?:play)?\s+device\s+manuinfo"), _said(shows.comware_inventory)),
        ),
        configure=_any("sys(?:tem-view)?"),
        configure_answer="System View: return to User View with Ctrl+Z.\n",
        unconfigure=_any("return", "quit"),
        greeting=lambda shell: (
            "\n"
            + "*" * 70
            + "\n* Without the owner's prior written consent, no decompiling is allowed. *\n"
            + "*" * 70
            + "\n"
        ),
        telnet_prompts=("login: ", "Password: "),
        telnet_greeting="\n",
        telnet_wrong="AAA authentication failed.\n",
    ),
    "mikrotik_routeros": _RouterOs(
        config=_any(r"/?\s*export(?:\s+\S+)*"),
        shows=_any(r"/?\s*export(?:\s+\S+)*", r"/?.*\bprint\b.*"),
        more="-- [Q quit|D dump|down]",
        more_erase="\r" + " " * 24 + "\r",
        page_lines=0,
        answers=(
            (_any(r"/?system\s+resource\s+print(?:\s+without-paging)?"), _said(shows.routeros_resource)),
            (_any(r"/?system\s+routerboard\s+print(?:\s+without-paging)?"), _said(shows.routerboard)),
            (_any(r"/?system\s+identity\s+print"), lambda shell: f"  name: {shell.device.name}\n"),
        ),
        greeting=lambda shell: "\n  MikroTik RouterOS 6.49.10 (c) 1999-2023       http://www.mikrotik.com/\n\n",
        telnet_prompts=("Login: ", "Password: "),
        telnet_greeting="\nMikroTik v6.49.10 (long-term)\n",
        telnet_wrong="Login failed, incorrect username or password\n\n",
    ),
    "fortinet": _FortiOs(
        config=_any(r"show(?:\s+full-configuration)?"),
        shows=_any("show.*", "get.*"),
        more="--More-- ",
        more_erase="\r" + " " * 9 + "\r",
        answers=(
            (_any(r"get\s+system\s+status"), _said(shows.fortios_status)),
            (
                _any(r"get\s+system\s+console"),
                lambda shell: (
                    f"baudrate            : 9600\nmode                : line\noutput              : "
                    f"{'more' if shell.pages else 'standard'}\nlogin               : enable\n"
                ),
            ),
        ),
        telnet_prompts=("{name} login: ", "Password: "),
        telnet_greeting="\n",
        telnet_wrong="Login incorrect\n\n",
    ),
}
