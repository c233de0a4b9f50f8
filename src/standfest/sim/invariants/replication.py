"""What copies of the configuration may say, in memory and on disk (docs/guide/guarantees.md)."""

from dataclasses import dataclass, field

from standfest.core.cib.document import Rank
from standfest.core.cib.replica import Sync
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.time import Instant
from standfest.runtime.cluster import effects, protocol, stored
from standfest.runtime.cluster.asks import NO_ANSWER
from standfest.runtime.cluster.protocol import Clear, Move, Request, Standby
from standfest.sim.invariants.base import Invariant
from standfest.sim.node import SimNode
from standfest.sim.scene import Scene


class SameVersionSameDigest(Invariant):
    """Two configurations under one name can never be told apart again."""

    name = "same-version-same-digest"
    promise = "configurations of one version, written in one term, are the same on all members"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._known: dict[Rank, Element] = {}

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Compare whatever is written to a disk with what anybody wrote under that version."""
        del now
        if not isinstance(effect, effects.Save) or self.scene.may_split:
            return
        known = self._known.setdefault(effect.cib.rank, effect.cib.configuration)
        if known is not effect.cib.configuration and known != effect.cib.configuration:
            raise self.broken(f"{node.name} writes another configuration as {effect.cib.rank}")

    def settled(self) -> None:
        """Compare whole copies in memory, status included."""
        members = [n.member for n in self.sim.nodes.values() if n.member is not None]
        copies = {m.cib.version: m.cib for m in members if m.synchronised}
        for member in members:
            known = copies.get(member.cib.version)
            if member.synchronised and known is not None and known != member.cib:
                raise self.broken(f"{member.name}'s copy of {member.cib.version} differs")


class NewestWins(Invariant):
    """A partition acts on the newest configuration that any of its members has."""

    name = "newest-of-its-partition"
    promise = "a coordinator begins with the newest configuration of all that joined it"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._joins: dict[tuple[int, str], dict[str, Rank]] = {}

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Remember each Join; compare at each Sync to all."""
        del now
        if not isinstance(effect, effects.Send):
            return
        message = effect.message
        if isinstance(message, protocol.Join) and effect.destination:
            rank = (message.version.admin_epoch, message.written, message.version.epoch)
            self._joins.setdefault((message.term, effect.destination), {})[node.name] = rank
        elif isinstance(message, Sync) and node.member is not None and node.member.coordinator:
            joined = node.member.coordinator.ledger.joined
            began = (message.version.admin_epoch, message.written, message.version.epoch)
            for name, rank in self._joins.get((message.term, node.name), {}).items():
                if name in joined and rank > began:
                    raise self.broken(f"{node.name} begins with {began}, but {name} has {rank}")

    def settled(self) -> None:
        """Every disk holds what its member has in memory."""
        for node in self.sim.nodes.values():
            if node.member is None or not node.member.synchronised:
                continue
            kept = node.disk.load()
            rank = stored.from_bytes(kept).cib.rank if kept is not None else (0, 0, 0)
            if rank != node.member.cib.rank:
                raise self.broken(f"{node.name} has {node.member.cib.rank}, its disk {rank}")


