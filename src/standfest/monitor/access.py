"""What a user may do with a CIB, shown in the CIB itself: as text, in colours, or by namespaces."""

from collections.abc import Iterator

from standfest.model import xml
from standfest.model.element import Element
from standfest.runtime.cluster.access import Access, Kind, Path

FORMS = ("text", "color", "namespace")
WORDS = {Kind.READ: "READABLE", Kind.WRITE: "WRITABLE", Kind.DENY: "~DENIED~"}
PREFIXES = {
    Kind.READ: "pcmk-access-readable",
    Kind.WRITE: "pcmk-access-writable",
    Kind.DENY: "pcmk-access-denied",
}
SPACES = {
    Kind.WRITE: "http://clusterlabs.org/ns/pacemaker/access/writable",
    Kind.READ: "http://clusterlabs.org/ns/pacemaker/access/readable",
    Kind.DENY: "http://clusterlabs.org/ns/pacemaker/access/denied",
}
"""XML namespaces, in the order in which the root declares them."""
COLOURS = {Kind.READ: "\x1b[34m", Kind.WRITE: "\x1b[32m", Kind.DENY: "\x1b[31m"}
PLAIN = "\x1b[0m"


def shown(cib: Element, access: Access, user: str, form: str) -> str:
    """Return the document with what the user may do; form: one of FORMS.

    Text and namespaces are said where they begin to count, colours everywhere.
    """
    lines = [f"<!-- ACLs as evaluated for user {user} -->", *_lines(cib, (), access, form)]
    if form == "namespace":
        used = [k for k in SPACES if any(f"<{PREFIXES[k]}:" in line for line in lines)]
        spaces = "".join(f' xmlns:{PREFIXES[kind]}="{SPACES[kind]}"' for kind in used)
        lines[1] = f"{lines[1][:-1]}{spaces}>"
    return "\n".join(lines) + "\n"


def _lines(element: Element, path: Path, access: Access, form: str) -> Iterator[str]:
    depth, kind = len(path), _kind(access, path)
    begins = not path or kind is not _kind(access, path[:-1])
    margin = "  " * depth
    if form == "namespace" and begins:
        element = Element(
            f"{PREFIXES[kind]}:{element.tag}", element.attributes, element.children, element.text
        )
    if form == "text" and begins:
        if path:
            yield margin
        yield f"{margin}vvv---[ {WORDS[kind]} ]---vvv"
    first, last = xml.tags(element, depth)
    if form == "color":
        first = f"{margin}{COLOURS[kind]}{first[len(margin) :]}" + ("" if last else PLAIN)
    yield first
    for at, child in enumerate(element.children):
        yield from _lines(child, (*path, at), access, form)
    for line in last:
        text = line[len(margin) :]
        yield f"{margin}{COLOURS[kind]}{text}{PLAIN}" if form == "color" else line


def _kind(access: Access, path: Path) -> Kind:
    if access.may(path, Kind.WRITE):
        return Kind.WRITE
    return Kind.READ if access.may(path, Kind.READ) else Kind.DENY
