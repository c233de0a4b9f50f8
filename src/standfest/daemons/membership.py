"""What `pulse` tells administrators of its peers, as plain JSON values; times in ms."""

from standfest.core.membership.peer import Peer
from standfest.model.time import Instant, in_milliseconds


def steadiness(peer: Peer, now: Instant) -> dict[str, object]:
    """Return how a node's heartbeats come, and over which links."""
    figures = peer.rhythm.figures()
    return {
        "node": peer.name,
        "status": peer.status.value if peer.status else "not heard yet",
        "deadtime": in_milliseconds(peer.deadtime),
        "heartbeats": figures.heartbeats,
        "late": figures.late,
        "lost": figures.lost,
        "usual": in_milliseconds(figures.usual),
        "p99": in_milliseconds(figures.p99),
        "longest": in_milliseconds(figures.longest),
        "advised_deadtime": in_milliseconds(figures.advised),
        "links": [
            {
                "link": name,
                "up": link.up,
                "received": link.received,
                "skipped": link.skipped,
                "longest": in_milliseconds(link.longest),
                "last": in_milliseconds(now - link.heard),
            }
            for name, link in sorted(peer.links.items())
        ],
    }
