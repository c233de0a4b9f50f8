"""What was probably meant, as the "expected" part of an error."""

from collections.abc import Iterable

from standfest.config.nearest import nearest


def meant(name: str, known: Iterable[str]) -> str:
    """Return the nearest known name in quotes, or all known ones when none is near."""
    words = sorted(known)
    close = nearest(name, words)
    return f'"{close}"' if close else ", ".join(words)
