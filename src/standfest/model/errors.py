"""Errors, sorted by who must act on them (docs: ARCHITECTURE.md, "Errors")."""

from dataclasses import dataclass
from enum import Enum


class StandfestError(Exception):
    """Whatever Standfest raises on purpose."""


class WireError(StandfestError):
    """A peer's bytes are not what the protocol allows: count it by `reason` and drop the datagram.

    reason: a word from a closed list that the decoder documents; detail: for the debug log, never
    containing the datagram's content.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Severity(Enum):
    """How much a finding in an operator's file matters."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One observation about an operator's file; line 0 means the whole file.

    tolerated: an error that does not keep the file from being used, since a running installation
    may have it.
    """

    path: str
    line: int
    problem: str
    expected: str = ""
    severity: Severity = Severity.ERROR
    tolerated: bool = False

    @property
    def refuses(self) -> bool:
        """Return whether the file cannot be used because of this."""
        return self.severity is Severity.ERROR and not self.tolerated

    def __str__(self) -> str:
        """Return the one line an operator reads: where, what is there, what was expected."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        tail = f"; expected {self.expected}" if self.expected else ""
        mark = "tolerated: " if self.tolerated else ""
        mark = mark if self.severity is Severity.ERROR else "warning: "
        return f"{where}: {mark}{self.problem}{tail}"


class ConfigError(StandfestError):
    """An operator's file cannot be used; all findings are reported together, nothing is applied."""

    def __init__(self, *findings: Finding) -> None:
        assert findings, "a ConfigError names at least one finding"
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


class Ground(Enum):
    """On what ground a request was refused, for programs; what people read is the text."""

    NONE = ""
    NO_SUCH = "no-such"
    OVERTAKEN = "overtaken"
    NO_QUORUM = "no-quorum"
    NOT_ALLOWED = "not-allowed"
    NO_ANSWER = "no-answer"
    NOT_ONLINE = "not-online"


class OperationError(StandfestError):
    """The kernel, a process or a peer refused: a failed operation, retried by policy only."""

    ground = Ground.NONE


class RefusedError(OperationError):
    """A request is refused, on a ground that programs may act on."""

    def __init__(self, ground: Ground, text: str) -> None:
        super().__init__(text)
        self.ground = ground
