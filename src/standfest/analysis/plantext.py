"""A transition and the status after it as text."""

from collections.abc import Sequence

from standfest.analysis import reasons
from standfest.analysis.injection import Injection
from standfest.core.scheduler import outcome
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.outcome import Event


def lines_of(cluster: Cluster, failed: Sequence[Injection] = ()) -> list[str]:
    """Return what happens, and where everything is then.

    failed: what is made to fail in it; then what comes of it is for the next transition to say.
    """
    found = ["Transition:"]
    events = reasons.events(cluster)
    found += [f"  {_sentence(event)}" for event in events] or ["  nothing to do"]
    if failed:
        found += [f"  fails:    {one.key} on {one.node} (exit code {one.code})" for one in failed]
        found.append("  what depends on that does not happen")
        return found
    return [*found, "", "Status after it:", *status_of(cluster)]


def status_of(cluster: Cluster) -> list[str]:
    """Return where everything is after the transition."""
    nodes, places = outcome.final(cluster)
    found = [f"  node {name}: {state}" for name, state in nodes.items()]
    marks: dict[str, str] = {}
    for leaf in outcome.leaves_of(cluster):
        if leaf.blocked or not leaf.managed:
            word = "blocked by a failure" if leaf.blocked else "unmanaged"
            marks.setdefault(outcome.label(leaf), f"  [{word}]")
    for name in sorted(places):
        where = ", ".join(f"{role} on {node}" for role, node in sorted(places[name]))
        found.append(f"  {name}: {where or 'stopped'}{marks.get(name, '')}")
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
