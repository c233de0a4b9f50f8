"""How long which buckets may be answered: what the voters' echoes amount to.

Source: docs/adr/0024-load-sharing.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from standfest.model.sharing import Buckets
from standfest.model.time import Instant


@dataclass(frozen=True, slots=True)
class Support:
    """One voter's word: these buckets, until then."""

    buckets: Buckets
    until: Instant


def covered(supports: Iterable[Support], needed: int) -> dict[Instant, Buckets]:
    """Return which buckets `needed` voters support until when: each bucket once, at its latest.

    A bucket is covered until the first of its `needed` longest supports ends.
    """
    found: dict[Instant, Buckets] = {}
    at_least: list[Buckets] = [-1] + [0] * needed  # by how many of those read so far, at least
    done = 0
    for support in sorted(supports, key=lambda one: -one.until):
        for count in range(needed, 0, -1):
            at_least[count] |= at_least[count - 1] & support.buckets
        new = at_least[needed] & ~done
        if new:
            found[support.until] = found.get(support.until, 0) | new
            done |= new
    return found


class Asked:
    """Since which of our beats we want a bucket without a break.

    A vote counts only if the voter had heard us want the bucket since then: a vote for an earlier
    time, which it may have taken back, is worth nothing.
    """

    def __init__(self) -> None:
        self._since: dict[int, Buckets] = {}

    def want(self, number: int, buckets: Buckets) -> None:
        """From beat `number` on we want these buckets and no others."""
        known = 0
        for since, some in list(self._since.items()):
            left = some & buckets
            known |= left
            if left:
                self._since[since] = left
            else:
                del self._since[since]
        new = buckets & ~known
        if new:
            self._since[number] = self._since.get(number, 0) | new

    def by(self, number: int) -> Buckets:
        """Return what a voter knows to be wanted that has heard beat `number`."""
        found = 0
        for since, some in self._since.items():
            if since <= number:
                found |= some
        return found


def grant(
    names: Sequence[str],
    votes: dict[str, Buckets],
    wanted: Mapping[str, Buckets],
    free: Buckets,
    wishes: Iterable[Mapping[str, Buckets]],
) -> None:
    """Give free votes to members who want them, adding to `votes`.

    wishes: who is to have what, the foremost first: who answers a bucket already, who is to have
    it, and at last whoever asks.
    """
    for wish in wishes:
        for name in names:
            given = free & wish.get(name, 0) & wanted.get(name, 0)
            if given:
                votes[name] = votes.get(name, 0) | given
                free &= ~given
