"""Dialogues of mail servers as a checker holds them: SMTP, IMAP and POP3.

Each says who we are and takes leave; nothing is sent before the server has greeted, as the
protocols ask. A dialogue is a list of steps: what is sent, what the answer must begin with.
Source: RFC 5321 section 4.2, RFC 9051 section 7.1, RFC 1939 section 3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from standfest.model.errors import WireError

MAX_LINE: Final = 4096
MAX_LINES: Final = 128
"""Lines of one answer, and of everything that comes before it unasked."""
MAX_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange: send `command`, then `verdict(line)` of each line until it is not None.

    verdict: "" when the answer is good, None when more lines follow, else what is wrong; name:
    what the step is called in reasons; fallback: what is tried when this one fails.
    """

    name: str
    command: bytes
    verdict: Callable[[bytes], str | None]
    fallback: "Step | None" = None


class Greetings:
    """One dialogue; `receive` until it says that it is over. Reasons of WireError: line, lines."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = list(steps)
        self._buffer = bytearray()
        self._lines = 0
        self.problem = ""

    @property
    def phase(self) -> str:
        """Return what is waited for."""
        return self._steps[0].name if self._steps else "the end"

    def receive(self, data: bytes) -> bytes:
        """Take what has come, b"" for the end; return what to send. Over when `is_over`."""
        if not data and self._steps:
            self.problem = f"the connection ended before {self.phase}"
            self._steps.clear()
            return b""
        self._buffer += data
        answer = bytearray()
        while self._steps and (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            answer += self._take(line)
        if self._steps and len(self._buffer) > MAX_LINE:
            raise WireError("line", f"{self.phase}: a line longer than {MAX_LINE} bytes")
        return bytes(answer)

    @property
    def is_over(self) -> bool:
        """Return whether all steps are done, or one has failed."""
        return not self._steps

    def _take(self, line: bytes) -> bytes:
        step = self._steps[0]
        self._lines += 1
        if self._lines > MAX_LINES or len(line) > MAX_LINE:
            raise WireError("lines", f"{self.phase}: too much comes")
        verdict = step.verdict(line)
        if verdict is None:
            return b""
        self._lines = 0
        if verdict and step.fallback is not None:
            self._steps[0] = step.fallback
            return step.fallback.command
        if verdict:
            self.problem = f"{step.name}: {verdict}"
            self._steps.clear()
            return b""
        self._steps.pop(0)
        return self._steps[0].command if self._steps else b""


def shown(line: bytes) -> str:
    """Return a line of a server's as it may stand in a reason."""
    text = line[:MAX_SHOWN].decode("ascii", "replace")
    clean = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    return f'"{clean}"' + ("..." if len(line) > MAX_SHOWN else "")


# --- SMTP -----------------------------------------------------------------------------------------


def _code(expected: bytes) -> Callable[[bytes], str | None]:
    def verdict(line: bytes) -> str | None:
        if len(line) < 3 or not line[:3].isdigit() or line[3:4] not in (b"", b" ", b"-"):
            return f"{shown(line)} is no SMTP answer"
        if line[:3] != expected:
            return f"{shown(line)}; expected {expected.decode()}"
        return None if line[3:4] == b"-" else ""

    return verdict


def smtp(name: str) -> Greetings:
    """Return banner, EHLO (HELO where that is not understood), QUIT; name: ours."""
    clean = _word(name)
    helo = Step("the answer to HELO", b"HELO " + clean, _code(b"250"))
    return Greetings(
        (
            Step("the banner", b"", _code(b"220")),
            Step("the answer to EHLO", b"EHLO " + clean, _code(b"250"), fallback=helo),
            Step("the answer to QUIT", b"QUIT\r\n", _code(b"221")),
        )
    )


def _word(name: str) -> bytes:
    """Return a name that cannot end the line it stands in, and the line's end."""
    kept = "".join(char for char in name if char.isascii() and char.isprintable() and char != " ")
    return (kept or "localhost").encode("ascii") + b"\r\n"


# --- IMAP and POP3 --------------------------------------------------------------------------------


def _imap_banner(line: bytes) -> str | None:
    word = line.split(None, 2)[1:2] if line.startswith(b"* ") else []
    if word and word[0].upper() in (b"OK", b"PREAUTH"):
        return ""
    return f'{shown(line)}; expected "* OK"'


def _imap_answer(line: bytes) -> str | None:
    if line.startswith(b"* "):
        return None
    return "" if line.upper().startswith(b"A1 OK") else f'{shown(line)}; expected "A1 OK"'


def imap() -> Greetings:
    """Return greeting and LOGOUT of IMAP4."""
    return Greetings(
        (
            Step("the greeting", b"", _imap_banner),
            Step("the answer to LOGOUT", b"A1 LOGOUT\r\n", _imap_answer),
        )
    )


def _pop3_answer(line: bytes) -> str | None:
    return "" if line.upper().startswith(b"+OK") else f'{shown(line)}; expected "+OK"'


def pop3() -> Greetings:
    """Return greeting and QUIT of POP3."""
    return Greetings(
        (
            Step("the greeting", b"", _pop3_answer),
            Step("the answer to QUIT", b"QUIT\r\n", _pop3_answer),
        )
    )
