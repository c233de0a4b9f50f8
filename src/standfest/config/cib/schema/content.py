"""The content of one type of element as a machine: states are patterns, made when first needed.

A state remembers where each attribute and child led, so that a document costs a look-up for each.
"""

from collections.abc import Mapping

from standfest.config.cib.schema import patterns
from standfest.config.cib.schema.datatypes import Data
from standfest.config.cib.schema.patterns import NEVER, Attribute, Child, Pattern, Version

MAX_STATES = 10_000
"""Of one type; an adversary's document can reach many, and then they are forgotten."""


class State:
    """What may still follow; `attributes` and `children` are the ways that were taken before."""

    __slots__ = ("attributes", "children", "closed", "complete", "pattern")

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.complete = patterns.nullable(pattern)
        self.closed: State | None = None
        self.attributes: dict[tuple[str, tuple[Data, ...]], State | None] = {}
        self.children: dict[str, State | None] = {}


class Content:
    """One type's pattern in one version."""

    def __init__(self, pattern: Pattern) -> None:
        """Take a pattern without versions."""
        self.data: dict[str, tuple[Data, ...]] = {}
        self.types: dict[str, str] = {}
        self.has_text = False
        for leaf in patterns.leaves(pattern):
            match leaf:
                case Attribute(name, data):
                    self.data[name] = tuple(dict.fromkeys((*self.data.get(name, ()), data)))
                case Child(tag, kind):
                    known = self.types.setdefault(tag, kind)
                    assert known == kind, f"<{tag}> is {known} and {kind} in one element"
                case patterns.Text():
                    self.has_text = True
        self._states: dict[Pattern, State] = {}
        self._pattern = pattern
        self.start = self._state(pattern)

    def after_attribute(self, state: State, name: str, data: tuple[Data, ...]) -> State | None:
        """Return the state after an attribute whose value is each of `data`; None: not here."""
        key = (name, data)
        if key not in state.attributes:

            def fits(leaf: Attribute) -> bool:
                return leaf.name == name and leaf.data in data

            state.attributes[key] = self._reached(patterns.after_attribute(state.pattern, fits))
        return state.attributes[key]

    def after_child(self, state: State, tag: str) -> State | None:
        """Return the state after a child; None: not here. The state's attributes are closed."""
        if tag not in state.children:
            state.children[tag] = self._reached(patterns.after_child(state.pattern, tag))
        return state.children[tag]

    def close(self, state: State) -> State:
        """Return the state when no attribute follows; its pattern is NEVER when one is missing."""
        if state.closed is None:
            state.closed = self._state(patterns.closed(state.pattern))
        return state.closed

    def _reached(self, pattern: Pattern) -> State | None:
        return None if pattern == NEVER else self._state(pattern)

    def _state(self, pattern: Pattern) -> State:
        if len(self._states) >= MAX_STATES:
            self._states.clear()
        return self._states.setdefault(pattern, State(pattern))


def contents(types: Mapping[str, Pattern], version: Version) -> dict[str, Content]:
    """Return what each type is in one version; types that no longer have a place included."""
    return {name: Content(patterns.at(pattern, version)) for name, pattern in types.items()}
