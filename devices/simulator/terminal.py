"""One session at a device's command line, whatever carries it: echo, paging, enable, faults of answers."""

import asyncio

from devices.simulator.device import RunningDevice
from devices.simulator.dialects import PRIVILEGED, USER
from devices.simulator.lines import Lines
from devices.simulator.spec import Fault, SimLogin

_ENDLESS_CHUNK = 32 * 1024
_GARBAGE = (
    b"\x00\x00\x1b[2J\x1b[31mred\x1b[0m\x07 "
    b"\xe2\x80\xaetxet desrever\xe2\x80\xac \xff\xfe\x80\xc3\x28 <script>alert(1)</script>\r\n"
)
_SLOW_STEP_S = 0.1


def legal_notice(lines: int) -> str:
    """A long banner with prompt characters in it."""
    frame = "#" * 76 + "\n"
    body = (
        "# This system is for authorised use only. Reply-To: <noc@example.net>      #\n"
        "# Accounting: $0.00 > $9.99 per access; see https://example.net/#policy    #\n"
        "# user@host> is what the prompt looks like, Password: never tell it        #\n"
    )
    return frame + body * (lines // 3) + frame


class Terminal:
    """Reads what the client types and answers as the device's platform would."""

    def __init__(self, device: RunningDevice, login: SimLogin, username: str, lines: Lines) -> None:
        self._device = device
        self._login = login
        self._lines = lines
        self._shell = device.open_shell(login, username)
        self._dialect = device.dialect

    # Sessions
    async def interact(self) -> None:
        """A whole interactive session; returns when it is over."""
        if self._device.has(Fault.PROMPT_NEVER_COMES):
            await self._lines.until_gone()
            return
        if self._device.has(Fault.BUSY_MESSAGE):
            self._lines.put("\nAll terminal lines are in use, no more lines are free. Try again later.\n")
            self._lines.flush()
            return
        if self._device.has(Fault.LONG_BANNER):
            self._lines.put(legal_notice(300))
        self._lines.put(self._dialect.greeting(self._shell))
        self._put_prompt()
        while not self._shell.closed:
            self._lines.flush()
            line = await self._lines.read_line(echo=self._shell.echo)
            if line is None:
                return
            await self._run(line.strip())
            if not self._shell.closed:
                self._put_prompt()
        self._lines.flush()

    async def execute(self, command: str, *, crlf: bool) -> None:
        """One command without echo and prompt, as for `ssh host command`."""
        self._shell.pages = False
        await self._run(command.strip())
        if not crlf:
            self._lines.out = self._lines.out.replace(b"\r\n", b"\n")
        self._lines.flush()

    async def _run(self, command: str) -> None:
        if not command:
            return
        device, dialect, shell = self._device, self._dialect, self._shell
        device.commands.append(command)
        if device.has(Fault.UNKNOWN_COMMAND) and dialect.shows.fullmatch(command):
            self._lines.put(dialect.unknown(shell, command))
        elif shell.mode == USER and dialect.enable and dialect.enable.fullmatch(command):
            await self._enable()
        elif dialect.config.fullmatch(command) and (shell.mode == PRIVILEGED or device.spec.platform == "linux"):
            await self._show_configuration(command)
        else:
            text = dialect.answer(shell, command)
            await self._send_output(text.replace("\n", "\r\n").encode())

    async def _enable(self) -> None:
        prompt = self._dialect.enable_prompt.format(user=self._shell.username)
        for _ in range(self._dialect.enable_tries):
            self._lines.put(prompt)
            self._lines.flush()
            secret = await self._lines.read_line(echo=False)
            if secret is None:
                return
            if self._device.try_enable(self._login, self._shell.username, secret):
                self._shell.mode = PRIVILEGED
                return
            self._lines.flush()
            await asyncio.sleep(self._device.spec.reject_delay_s)
            if self._device.has(Fault.ENABLE_REFUSED):
                self._lines.put(self._dialect.enable_refused.format(user=self._shell.username))
                return
        self._lines.put(self._dialect.enable_failed)

    # The configuration and its faults
    async def _show_configuration(self, command: str) -> None:
        device = self._device
        if device.spec.command_delay_s or device.has(Fault.SILENT_COMMAND):
            self._lines.flush()
        if device.has(Fault.SILENT_COMMAND):
            await self._lines.until_gone()
            return
        if device.spec.command_delay_s:
            await asyncio.sleep(device.spec.command_delay_s)
        data = self._dialect.shape(command, device.dump_configuration())
        middle = len(data) // 2
        if device.has(Fault.ENDLESS_OUTPUT):
            await self._never_end(data)
        elif device.has(Fault.RESETS_MID_OUTPUT):
            await self._send_output(data[:middle])
            self._lines.flush()
            # The client is to have the first half before the reset overtakes it.
            await asyncio.sleep(0.05)
            self._shell.closed = True
            self._lines.wire.reset()
        elif device.has(Fault.TRUNCATES_OUTPUT):
            await self._send_output(data[:middle] + b"\r\n")
        elif device.has(Fault.GARBAGE_OUTPUT):
            cut = data.find(b"\n", middle) + 1
            await self._send_output(data[:cut] + _GARBAGE + data[cut:])
        else:
            await self._send_output(data)

    async def _never_end(self, data: bytes) -> None:
        block = data * (_ENDLESS_CHUNK // len(data) + 1)
        while not self._lines.gone:
            self._lines.out += block
            self._lines.flush()
            await self._lines.wire.writable()
            await asyncio.sleep(0.01)

    # Writing
    def _put_prompt(self) -> None:
        self._lines.put(self._dialect.prompt(self._shell))

    async def _send_output(self, data: bytes) -> None:
        """Output of a command, with the pager and the speed of the device."""
        paged = self._shell.pages or (self._device.has(Fault.PAGER) and self._device.spec.platform != "linux")
        if paged and data.count(b"\n") >= (self._dialect.page_lines or 24):
            await self._page(data)
        elif speed := self._device.spec.bytes_per_s:
            self._lines.flush()
            step = max(1, int(speed * _SLOW_STEP_S))
            for start in range(0, len(data), step):
                if self._lines.gone:
                    return
                self._lines.wire.write(data[start : start + step])
                await asyncio.sleep(_SLOW_STEP_S)
        else:
            self._lines.out += data

    async def _page(self, data: bytes) -> None:
        lines = data.splitlines(keepends=True)
        room = (self._dialect.page_lines or 24) - 1
        done = 0
        while done < len(lines):
            self._lines.out += b"".join(lines[done : done + room])
            done += room
            if done >= len(lines):
                return
            self._lines.out += self._dialect.more.encode()
            self._lines.flush()
            key = await self._lines.read_key()
            self._lines.out += self._dialect.more_erase.encode()
            if key in (b"", b"q", b"Q", b"\x03"):
                return
            room = 1 if key in (b"\r", b"\n") else (self._dialect.page_lines or 24) - 1
