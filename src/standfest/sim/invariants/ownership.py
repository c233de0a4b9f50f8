"""Who runs what: checked on what the agents really did, not on what anybody believes."""

from standfest.core.membership import effects as membership
from standfest.model.configuration import Clone, Configuration, Group
from standfest.model.operations import ExitCode, Operation
from standfest.model.time import Instant, in_seconds, seconds
from standfest.runtime.cluster import effects, protocol
from standfest.sim.invariants.base import Invariant
from standfest.sim.node import SimNode
from standfest.sim.scene import SECRET, UNMANAGED, Scene

CHANGES = frozenset({"start", "stop", "promote", "demote", "migrate_to", "migrate_from"})
SILENCE_COUNTS = seconds(300)
"""How long after a silence without a death its consequences may last where there is no fencing."""


RECOVERED = seconds(60)
"""Within which what was stopped to be recovered is started again."""


class OneOwner(Invariant):
    """Two nodes that answer ARP for one address, or write to one disk, end in lost data."""

    name = "one-owner"
    promise = "an exclusive resource is active on at most one node at any instant"

    def acted(self, now: Instant, node: str, operation: Operation, code: ExitCode) -> None:
        """Look whenever somebody starts or promotes something."""
        del code
        if operation.task not in {"start", "promote", "migrate_to"}:
            return
        doubles = self.sim.world.doubles()
        if not doubles or self._excused(now):
            return
        name = doubles[0]
        owners = " and ".join(sorted(self.sim.world.on(name)))
        addresses = {p.id for p in self.configuration.primitives() if "IPaddr" in p.agent.type}
        does = "answer ARP for" if name in addresses else "write the data of"
        raise self.broken(f"{owners} {does} {name} since {node} did {operation.task}")

    def _excused(self, now: Instant) -> bool:
        """Without fencing, or with a fence device that lies, silence is taken for death."""
        if self.sim.fences_lied:
            return True
        return self.scene.trusts_silence and now - self.sim.last_silence < SILENCE_COUNTS


class FenceBeforeRecover(Invariant):
    """What a lost node ran may still run there until it is known to be off."""

    name = "fence-before-recover"
    promise = "what a lost node ran starts elsewhere only after that node was fenced or came back"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._lost: dict[str, tuple[str, Instant]] = {}

    def crashed(self, now: Instant, node: SimNode) -> None:
        """Whatever ran there is an orphan; the world has forgotten it already."""
        world = self.sim.world
        for resource in world.orphans[node.name] - world.shared:
            self._lost[resource] = (node.name, now)

    def fenced(self, now: Instant, node: str) -> None:
        """A node is off for certain."""
        del now
        self._lost = {r: lost for r, lost in self._lost.items() if lost[0] != node}

    def powered(self, now: Instant, node: SimNode) -> None:
        """The node is back, and can be asked."""
        self.fenced(now, node.name)

    def acted(self, now: Instant, node: str, operation: Operation, code: ExitCode) -> None:
        """Look at every start."""
        lost = self._lost.get(operation.resource)
        if lost is None or operation.task != "start" or code is not ExitCode.OK:
            return
        del self._lost[operation.resource]
        if not self.scene.fencing or lost[0] == node or self.sim.fences_lied:
            return
        after = in_seconds(now - lost[1])
        raise self.broken(
            f"{node} started {operation.resource} {after:.1f} s after {lost[0]} died, unfenced"
        )


