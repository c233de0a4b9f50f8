"""A shared address by the target CLUSTERIP, which Linux had until 6.3: one rule, one proc file.

What the kernel cannot here: end a lease by itself, keep a connection whose bucket goes, more than
16 buckets, IPv6, a unicast MAC. Buckets change one after another, those that go first.
Source: iptables-extensions(8); facts/UML.md; the hash: core/sharing/hashing.clusterip_bucket_of.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from standfest.adapters.linux.sharing import programs
from standfest.adapters.linux.sharing.segment import Segment
from standfest.model.errors import OperationError
from standfest.model.sharing import FOREVER, Answering, SharedAddress
from standfest.model.time import Duration

PROC = Path("/proc/net/ipt_CLUSTERIP")
MAX_BUCKETS = 16
_TARGET = "CLUSTERIP"


class ClusteripFilter:
    """Implements ports.sharing.BucketFilter, without leases: whoever calls must end them."""

    def __init__(self, shared: SharedAddress) -> None:
        self._shared = shared
        self._segment = Segment(shared)
        self._files = [PROC / str(one.ip) for one in shared.addresses]

    def look(self) -> Answering | None:
        """Return what is answered now and change nothing; None: it is not shared here."""
        if not self._is_installed() or not self._segment.holds():
            return None
        return Answering(self._read())

    def open(self) -> tuple[Answering, Duration]:
        """Install the rules, which bring the MAC, then the address; or adopt what is there."""
        if not self._is_installed():
            self._remove_rules()
            for rule, file in zip(self._rules(), self._files, strict=True):
                programs.iptables("-I", *rule)
                _write(file, "-1")  # a rule cannot be made without any bucket
        fresh = not self._segment.holds()
        self._segment.take()
        if fresh:
            self._segment.announce()
        found = self._read()
        return Answering(found), FOREVER if found else 0

    def answer(self, answering: Answering, duration: Duration | None) -> None:
        """Answer these buckets; duration 0: none. The kernel does not end it."""
        wanted = answering.mine | answering.orphaned if duration != 0 else frozenset()
        for file in self._files:
            found = _numbers(file)
            for bucket in sorted(found - wanted):
                _write(file, f"-{bucket + 1}")
            for bucket in sorted(wanted - found):
                _write(file, f"+{bucket + 1}")

    def renew(self, duration: Duration) -> None:
        """Go on: the kernel does so anyway, unless the time is 0."""
        if duration == 0:
            self.answer(Answering(), 0)

    def close(self, *, keep: bool) -> None:
        """Let go; not keep: the address is taken away, then the rule, which takes the MAC."""
        try:
            if not keep:
                self._segment.leave()
                self._remove_rules()
        finally:
            self._segment.close()

    def _read(self) -> frozenset[int]:
        return frozenset.union(*map(_numbers, self._files))

    def _rules(self) -> Iterator[list[str]]:
        layout = self._shared.layout
        for one in self._shared.addresses:
            yield [
                *("INPUT", "-d", f"{one.ip}/32", "-i", self._shared.interface, "-j", _TARGET),
                *("--new", "--hashmode", layout.mode.value),
                *("--clustermac", self._shared.mac.hex(":"), "--total-nodes", str(layout.buckets)),
                *("--local-node", "1", "--hash-init", str(layout.seed)),
            ]

    def _is_installed(self) -> bool:
        if not all(file.exists() for file in self._files):
            return False
        with contextlib.suppress(OperationError):
            for rule in self._rules():
                programs.iptables("-C", *rule)
            return True
        return False

    def _remove_rules(self) -> None:
        """Remove the rules of our addresses, for whatever settings they are."""
        for rule, file in zip(self._rules(), self._files, strict=True):
            if file.exists():
                with contextlib.suppress(OperationError):
                    programs.iptables("-D", *rule)
        if not any(file.exists() for file in self._files):
            return
        ours = {f"{one.ip}/32" for one in self._shared.addresses}
        for words in programs.rules("filter", "INPUT"):
            if _TARGET in words and ours & set(words):
                programs.iptables("-D", *words[1:])


def refuse(shared: SharedAddress) -> None:
    """Raise OperationError for what this target cannot do."""
    if any(one.version != 4 for one in shared.addresses):
        raise OperationError("CLUSTERIP knows IPv4 only; expected nftables for IPv6")
    if shared.layout.buckets > MAX_BUCKETS:
        raise OperationError(
            f"CLUSTERIP knows {MAX_BUCKETS} buckets; expected fewer than {shared.layout.buckets}"
        )
    if not shared.is_multicast:
        raise OperationError("CLUSTERIP wants a multicast MAC; expected nftables for a unicast one")


def _numbers(file: Path) -> frozenset[int]:
    try:
        said = file.read_text(encoding="ascii")
    except OSError as error:
        raise OperationError(f"{file}: {error.strerror}; expected the kernel's table") from error
    return frozenset(int(word) - 1 for word in said.strip().split(",") if word.isdigit())


def _write(file: Path, change: str) -> None:
    try:
        file.write_text(change + "\n", encoding="ascii")
    except OSError as error:
        raise OperationError(f"{file}: {change}: {error.strerror}") from error
