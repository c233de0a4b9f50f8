"""A simulated cluster whose machines are recorded, for tests."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from standfest.core.membership.machine import Membership
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.recording.recorder import Recorder, about
from standfest.runtime.recording.ring import Ring
from standfest.sim import cluster, node

RING_BYTES = 4 * 1024 * 1024


@dataclass
class Recordings:
    """Rings in memory, one for each machine that was made, and what went wrong with any."""

    size: int = RING_BYTES
    rings: list[tuple[str, bytearray]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have all simulated machines recorded from now on."""
        monkeypatch.setattr(cluster, "Membership", self._membership)
        monkeypatch.setattr(node, "ClusterMember", self._member)

    def _membership(self, **settings: Any) -> Membership:
        # In the simulator all draw from one source; a recording needs one of its own.
        own = random.Random(settings["random"].getrandbits(64))
        machine = Membership(**settings | {"random": own})
        return self.recorder("pulse", hides=True).attach("membership", machine)

    def _member(self, *arguments: Any) -> ClusterMember:
        return self.recorder("cluster", hides=False).attach("member", ClusterMember(*arguments))

    def recorder(self, process: str, *, hides: bool) -> Recorder:
        """Return a recorder for one machine."""
        buffer = bytearray(self.size)
        self.rings.append((process, buffer))
        ring = Ring(buffer, about("sim", process))
        return Recorder(ring, self.troubles.append, hides=hides, clock=lambda: 0)
