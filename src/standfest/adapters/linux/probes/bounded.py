"""A search that ends: Python's expressions may try for ever, so they get a time of the processor.

The matching engine looks for signals now and then; a timer of this process's own processor time
sends one. Only the main thread of a process can have that, and it is the one that checks.
Source: setitimer(2), ITIMER_VIRTUAL.
"""

import signal
from types import FrameType
from typing import Final, NoReturn

from standfest.model.pattern import Pattern

BUDGET_S: Final = 0.1
"""Processor time of one search; a megabyte takes a hundredth of it with an ordinary expression."""


class TooSlowError(Exception):
    """The search took longer than its budget."""


def _too_slow(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TooSlowError


def is_found(pattern: Pattern, data: bytes, least: int = 0, most: int | None = None) -> bool:
    """Return whether the pattern is found; raises TooSlowError when that does not end."""
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, BUDGET_S)
        try:
            return pattern.is_found(data, least, most)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)