class OneLeaderPerTerm(Invariant):
    """A term with two coordinators would order changes twice."""

    name = "one-coordinator-per-term"
    promise = (
        "of the coordinators that a majority joined no two share a term, "
        "as long as a disk of those that joined both has kept what it promised"
    )

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._leads: dict[int, tuple[str, frozenset[str]]] = {}

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every Sync of a coordinator that a majority joined."""
        del now
        if not isinstance(effect, effects.Send) or not isinstance(effect.message, Sync):
            return
        coordinator = node.member.coordinator if node.member is not None else None
        if coordinator is None or 2 * len(coordinator.ledger.joined) <= len(self.scene.names):
            return
        term, joined = effect.message.term, frozenset(coordinator.ledger.joined)
        known, before = self._leads.get(term, (node.name, joined))
        both = joined & before if known != node.name else joined | before
        self._leads[term] = node.name, both if known == node.name else joined
        if known != node.name and not all(self.sim.nodes[name].disk.lost for name in both):
            raise self.broken(f"{known} and {node.name} both led in {term}")


@dataclass(slots=True)
class _Asked:
    """A request without an answer; meanwhile: the values acknowledged since it was made."""

    value: str
    meanwhile: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Register:
    """What a key may hold: the value acknowledged last, or any asked for since.

    late: values that nobody has answered for: they may be on their way still.
    """

    acknowledged: str = ""
    holders: frozenset[str] = frozenset()
    open: dict[tuple[str, int], _Asked] = field(default_factory=dict)
    maybe: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)


class AcknowledgedKept(Invariant):
    """Who was told "done" can rely on it."""

    name = "acknowledged-kept"
    promise = "a change that was acknowledged outlives the loss of any minority"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._registers: dict[str, _Register] = {}

    def asked(self, now: Instant, node: SimNode, client: int, request: Request) -> None:
        """Remember what may come of a request."""
        del now
        found = asked_value(request)
        if found is not None:
            key, value = found
            register = self._registers.setdefault(key, _Register())
            register.open[node.name, client] = _Asked(value)

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Take the answer."""
        del now
        if not isinstance(effect, effects.Answer):
            return
        for register in self._registers.values():
            asked = register.open.pop((node.name, effect.client), None)
            if asked is None:
                continue
            if not effect.accepted:
                (register.late if effect.text == NO_ANSWER else register.maybe).add(asked.value)
                continue
            # What was open at the same time may have come before or after: it stays possible.
            for other in register.open.values():
                other.meanwhile.add(asked.value)
            register.acknowledged = asked.value
            register.maybe = asked.meanwhile | {other.value for other in register.open.values()}
            register.holders = frozenset(self._holders())

    def settled(self) -> None:
        """Compare with what the coordinator has."""
        if self.scene.may_split:
            return
        for node in self.sim.nodes.values():
            coordinator = node.member.coordinator if node.member is not None else None
            if coordinator is None or not coordinator.ledger.serving:
                continue
            for key, register in self._registers.items():
                self._compare(
                    key, register, kept_value(coordinator.ledger.replica.cib.configuration, key)
                )

    def _compare(self, key: str, register: _Register, value: str) -> None:
        still = (asked.value for asked in register.open.values())
        possible = {register.acknowledged, *register.maybe, *register.late, *still}
        if value not in possible and not self._disks_lost(register):
            raise self.broken(
                f"{key} is {value or 'not set'!r}, acknowledged was {register.acknowledged!r}"
            )
        register.acknowledged, register.maybe, register.late = value, set(), set()
        register.open.clear()

    def _disks_lost(self, register: _Register) -> bool:
        """Return whether so many disks lost what they had synced that no majority was left."""
        kept = [name for name in register.holders if not self.sim.nodes[name].disk.lost]
        return 2 * len(kept) <= len(self.scene.names)

    def _holders(self) -> set[str]:
        """Return whose disks have the acknowledged configuration."""
        for node in self.sim.nodes.values():
            coordinator = node.member.coordinator if node.member is not None else None
            if coordinator is not None and coordinator.ledger.serving:
                return set(coordinator.ledger.joined)
        return set(self.scene.names)


def asked_value(request: Request) -> tuple[str, str] | None:
    """Return (key, value) of what a request sets in the configuration, None if it sets nothing."""
    match request:
        case Standby(node, on):
            return f"standby of {node}", "on" if on else ""
        case Move(resource, node) if node:
            return f"place of {resource}", node
        case Clear(resource):
            return f"place of {resource}", ""
        case _:
            return None


def kept_value(configuration: Element, key: str) -> str:
    """Return what a configuration says of a key, the empty string for nothing."""
    what, _, name = key.partition(" of ")
    if what == "standby":
        nodes = configuration.child("nodes")
        for node in nodes.children if nodes else ():
            if node.get("uname") == name:
                pairs = (pair for pair in node.walk() if pair.tag == "nvpair")
                return next((p.get("value") or "" for p in pairs if p.get("name") == what), "")
        return ""
    constraints = configuration.child("constraints")
    for constraint in constraints.children if constraints else ():
        if constraint.id == f"cli-prefer-{name}":
            return constraint.get("node") or ""
    return ""
