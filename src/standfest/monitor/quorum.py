"""The quorum as text, for a terminal."""

from typing import Any

Report = dict[str, Any]
"""What `runtime.cluster.quorumreport` makes: plain JSON values."""

_MANDATES = {
    "quorate": "with quorum",
    "open": "undecided: what runs goes on, nothing is started",
    "lost": "WITHOUT quorum",
}


def render(report: Report) -> str:
    """Return it as lines: the verdict, the votes, the tiebreaker."""
    lines = [
        f"{report['node']}'s partition is {_MANDATES[report['mandate']]}: {report['why']}",
        f"Votes: {report['votes']} of {report['expected']}, {report['needed']} needed",
        "",
        "Nodes:",
    ]
    for node in report["nodes"]:
        state = "present" if node["present"] else "absent"
        votes = "1 vote" if node["votes"] == 1 else f"{node['votes']} votes"
        lines.append(f"  {node['name']:<20} {votes:<10} {state}")
    lines += ["", f"Tiebreaker: {report['tiebreaker']}"]
    arbiter = report["arbiter"]
    lines += [f"  {name}: {value}" for name, value in sorted(arbiter.items())]
    if report["two_node"]:
        lines.append("Two-node rule: each half goes on, fencing decides")
    if report["wait_for_all"]:
        waits = "waiting for them" if report["waiting_for_all"] else "all have been there"
        lines.append(f"After a start all nodes have to be there once: {waits}")
    return "".join(line + "\n" for line in lines)
