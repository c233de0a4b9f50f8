"""What really runs in a simulation, and what of it may run on several nodes at once."""

from standfest.adapters.memory.world import World
from standfest.config.cib import compile_configuration
from standfest.model.configuration import Clone, Group
from standfest.model.element import Element


def world_of(configuration: Element) -> World:
    """Return a world that knows of what there may be several."""
    compiled = compile_configuration(configuration)[0]
    # What "runs" of a fence device is somebody's permission to use it.
    shared = {p.id for p in compiled.primitives() if p.agent.standard == "stonith"}
    most: dict[str, int] = {}
    for clone in compiled.resources:
        if isinstance(clone, Clone) and not clone.globally_unique:
            inner = clone.child.members if isinstance(clone.child, Group) else (clone.child,)
            shared |= {primitive.id for primitive in inner}
            most |= {primitive.id: clone.promoted_max for primitive in inner}
    return World(frozenset(shared), most)
