"""One document against the types of a schema: every problem that an administrator can act on.

After a problem it goes on as if what was meant had been there, so one mistake is one finding and
all are reported together. Never raises, whatever the elements hold.
"""

from collections.abc import Iterable, Mapping

from standfest.config.cib.names import meant
from standfest.config.cib.schema import patterns
from standfest.config.cib.schema.content import Content, State
from standfest.config.cib.schema.datatypes import Data, Identity, Kind, Other, Words
from standfest.config.cib.schema.patterns import NEVER, Attribute, Child, Leaf
from standfest.config.nearest import nearest
from standfest.model.element import Element
from standfest.model.errors import Finding

MAX_FINDINGS = 1_000
MAX_SHOWN = 60
"""Characters of a value in a message."""
MAX_COMPARED = 20_000
"""Ids that are looked through for near ones, over all findings."""
_SPACES = " \t\r\n"


def check(root: Element, type_name: str, types: Mapping[str, Content], path: str) -> list[Finding]:
    """Return what is wrong with a document whose root is of a type, in document order.

    At most MAX_FINDINGS and one that says that there is more.
    """
    checker = _Checker(types, path)
    stack = [(root, type_name)]
    while stack and len(checker.findings) < MAX_FINDINGS:
        element, name = stack.pop()
        content = types.get(name)
        if content is not None:
            stack.extend(reversed(checker.element(element, content)))
    if not stack:
        checker.resolve()
    found = checker.findings
    if stack or len(found) > MAX_FINDINGS:
        found = [*found[:MAX_FINDINGS], Finding(path, 0, f"more than {MAX_FINDINGS} problems")]
    return found


def named(element: Element) -> str:
    """Return how messages call an element."""
    return f"<{element.tag} id={_short(element.id)}>" if element.id else f"<{element.tag}>"


