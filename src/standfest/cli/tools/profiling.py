"""`crm_simulate --profile`: how long each situation of a directory takes to decide."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from standfest.cli.simulate import moment_of
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.saying import Saying
from standfest.config.compressed import read_file
from standfest.config.recorded import read
from standfest.core.scheduler.engine import decide
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError
from standfest.model.history import Recorded

MAX_REPEATS = 2**31 - 1
"""How often a situation may be decided; Pacemaker's limit, too."""


def profile(saying: Saying, folder: str, repeats: int, at: str) -> int:
    """Decide each situation of `folder` so often, and say the processor time of all its runs.

    at: for which moment, as written; "" is each file's own. The last name comes first, as with
    Pacemaker. A file that cannot be decided is named, and the others follow; returns the exit
    code, that of the first such file. Raises ToolError for a directory or a time that is none.
    """
    try:
        moment_of(at, Recorded())
        files = list(_files(folder))
    except OperationError as error:
        raise ToolError(Exit.USAGE, f"crm_simulate: {error}") from error
    code: int = Exit.OK
    saying.line("Timings:")
    elements = []
    for file in files:
        if at:
            saying.line(f"Setting effective cluster time: {at}")
        try:
            took_s = _time(file, repeats, at)
        except ToolError as error:
            saying.error(error.text)
            code = code or error.code
            continue
        saying.line(f"  * Testing {file} ... {took_s:.2f} secs")
        elements.append(Element("timing", (("file", file), ("duration", f"{took_s:.6f}"))))
    saying.element(Element("timings", (), tuple(elements)))
    return saying.end(code)


def _files(folder: str) -> Iterator[str]:
    """Yield the names that end with .xml, without hidden ones and directories."""
    try:
        names = sorted(map(os.fsencode, os.listdir(folder)), reverse=True)
    except OSError as error:
        text = f"crm_simulate: {folder}: {error.strerror}; expected a directory"
        raise ToolError(Exit.NO_INPUT, text) from error
    for name in map(os.fsdecode, names):
        path = f"{folder}/{name}"
        if name.endswith(".xml") and not name.startswith(".") and not Path(path).is_dir():
            yield path


def _time(file: str, repeats: int, at: str) -> float:
    """Return how long the runs took together, without reading the file, in seconds."""
    try:
        configuration, recorded = read(read_file(file), file)
        now = moment_of(at, recorded)
    except ConfigError as error:
        raise ToolError(Exit.BAD_DATA, f"crm_simulate: {error}") from error
    except OperationError as error:
        raise ToolError(Exit.NO_INPUT, f"crm_simulate: {error}") from error
    began = time.process_time()
    for _ in range(repeats):
        decide(configuration, recorded, now)
    return time.process_time() - began
