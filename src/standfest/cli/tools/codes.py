"""Exit codes of Pacemaker's tools, and the words that go with them.

Source: facts/formats/TOOLS.md section 1.
"""

from enum import IntEnum


class Exit(IntEnum):
    """What a tool's exit status means; scripts test for these."""

    OK = 0
    ERROR = 1
    INVALID = 2
    UNIMPLEMENTED = 3
    FORBIDDEN = 4
    NOT_INSTALLED = 5
    NOT_CONFIGURED = 6
    NOT_RUNNING = 7
    PROMOTED = 8
    FAILED_PROMOTED = 9
    USAGE = 64
    BAD_DATA = 65
    NO_INPUT = 66
    NO_HOST = 68
    UNAVAILABLE = 69
    SOFTWARE = 70
    OS_FILE = 72
    CANNOT_CREATE = 73
    IO_ERROR = 74
    NO_PERMISSION = 77
    CONFIG = 78
    DISCONNECTED = 102
    OLD = 103
    DIGEST = 104
    NO_SUCH = 105
    NO_QUORUM = 106
    UNSAFE = 107
    EXISTS = 108
    NOT_UNIQUE = 109
    EXPIRED = 110
    NOT_YET = 111
    INDETERMINATE = 112
    UNSATISFIED = 113
    TIMEOUT = 124


MESSAGES = {
    Exit.OK: "OK",
    Exit.ERROR: "Error occurred",
    Exit.INVALID: "Invalid parameter",
    Exit.UNIMPLEMENTED: "Unimplemented",
    Exit.FORBIDDEN: "Insufficient privileges",
    Exit.NOT_INSTALLED: "Not installed",
    Exit.NOT_CONFIGURED: "Not configured",
    Exit.NOT_RUNNING: "Not running",
    Exit.PROMOTED: "Promoted",
    Exit.FAILED_PROMOTED: "Failed in promoted role",
    Exit.USAGE: "Incorrect usage",
    Exit.BAD_DATA: "Invalid data given",
    Exit.NO_INPUT: "Input file not available",
    Exit.NO_HOST: "No such host",
    Exit.UNAVAILABLE: "Service unavailable",
    Exit.SOFTWARE: "Internal software bug",
    Exit.OS_FILE: "System file not available",
    Exit.CANNOT_CREATE: "Cannot create output file",
    Exit.IO_ERROR: "I/O error occurred",
    Exit.NO_PERMISSION: "Insufficient privileges",
    Exit.CONFIG: "Invalid configuration",
    Exit.DISCONNECTED: "Not connected",
    Exit.OLD: "Update was older than existing configuration",
    Exit.DIGEST: "Digest mismatch",
    Exit.NO_SUCH: "No such object",
    Exit.NO_QUORUM: "Quorum required",
    Exit.UNSAFE: "Operation not safe",
    Exit.EXISTS: "Requested item already exists",
    Exit.NOT_UNIQUE: "Multiple items match request",
    Exit.EXPIRED: "Requested item has expired",
    Exit.NOT_YET: "Requested item is not yet in effect",
    Exit.INDETERMINATE: "Could not determine status",
    Exit.UNSATISFIED: "Requested item does not satisfy constraints",
    Exit.TIMEOUT: "Timeout occurred",
}
"""Code -> its words, as `<status message=...>` has them."""


class ToolError(Exception):
    """A tool ends: with this code, and this text (lines) on standard error."""

    def __init__(self, code: Exit, text: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
