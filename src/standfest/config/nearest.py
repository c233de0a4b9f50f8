"""The known name that an unknown one was probably meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_NAME = 100


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the closest known name, or None when nothing is close."""
    lower = {word.lower(): word for word in sorted(known)}
    found = get_close_matches(name[:MAX_NAME].lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return what to put after "expected": the nearest name, or a list of the known ones."""
    words = sorted(known)
    close = nearest(name, words)
    return f'"{close}"' if close else ", ".join(words)
