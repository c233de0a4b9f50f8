"""A table of slots: what a scheduler comes to where the kernel only looks up a table."""

from dataclasses import dataclass
from enum import Enum


class Choice(Enum):
    """How a connection's slot is chosen."""

    TURN = "turn"  # the next one
    RANDOM = "random"
    SOURCE = "source"  # by a hash of the client's address
    SOURCE_PORT = "source-port"  # and its port
    DESTINATION = "destination"  # by a hash of the address that it connects to


@dataclass(frozen=True, slots=True)
class Slots:
    """A table: `owners[n]` answers slot n; empty: nobody does."""

    choice: Choice
    owners: tuple[str, ...]
