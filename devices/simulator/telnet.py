"""Simulated devices over telnet."""

import asyncio
import contextlib

from devices.simulator.device import RunningDevice
from devices.simulator.lines import Lines
from devices.simulator.spec import Fault, SimLogin
from devices.simulator.terminal import Terminal, legal_notice
from devices.simulator.wire import Delayed, SimTransport

_TRIES = 3
_DRIP_S = 0.5
_IAC, _DONT, _DO, _WONT, _WILL, _SB, _SE = 255, 254, 253, 252, 251, 250, 240
_ECHO, _SUPPRESS_GO_AHEAD, _NAWS = 1, 3, 31
_OPENING = bytes((_IAC, _WILL, _ECHO, _IAC, _WILL, _SUPPRESS_GO_AHEAD, _IAC, _DO, _NAWS))


class _Negotiation:
    """Takes telnet's commands out of what the client sends and answers them."""

    def __init__(self) -> None:
        self._kept = b""

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """The text without commands, and the answers to the commands."""
        data, self._kept = self._kept + data, b""
        text, answers = bytearray(), bytearray()
        at = 0
        while at < len(data):
            if data[at] != _IAC:
                text.append(data[at])
                at += 1
                continue
            length = self._length(data, at)
            if length is None:
                self._kept = data[at:]
                break
            if length == 2 and data[at + 1] == _IAC:
                text.append(_IAC)
            elif length == 3:
                answers += self._answer(data[at + 1], data[at + 2])
            at += length
        return bytes(text), bytes(answers)

    @staticmethod
    def _length(data: bytes, at: int) -> int | None:
        """The length of the command at this place; None: its end has not come yet."""
        if at + 1 >= len(data):
            return None
        if data[at + 1] == _SB:
            end = data.find(bytes((_IAC, _SE)), at)
            return None if end < 0 else end + 2 - at
        if data[at + 1] in (_DO, _DONT, _WILL, _WONT):
            return None if at + 2 >= len(data) else 3
        return 2

    @staticmethod
    def _answer(verb: int, option: int) -> bytes:
        if verb == _DO and option not in (_ECHO, _SUPPRESS_GO_AHEAD):
            return bytes((_IAC, _WONT, option))
        if verb == _WILL and option not in (_NAWS, _SUPPRESS_GO_AHEAD):
            return bytes((_IAC, _DONT, option))
        return b""


class _Telnet(asyncio.Protocol):
    """One telnet connection; the `Wire` of its terminal."""

    def __init__(self, device: RunningDevice) -> None:
        self._device = device
        self._negotiation = _Negotiation()
        self._lines = Lines(self)
        self._task: asyncio.Task[None] | None = None
        self._transport: SimTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SimTransport)
        self._transport = transport
        transport.write(_OPENING)
        self._task = asyncio.ensure_future(self._serve())

    def data_received(self, data: bytes) -> None:
        text, answers = self._negotiation.split(data)
        if answers:
            self._transport.write(answers)
        if text:
            self._lines.feed(text)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.hang_up()
        if self._task is not None:
            self._task.cancel()

    # Wire
    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data.replace(b"\xff", b"\xff\xff"))

    def reset(self) -> None:
        self._transport.reset()

    async def writable(self) -> None:
        await self._transport.can_write.wait()

    # The dialogue
    async def _serve(self) -> None:
        with contextlib.suppress(ConnectionError):
            found = await self._log_in()
            if found is not None:
                login, username = found
                if self._device.has(Fault.TOO_MANY_SESSIONS):
                    self._lines.put("% Too many sessions, try again later.\n")
                    self._lines.flush()
                elif not self._device.has(Fault.CLOSES_AFTER_AUTH):
                    await Terminal(self._device, login, username, self._lines).interact()
        self._transport.close()

    async def _say(self, text: str) -> None:
        """Part of the login dialogue."""
        text = text.format(name=self._device.spec.name)
        if not self._device.has(Fault.TELNET_DRIP):
            self._lines.put(text)
            self._lines.flush()
            return
        for character in text:
            self._lines.put(character)
            self._lines.flush()
            await asyncio.sleep(_DRIP_S)

    async def _log_in(self) -> tuple[SimLogin, str] | None:
        """Whose login it was and the user name that was typed; None: the connection is to be closed."""
        device, dialect = self._device, self._device.dialect
        if device.has(Fault.LONG_BANNER):
            self._lines.put(legal_notice(120))
        await self._say(dialect.telnet_greeting)
        if device.has(Fault.CLOSES_BEFORE_AUTH):
            return None
        tries = 0
        while True:
            username = ""
            while not username and not device.has(Fault.TELNET_PASSWORD_ONLY):
                await self._say(dialect.telnet_prompts[0])
                typed = await self._lines.read_line(echo=True)
                if typed is None:
                    return None
                username = typed.strip()
            await self._say(dialect.telnet_prompts[1])
            secret = await self._lines.read_line(echo=False)
            if secret is None:
                return None
            login = await self._try(username, secret)
            if login is not None:
                return login, username or login.username
            tries += 1
            if device.has(Fault.TELNET_CLOSES):
                return None
            await self._say(dialect.telnet_wrong)
            if tries >= _TRIES and not device.has(Fault.TELNET_REPROMPTS):
                return None

    async def _try(self, username: str, secret: str) -> SimLogin | None:
        device = self._device
        silent = (Fault.CLOSES_DURING_AUTH, Fault.AUTH_NEVER_ANSWERED, Fault.PASSWORD_EXPIRED)
        answered = not any(map(device.has, silent))
        login = device.try_password(username, secret, "telnet", answered=answered)
        self._lines.flush()
        if device.has(Fault.CLOSES_DURING_AUTH):
            self._transport.close()
        if device.has(Fault.CLOSES_DURING_AUTH) or device.has(Fault.AUTH_NEVER_ANSWERED):
            await self._lines.until_gone()
        if login is None:
            await asyncio.sleep(device.spec.reject_delay_s)
        elif device.has(Fault.PASSWORD_EXPIRED):
            await self._say("\nYour password has expired.\nNew password: ")
            # Whatever is typed now is an offer too, and is never accepted.
            while (typed := await self._lines.read_line(echo=False)) is not None:
                device.try_password(username, typed, "telnet", answered=False)
                await self._say("Retype new password: ")
        return login


def telnet_protocol(device: RunningDevice) -> asyncio.Protocol:
    """The protocol for one TCP connection to a device."""
    return Delayed(device, lambda: _Telnet(device))
