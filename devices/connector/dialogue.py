"""The talk with a device's command line: where its prompt stands, and when an answer is whole.

Nothing here sleeps: every wait ends with the device's next word. What proves a prompt is the device itself: the
same line stands before the echo of what was typed and, alone, after the answer to it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from devices.connector.channel import DeviceChannel, last_line, plain
from devices.connector.outcomes import ConnectorError, Outcome

PROMPT_ENDS = "#>$%])~:*"
# An empty line is typed only at one of these: elsewhere it might answer a question.
_ASKABLE_ENDS = "#>$%])"
_ECHO_LENGTH = 24
_END_LINES = 3
_TAIL = 2048
_UNCHANGED_S = 0.5
_STRANGE_S = 2.0
_ASK_TRIES = 2
_CONFIRMATIONS = 5


def lines(text: str) -> list[str]:
    """The lines that are not empty, without escapes and blanks around them."""
    return [line.strip() for line in re.split(r"[\r\n]", plain(text)) if line.strip()]


def _squeezed(text: str) -> str:
    # A terminal may wrap an echo anywhere.
    return "".join(plain(text).replace("\x00", "").replace("\x08", "").split())


def _has_name(line: str) -> bool:
    return any(map(str.isalnum, line))


class Dialogue:
    """Knows the prompt of one session, once it is proven, and whether the device rests at it."""

    def __init__(self, channel: DeviceChannel) -> None:
        self.prompt = ""
        self._channel = channel
        self._asked_in_vain = False

    @property
    def may_ask(self) -> bool:
        """Whether the line that came last looks like a prompt at which an empty line does no harm."""
        line = self._channel.last_line
        if self._asked_in_vain or not line or len(line) > 200 or line[-1] not in _ASKABLE_ENDS:
            return False
        return len(line) <= 3 or _has_name(line)  # otherwise it is the frame of a banner

    @property
    def at_rest(self) -> bool:
        """Whether the device has answered all that was typed, and its proven prompt stands there."""
        channel = self._channel
        return bool(self.prompt) and not channel.awaiting and channel.last_line == self.prompt

    def may_be_part(self, base_prompt: str) -> bool:
        """Whether a driver can have taken this from the prompt, as far as that one is proven."""
        return not self.prompt or (base_prompt in self.prompt and _has_name(base_prompt) == _has_name(self.prompt))

    def greeting(self) -> str:
        """What the device says of itself after the login, up to what looks like a prompt; may be empty."""
        text = self._channel.recv_text(3.0)
        while text and last_line(text)[-1:] not in set(PROMPT_ENDS) and (more := self._channel.recv_text(0.5)):
            text += more
        return text

    @property
    def standing(self) -> str:
        """The prompt as it stands there, with the blanks behind it."""
        tail = self._channel.tail
        return tail[max(tail.rfind("\n"), tail.rfind("\r")) + 1 :]

    def ask(self, enter: str, patience_s: float) -> str:
        """Type an empty line and learn from the answer what the prompt is; returns what is there to be read.

        Where the prompt comes back alone, it is proven, and whatever came before it was still a greeting.
        Call it where `may_ask` says so.
        """
        channel = self._channel
        earlier = channel.take_unread()
        until = time.monotonic() + patience_s
        heard = ""
        for _ in range(_ASK_TRIES):
            standing = lines(channel.tail)[-_END_LINES:]
            channel.send_text(enter)
            answer = ""
            while (left := until - time.monotonic()) > 0:
                chunk = channel.recv_text(min(left, _STRANGE_S) if answer else left)
                answer += chunk
                # A prompt may take two lines, as on Junos; what is no prompt is still a greeting.
                said = lines(answer)
                if said and said[-1] == standing[-1] and set(said) <= set(standing):
                    self.prompt = said[-1]
                    return f"{earlier}\n{self.standing}"
                if not chunk:
                    break
            heard += answer
            if not answer or not self.may_ask:
                break
        # A prompt with a clock in it, perhaps. Netmiko's own way finds what can be found.
        self._asked_in_vain = True
        return earlier + heard

    def settle(self, commands: Sequence[str], enter: str, patience_s: float) -> str | None:
        """Type commands in one go that set the terminal up; returns what came after the echo of the last.

        The prompt is proven by the way, where the device echoes. None: nothing came at all.
        """
        channel = self._channel
        channel.take_unread()
        before = channel.last_line
        until = time.monotonic() + patience_s
        missing = list(commands)
        channel.send_text("".join(command.rstrip() + enter for command in commands))
        heard = ""
        unseen = missing
        while (left := until - time.monotonic()) > 0:
            # It echoes nothing, or in a way of its own, where the prompt is back and not some echoes are missing.
            is_back = channel.last_line == before and len(unseen) in (0, len(commands))
            chunk = channel.recv_text(min(left, _UNCHANGED_S if is_back else _STRANGE_S) if heard else left)
            if chunk:
                heard += chunk
                if self._proves(before + heard, commands):
                    self.prompt = channel.last_line
                    break
                squeezed = _squeezed(heard)
                unseen = [command for command in missing if _squeezed(command) not in squeezed]
                continue
            if channel.closed or not heard or len(unseen) in (0, len(commands)):
                break
            # It dropped what was typed ahead: one at a time then, and each once.
            channel.send_text(unseen[0].rstrip() + enter)
            missing = unseen = unseen[1:]
        if not heard:
            return None
        rest = heard.rpartition(commands[-1].strip())[2]
        return rest or heard

    def run(self, command: str, enter: str, reader: Answer, quiet_limit_s: float, *, confirm: bool) -> str:
        """Type a command and return its whole answer; raises ConnectorError, see `CoreDeviceConnector.send`."""
        channel = self._channel
        while channel.recv_text(0.0):
            pass  # a late prompt of the command before must not end this one
        reader.prompt = self.prompt if self.at_rest else ""
        channel.send_text(command + enter)
        last_data = time.monotonic()
        confirmations = _CONFIRMATIONS
        while True:
            sure = reader.has_ended or (confirm and reader.at_proven_prompt)
            chunk = channel.recv_text(0.0 if sure else reader.patience)
            now = time.monotonic()
            if chunk:
                reader.add(chunk)
                last_data = now
            elif reader.has_ended:
                return reader.answer()
            elif channel.closed:
                raise ConnectorError(
                    Outcome.INCOMPLETE_OUTPUT if reader.text.strip() else Outcome.PROTOCOL_ERROR,
                    f"The device closed the session in the middle of the answer to {command[:60]!r}.",
                )
            elif reader.is_complete(now - last_data):
                if reader.is_closed or not confirm or self._prompt_alone_answers(enter, reader):
                    return reader.answer()
                confirmations -= 1
                if not confirmations:
                    raise ConnectorError(
                        Outcome.INCOMPLETE_OUTPUT, f"The answer to {command[:60]!r} does not come to an end."
                    )
                last_data = time.monotonic()
            elif reader.at_pager():
                channel.send_text(" ")
                last_data = now
            elif now - last_data > quiet_limit_s:
                if reader.answer().strip() or (reader.text.strip() and not reader.echo_seen):
                    raise ConnectorError(
                        Outcome.INCOMPLETE_OUTPUT,
                        f"The answer to {command[:60]!r} stopped: {quiet_limit_s:.0f} s of silence and no prompt.",
                    )
                raise ConnectorError(Outcome.TIMEOUT, f"No answer to {command[:60]!r} within {quiet_limit_s:.0f} s.")

    def _prompt_alone_answers(self, enter: str, reader: Answer) -> bool:
        """Whether an empty line brings back the prompt alone; anything else belongs to the answer."""
        channel = self._channel
        channel.send_text(enter)
        heard = channel.recv_text(5.0)
        while not reader.is_prompt_only(heard) and (more := channel.recv_text(_UNCHANGED_S)):
            heard += more
        if reader.is_prompt_only(heard):
            return True
        reader.add_after_empty_line(heard)
        return False

    def _proves(self, text: str, commands: Sequence[str]) -> bool:
        """Whether all commands were echoed, and the line that stands there now stood before the last of them."""
        line = self._channel.last_line
        if not line or line[-1] not in PROMPT_ENDS:
            return False
        squeezed, prompt = _squeezed(text), _squeezed(line)
        start = end = 0
        for command in commands:
            typed = _squeezed(command)
            start = squeezed.find(typed, end)
            if start < 0:
                return False
            end = start + len(typed)
        return squeezed[:start].endswith(prompt) and squeezed[end:].endswith(prompt)


class Answer:
    """Collects the answer to one command and knows when it is whole.

    `base_prompt` is the part of the prompt that stays the same in all modes; `end` matches the last line of a whole
    answer, where there is such a line; `closing` the line that stands in place of a prompt on a device without one.
    """

    def __init__(
        self,
        command: str,
        base_prompt: str,
        pager: Sequence[re.Pattern[str]],
        end: re.Pattern[str] | None = None,
        closing: re.Pattern[str] | None = None,
    ) -> None:
        self._parts: list[str] = []
        self._base_prompt = base_prompt.strip()
        self.prompt = ""
        """The whole prompt, where it is proven."""
        self._end = end
        self._closing = closing
        self._pager = pager
        self._squeezed_echo = _squeezed(command)[-_ECHO_LENGTH:]
        self._head = ""
        self._tail = ""
        self._line = ""
        self._empty_lines = 0
        self.echo_seen = False

    @property
    def text(self) -> str:
        """All that was heard."""
        return "".join(self._parts)

    @property
    def patience(self) -> float:
        """Seconds to wait for more: a moment when the prompt stands there, longer otherwise."""
        if self.prompt and self._line != self.prompt:
            # What only resembles the prompt may be the beginning of it.
            return 0.05 if self.at_pager() else 0.5
        if self._closing is not None:
            return 0.5  # such a line may stand in the middle too
        return 0.05 if self._at_prompt() or self.at_pager() else 0.5

    def add(self, chunk: str) -> None:
        """Take in what came."""
        self._parts.append(chunk)
        self._tail = (self._tail + chunk)[-_TAIL:]
        self._line = last_line(self._tail)
        if not self.echo_seen:
            self._head = (self._head + chunk)[:8192]
            self.echo_seen = self._squeezed_echo in _squeezed(self._head)

    def add_after_empty_line(self, chunk: str) -> None:
        """Take in what came after an empty line was typed into an answer that was not at its end."""
        self._empty_lines += 1
        self.add(chunk)

    @property
    def at_proven_prompt(self) -> bool:
        """Whether the whole of the last line is the proven prompt, after the echo."""
        return self.echo_seen and bool(self.prompt) and self._line == self.prompt

    @property
    def has_ended(self) -> bool:
        """Whether the end mark of this kind of answer stands right before the proven prompt."""
        if self._end is None or not self.at_proven_prompt:
            return False
        whole = plain(self._tail).replace("\r", "\n").split("\n")[len(self._tail) >= _TAIL :]
        before = [line.rstrip() for line in whole if line.strip() not in ("", self.prompt)][-_END_LINES:]
        return any(self._end.search(line) for line in before)

    @property
    def is_closed(self) -> bool:
        """Whether the closing line of a device without a prompt came last."""
        if self._closing is None or self._line:
            return False
        said = lines(self._tail)
        return bool(said) and self._closing.search(said[-1]) is not None

    def _at_prompt(self) -> bool:
        if self._closing is not None:
            return self.is_closed
        line, prompt = self._line, self._base_prompt
        if self.prompt and line == self.prompt:
            return True
        if not prompt or prompt not in line or len(line) > len(prompt) + 80:
            return False
        if not prompt.isalnum() and len(prompt) < 3:
            return line == prompt  # a bare "#" or "$": nothing but the whole line proves it
        if len(prompt) < 3 and not line.lstrip("<[(*").startswith(prompt):
            return False  # so short a name may stand anywhere in a configuration
        return line.endswith(prompt) or line[-1] in PROMPT_ENDS

    def is_complete(self, quiet_s: float) -> bool:
        """Whether the prompt is back. A device that echoes nothing gets two quiet seconds first."""
        return self._at_prompt() and (self.echo_seen or quiet_s >= 2.0)

    def is_prompt_only(self, text: str) -> bool:
        """Whether this text is nothing but the prompt, once or more."""
        standing = lines(self._tail)[-_END_LINES:]  # a prompt may take two lines, as on Junos
        said = lines(text)
        return bool(said) and said[-1] == standing[-1] and set(said) <= set(standing)

    def at_pager(self) -> bool:
        """Whether a pager waits for a key."""
        return bool(self._line) and any(pattern.search(self._line) for pattern in self._pager)

    def answer(self) -> str:
        """The answer without echo and prompt."""
        text = self.text
        if self.echo_seen:
            # The echo may be wrapped, so look for the end of the line on which its last characters stand.
            for match in re.finditer(r"\n", text[:16_384]):
                if self._squeezed_echo in _squeezed(text[: match.end()]):
                    text = text[match.end() :]
                    break
            else:
                text = ""  # the echo and nothing else
        if not self._at_prompt():
            return text
        head, newline, _ = text.rpartition("\n")
        for _ in range(self._empty_lines):
            # The prompts that empty lines brought about are no part of the answer.
            before, line_end, last = head.rpartition("\n")
            if last_line(last.rstrip("\r")) != self._line:
                break
            head, newline = before, line_end
        return head + newline
