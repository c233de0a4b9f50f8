"""With ipfail, what runs is where the connection to the outside is."""

from standfest.model.configuration import Clone, Group, Primitive
from standfest.sim.invariants.base import Invariant
from standfest.sim.scene import UNMANAGED


class Connected(Invariant):
    """Resources follow the ping nodes."""

    name = "connected"
    promise = "with ipfail every resource runs on a node that really reaches most ping nodes"

    def settled(self) -> None:
        """Compare where everything runs with the ways that there are."""
        if not self.scene.settings.pinging.ipfail:
            return
        reach = {
            name: len(self.sim.targets.reachable(name))
            for name, node in self.sim.nodes.items()
            if node.up
        }
        best = {name for name, count in reach.items() if count == max(reach.values())}
        for top in self.configuration.resources:
            if isinstance(top, Clone):
                continue
            for primitive in top.members if isinstance(top, Group) else (top,):
                where = self.sim.world.on(primitive.id)
                if _goes(primitive) and not where <= best:
                    raise self.broken(
                        f"{primitive.id} runs on {sorted(where)}, most is reached by {sorted(best)}"
                    )


def _goes(primitive: Primitive) -> bool:
    """Return whether it goes where the cluster wants it; a device is only somebody's permission."""
    return primitive.id != UNMANAGED and primitive.agent.standard != "stonith"
