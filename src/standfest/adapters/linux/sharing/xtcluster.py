"""A shared address by the match xt_cluster of iptables, for kernels whose nftables cannot.

What the kernel cannot here: end a lease by itself, more than 32 buckets, ports in the hash, IPv6,
a unicast MAC. All rules of a change come into force at once. A packet that belongs to no connection
has no bucket for this match, so that connection tracking must be left as lenient as it is.
Source: iptables-extensions(8), arptables(8).
"""

import contextlib
from collections.abc import Iterator

from standfest.adapters.linux.sharing import programs
from standfest.adapters.linux.sharing.rules import fingerprint
from standfest.adapters.linux.sharing.segment import Segment
from standfest.model.errors import OperationError
from standfest.model.sharing import FOREVER, Answering, Established, HashMode, SharedAddress
from standfest.model.time import Duration

MAX_BUCKETS = 32
MAX_CHAIN = 28
_TABLE, _ENTRANCE, _MASK = "mangle", "PREROUTING", "--cluster-local-nodemask"
_ALL, _MINE, _ORPHANED, _FORMER = "", "-m", "-o", "-f"


class XtClusterFilter:
    """Implements ports.sharing.BucketFilter, without leases: whoever calls must end them."""

    def __init__(self, shared: SharedAddress) -> None:
        self._shared = shared
        self._segment = Segment(shared)
        self._chain = f"share-{shared.name}"

    def look(self) -> Answering | None:
        """Return what is answered now and change nothing; None: it is not shared here."""
        if not self._is_installed() or not self._segment.holds():
            return None
        return self._read()

    def open(self) -> tuple[Answering, Duration]:
        """Install the rules, then the MAC, then the address; or adopt what is there."""
        if not self._is_installed():
            self._remove_rules()
            self._install(Answering())
            for one in self._shared.addresses:
                programs.iptables("-t", _TABLE, "-I", *self._entrance(str(one.ip)))
                programs.arptables("-A", *self._telling(str(one.ip)))
        fresh = not self._segment.holds()
        self._segment.hear()
        self._segment.take()
        if fresh:
            self._segment.announce()
        found = self._read()
        return found, FOREVER if found != Answering() else 0

    def answer(self, answering: Answering, duration: Duration | None) -> None:
        """Answer exactly this; duration 0: nothing. The kernel does not end it."""
        self._install(answering if duration != 0 else Answering())

    def renew(self, duration: Duration) -> None:
        """Go on: the kernel does so anyway, unless the time is 0."""
        if duration == 0:
            self._install(Answering())

    def close(self, *, keep: bool) -> None:
        """Let go; not keep: the address is taken away, then the MAC, then the rules."""
        try:
            if not keep:
                self._segment.leave()
                self._segment.ignore()
                self._remove_rules()
        finally:
            self._segment.close()

    # --- rules -----------------------------------------------------------------------------------

    def _entrance(self, address: str) -> list[str]:
        return [_ENTRANCE, "-d", f"{address}/32", "-j", self._chain]

    def _telling(self, address: str) -> list[str]:
        words = ["OUTPUT", "-s", address, "-o", self._shared.interface, "--h-length", "6"]
        return [*words, "-j", "mangle", "--mangle-mac-s", self._shared.mac.hex(":")]

    def _is_installed(self) -> bool:
        there = programs.rules(_TABLE, self._chain)
        return any(fingerprint(self._shared) in words for words in there)

    def _install(self, answering: Answering) -> None:
        """Put all chains in place of those that there are, by one replacement of the table."""
        stays = self._shared.established is Established.STAY
        chains = dict(self._judges(stays=stays))
        # An inherited bucket is ours as well: its own verdict comes first.
        kinds = {_ORPHANED: answering.orphaned, _MINE: answering.mine - answering.orphaned}
        kinds |= {_FORMER: answering.former} if stays else {}
        chains[_ALL] = [
            f'-i lo -m comment --comment "{fingerprint(self._shared)}" -j RETURN',
            *(rule for kind, buckets in kinds.items() for rule in self._dispatch(kind, buckets)),
            "-j DROP",
        ]
        lines = [f"*{_TABLE}", *(f":{self._chain}{kind} - [0:0]" for kind in chains)]
        lines += [
            f"-A {self._chain}{kind} {rule}" for kind, rules in chains.items() for rule in rules
        ]
        programs.restore("\n".join((*lines, "COMMIT\n")))

    def _dispatch(self, kind: str, buckets: frozenset[int]) -> Iterator[str]:
        layout = self._shared.layout
        for bucket in sorted(buckets):
            yield (  # a rule each: iptables 1.8.9 takes masks up to 32 only
                f"-m cluster --cluster-total-nodes {layout.buckets} --cluster-local-node "
                f"{bucket + 1} --cluster-hash-seed {layout.seed} -g {self._chain}{kind}"
            )

    def _judges(self, *, stays: bool) -> Iterator[tuple[str, list[str]]]:
        """Yield what becomes of the packets of a kind of buckets; RETURN lets them in."""
        known = "-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
        strangers = ["-p tcp --syn -j RETURN", f"-p tcp {known}", "-p tcp -j DROP"]
        yield _MINE, strangers if stays else []
        yield _ORPHANED, []
        yield _FORMER, ["-p tcp --syn -j DROP", f"-p tcp {known}", f"-p icmp {known}", "-j DROP"]

    def _read(self) -> Answering:
        found: dict[str, set[int]] = {_MINE: set(), _ORPHANED: set(), _FORMER: set()}
        for words in programs.rules(_TABLE, self._chain):
            if _MASK in words:
                mask = int(words[words.index(_MASK) + 1], 16)
                found[words[-1].removeprefix(self._chain)].add(mask.bit_length() - 1)
        orphaned = frozenset(found[_ORPHANED])
        return Answering(orphaned | found[_MINE], orphaned, frozenset(found[_FORMER]))

    def _remove_rules(self) -> None:
        for words in programs.rules(_TABLE, _ENTRANCE):
            if words[-2:] == ["-j", self._chain]:
                programs.iptables("-t", _TABLE, "-D", *words[1:])
        for one in self._shared.addresses:
            with contextlib.suppress(OperationError):
                programs.arptables("-D", *self._telling(str(one.ip)))
        kinds = (_ALL, _MINE, _ORPHANED, _FORMER)
        for command in ("-F", "-X"):
            for kind in kinds:
                with contextlib.suppress(OperationError):
                    programs.iptables("-t", _TABLE, command, self._chain + kind)


def refuse(shared: SharedAddress) -> None:
    """Raise OperationError for what this match cannot do."""
    if any(one.version != 4 for one in shared.addresses):
        raise OperationError("xt_cluster is used for IPv4 only; expected nftables for IPv6")
    if shared.layout.mode is not HashMode.SOURCE_IP:
        mode = shared.layout.mode.value
        raise OperationError(f"xt_cluster hashes the source address only; expected no {mode}")
    if shared.layout.buckets > MAX_BUCKETS:
        raise OperationError(
            f"xt_cluster knows {MAX_BUCKETS} buckets; expected fewer than {shared.layout.buckets}"
        )
    if not shared.is_multicast:
        raise OperationError(
            "xt_cluster wants a multicast MAC; expected nftables for a unicast one"
        )
    if len(f"share-{shared.name}{_MINE}") > MAX_CHAIN:
        raise OperationError(f"{shared.name}: the name is too long for a chain of iptables")
