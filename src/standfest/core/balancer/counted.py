"""Schedulers by connections where the kernel only looks up a table: its weights follow the counts.

A table gives each server a share of the new connections. From period to period the shares are set
so that, when about as many new ones come as in the period before, every server has what its weight
says. A lookup per connection in the kernel (ipvs) does it at once; this does it within a period.
"""

from collections.abc import Mapping

SHARES = 120
"""Slots that all servers share: divisible by 2, 3, 4, 5, 6, 8, 10 and 12."""


def shares(
    scheduler: str, weights: Mapping[str, int], connections: Mapping[str, int], arrivals: int
) -> dict[str, int]:
    """Return each server's weight in the table until the next count, 0..SHARES.

    scheduler: lc, wlc, sed or nq; weights: by server, 0 takes no part; connections: those that are
    open now; arrivals: new ones of the last period, all servers together.
    """
    taking = {name: weight for name, weight in weights.items() if weight > 0}
    if scheduler == "lc":
        taking = dict.fromkeys(taking, 1)
    if scheduler == "nq":  # never queue: who is idle comes first
        idle = {name: w for name, w in taking.items() if not connections.get(name)}
        taking = idle or taking
    if not taking:
        return {}
    missing = _missing(taking, connections, max(arrivals, len(taking)))
    total = sum(missing.values())
    found = {name: amount * SHARES // total for name, amount in missing.items()}
    # What rounding left goes to whoever lacks most, so that nobody's share is lost.
    neediest = max(missing, key=lambda name: (missing[name], name))
    found[neediest] += SHARES - sum(found.values())
    return found


def _missing(
    taking: Mapping[str, int], connections: Mapping[str, int], arrivals: int
) -> dict[str, int]:
    """Return how many connections each server lacks, times the sum of the weights that share.

    Who has more than its part when all are counted gets none; the others share what is left.
    """
    sharing = dict(taking)
    while True:
        have = sum(connections.get(name, 0) for name in sharing)
        weight = sum(sharing.values())
        lacks = {
            name: (have + arrivals) * part - connections.get(name, 0) * weight
            for name, part in sharing.items()
        }
        over = [name for name, amount in lacks.items() if amount < 0]
        if not over:
            return dict.fromkeys(taking, 0) | lacks
        for name in over:
            del sharing[name]
