"""A shared address by nftables: the kernel decides in one look, and ends what it may answer itself.

All changes are transactions: a packet sees what was before or what is after, never both. The lease
is an element with a timeout; when it is gone, nothing is answered, whatever becomes of the daemon.
Source: docs/adr/0024-load-sharing.md.
"""

import contextlib
import ctypes
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from standfest.adapters.linux.nftables.kernel import ChangedError, NetfilterNetlink
from standfest.adapters.linux.sharing import strictness
from standfest.adapters.linux.sharing.rules import EARLY, GATE, LATE, PREFIX, RuleSet, fingerprint
from standfest.adapters.linux.sharing.segment import Segment
from standfest.model.errors import OperationError
from standfest.model.sharing import FOREVER, Answering, Established, SharedAddress
from standfest.model.time import NANOSECONDS_PER_MILLISECOND, Duration
from standfest.wire import nftables as nft
from standfest.wire.nftables import Message, read_number

ATTEMPTS = 50
"""So often may other programs change their own rules between our reading and our writing."""

TICK_MS = 10
"""The kernel ends a timeout at a tick of 10 ms at most, perhaps one late: a lease ends early."""

REAL_TIME = Path("/sys/kernel/realtime")
_MEMBARRIER = {
    "x86_64": 324, "aarch64": 283, "riscv64": 283, "loongarch64": 283, "ppc64le": 365, "s390x": 356,
}  # fmt: skip
_GLOBAL = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class NftablesFilter:
    """Implements ports.sharing.BucketFilter."""

    def __init__(self, shared: SharedAddress) -> None:
        self._shared = shared
        self._rules = RuleSet(shared)
        self._kernel = NetfilterNetlink()
        self._segment = Segment(shared)
        self._held = Answering()
        self._noted: dict[str, str] = {}

    def look(self) -> Answering | None:
        """Return what is answered now and change nothing; None: it is not shared here."""
        if self._comment() is None or not self._segment.holds():
            return None
        answering, left = self._read()
        return answering if left else Answering()

    def open(self) -> tuple[Answering, Duration]:
        """Install the rules, then the MAC, then the address; or adopt what is there."""
        comment = self._comment()
        if comment is None:
            comment = self._install(Answering(), 0)
        self._noted = strictness.remembered(comment)
        strictness.apply(self._shared.interface, self._noted)
        fresh = not self._segment.holds()
        self._segment.hear()
        self._segment.take()
        if fresh:
            self._segment.announce()
        self._held, left = self._read()
        return (self._held, left) if left else (Answering(), 0)

    def answer(self, answering: Answering, duration: Duration | None) -> None:
        """Answer exactly this, by one transaction, and for so long; None: until told otherwise."""
        if self._shared.established is Established.MOVE:
            answering = Answering(answering.mine, answering.orphaned)
        before, timeout_ms = self._held, _timeout_ms(duration)
        self._change(answering, timeout_ms)
        if before.mine - answering.mine or before.orphaned - answering.orphaned or timeout_ms == 0:
            _wait_for_packets_under_way()

    def renew(self, duration: Duration) -> None:
        """Go on answering the same for so long from now."""
        self._change(self._held, _timeout_ms(duration))

    def close(self, *, keep: bool) -> None:
        """Let go; not keep: the address is taken away, then the MAC, then the rules."""
        try:
            if not keep:
                self._remove()
        finally:
            self._kernel.close()
            self._segment.close()

    # --- the kernel's tables ---------------------------------------------------------------------

    def _comment(self) -> str | None:
        """Return what our table says of itself; None: there is none, or it is another one."""
        comment = self._kernel.table_comment(self._rules.table)
        if comment is None or not comment.startswith(fingerprint(self._shared) + " "):
            return None
        there = self._kernel.tables()
        return comment if all(table in there for table in self._rules.tables) else None

    def _read(self) -> tuple[Answering, Duration]:
        """Return what the maps have, and what is left of its time."""
        table = self._rules.table
        gate = self._kernel.elements(table, GATE)
        early = {read_number(one.key): one for one in self._kernel.elements(table, EARLY)}
        late = {read_number(one.key): one for one in self._kernel.elements(table, LATE)}
        orphaned = frozenset(bucket for bucket, one in late.items() if one.accepts)
        mine = frozenset(late)
        answering = Answering(mine, orphaned, frozenset(early) - mine)
        if not gate:
            return answering, 0
        if not gate[0].timeout_ms:
            return answering, FOREVER
        return answering, gate[0].expiration_ms * NANOSECONDS_PER_MILLISECOND

    def _change(self, wanted: Answering, timeout_ms: int | None) -> None:
        """Go from what the kernel has to what is wanted."""
        gate = self._rules.gate(timeout_ms)
        try:
            self._commit([*self._difference(wanted), *gate])
        except OperationError:
            # Somebody has removed or changed our tables: an administrator's `nft flush ruleset`,
            # or another process of ours.
            if self._comment() is None:
                self._install(wanted, timeout_ms)
            else:
                self._held, _ = self._read()
                self._commit([*self._difference(wanted), *gate])
        self._held = wanted

    def _difference(self, wanted: Answering) -> list[Message]:
        steps: list[Message] = []
        for name, elements in ((EARLY, self._rules.early), (LATE, self._rules.late)):
            before, after = elements(self._held), elements(wanted)
            gone = [key for key, one in before.items() if after.get(key) != one]
            new = [one for key, one in after.items() if before.get(key) != one]
            steps += self._rules.table.remove(name, gone)
            steps += self._rules.table.add(name, new)
        return steps

    def _install(self, answering: Answering, timeout_ms: int | None) -> str:
        """Make the tables in place of any that are there; return the comment's end."""
        there = self._kernel.tables()
        before = strictness.read(self._shared.interface)
        own = self._kernel.table_comment(self._rules.table)
        before |= strictness.remembered(own or "") | self._noted
        for comment in self._comments_of_others(there):
            before |= strictness.remembered(comment)
        noted = strictness.noted(before)
        self._held = Answering()
        steps = self._rules.removal(there) + self._rules.installation(noted)
        steps += self._difference(answering) + self._rules.gate(timeout_ms)
        self._commit(steps)
        self._held = answering
        return noted

    def _remove(self) -> None:
        own = self._kernel.table_comment(self._rules.table)
        self._segment.leave()
        self._segment.ignore()
        there = self._kernel.tables()
        removal = self._rules.removal(there)
        if removal:
            self._commit(removal)
        changed = strictness.remembered(own or "")
        for comment in self._comments_of_others(there):
            for name in strictness.remembered(comment):
                changed.pop(name, None)
        strictness.write(self._shared.interface, changed)

    def _comments_of_others(self, there: Sequence[nft.Table]) -> list[str]:
        """Return what the tables of other shared addresses say of themselves."""
        others = [one for one in there if one.family == nft.INET and one.name.startswith(PREFIX)]
        comments = [
            self._kernel.table_comment(one) for one in others if one.name != self._rules.name
        ]
        return [comment for comment in comments if comment is not None]

    def _commit(self, steps: list[Message]) -> None:
        for _ in range(ATTEMPTS):
            with contextlib.suppress(ChangedError):
                self._kernel.commit(self._kernel.generation(), steps)
                return
        raise OperationError(f"share {self._shared.name}: other programs change rules all the time")


def _timeout_ms(duration: Duration | None) -> int | None:
    if duration is None or duration == FOREVER:
        return None
    return max(0, duration // NANOSECONDS_PER_MILLISECOND - TICK_MS)


def _wait_for_packets_under_way() -> None:
    """Return when no processor judges a packet by the rules of before.

    Packets are judged in soft interrupts, which a processor ends before it runs this thread: to
    have been on each is enough, and 100 times as fast as membarrier(2) (0.1 ms, 14 ms). That is
    for processors we may not be on, and for kernels with real-time scheduling.
    """
    allowed = os.sched_getaffinity(0)
    everywhere = len(allowed) >= (os.cpu_count() or 1) and not REAL_TIME.exists()
    try:
        for processor in allowed:
            os.sched_setaffinity(0, {processor})
    except OSError:  # not permitted, or a processor has been switched off
        everywhere = False
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, allowed)
    number = _MEMBARRIER.get(platform.machine())
    if number is not None and not everywhere:
        _LIBC.syscall(number, _GLOBAL, 0, 0)
