"""Which server answers which slot: schedulers where the kernel only looks up a table.

nftables and XDP choose a slot (by turn, at random or by a hash) and look up its server. Source:
facts/DATAPLANE.md sections 1.1 and 6.
"""

from collections.abc import Mapping, Sequence
from math import gcd

from standfest.core.balancer import maglev
from standfest.model.slots import Choice, Slots

MAX_TURNS = 1021
"""Slots of a table that is filled by weights; finer weights than this are rounded."""


SUPPORTED = {
    "rr": Choice.TURN,
    "wrr": Choice.TURN,
    "sh": Choice.SOURCE,
    "dh": Choice.DESTINATION,
    "mh": Choice.SOURCE,
    "fo": Choice.TURN,
    "lc": Choice.TURN,
    "wlc": Choice.TURN,
    "sed": Choice.TURN,
    "nq": Choice.TURN,
}
"""Schedulers that a table can stand for; those by connections follow from counted weights."""

COUNTED = frozenset({"lc", "wlc", "sed", "nq"})
INSTEAD = {"lblc": "sh", "lblcr": "mh", "ovf": "fo", "twos": "wlc"}
"""Schedulers that a table cannot stand for -> the one that comes nearest."""


def slots(scheduler: str, flags: Sequence[str], weights: Mapping[str, int]) -> Slots:
    """Return a scheduler's table; weights: by server. Raises ValueError with the alternative."""
    choice = SUPPORTED.get(scheduler)
    if choice is None:
        nearest = INSTEAD.get(scheduler, "wrr")
        raise ValueError(f"scheduler {scheduler} needs the ipvs backend; expected e.g. {nearest}")
    if scheduler in ("sh", "mh") and {"sh-port", "mh-port"} & set(flags):
        choice = Choice.SOURCE_PORT
    if scheduler in ("rr", "lc"):
        weights = {name: 1 for name, weight in weights.items() if weight > 0}
    elif scheduler == "fo":
        best = max(weights.values(), default=0)
        names = sorted(name for name, weight in weights.items() if weight == best and weight > 0)
        weights = dict.fromkeys(names[:1], 1)
    if choice is Choice.TURN:
        return Slots(choice, tuple(by_turn(weights)))
    return Slots(choice, tuple(maglev.table(weights, maglev.size_for(len(weights)))))


def by_turn(weights: Mapping[str, int]) -> list[str]:
    """Return the servers in turn, each as often as its weight says, as evenly spread as can be.

    Smooth weighted round robin: a server gains its weight each turn, and the richest one pays the
    sum of all for its turn. The list ends where the pattern begins anew.
    """
    turns = {name: weight for name, weight in sorted(weights.items()) if weight > 0}
    if not turns:
        return []
    turns = _reduced(turns)
    total = sum(turns.values())
    credit = dict.fromkeys(turns, 0)
    found: list[str] = []
    for _ in range(total):
        for name, weight in turns.items():
            credit[name] += weight
        chosen = max(credit, key=lambda name: (credit[name], turns[name]))
        credit[chosen] -= total
        found.append(chosen)
    return found


def _reduced(weights: dict[str, int]) -> dict[str, int]:
    """Return the same proportions in small numbers: whole if they fit, else rounded."""
    divisor = gcd(*weights.values())
    reduced = {name: weight // divisor for name, weight in weights.items()}
    total = sum(reduced.values())
    if total <= MAX_TURNS:
        return reduced
    return {name: max(1, weight * MAX_TURNS // total) for name, weight in reduced.items()}


def changed(before: Sequence[str], after: Sequence[str]) -> list[int]:
    """Return the slots whose server is another one, where both tables are of one size."""
    return [n for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
