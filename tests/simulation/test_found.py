"""What the simulator has found once stays mended: each of these broke a promise."""

import pytest

from standfest.sim.run import Order, run

FOUND = (
    # A stop ended after its node had joined anew, and what needs the stopped was started.
    Order(716, 3, 0.34),
    # A node joined twice in an instant: what it was asked in between was taken for lost.
    Order(757, 2, 0.67, only=frozenset({5, 8, 10, 12, 15, 17, 18})),
    # The node's daemon joined before its heartbeat was heard, and was forgotten again.
    Order(5010, 3, 0.37, 60, only=frozenset({23, 26, 39})),
    # A new coordinator believed its own old copy of what ran on a node that did not join it.
    Order(7055, 3, 0.34, 100, only=frozenset({0, 1})),
    # A goodbye that came while its hearer was letting go of everything was not taken for one,
    Order(7006, 3, 0.34, 100, only=frozenset({27, 30})),
    # nor one that came before the first heartbeat of its sender.
    Order(8136, 2, 0.34, 100, only=frozenset({16, 19, 20})),
    # A daemon that was started again left before anybody had looked what runs.
    Order(7073, 2, 0.34, 100, only=frozenset({34, 41, 42, 43, 44})),
    # A request for what had just been asked was answered before the first one was kept.
    Order(8071, 3, 0.34, 100, only=frozenset({36, 38, 50, 54, 55})),
    # What ended between a Join and the first decision of a new coordinator stayed pending.
    Order(9000, 3, 0.34, 100),
    # What others need was stopped although a group that needs it could not be.
    Order(100487, 2, 1, only=frozenset({19, 23, 26})),
    # A removed node that was started again heard goodbyes, fenced who gave them, and was fenced.
    Order(11, 3, 0.34, only=frozenset({2, 3, 4}), roster=True),
    # What a node said before it was heard was not looked at, and it was not asked again.
    Order(102032, 3, 0.34, only=frozenset({5, 6, 8})),
    # Nodes that its coordinator had not heard for long had votes while views were undecided.
    Order(102700, 7, 0.67, 100),
    # Who left in order was fenced for what had not been heard of its last stops.
    Order(102865, 2, 1, 100, only=frozenset({69, 72, 73})),
    # Half of the votes that joined kept a change, since the other half was heard.
    Order(2127, 3, 0.34, 100, only=frozenset({10, 12, 16, 18}), roster=True),
    # What a group needs was stopped beside the probes that found it again after a clean-up.
    Order(106589, 2, 1, only=frozenset({28, 29})),
    # A node that wanted to leave, and crashed, was kept from running anything when it came back.
    Order(106192, 3, 1, only=frozenset({13, 23, 24, 25, 27})),
    # A node that restarted was given up for its last silence: its first heartbeats were overtaken.
    Order(3, 3, 0.05, 90),
    # The simulator's own: who could leave only after everything was put right stayed away.
    Order(54, 4, 0.34, 120),
    # A node that was away while another one was added, and did not hear it, fenced all others.
    Order(112501, 5, 1, only=frozenset({0, 1, 2}), roster=True),
    # A disk had lost its node's last term, and the other one had promised just that to this node.
    Order(113218, 2, 1, only=frozenset({1, 2, 3, 6, 7})),
    # The checker's own: a `pulse` that was restarted twice could not know how long one was dead.
    Order(116030, 2, 1, 100, only=frozenset({21, 47, 49, 50, 52})),
    # Likewise: a cluster daemon stood still, and towards the end its whole node, not for long.
    Order(117045, 2, 1, 100, only=frozenset({96, 98})),
    # What was missing for too long was given up at once: a hundred breaks, and as many answers.
    Order(117124, 2, 1, only=frozenset({3, 5})),
    # A node that had led by itself obeyed a coordinator before it had joined it again.
    Order(118305, 2, 1, 100, pings=True),
    # A node that was given up was heard again for its goodbye only, and fenced all the same.
    Order(120736, 2, 1, only=frozenset({1, 2})),
    # A node that did not hear a member said so only when it joined, and was given work.
    Order(122012, 3, 1, only=frozenset({25, 26})),
    # Likewise: what two halves without fencing both ran is left alone while one of them is away.
    Order(124580, 2, 1, 100, only=frozenset({51, 54, 55})),
    # The simulator's own: who woke heard that a cable is back before that it had been pulled.
    Order(127483, 2, 1, only=frozenset({8, 9})),
    # What a node said while it took another one for none of its cluster was missing, unnoticed.
    Order(130102, 3, 1, only=frozenset({13, 15, 17, 18}), roster=True),
    # Its operator took a move back once, was not answered, and did not ask again.
    Order(109980, 2, 1, 100, only=frozenset({23, 24}), pings=True),
)


@pytest.mark.parametrize("order", FOUND, ids=lambda order: f"{order.seed}")
def test_what_was_found_stays_mended(order: Order) -> None:
    outcome = run(order)
    assert outcome.violation is None
    assert outcome.faults, "the seed draws other faults by now: find another one"
