"""Reads the configuration file in a process of its own, which ends afterwards.

The result is a pickled `DirectorSettings` in a memory file: the director loads it without ever
having imported the parser; and the balancer's `Assignment` in another, which stays empty when there
is nothing to balance. Only our own fork writes there.
"""

import gc
import os
import pickle
import sys
from dataclasses import dataclass

from standfest.daemons.director.words import Words
from standfest.model.director import DirectorSettings

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h


@dataclass(slots=True)
class Reading:
    """A process that reads."""

    pid: int
    pidfd: int
    file: int
    assignment: int

    def result(self) -> tuple[int, int]:
        """Return (memory file or -1, exit status) of a process that has ended."""
        os.close(self.pidfd)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return self.file, 0
        os.close(self.file)
        os.close(self.assignment)
        return -1, code if code > 0 else 1


def start(path: str, words: Words) -> Reading:
    """Begin to read a file."""
    file = os.memfd_create("standfest-settings", os.MFD_CLOEXEC)
    assignment = os.memfd_create("standfest-assignment", os.MFD_CLOEXEC)
    pid = os.fork()
    if pid:
        return Reading(pid, os.pidfd_open(pid), file, assignment)
    gc.disable()  # a process that ends so soon has nothing to collect
    status = 1
    try:
        status = _read(path, file, assignment, words)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def load(file: int) -> DirectorSettings:
    """Return the settings in a memory file."""
    size = os.fstat(file).st_size
    settings = pickle.loads(os.pread(file, size, 0))  # noqa: S301  written by our own fork
    assert isinstance(settings, DirectorSettings), "the reader writes nothing else"
    return settings


def _read(path: str, file: int, assignment: int, words: Words) -> int:
    from standfest.daemons.director.settings import read_configuration  # noqa: PLC0415  see above
    from standfest.model.errors import ConfigError  # noqa: PLC0415
    from standfest.runtime.balancer.assignment import Assignment  # noqa: PLC0415

    try:
        found = read_configuration(path)
    except ConfigError as error:
        for finding in error.findings:
            words.warn(str(finding))
        return EXIT_CONFIGURATION
    for finding in found.findings:
        words.say(str(finding))
    _write(file, found.director)
    if found.balancer.services:
        _write(assignment, Assignment.of(found.balancer, found.director))
    return 0


def _write(file: int, value: object) -> None:
    data = memoryview(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    while data:
        data = data[os.write(file, data) :]
