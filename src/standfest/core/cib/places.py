"""Where something is in a whole <cib>: the children's indexes from the root, and its sections.

Source: facts/formats/CIB-MODERN.md section 1.
"""

from collections.abc import Callable, Iterator

from standfest.model.element import Element

Path = tuple[int, ...]
"""Indexes of children from the root downwards; () is the root itself."""

WHOLE = ("all", "cib")
IN_CONFIGURATION = (
    "crm_config",
    "nodes",
    "resources",
    "constraints",
    "rsc_defaults",
    "op_defaults",
    "acls",
    "fencing-topology",
    "tags",
    "alerts",
)
SECTIONS = ("configuration", *IN_CONFIGURATION, "status", *WHOLE)
"""What a scope may be."""


def element_at(root: Element, path: Path) -> Element:
    """Return the element at a place."""
    for index in path:
        root = root.children[index]
    return root


def replaced_at(root: Element, path: Path, *new: Element) -> Element:
    """Return the document with one element replaced by others, or by none; not for the root."""
    if len(path) == 1:
        children = (*root.children[: path[0]], *new, *root.children[path[0] + 1 :])
        return root.with_children(children)
    changed = replaced_at(root.children[path[0]], path[1:], *new)
    return replaced_at(root, path[:1], changed)


def put_at(root: Element, path: Path, new: Element) -> Element:
    """Return the document with another element at a place, which may be the root."""
    return replaced_at(root, path, new) if path else new


def paths(root: Element, path: Path = ()) -> Iterator[tuple[Path, Element]]:
    """Yield every element with its place, in document order."""
    stack = [(path, root)]
    while stack:
        where, element = stack.pop()
        yield where, element
        below = [((*where, index), child) for index, child in enumerate(element.children)]
        stack.extend(reversed(below))


def first(root: Element, start: Path, wanted: Callable[[Element], bool]) -> Path | None:
    """Return the place of the first element wanted, from `start` downwards and itself included."""
    found = paths(element_at(root, start), start)
    return next((where for where, element in found if wanted(element)), None)


def section_path(cib: Element, section: str | None) -> Path | None:
    """Return the place of a section, None where the document has none; of None, the root."""
    if section is None or section in WHOLE:
        return ()
    path: Path = ()
    for tag in section_tags(section):
        children = element_at(cib, path).children
        index = next((at for at, child in enumerate(children) if child.tag == tag), None)
        if index is None:
            return None
        path = (*path, index)
    return path


def section_tags(section: str) -> tuple[str, ...]:
    """Return the tags on the way from the root to a section."""
    return ("configuration", section) if section in IN_CONFIGURATION else (section,)


def with_section(cib: Element, section: str) -> tuple[Element, Path]:
    """Return the document with a section, empty if it had none, and its place."""
    path: Path = ()
    for tag in section_tags(section):
        parent = element_at(cib, path)
        index = next((at for at, child in enumerate(parent.children) if child.tag == tag), None)
        if index is None:
            index = len(parent.children)
            cib = put_at(cib, path, parent.with_children((*parent.children, Element(tag))))
        path = (*path, index)
    return cib, path


def path_text(root: Element, path: Path) -> str:
    """Return a place as Pacemaker writes it: tags, and ids where there are some."""
    words = [f"/{root.tag}"]
    for index in path:
        root = root.children[index]
        words.append(f"/{root.tag}[@id='{root.id}']" if root.id else f"/{root.tag}")
    return "".join(words)
