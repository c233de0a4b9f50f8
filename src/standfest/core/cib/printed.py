"""An element as Pacemaker 2.1 prints it: for people, and in one line for digests.

Apostrophes are escaped, tabs become four blanks, newlines a backslash and an n: what is stored goes
through `model.xml`, which keeps them. Source: facts/formats/CIB-STATUS.md section 4; the two
digests by experiment.
"""

import hashlib

from standfest.model.element import Element

_ESCAPES = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ('"', "&quot;"),
    ("'", "&apos;"),
    ("\t", "    "),
    ("\n", "\\n"),
    ("\r", "\\r"),
)
_NOT_IN_DIGEST = frozenset(
    ["cib-last-written", "update-origin", "update-client", "update-user", "crm-debug-origin"]
)
_V2 = (3, 0, 5)
"""The feature set since which a versioned digest leaves out who changed what, and when."""


def formatted(element: Element) -> str:
    """Return lines, indented by two blanks a level, the last one ended."""
    lines: list[str] = []
    _write(element, lines, 0)
    return "".join(f"{line}\n" for line in lines)


def digest_on_disk(element: Element) -> str:
    """Return what `cibadmin --md5-sum` says: MD5 of a blank, the element in one line, a newline."""
    return _md5(f" {_one_line(element, frozenset())}\n")


def digest_versioned(element: Element) -> str:
    """Return what `cibadmin --md5-sum-versioned` and a diff's `digest` say."""
    if _feature_set(element) < _V2:
        return digest_on_disk(element)
    return _md5(_one_line(element, _NOT_IN_DIGEST))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _feature_set(element: Element) -> tuple[int, ...]:
    parts = (element.get("crm_feature_set") or "0").split(".")[:3]
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in parts)


def _head(element: Element, left_out: frozenset[str]) -> str:
    attributes = "".join(
        f' {name}="{_escaped(value)}"' for name, value in element.attributes if name not in left_out
    )
    return f"<{element.tag}{attributes}"


def _one_line(element: Element, left_out: frozenset[str]) -> str:
    head = _head(element, left_out)
    if not element.children:
        return f"{head}/>"
    inner = "".join(_one_line(child, left_out) for child in element.children)
    return f"{head}>{inner}</{element.tag}>"


def _write(element: Element, lines: list[str], depth: int) -> None:
    margin, head = "  " * depth, _head(element, frozenset())
    if not element.children and not element.text:
        lines.append(f"{margin}{head}/>")
    elif not element.children:
        lines.append(f"{margin}{head}>{_escaped(element.text)}</{element.tag}>")
    else:
        lines.append(f"{margin}{head}>")
        for child in element.children:
            _write(child, lines, depth + 1)
        lines.append(f"{margin}</{element.tag}>")


def _escaped(text: str) -> str:
    for character, entity in _ESCAPES:
        if character in text:
            text = text.replace(character, entity)
    return text
