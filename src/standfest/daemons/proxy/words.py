"""What the proxy says of itself: one line an event, the same line at most once in a second."""

import contextlib
import sys
import syslog
import time
from collections.abc import Callable

from standfest.model.time import Instant, seconds

Say = Callable[[str], None]
MAX_REMEMBERED = 1000


def to_stderr(text: str) -> None:
    """Say it where whoever started us looks."""
    with contextlib.suppress(OSError):
        print(f"standfest proxy: {text}", file=sys.stderr, flush=True)


def to_syslog(text: str) -> None:
    """Say it to syslog; in the background nobody else listens."""
    syslog.syslog(syslog.LOG_DAEMON | syslog.LOG_NOTICE, f"standfest proxy: {text}")


class Sparing:
    """Says nothing twice within a second: a failing server meets every client."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said: dict[str, Instant] = {}

    def __call__(self, text: str) -> None:
        """Say it, or not again."""
        now = time.monotonic_ns()
        if self._said.get(text, 0) > now:
            return
        if len(self._said) >= MAX_REMEMBERED:
            self._said.clear()
        self._said[text] = now + seconds(1)
        self._say(text)
