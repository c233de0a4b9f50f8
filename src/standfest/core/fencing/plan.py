"""Which devices fence a node, in which order, and who calls their agents.

Source: facts/formats/CIB-MODERN.md section 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from standfest.model.fencing import DEFAULT_TRIES, FenceCall, FenceDevice, FencingPlan
from standfest.model.time import Duration

Attributes = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Scene:
    """What fencing must know of the cluster: who could call agents, and where devices run.

    me: the coordinator; members: all that take part, me included; active: device -> where it runs;
    attributes: node -> its attributes.
    """

    me: str
    members: frozenset[str]
    plan: FencingPlan = field(default_factory=FencingPlan)
    active: Mapping[str, frozenset[str]] = field(default_factory=dict)
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One action of one device; must: without it the level has failed."""

    device: FenceDevice
    action: str
    must: bool = True


def levels(scene: Scene, target: str, action: str) -> list[list[Step]]:
    """Return the levels to try one after the other; empty if nothing can fence the node.

    A topology for the node counts alone; without one each device is a level of its own: those that
    run come first, then by priority and name.
    """
    plan = scene.plan
    attributes = scene.attributes.get(target, {})
    stated = sorted(
        (level for level in plan.levels if level.is_for(target, attributes)), key=lambda x: x.index
    )
    if action == "on":
        openers = [d for d in plan.devices if d.unfences and d.can_fence(target)]
        if openers:
            return [[Step(device, "on") for device in openers]]
    if not stated:
        able = [device for device in plan.devices if device.can_fence(target)]
        able.sort(key=lambda d: (not scene.active.get(d.id), -d.priority, d.id))
        return [[Step(device, action)] for device in able]
    found = []
    for level in stated:
        devices = [plan.device(name) for name in level.devices]
        known = [device for device in devices if device is not None]
        if known and len(known) == len(devices):
            found.append(_together(known, action))
    return found


def _together(devices: list[FenceDevice], action: str) -> list[Step]:
    """Let several devices reboot a node: all power off before any is back on."""
    if len(devices) == 1 or action != "reboot":
        return [Step(device, action) for device in devices]
    down = [Step(device, "off") for device in devices]
    return down + [Step(device, "on", must=False) for device in devices]


def executors(scene: Scene, step: Step, target: str) -> list[str]:
    """Return who may call a step's agent, best first: never the target, me only if need be.

    A node that is let in is asked itself: its own keys may have to be registered.
    """
    running = scene.active.get(step.device.id, frozenset())
    others = scene.members - {target}
    best = sorted(others, key=lambda node: (node not in running, node == scene.me, node))
    if step.action == "on" and step.device.unfences and target in scene.members:
        return [target, *best]
    return best


def tries(step: Step) -> int:
    """Return how often a step is tried."""
    return dict(step.device.tries).get(step.action, DEFAULT_TRIES)


def timeout(scene: Scene, step: Step) -> Duration:
    """Return how long all tries of a step may take."""
    stated = dict(step.device.timeouts).get(step.action)
    return stated or step.device.timeout or scene.plan.timeout


def call(step: Step, target: str, limit: Duration) -> FenceCall:
    """Return the call of a step's agent."""
    device = step.device
    return FenceCall(
        device=device.id,
        agent=device.agent,
        action=step.action,
        word=dict(device.words).get(step.action, step.action),
        target=target,
        port=dict(device.ports).get(target, target),
        timeout=limit,
        parameters=device.parameters,
        host_argument=device.host_argument,
    )
