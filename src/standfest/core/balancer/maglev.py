"""Maglev tables: which server answers a slot, so that losing one moves hardly any other slot.

Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
section 3.4, with integer weights as turns per round (facts/DATAPLANE.md section 6).
"""

from collections.abc import Mapping

SIZES = (251, 1021, 4093, 16381, 65537)
"""Primes; at least 100 slots a server keep shares within 1 %."""

SLOTS_PER_SERVER = 100


def size_for(servers: int) -> int:
    """Return the smallest table size that gives every server 100 slots, or the largest there is."""
    wanted = servers * SLOTS_PER_SERVER
    return next((size for size in SIZES if size >= wanted), SIZES[-1])


def table(weights: Mapping[str, int], size: int) -> list[str]:
    """Return the server of each slot; empty when no server has a weight above 0.

    size: a prime. The order of `weights` does not matter. Two directors with the same servers and
    weights come to the same table without a word between them.
    """
    assert size in SIZES, "a prime, so that every step visits all slots"
    turns = [(name, weight) for name, weight in sorted(weights.items()) if weight > 0]
    if not turns:
        return []
    largest = max(weight for _, weight in turns)
    # Turns are taken whole: scale down so that one round never fills more than the table.
    scale = max(1, largest * len(turns) // size)
    rounds = [max(1, weight // scale) for _, weight in turns]
    offsets = [_hash(name, b"offset") % size for name, _ in turns]
    steps = [_hash(name, b"step") % (size - 1) + 1 for name, _ in turns]
    owners = [-1] * size
    filled = 0
    while True:
        for index, turn in enumerate(rounds):
            place, step = offsets[index], steps[index]
            for _ in range(turn):
                while owners[place] >= 0:
                    place += step
                    if place >= size:
                        place -= size
                owners[place] = index
                filled += 1
                if filled == size:
                    return [turns[owner][0] for owner in owners]
            offsets[index] = place


def _hash(name: str, purpose: bytes) -> int:
    import hashlib  # noqa: PLC0415  3 MB that only services with such a table pay

    digest = hashlib.blake2b(name.encode(), digest_size=8, key=purpose).digest()
    return int.from_bytes(digest, "little")
