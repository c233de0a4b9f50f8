"""What a balancer that starts learns from the table that it finds: nobody's service is interrupted.

A server that is missing there had failed; it stays away until it has been checked. Weight 0, where
the configuration says another one, is a server that is being drained, or one that has failed and
was inhibited.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from standfest.core.balancer.pool import Pool
from standfest.model.balancing import BfdCheck, FileCheck, MiscCheck, RealServer
from standfest.model.forwarding import Destination, Service, ServiceKey
from standfest.runtime.balancer.checks import Check, Checks


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a balancer keeps outside its own memory, so that its successor knows it.

    keys: services that are ours in the kernel. drained: (service, server) by name, as in
    naming.py. keep: leave everything as it is at the end.
    """

    keys: frozenset[ServiceKey] = frozenset()
    drained: frozenset[tuple[str, str]] = frozenset()
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Adopted:
    """What one pool's servers are: down: checkers whose servers are taken to have failed."""

    pool: int
    down: frozenset[tuple[int, str]]
    drained: frozenset[int]
    weights: tuple[tuple[int, int], ...]


def adopt(
    pool: Pool, keys: tuple[ServiceKey, ...], actual: Mapping[ServiceKey, Service], checks: Checks
) -> Adopted | None:
    """Return what the table says about a pool; None: nothing, it is not there."""
    there = next((actual[key] for key in keys if key in actual), None)
    if there is None:
        return None
    down: set[tuple[int, str]] = set()
    drained: set[int] = set()
    weights: list[tuple[int, int]] = []
    for number, server in enumerate(pool.settings.servers):
        known = there.destinations.get(pool.key(server))
        own = checks.of_server(pool.number, number)
        if _has_failed(known, inhibited=server.inhibit_on_failure and server.weight > 0):
            down.update((number, check.name) for check in own if _is_probed(check))
        elif known is not None and any(_sets_weight(check) for check in own):
            weights.append((number, known.weight))
        elif known is not None and known.weight == 0 and _means_drained(server):
            drained.add(number)
    return Adopted(pool.number, frozenset(down), frozenset(drained), tuple(weights))


def _means_drained(server: RealServer) -> bool:
    """Return whether weight 0 is news: one with a threshold may only have been full.

    Who was drained by name is in the ledger, too.
    """
    return server.weight > 0 and not server.upper_threshold


def _has_failed(known: Destination | None, *, inhibited: bool) -> bool:
    return known is None or (inhibited and known.weight == 0)


def _is_probed(check: Check) -> bool:
    return not isinstance(check.checker, FileCheck | BfdCheck)


def _sets_weight(check: Check) -> bool:
    return isinstance(check.checker, FileCheck) or (
        isinstance(check.checker, MiscCheck) and check.checker.dynamic
    )
