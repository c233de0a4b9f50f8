"""Fencing as values: devices, topology, one call of a fence agent, what became of a fencing.

Compiled by `config.cib`, decided by `core.fencing`, performed by `adapters.linux.fenceagents`.
Source: facts/formats/CIB-MODERN.md section 5, RA-API.md section 5.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from standfest.model.time import Duration, seconds

DEFAULT_TRIES = 2
"""How often an action of a device is tried while its timeout lasts: `pcmk_*_retries`."""

_NOT_FOR_AGENTS = ("pcmk_", "CRM_meta_", "stonith-", "stonith_", "OCF_")

Pairs = tuple[tuple[str, str], ...]


def is_for_agents(name: str) -> bool:
    """Return whether a device's parameter is its agent's business."""
    return not name.startswith(_NOT_FOR_AGENTS) and name not in ("priority", "provides")


@dataclass(frozen=True, slots=True)
class FenceDevice:
    """One stonith-class primitive that is not switched off by its target-role.

    hosts: whom it can fence, empty for anybody; ports: node -> how the device names it.
    words: action -> the word that its agent wants for it; timeouts and tries: by action.
    delays: before its first action, `node -> base`, with "" for all others; delay_max: up to where
    chance may prolong it. limit: how many calls at once, 0 for any number.
    parameters: for the agent alone, sorted. timeout: 0 for the cluster's.
    """

    id: str
    agent: str
    parameters: Pairs = ()
    hosts: tuple[str, ...] = ()
    ports: Pairs = ()
    host_argument: str = ""
    priority: int = 0
    words: Pairs = ()
    timeouts: tuple[tuple[str, Duration], ...] = ()
    tries: tuple[tuple[str, int], ...] = ()
    delays: tuple[tuple[str, Duration], ...] = ()
    delay_max: Duration = 0
    limit: int = 1
    timeout: Duration = 0
    unfences: bool = False

    def can_fence(self, node: str) -> bool:
        """Return whether this device is for that node."""
        return not self.hosts or node in self.hosts

    def delay(self, node: str, draw: float) -> Duration:
        """Return how long to wait before a node is fenced; draw: of [0, 1)."""
        stated = dict(self.delays)
        base = stated.get(node, stated.get("", 0))
        return base + int(max(0, self.delay_max - base) * draw)


@dataclass(frozen=True, slots=True)
class FencingLevel:
    """Devices that must all succeed, in this order; levels are tried by ascending index.

    For the node `target`, for names that match `pattern`, or for nodes with `attribute`.
    """

    index: int
    devices: tuple[str, ...]
    target: str = ""
    pattern: str = ""
    attribute: tuple[str, str] = ("", "")

    def is_for(self, node: str, attributes: Mapping[str, str]) -> bool:
        """Return whether this level is for a node with these attributes."""
        if self.target:
            return self.target == node
        if self.pattern:
            return re.search(self.pattern, node) is not None
        name, value = self.attribute
        return bool(name) and attributes.get(name) == value


@dataclass(frozen=True, slots=True)
class FencingPlan:
    """All that is configured; timeout: of a call; max_attempts: until nothing more is tried."""

    devices: tuple[FenceDevice, ...] = ()
    levels: tuple[FencingLevel, ...] = ()
    timeout: Duration = seconds(60)
    max_attempts: int = 10

    def device(self, name: str) -> FenceDevice | None:
        """Return the device of that name."""
        return next((device for device in self.devices if device.id == name), None)


@dataclass(frozen=True, slots=True)
class FenceCall:
    """One call of a fence agent. action: `reboot`, `off` or `on`; word: the agent's name for it.

    target: the node; port: how the device names it, passed by `host_argument` (empty: by whatever
    the agent understands, `none`: not at all). parameters may be secret.
    """

    device: str
    agent: str
    action: str
    word: str
    target: str
    port: str
    timeout: Duration
    parameters: Pairs = ()
    host_argument: str = ""


class FencingState(Enum):
    """How far a fencing has come."""

    UNDER_WAY = "under way"
    DONE = "done"
    FAILED = "failed"
    CONFIRMED = "confirmed by an administrator"


@dataclass(frozen=True, slots=True)
class FencingRecord:
    """One fencing for administrators. began, ended: seconds since 1970, 0 while it is under way.

    origin: who asked, the cluster (empty) or an administrator on that node; executor: the node that
    did it; attempts: how many have failed so far.
    """

    id: str
    target: str
    action: str
    state: FencingState
    origin: str
    began: int
    ended: int = 0
    executor: str = ""
    devices: tuple[str, ...] = ()
    attempts: int = 0
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        """Return whether the node was fenced, or an administrator has said so."""
        return self.state in (FencingState.DONE, FencingState.CONFIRMED)
