"""The report of crm_simulate: its parts in order, as text or as elements."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from standfest.model.element import Element


@dataclass(slots=True)
class Page:
    """Collects parts; plain: lines stand alone, without titles and bullets (scores are shown)."""

    plain: bool = False
    lines: list[str] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)
    _begun: bool = False

    def part(self, title: str, lines: Sequence[str], *, bullets: bool = True) -> None:
        """Add a part of the text, an empty line before it; bullets: each line is an item."""
        if self._begun:
            self.lines.append("")
        self._begun = True
        if self.plain or not title:
            self.lines += lines
            return
        self.lines.append(f"{title}:")
        self.lines += [f"  * {line}" for line in lines] if bullets else lines

    def line(self, text: str) -> None:
        """Add a line that belongs to no part."""
        self.lines.append(text)

    def items(self, lines: Sequence[str]) -> None:
        """Add items to the last part."""
        self.lines += lines if self.plain else [f"  * {line}" for line in lines]

    def element(self, element: Element) -> None:
        """Add a part of the XML."""
        self.elements.append(element)

    @property
    def text(self) -> str:
        """Return all lines."""
        return "".join(f"{line}\n" for line in self.lines)
