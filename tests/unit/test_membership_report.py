"""`standfest membership`: what an administrator reads."""

from standfest.monitor.membership import render, render_view

LINK = {"link": "eth1", "up": True, "received": 90, "skipped": 2, "longest": 310, "last": 40}
PEER = {
    "node": "b",
    "status": "active",
    "deadtime": 1000,
    "heartbeats": 80,
    "late": 1,
    "lost": 2,
    "usual": 100,
    "p99": 180,
    "longest": 620,
    "advised_deadtime": 1300,
    "links": [LINK, {**LINK, "link": "eth0", "up": False}],
}


def test_it_says_whether_the_deadtime_is_enough() -> None:
    report = {"node": "a", "deadtime": 1000, "steadiness": [PEER]}
    text = render(report)
    assert "heartbeats 80, late 1, lost 2; silence 100 ms, 99 % 180 ms, longest 620 ms" in text
    assert "heard 40 ms ago, 90 messages, 2 not over it, longest silence 310 ms" in text
    assert "NOT HEARD, 90 messages" in text
    assert "needs a deadtime of 1300 ms: 1000 ms IS TOO SHORT" in text
    assert "1300 ms: 1300 ms is enough" in render({**report, "deadtime": 1300})


def test_the_view_says_who_is_out_and_why() -> None:
    out = [{"node": "node2", "why": "node2 does not hear node3"}]
    view = {
        "node": "node1",
        "members": ["node1", "node3"],
        "outvoted": out,
        "self_outvoted": False,
    }
    assert render_view(view) == (
        "View: node1 node3\n  node2 is outvoted: node2 does not hear node3\n"
    )


def test_a_node_that_is_outvoted_says_so_first() -> None:
    view = {"node": "node2", "members": ["node2"], "outvoted": [], "self_outvoted": True}
    assert render_view(view) == (
        "View: node2\n  node2 is outvoted: others that all hear each other go on\n"
    )
