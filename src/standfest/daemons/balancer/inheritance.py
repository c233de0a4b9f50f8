"""What a balancer finds at its birth, and how the director tells it of its virtual routers.

The supervisor imports this, too, and every process of a director shares what that imports: types of
the balancer's are imported only where one of its values is made.
"""

import contextlib
import marshal
import os
import pickle
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from standfest.daemons.balancer.tidings import MAX_BYTES, Tiding

if TYPE_CHECKING:
    from standfest.runtime.balancer.adoption import Ledger
    from standfest.runtime.balancer.assignment import Assignment

END = b"end"
"""The supervisor's word for the end. Whoever stops a whole family of processes by a signal means
the supervisor, which knows the order: first the director, whose addresses lead here."""

TAKEN, REFUSED = b"taken", b"refused"
"""What a balancer answers to an assignment."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a balancer finds at its birth.

    assignment: a file that holds what it is to do. ledger: a file that survives it. news: where
    later assignments arrive, with a file each. states: where the director tells of its routers.
    listener: where commands ask. wanted: the backend, or auto. alone: there is no director.
    """

    assignment: int
    ledger: int
    news: socket.socket
    states: socket.socket
    listener: socket.socket
    words: socket.socket
    wanted: str
    alone: bool

    def descriptors(self) -> frozenset[int]:
        """Return the files and sockets that a balancer has of its parent."""
        sockets = (self.news, self.states, self.listener, self.words)
        return frozenset({0, 1, 2, self.assignment, self.ledger, *(s.fileno() for s in sockets)})

    def read_news(self) -> tuple[int | None, bool]:
        """Return (newest assignment that has arrived, a file, or None; whether to end)."""
        newest: int | None = None
        with contextlib.suppress(BlockingIOError):
            while True:
                word, files, _, _ = socket.recv_fds(self.news, 64, 1)
                if not files:
                    return newest, word in (END, b"")
                if newest is not None:
                    os.close(newest)
                newest = files[0]
        return newest, False

    def read_ledger(self) -> "Ledger":
        """Return what a predecessor has left behind."""
        from standfest.runtime.balancer.adoption import Ledger  # noqa: PLC0415  see above

        size = os.fstat(self.ledger).st_size
        if not size:
            return Ledger()
        found = pickle.loads(os.pread(self.ledger, size, 0))  # noqa: S301  our own fork's
        assert isinstance(found, Ledger), "a balancer writes nothing else"
        return found

    def write_ledger(self, ledger: "Ledger") -> None:
        """Leave something behind, whole or not at all: who dies in between leaves nothing."""
        os.ftruncate(self.ledger, 0)
        os.pwrite(self.ledger, pickle.dumps(ledger, pickle.HIGHEST_PROTOCOL), 0)

    def tidings(self) -> Iterator[Tiding]:
        """Yield what the director has told."""
        with contextlib.suppress(BlockingIOError):
            while datagram := self.states.recv(MAX_BYTES):
                yield marshal.loads(datagram)  # noqa: S302  from our own family


def load(file: int) -> "Assignment":
    """Return the assignment in a memory file."""
    from standfest.runtime.balancer.assignment import Assignment  # noqa: PLC0415  see above

    found = pickle.loads(os.pread(file, os.fstat(file).st_size, 0))  # noqa: S301  our own fork's
    assert isinstance(found, Assignment), "the reader writes nothing else"
    return found
