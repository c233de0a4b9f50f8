"""Draws for the generators: simplest first, so that counterexamples shrink to small clusters."""

from functools import cache
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


@cache
def _numbers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


class Choices:
    """What is drawn, limited to the features of a family of situations."""

    def __init__(self, draw: st.DrawFn, features: frozenset[str]) -> None:
        self._draw = draw
        self._features = features

    def has(self, feature: str) -> bool:
        """Return whether the family has the feature; draws nothing."""
        return feature in self._features

    def pick(self, *options: T) -> T:
        """Return one of the options; the first is the simplest."""
        return options[self.number(0, len(options) - 1)]

    def number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`; low ones are simpler."""
        return low if low == high else self._draw(_numbers(low, high))

    def some(self, feature: str, one_in: int = 2) -> bool:
        """Return True once in `one_in` times where the family has the feature, else False."""
        return feature in self._features and self._draw(_numbers(1, one_in)) == one_in
