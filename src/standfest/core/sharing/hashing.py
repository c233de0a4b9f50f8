"""Which bucket a flow falls into, exactly as the kernel computes it.

The hash is Bob Jenkins' lookup3 ("jhash"; public domain, burtleburtle.net/bob/c/lookup3.c) over
the fields, each in whole words as nftables' registers have them; a bucket is the hash scaled to
the number of buckets: (hash x buckets) >> 32. Source: facts/DATAPLANE.md section 1 (300 of 300 as
the kernel's).
"""

from standfest.model.sharing import Flow, HashMode, Layout

_MASK = 0xFFFFFFFF
_GOLDEN = 0xDEADBEEF
_ROUND = ((0, 2, 1, 4), (1, 0, 2, 6), (2, 1, 0, 8), (0, 2, 1, 16), (1, 0, 2, 19), (2, 1, 0, 4))
_LAST = (
    (2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24),
)  # fmt: skip


def bucket_of(layout: Layout, flow: Flow) -> int:
    """Return the bucket of a flow, 0 to layout.buckets - 1, by nftables and xt_cluster."""
    return _bucket(layout, flow.source.packed, flow)


def clusterip_bucket_of(layout: Layout, flow: Flow) -> int:
    """Return the bucket of an IPv4 flow by the target CLUSTERIP, which counts them from 1.

    It has the address in the machine's byte order, the ports in that of the network. Source: the
    kernel's own answers, 200 of 200 in each mode (tests/uml).
    """
    return _bucket(layout, flow.source.packed[::-1], flow)


def _bucket(layout: Layout, key: bytes, flow: Flow) -> int:
    if layout.mode is not HashMode.SOURCE_IP:
        key += flow.source_port.to_bytes(2) + b"\0\0"
    if layout.mode is HashMode.SOURCE_IP_PORTS:
        key += flow.destination_port.to_bytes(2) + b"\0\0"
    return jhash(key, layout.seed) * layout.buckets >> 32


def jhash(key: bytes, seed: int) -> int:
    """Return the 32-bit hash of a key of any length; words are little-endian, as on x86 and ARM."""
    state = [(_GOLDEN + len(key) + seed) & _MASK] * 3
    while len(key) > 12:
        _add(state, key[:12])
        for into, by, then, turn in _ROUND:
            state[into] = (state[into] - state[by]) & _MASK
            state[into] ^= _rotated(state[by], turn)
            state[by] = (state[by] + state[then]) & _MASK
        key = key[12:]
    if key:
        _add(state, key.ljust(12, b"\0"))
        for into, by, turn in _LAST:
            state[into] = ((state[into] ^ state[by]) - _rotated(state[by], turn)) & _MASK
    return state[2]


def _add(state: list[int], words: bytes) -> None:
    for position in range(3):
        word = int.from_bytes(words[4 * position : 4 * position + 4], "little")
        state[position] = (state[position] + word) & _MASK


def _rotated(word: int, turn: int) -> int:
    return (word << turn | word >> (32 - turn)) & _MASK
