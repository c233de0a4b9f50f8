"""`id-ref`: what is written once and used in several places becomes a copy in each of them.

The copies get ids of their own, so that a document without references says the same as the one
with them, and can be stored and read again. Source: facts/formats/CIB-MODERN.md, "Reading rules".
"""

from dataclasses import dataclass, replace

from standfest.model.element import Element

REFERABLE = frozenset(
    [
        "cluster_property_set",
        "meta_attributes",
        "instance_attributes",
        "utilization",
        "nvpair",
        "operations",
        "rule",
        "resource_set",
    ]
)
_MEMBERS = frozenset({"resource_ref", "obj_ref"})
MAX_COPIES = 100_000
"""Elements that references may add: rules that name each other could grow without end."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration without references.

    origins: (new element, the written one that it stands for), for messages; dangling: references
    to what is not there, or to themselves; known: (tag, id) of all that can be named.
    """

    configuration: Element
    origins: tuple[tuple[Element, Element], ...]
    dangling: tuple[Element, ...]
    known: frozenset[tuple[str, str]]


def resolve(configuration: Element) -> Resolved:
    """Return the configuration with a copy in place of each reference; dangling ones stay."""
    resolver = _Resolver(configuration)
    made = resolver.resolved(configuration, "", frozenset())
    return Resolved(
        made, tuple(resolver.origins), tuple(resolver.dangling), frozenset(resolver.known)
    )


class _Resolver:
    def __init__(self, configuration: Element) -> None:
        self.known: dict[tuple[str, str], Element] = {}
        self.origins: list[tuple[Element, Element]] = []
        self.dangling: list[Element] = []
        self._taken: set[str] = set()
        self._copies: dict[str, int] = {}
        for element in configuration.walk():
            if element.id:
                self._taken.add(element.id)
                if element.tag in REFERABLE:
                    self.known.setdefault((element.tag, element.id), element)

    def resolved(self, element: Element, owner: str, within: frozenset[str]) -> Element:
        """Return an element without references; owner: the id around it."""
        name = element.get("id-ref")
        if name is not None and element.tag in REFERABLE:
            return self._referred(element, name, owner, within)
        owner = element.id or owner
        children = tuple(self.resolved(child, owner, within) for child in element.children)
        if all(new is old for new, old in zip(children, element.children, strict=True)):
            return element
        return self._made(element.with_children(children), element)

    def _referred(self, element: Element, name: str, owner: str, within: frozenset[str]) -> Element:
        original = self.known.get((element.tag, name))
        if original is None or name in within or len(self.origins) > MAX_COPIES:
            self.dangling.append(element)
            return element
        whole = self.resolved(original, owner, within | {name})
        copy = self._copied(whole, owner)
        own_name = element.get("name")  # a pair may be reused under another name
        if element.tag == "nvpair" and own_name is not None:
            copy = copy.with_attribute("name", own_name)
        return self._made(copy, original)

    def _copied(self, element: Element, owner: str) -> Element:
        children = tuple(self._copied(child, owner) for child in element.children)
        copy = replace(element, children=children)
        if element.id and element.tag not in _MEMBERS:
            copy = copy.with_attribute("id", self._free(f"{owner}-{element.id}"))
        return self._made(copy, element)

    def _free(self, wanted: str) -> str:
        name = wanted
        while name in self._taken:
            number = self._copies[wanted] = self._copies.get(wanted, 1) + 1
            name = f"{wanted}-{number}"
        self._taken.add(name)
        return name

    def _made(self, new: Element, old: Element) -> Element:
        self.origins.append((new, old))
        return new