class QuorumBeforeStart(Invariant):
    """A partition that is not the majority cannot know what the majority does."""

    name = "no-start-without-quorum"
    promise = (
        "nothing is started or promoted on the word of a coordinator without quorum, but what it "
        "has just had stopped, where no-quorum-policy is freeze"
    )

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._heard: dict[str, set[str]] = {name: set() for name in scene.names}
        self._before: dict[str, tuple[Instant, set[str]]] = {}
        self._stopped: dict[str, Instant] = {}

    def acted(self, now: Instant, node: str, operation: Operation, code: ExitCode) -> None:
        """Remember what is stopped: frozen means that what runs may be recovered."""
        del node
        if operation.task == "stop" and code is ExitCode.OK:
            self._stopped[operation.resource] = now

    def crashed(self, now: Instant, node: SimNode) -> None:
        """Forget whom it heard."""
        self._heard[node.name] = set()
        self._before.pop(node.name, None)

    def pulse_started(self, now: Instant, node: SimNode) -> None:
        """A new `pulse` knows nobody yet; whom the one before heard may be there for a deadtime."""
        self._before[node.name] = now + self.scene.deadtime, self._heard[node.name]
        self._heard[node.name] = set()

    def pulsed(self, now: Instant, node: SimNode, effect: membership.MembershipEffect) -> None:
        """Remember whom it hears."""
        del now
        if isinstance(effect, membership.NodeChanged):
            gone = effect.state in {membership.NodeStatus.DEAD, membership.NodeStatus.LEFT}
            known = self._heard[node.name]
            self._heard[node.name] = known - {effect.node} if gone else known | {effect.node}
            if gone and node.name in self._before:
                self._before[node.name][1].discard(effect.node)

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every order to start."""
        if not isinstance(effect, effects.Send) or self.scene.may_split:
            return
        message = effect.message
        if not isinstance(message, protocol.Execute):
            return
        if message.operation.task not in {"start", "promote"}:
            return
        stopped = self._stopped.get(message.operation.resource)
        if self.scene.policy == "freeze" and stopped is not None and now - stopped < RECOVERED:
            return
        until, before = self._before.get(node.name, (0, set()))
        heard = node.heard | (before if now < until else set())
        present, all_nodes = len(heard) + 1, len(self.scene.names)
        if 2 * present <= all_nodes:
            raise self.broken(
                f"{node.name} hears {present - 1} of {all_nodes - 1} others and has "
                f"{message.operation.resource} started"
            )


class Order(Invariant):
    """What is needed first is there first, and goes last."""

    name = "order"
    promise = "nothing starts before what it needs runs, and nothing stops below what needs it"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._pairs = pairs(scene, configuration)

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every run of an agent, when it begins; shaken: died by itself, or was lied of."""
        del now
        if not isinstance(effect, effects.StartRun):
            return
        task, name, world = effect.operation.task, effect.operation.resource, self.sim.world
        for first, then in self._pairs:
            if first in self.sim.shaken or then in self.sim.shaken:
                continue
            if task == "start" and name == then and not world.on(first):
                raise self.broken(f"{node.name} starts {then} before {first} runs anywhere")
            if task == "stop" and name == first and node.name in world.on(then):
                if self.scene.trusts_silence and len(world.on(then)) > 1:
                    continue  # left alone on a node that is away, and so on all, as by Pacemaker
                raise self.broken(f"{node.name} stops {first} below {then}")


class Colocation(Invariant):
    """What belongs together is together."""

    name = "colocation"
    promise = "nothing starts on a node where what it must be with does not run"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._pairs = pairs(scene, configuration)

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every start, when it begins."""
        del now
        if not isinstance(effect, effects.StartRun) or effect.operation.task != "start":
            return
        for first, then in self._pairs:
            if then != effect.operation.resource or first in self.sim.shaken:
                continue
            if node.name not in self.sim.world.on(first):
                raise self.broken(f"{node.name} starts {then}, but {first} is not there")


class Unmanaged(Invariant):
    """What the operator keeps for himself."""

    name = "unmanaged-untouched"
    promise = "nothing but a monitor runs for a resource that is not managed"

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every run of an agent."""
        del now
        if not isinstance(effect, effects.StartRun) or effect.operation.resource != UNMANAGED:
            return
        if effect.operation.task in CHANGES:
            raise self.broken(f"{node.name} does {effect.operation.task} of {UNMANAGED}")


class Secrets(Invariant):
    """What an operator must not see by accident."""

    name = "no-secret-told"
    promise = "no log line and no answer holds the value of a password"

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at all that is written for people."""
        del now
        if isinstance(effect, effects.Note):
            for name, value in effect.fields:
                if SECRET in value:
                    raise self.broken(f"{node.name} logs it in {effect.event}, field {name}")
        elif isinstance(effect, effects.Answer) and SECRET in effect.text:
            raise self.broken(f"{node.name} answers it")


def pairs(scene: Scene, configuration: Configuration) -> list[tuple[str, str]]:
    """Return (needed, needing) primitives of groups, and of the scene's one constraint."""
    found: list[tuple[str, str]] = []
    for top in configuration.resources:
        inner = top.child if isinstance(top, Clone) else top
        if isinstance(inner, Group):
            names = [member.id for member in inner.members]
            found += [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    extra = {"web-after-database": ("db", "web"), "clone-and-mail": ("lsd", "files")}
    if scene.resources in extra:
        found.append(extra[scene.resources])
    return found
