"""An immutable XML element: what CIB documents are made of inside Standfest.

It has no namespaces, comments or processing instructions, because the CIB has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Element:
    """One element: attributes in document order; `line` is where it began (0: made by us).

    Two elements are equal when tag, attributes, text and children are; the line does not count.
    """

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple["Element", ...] = ()
    text: str = ""
    line: int = field(default=0, compare=False)

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of the attribute `name`, or `default`."""
        for key, value in self.attributes:
            if key == name:
                return value
        return default

    @property
    def id(self) -> str:
        """Return the `id` attribute, or the empty string."""
        return self.get("id") or ""

    def with_attribute(self, name: str, value: str | None) -> "Element":
        """Return a copy with the attribute set in place, or removed when `value` is None."""
        kept = tuple((key, old) for key, old in self.attributes if key != name)
        if value is None:
            return replace(self, attributes=kept)
        if len(kept) == len(self.attributes):
            return replace(self, attributes=(*kept, (name, value)))
        changed = tuple((k, value if k == name else old) for k, old in self.attributes)
        return replace(self, attributes=changed)

    def with_children(self, children: tuple["Element", ...]) -> "Element":
        """Return a copy with other children."""
        return replace(self, children=children)

    def child(self, tag: str) -> "Element | None":
        """Return the first child with this tag."""
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, *tags: str) -> Iterator["Element"]:
        """Yield the children with one of these tags, in document order."""
        return (child for child in self.children if child.tag in tags)

    def walk(self) -> Iterator["Element"]:
        """Yield this element and everything below it, in document order."""
        stack = [self]
        while stack:
            element = stack.pop()
            yield element
            stack.extend(reversed(element.children))
