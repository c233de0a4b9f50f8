"""How steadily nodes are heard, as text for a terminal."""

from typing import Any


def render_view(view: dict[str, Any]) -> str:
    """Return which nodes the cluster daemon takes for members, and why others are none."""
    lines = [f"View: {' '.join(view['members'])}"]
    if view["self_outvoted"]:
        lines.append(f"  {view['node']} is outvoted: others that all hear each other go on")
    lines += [f"  {out['node']} is outvoted: {out['why']}" for out in view["outvoted"]]
    return "".join(line + "\n" for line in lines)


def render(report: dict[str, Any]) -> str:
    """Return what `pulse` says of its peers as lines; times in ms."""
    deadtime = report["deadtime"]
    lines = [f"Node {report['node']}, deadtime {deadtime} ms"]
    for peer in report["steadiness"]:
        lines += ["", f"{peer['node']:<20} {peer['status']}"]
        lines.append(
            f"  heartbeats {peer['heartbeats']}, late {peer['late']}, lost {peer['lost']}; "
            f"silence {peer['usual']} ms, 99 % {peer['p99']} ms, longest {peer['longest']} ms"
        )
        for link in peer["links"]:
            state = f"heard {link['last']} ms ago" if link["up"] else "NOT HEARD"
            lines.append(
                f"  {link['link']:<18} {state}, {link['received']} messages, "
                f"{link['skipped']} not over it, longest silence {link['longest']} ms"
            )
        advised = peer["advised_deadtime"]
        verdict = "is enough" if advised <= deadtime else "IS TOO SHORT"
        lines.append(f"  this network needs a deadtime of {advised} ms: {deadtime} ms {verdict}")
    return "".join(line + "\n" for line in lines)
