"""Runs what may wait for corosync in a thread, so that nobody else waits for it.

One function at a time; the descriptor becomes readable when it has returned. A function that never
returns holds up nothing but the next one.
"""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from standfest.model.errors import OperationError

Result = TypeVar("Result")


class Aside(Generic[Result]):
    """One function under way, or none."""

    def __init__(self) -> None:
        self._receive, self._send = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._results: list[Result | OperationError] = []
        self.busy = False

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a function has returned."""
        return self._receive

    def begin(self, function: Callable[[], Result]) -> None:
        """Start the function; nothing else may be under way."""
        assert not self.busy, "one function at a time"
        self.busy = True
        threading.Thread(target=self._run, args=(function,), daemon=True).start()

    def result(self) -> Result:
        """Return what the function returned; raises the OperationError that it raised."""
        os.read(self._receive, 1)
        self.busy = False
        result = self._results.pop()
        if isinstance(result, OperationError):
            raise result
        return result

    def _run(self, function: Callable[[], Result]) -> None:
        try:
            self._results.append(function())
        except OperationError as error:
            self._results.append(error)
        os.write(self._send, b".")
