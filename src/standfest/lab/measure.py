"""From a client's records to what an administrator asks: how long, who, and was it ever two. Pure.

All instants are seconds of one monotonic clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

ARP_PACE_S = 0.005
"""How often each address is asked for; one request answered twice counts as that long."""

PAUSE_S = 0.1
"""Twenty questions: an owner that answers none of them in between has let go."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe of a service; node: who answered, None for nobody."""

    service: int
    began: float
    ended: float
    node: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """One ARP reply."""

    ip: str
    at: float
    mac: str


@dataclass(frozen=True, slots=True)
class Outage:
    """The longest gap between good answers that ends after the fault.

    before and after: who answered last before the gap and first after it; restored: when that was.
    """

    seconds: float
    before: str
    after: str
    restored: float


def outage(answers: Iterable[Answer], service: int, fault: float, until: float) -> Outage | None:
    """Return the outage that a fault caused, or None when nobody ever answered again.

    until: the end of the observation; a service that is silent at that moment has not recovered.
    """
    good = sorted(
        (answer for answer in answers if answer.service == service and answer.node is not None),
        key=lambda answer: answer.ended,
    )
    longest: Outage | None = None
    for last, first in pairwise(good):
        if first.ended < fault:
            continue
        gap = first.ended - last.ended
        if longest is None or gap > longest.seconds:
            longest = Outage(gap, last.node or "", first.node or "", first.ended)
    if not good or until - good[-1].ended > 0.5:
        return None
    return longest


def served_twice(answers: Iterable[Answer], service: int, fault: float) -> float:
    """Return for how long an old owner still served connections begun after a new one's answer.

    0.0 is as it must be.
    """
    good = sorted(
        (a for a in answers if a.service == service and a.node is not None and a.ended >= fault),
        key=lambda answer: answer.began,
    )
    return _overlap([(answer.began, answer.node or "") for answer in good])


def answered_twice(replies: Iterable[Reply], ip: str, fault: float) -> float:
    """Return for how long two MACs answered for one address after the fault."""
    mine = sorted((r for r in replies if r.ip == ip and r.at >= fault), key=lambda r: r.at)
    return _overlap([(reply.at, reply.mac) for reply in mine])


def _overlap(seen: Sequence[tuple[float, str]]) -> float:
    """Return for how long, in all, two owners held the same thing; seen: (when, owner) in order.

    An owner is asked every few milliseconds. One that is silent for no longer than PAUSE_S while
    another one answers has held it all the time; one that is silent for longer had given it up.
    """
    runs: list[list[tuple[float, str]]] = []
    for entry in seen:
        if runs and runs[-1][-1][1] == entry[1]:
            runs[-1].append(entry)
        else:
            runs.append([entry])
    total, covered = 0.0, float("-inf")
    for before, between, after in zip(runs, runs[1:], runs[2:], strict=False):
        began, ended = before[-1][0], after[0][0]
        same = before[-1][1] == after[0][1] and between[0][1] != after[0][1]
        if same and ended - began <= PAUSE_S:
            total += max(ended - max(began, covered), 0.0)
            covered = max(covered, ended)
    return max(total, ARP_PACE_S) if total else 0.0


def owners(macs: Mapping[str, tuple[str, str]], replies: Iterable[Reply], ip: str) -> list[str]:
    """Return the hosts that answered for an address, in the order of their first reply."""
    found: list[str] = []
    for reply in sorted(replies, key=lambda r: r.at):
        host = macs.get(reply.mac, (reply.mac, ""))[0]
        if reply.ip == ip and host not in found:
            found.append(host)
    return found
