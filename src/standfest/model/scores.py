"""Scores: integers clamped at plus and minus INFINITY.

Source: Pacemaker Explained, "Scores" (infinity arithmetic).
"""

INFINITY = 1_000_000


def clamp(score: int) -> int:
    """Return `score` within [-INFINITY, INFINITY]."""
    return max(-INFINITY, min(INFINITY, score))


def add_scores(left: int, right: int) -> int:
    """Return the sum; -INFINITY wins over everything, INFINITY over everything else."""
    if left <= -INFINITY or right <= -INFINITY:
        return -INFINITY
    if left >= INFINITY or right >= INFINITY:
        return INFINITY
    return clamp(left + right)