def shown(text: str) -> str:
    """Return a value as messages show it."""
    return repr(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


class _Checker:
    """Collects findings, ids and references."""

    def __init__(self, types: Mapping[str, Content], path: str) -> None:
        self.findings: list[Finding] = []
        self._types = types
        self._path = path
        self._ids: dict[str, Element] = {}
        self._references: list[tuple[Element, str, str]] = []
        self._skipped: set[str] = set()  # ids inside unknown elements
        self._compared = 0

    def element(self, element: Element, content: Content) -> list[tuple[Element, str]]:
        """Examine one element; return its children with their types."""
        state = self._attributes(element, content)
        state = self._closed(element, content, state)
        if element.text.strip(_SPACES) and not content.has_text:
            self._note(element, f"{named(element)} has text {shown(element.text)}", "none")
        return self._children(element, content, state)

    def resolve(self) -> None:
        """Examine the references, now that all ids are known."""
        for element, name, text in self._references:
            if len(self.findings) > MAX_FINDINGS:
                break
            if text not in self._ids and text not in self._skipped:
                problem = f"{named(element)}: {name} is {shown(text)}, which nothing has as its id"
                self._note(element, problem, self._nearest_id(text))

    def _nearest_id(self, text: str) -> str:
        self._compared += len(self._ids)
        close = nearest(text, self._ids) if self._compared <= MAX_COMPARED else None
        return f'"{close}"' if close else "the id of an element"

    def _note(self, element: Element, problem: str, expected: str) -> None:
        self.findings.append(Finding(self._path, element.line, problem, expected))

    def _attributes(self, element: Element, content: Content) -> State:
        state = content.start
        for name, text in element.attributes:
            if len(self.findings) > MAX_FINDINGS:
                break
            known = content.data.get(name)
            if known is None:
                expected = meant(name, content.data) if content.data else "no attribute"
                self._note(element, f"{named(element)}: unknown attribute {_short(name)}", expected)
                close = nearest(name, content.data)
                if close and element.get(close) is None:  # this is what was meant
                    state = content.after_attribute(state, close, content.data[close]) or state
                continue
            state = self._attribute(element, content, state, (name, text))
        return state

    def _attribute(
        self, element: Element, content: Content, state: State, stated: tuple[str, str]
    ) -> State:
        """Examine an attribute that the element may have; return the state after it."""
        name, text = stated
        known = content.data[name]
        fitting = tuple(data for data in known if data.accepts(text))
        self._identify(element, name, text, fitting)
        after = content.after_attribute(state, name, fitting) if fitting else None
        if after is not None:
            return after
        meant_so = content.after_attribute(state, name, known)
        if meant_so is not None or not fitting:  # its place, but not its value
            wrong = tuple(data for data in known if data not in fitting)
            problem = f"{named(element)}: {name} is {shown(text)}"
            self._note(element, problem, _expected(text, wrong))
        else:
            self._misplaced(element, content, name, text)
        return meant_so or state

    def _identify(self, element: Element, name: str, text: str, data: tuple[Data, ...]) -> None:
        for kind in data:
            if kind.identity is Identity.REFERS:
                self._references.append((element, name, text.strip(_SPACES)))
            elif kind.identity is Identity.DECLARES:
                key = text.strip(_SPACES)
                owner = self._ids.get(key)
                if owner is None:
                    self._ids[key] = element
                else:
                    line = f" of line {owner.line}" if owner.line else ""
                    problem = f"{named(element)}: {name} is taken by <{owner.tag}>{line}"
                    self._note(element, problem, "an id of its own")

    def _misplaced(self, element: Element, content: Content, name: str, text: str) -> None:
        """Note an attribute that the ones before it, or their values, exclude."""
        others = [other for other, _ in element.attributes if other != name]
        expected = "one or the other"
        alone = content.after_attribute(
            content.start, name, tuple(d for d in content.data[name] if d.accepts(text))
        )
        if alone is not None:
            excluding = [o for o in others if o in content.data and not _together(alone, o)]
            others = excluding or others
        beside = ", ".join(others)
        self._note(element, f"{named(element)}: {name} does not go with {beside}", expected)

    def _closed(self, element: Element, content: Content, state: State) -> State:
        """Return the state without further attributes, after noting those that are missing."""
        after = content.close(state)
        if after.pattern != NEVER:
            return after
        ways = patterns.ways(state.pattern)
        names = [tuple(leaf for leaf in way if isinstance(leaf, Attribute)) for way in ways]
        self._note(element, f"{named(element)} without {_listed(names)}", _needed(names))
        for leaf in names[0] if names else ():
            state = content.after_attribute(state, leaf.name, (leaf.data,)) or state
        return content.close(state)

    def _children(
        self, element: Element, content: Content, state: State
    ) -> list[tuple[Element, str]]:
        inside = []
        for child in element.children:
            if len(self.findings) > MAX_FINDINGS:
                break
            kind = content.types.get(child.tag)
            if kind is None:
                expected = meant(child.tag, content.types) if content.types else "no element"
                self._note(child, f"unknown element {named(child)} in {named(element)}", expected)
                self._skipped.update(skipped.id for skipped in child.walk())
                continue
            inside.append((child, kind))
            after = content.after_child(state, child.tag)
            if after is None:
                problem = f"{named(child)} in {named(element)} is one too many, or misplaced"
                self._note(child, problem, _possible(content, state))
            else:
                state = after
        if not state.complete and state.pattern != NEVER:
            self._note(element, *self._missing(element, content, state))
        return inside

    def _missing(self, element: Element, content: Content, state: State) -> tuple[str, str]:
        """Return problem and expectation where children are missing."""
        ways = patterns.ways(state.pattern)
        if not element.children:  # attributes might do as well
            opened = self._again(element, content)
            if content.close(opened).pattern != NEVER:
                ways = patterns.ways(opened.pattern) or ways
        return f"{named(element)} without {_listed(ways)}", _needed(ways)

    @staticmethod
    def _again(element: Element, content: Content) -> State:
        """Return the state after the element's attributes, before they were closed."""
        state = content.start
        for name, text in element.attributes:
            known = content.data.get(name, ())
            fitting = tuple(data for data in known if data.accepts(text)) or known
            state = content.after_attribute(state, name, fitting) or state
        return state


def _together(state: State, name: str) -> bool:
    """Return whether an attribute may follow."""
    return any(
        isinstance(leaf, Attribute) and leaf.name == name for leaf in patterns.leaves(state.pattern)
    )


def _possible(content: Content, state: State) -> str:
    """Return which children may come next."""
    tags = [tag for tag in content.types if content.after_child(state, tag) is not None]
    return ", ".join(f"<{tag}>" for tag in tags) if tags else "no further element"


def _label(leaf: Leaf) -> str:
    match leaf:
        case Attribute(name, _):
            return name
        case Child(tag, _):
            return f"<{tag}>"
        case patterns.Text():
            return "text"


def _listed(ways: Iterable[tuple[Leaf, ...]]) -> str:
    """Return what is missing: "a and b, or c"."""
    told = dict.fromkeys(" and ".join(_label(leaf) for leaf in way) for way in ways if way)
    return ", or ".join(told) if told else "what it needs"


def _needed(ways: Iterable[tuple[Leaf, ...]]) -> str:
    """Return what would be right: the first way, written out."""
    first = next((way for way in ways if way), ())
    written = [
        f'{leaf.name}="..."' if isinstance(leaf, Attribute) else _label(leaf) for leaf in first
    ]
    return " ".join(written) or "another form"


def _expected(text: str, known: Iterable[Data]) -> str:
    """Return what to say instead of a text: one list of all words, and the other forms."""
    listed = [word for data in known if isinstance(data, Words) for word in data.words]
    forms = [data.name for data in known if isinstance(data, Kind)]
    if any(isinstance(data, Other) and not data.accepts(text) for data in known):
        return "another: this schema has it no more"
    return ", or ".join(dict.fromkeys((*([meant(text, listed)] if listed else []), *forms)))
