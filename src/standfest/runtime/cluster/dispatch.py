"""Which input of a coordinator a member's message is."""

from standfest.core.cib.replica import OutOfStep, Stored
from standfest.model.time import Instant
from standfest.runtime.cluster import protocol
from standfest.runtime.cluster.coordinator import Coordinator
from standfest.runtime.cluster.effects import MemberEffect


def to_coordinator(
    coordinator: Coordinator,
    now: Instant,
    wall: int,
    sender: str,
    message: protocol.ClusterMessage,
) -> list[MemberEffect]:
    """Give the coordinator a message; what is not for coordinators is ignored."""
    match message:
        case protocol.Join():
            return coordinator.join(now, wall, sender, message)
        case protocol.Outcome(result):
            return coordinator.outcome(now, wall, sender, result)
        case protocol.Fenced():
            return coordinator.fence_ended(now, wall, message)
        case protocol.Links(down):
            return coordinator.report_links(now, wall, sender, down)
        case protocol.Reachable(number):
            return coordinator.reach.report(now, sender, number)
        case protocol.Ask():
            return coordinator.ask(now, wall, sender, message)
        case protocol.Depart():
            return coordinator.depart(now, wall, sender)
        case Stored():
            return coordinator.stored(now, wall, sender, message)
        case OutOfStep():
            return coordinator.resynchronise(sender)
        case _:
            return []
