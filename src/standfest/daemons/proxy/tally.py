"""What every server has carried, and its open connections: memory that all processes share.

Each worker has a file of its own in memory (memfd_create(2)) and is the only one to write it;
everybody adds them up. They outlive a worker, and a successor proxy takes them over.
"""

import mmap
import os
from collections.abc import Callable

MAX_SERVERS = 65_536
ACTIVE, CONNECTIONS, BYTES_IN, BYTES_OUT = range(4)
CELLS = 4
SIZE_BYTES = MAX_SERVERS * CELLS * 8


class Tally:
    """One worker's figures; `cells[CELLS * server + ACTIVE]` and so on."""

    def __init__(self, descriptor: int) -> None:
        """Map the file; the descriptor stays open, to be handed to a successor."""
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE_BYTES)
        self.cells = memoryview(self._map).cast("q")

    @classmethod
    def new(cls) -> "Tally":
        """Return an empty one; pages that nobody touches cost nothing."""
        descriptor = os.memfd_create("standfest-proxy", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, SIZE_BYTES)
        return cls(descriptor)

    def clear(self, server: int) -> None:
        """Begin anew for a server whose number belonged to another before."""
        for cell in range(CELLS):
            self.cells[CELLS * server + cell] = 0

    def abandon(self) -> None:
        """Nobody writes here any more: what was open is not."""
        for server in range(MAX_SERVERS):
            if self.cells[CELLS * server + ACTIVE]:
                self.cells[CELLS * server + ACTIVE] = 0


class Common:
    """What all workers of a proxy write: whose turn it is in each service, and who is full.

    Two that choose in the same instant may come to the same turn, and nothing worse.
    """

    def __init__(self, services: int) -> None:
        self._turns = memoryview(mmap.mmap(-1, services * 8)).cast("q")
        self.full = memoryview(mmap.mmap(-1, MAX_SERVERS))

    def turn(self, service: int) -> Callable[[], int]:
        """Return a function that returns the next number of a service.

        Workers do not wait for each other: two that ask in the same instant may get one number.
        """
        cells, at = self._turns, service % len(self._turns)

        def following() -> int:
            number = cells[at] + 1
            cells[at] = number
            return number

        return following


def total(tallies: list[Tally], server: int, cell: int) -> int:
    """Return the sum over all workers."""
    at = CELLS * server + cell
    return sum(tally.cells[at] for tally in tallies)
