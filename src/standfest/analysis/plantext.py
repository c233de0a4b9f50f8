"""A transition and the status after it as text."""

from standfest.core.scheduler import outcome
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.outcome import Event


def lines_of(cluster: Cluster) -> list[str]:
    """Return what happens, and where everything is then."""
    found = ["Transition:"]
    events = outcome.events(cluster)
    found += [f"  {_sentence(event)}" for event in events] or ["  nothing to do"]
    nodes, places = outcome.final(cluster)
    found += ["", "Status after it:"]
    found += [f"  node {name}: {state}" for name, state in nodes.items()]
    for name in sorted(places):
        where = ", ".join(f"{role} on {node}" for role, node in sorted(places[name]))
        found.append(f"  {name}: {where or 'stopped'}")
    found += [f"  note: {note}" for note in cluster.notes]
    return found


def _sentence(event: Event) -> str:
    if event.op == "fence":
        text = f"fence     {event.node} ({event.how})"
    elif event.source and event.target:
        text = f"{event.op:9} {event.resource} from {event.source} to {event.target}"
    elif event.source:
        text = f"{event.op:9} {event.resource} on {event.source}"
    else:
        text = f"{event.op:9} {event.resource} on {event.target or event.node}"
    if event.blocked:
        text += "  [blocked]"
    return f"{text}  ({event.reason})" if event.reason else text
