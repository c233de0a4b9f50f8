"""Every rare branch of the daemons that the simulator can reach is reached, here by a short run."""

from functools import cache

import pytest
from tests.simulation.campaign import order_of

from standfest.sim import probes
from standfest.sim.run import Order, Outcome, run

RARE = {
    # A member that was away brings a newer configuration.
    "configuration-adopted": Order(15, 2, 0.05, 90),
    # A node is to leave, and a stop of what it runs has failed.
    "departure-blocked": Order(52, 2, 0.05, 90),
    "fencing-failed": Order(2, 2, 0.05, 90, fencing=True),
    "fenced-and-heard": Order(2, 3, 0.05, 90, fencing=True),
    # Two of three miss the third and cannot fence it: it may not have noticed yet.
    "quorum-open": Order(0, 3, 0.05, 90, fencing=False),
    "reach-changed": Order(0, 2, 0.05, 90, pings=True),
    "nodes": Order(0, 3, 0.05, 90, roster=True),
    "node-joins": Order(0, 3, 0.05, 90, autojoin=True),
    # A node stands still for longer than its deadtime.
    "paused": Order(17, 2, 0.1, 120),
    # All cables are pulled.
    "isolated": Order(4, 3, 0.05, 90),
    # Links that work one way only.
    "not-in-view": Order(12, 3, 0.05, 90),
    "outvoted": Order(12, 3, 0.05, 90),
    # A node is added while another one is away.
    "nodes-heard-of": Order(112501, 5, 1, only=frozenset({0, 1, 2}), roster=True),
}
"""Event -> a run in which it is noted."""


@cache
def outcome(order: Order) -> Outcome:
    return run(order)


@pytest.mark.parametrize("event", RARE)
def test_a_rare_branch_is_reached(event: str) -> None:
    found = outcome(RARE[event])
    assert found.noted[event]
    assert found.violation is None


def test_together_these_runs_reach_every_branch_but_those_that_none_can() -> None:
    noted = {event for order in RARE.values() for event in outcome(order).noted}
    assert probes.names() - noted == set(probes.NEVER)


def test_a_campaign_has_nodes_that_come_and_go_and_hosts_that_are_pinged() -> None:
    orders = [order_of(seed) for seed in range(200)]
    for nodes in (3, 7):
        some = [order for order in orders if order.nodes == nodes]
        assert any(order.roster or order.autojoin for order in some)
    assert any(order.pings and order.nodes == 2 for order in orders)
    assert any(order.roster for order in orders)
    assert any(order.autojoin for order in orders)
    # Half of two nodes would be left when one is removed or has not come yet.
    assert all(order.nodes % 2 for order in orders if order.roster or order.autojoin)
