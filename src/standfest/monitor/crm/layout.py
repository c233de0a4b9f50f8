"""Lists of lines, as text and as HTML: what all parts of a page are made of.

The spacing of the HTML is that of libxml2's printer, which Pacemaker's tools use.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Union

_INLINE = frozenset({"span"})
_EMPTY = frozenset({"meta", "link"})


@dataclass(frozen=True, slots=True)
class Tag:
    """One element of HTML; children: elements and text, in order."""

    name: str
    children: tuple["Tag | str", ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    raw: bool = False  # text is not escaped: a style sheet's


@dataclass(frozen=True, slots=True)
class Line:
    """One line; html: what stands for it there, if it is not just the text."""

    text: str
    html: tuple[Tag | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A heading with what is under it.

    html_title: where HTML has another one; plain: without a colon behind the title.
    An empty title is not shown; what is in the block stays one step further in.
    """

    title: str
    items: tuple[Union[Line, "Block"], ...] = ()
    html_title: str | None = None
    plain: bool = False


Item = Line | Block


def span(text: str, css: str = "") -> Tag:
    """Return a <span>."""
    return Tag("span", (text,), (("class", css),) if css else ())


def lines_of(items: Iterable[Item], depth: int = 1) -> list[str]:
    """Return items as text, `  * ` before each; what is in a block one step further in."""
    found = []
    for item in items:
        margin = "  " * depth
        if isinstance(item, Line):
            found.append(f"{margin}* {item.text}")
            continue
        if item.title:
            found.append(f"{margin}* {item.title}{'' if item.plain else ':'}")
        found += lines_of(item.items, depth + 1)
    return found


def section_lines(block: Block) -> list[str]:
    """Return a section as text: its title, and its items."""
    return [f"{block.title}:", *lines_of(block.items)]


def tags_of(block: Block, level: str = "h2") -> tuple[Tag, ...]:
    """Return a block as HTML: a heading and a list."""
    title = block.title if block.html_title is None else block.html_title
    items = tuple(_list_item(item) for item in block.items)
    if not title:
        return (Tag("ul", items),)
    heading = Tag(level, (title,))
    return heading, Tag("ul", items)


def _list_item(item: Item) -> Tag:
    if isinstance(item, Line):
        return Tag("li", item.html or (item.text,))
    return Tag("li", tags_of(item, "h3"))


def document(head: Sequence[Tag], body: Sequence[Tag]) -> str:
    """Return a whole page."""
    page = Tag("html", (Tag("head", tuple(head)), Tag("body", tuple(body))), (("lang", "en"),))
    return f"<!DOCTYPE html>\n{_printed(page)}\n"


def _printed(tag: Tag) -> str:
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in tag.attributes)
    opening = f"<{tag.name}{attributes}>"
    if tag.name in _EMPTY:
        return opening
    spaced = len(tag.children) > 1 and tag.name not in _INLINE
    parts = [opening]
    if spaced and isinstance(tag.children[0], Tag):
        parts.append("\n")
    for at, child in enumerate(tag.children):
        if isinstance(child, str):
            parts.append(child if tag.raw else escape(child, quote=False))
            continue
        parts.append(_printed(child))
        following = tag.children[at + 1] if at + 1 < len(tag.children) else None
        if isinstance(following, Tag) and child.name not in _INLINE:
            parts.append("\n")
    if spaced and isinstance(tag.children[-1], Tag):
        parts.append("\n")
    parts.append(f"</{tag.name}>")
    return "".join(parts)
