"""Choices for the generators, each a number, the simplest first.

Hypothesis draws them where counterexamples shall shrink; a seeded source where the same situations
must come up whatever version of Hypothesis is installed.
"""

import random
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Number = Callable[[int, int], int]
"""(low, high) -> a number within."""


@cache
def _numbers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def drawn(draw: st.DrawFn) -> Number:
    """Return numbers that Hypothesis draws, and shrinks."""
    return lambda low, high: draw(_numbers(low, high))


def seeded(seed: str) -> Number:
    """Return the same numbers for the same seed."""
    return random.Random(seed).randint


class Choices:
    """What is chosen, limited to the features of a family of situations."""

    def __init__(self, number: Number, features: frozenset[str], *, large: bool = False) -> None:
        self._number = number
        self._features = features
        self.most_nodes = 8 if large else 5
        self.most_units = 14 if large else 6

    def has(self, feature: str) -> bool:
        """Return whether the family has the feature; chooses nothing."""
        return feature in self._features

    def pick(self, *options: T) -> T:
        """Return one of the options; the first is the simplest."""
        return options[self.number(0, len(options) - 1)]

    def number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`; low ones are simpler."""
        return low if low == high else self._number(low, high)

    def some(self, feature: str, one_in: int = 2) -> bool:
        """Return True once in `one_in` times where the family has the feature, else False."""
        return feature in self._features and self._number(1, one_in) == one_in
