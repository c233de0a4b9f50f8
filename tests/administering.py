"""A tool run as an administrator runs it, in this process: words in, exit code and text out."""

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from standfest.cli.main import main

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "facts" / "formats" / "samples"
SOURCES = ("CIB_file", "CIB_shadow", "CIB_shadow_dir", "STANDFEST_RUN_DIR", "EDITOR", "SHELL")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a tool ended with, and what it wrote: errors and results, in the order written."""

    code: int
    text: str
    errors: str


class _Both(io.StringIO):
    """Standard error: kept, and written where results go, too."""

    def __init__(self, both: io.StringIO) -> None:
        super().__init__()
        self._both = both

    def write(self, text: str) -> int:
        self._both.write(text)
        return super().write(text)


def run(
    words: Sequence[str], environment: Mapping[str, str] | None = None, given: bytes = b""
) -> Ran:
    """Run `TOOL WORD...`; of the environment only PATH and the like stays."""
    kept = {name: value for name, value in os.environ.items() if name not in SOURCES}
    both = io.StringIO()
    errors = _Both(both)
    code = 0
    with (
        _environment({**kept, **(environment or {})}),
        _standard_input(given),
        contextlib.redirect_stdout(both),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main(list(words))
        except SystemExit as end:
            code = int(end.code or 0)
    return Ran(code, both.getvalue(), errors.getvalue())


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, wanted, clear=True):
        yield


@contextlib.contextmanager
def _standard_input(content: bytes) -> Iterator[None]:
    with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(content))):
        yield
