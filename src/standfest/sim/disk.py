"""A node's disk in virtual time: full, lying about syncing, torn by a power cut, flipping bits.

Implements `model.wholefile.Files`, so that the steps by which the daemons keep a document are the
real ones. What `sync` and `write_synced` promised survives `power_cut`, unless the disk lies.
"""

import errno
import random
from dataclasses import dataclass, field

from standfest.model import wholefile

DOCUMENT = "cib.xml"


class PowerCutError(Exception):
    """The node lost its power in the middle of a disk operation."""


@dataclass(slots=True)
class _Inode:
    content: bytes
    durable: bytes


@dataclass(slots=True)
class SimDisk:
    """Files of one folder; implements ports.store.Store for the one document on it.

    full: writes fail; lies: a sync keeps nothing; cut_after: so many more operations until the
    power goes, None for never; lost: whether acknowledged bytes were ever lost or damaged; owes:
    whether the newest document was saved while it lied.
    """

    source: random.Random
    full: bool = False
    lies: bool = False
    cut_after: int | None = None
    lost: bool = False
    owes: bool = False
    saves: int = 0
    _names: dict[str, _Inode] = field(default_factory=dict)
    _durable: dict[str, _Inode] = field(default_factory=dict)

    # --- ports.store.Store ----------------------------------------------------------------------

    def load(self) -> bytes | None:
        """Return the newest document that is whole."""
        return wholefile.load(self, DOCUMENT)

    def save(self, content: bytes) -> None:
        """Replace the document; raises OSError, or PowerCutError."""
        wholefile.save(self, DOCUMENT, content)
        self.saves += 1
        self.owes = self.lies

    def durable(self) -> bytes | None:
        """Return what is there if the power goes now and nothing more gets to the disk."""
        kept = {name: _Inode(i.durable, i.durable) for name, i in self._durable.items()}
        return wholefile.load(SimDisk(self.source, _names=kept), DOCUMENT)

    # --- model.wholefile.Files ------------------------------------------------------------------

    def read(self, name: str, at_most: int) -> bytes | None:
        """Return a file's bytes."""
        inode = self._names.get(name)
        return None if inode is None else inode.content[:at_most]

    def write_synced(self, name: str, content: bytes) -> None:
        """Write a file; half of it, when the power goes meanwhile."""
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device", name)
        inode = self._names[name] = _Inode(content, b"")
        if self._goes():
            inode.durable = content[: self.source.randrange(len(content))]
            raise PowerCutError
        if not self.lies:
            inode.durable = content

    def replace_by_link(self, name: str, new_name: str) -> None:
        """Give a file a second name."""
        self._step()
        self._names[new_name] = self._names[name]

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file."""
        self._step()
        self._names[new_name] = self._names.pop(name)

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        self._names.pop(name, None)

    def sync(self) -> None:
        """Make the names durable."""
        self._step()
        if not self.lies:
            self._durable = dict(self._names)

    # --- faults ---------------------------------------------------------------------------------

    def power_cut(self) -> None:
        """Forget what is not durable; names that were not synced may be the old or the new."""
        names = self._durable if self.lies or self.source.random() < 0.5 else self._names
        self.lost = self.lost or self.lies
        self._names = dict(names)
        for inode in self._names.values():
            inode.content = inode.durable
        self._durable = dict(self._names)
        self.cut_after = None

    def flip_bit(self) -> None:
        """Damage one bit of the newest document."""
        inode = self._names.get(DOCUMENT)
        if inode is None or not inode.content:
            return
        at = self.source.randrange(len(inode.content))
        damaged = bytearray(inode.content)
        damaged[at] ^= 1 << self.source.randrange(8)
        inode.content = inode.durable = bytes(damaged)
        self.lost = True

    def _step(self) -> None:
        if self._goes():
            raise PowerCutError

    def _goes(self) -> bool:
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        return self.cut_after < 0
