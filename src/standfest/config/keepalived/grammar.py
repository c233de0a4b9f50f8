"""What the vocabulary is made of: keywords, and the blocks they stand in.

Validation, "did you mean", printing and the tables of the manual all follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from standfest.config.keepalived.shapes import FLAG, Shape


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword of one kind of block.

    about: what it is for, in a few words; block: the name of the kind of block it opens ("" none);
    since: the first version that knows it, "" if 2.2.7 does, OURS if none; instead: what it is
    called today; repeated: may be given several times and means all of them.
    """

    shape: Shape
    about: str
    block: str = ""
    since: str = ""
    instead: str = ""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of block: of keywords, or, with `element`, a list of things.

    needs: keywords without which the block is of no use, with what is said then.
    """

    keywords: Mapping[str, Keyword]
    element: Shape | None = None
    needs: tuple[str, ...] = ()


def listing(element: Shape) -> Kind:
    """Return a kind of block that lists things, one or more on each line."""
    return Kind({}, element)


def flags(**about: str) -> dict[str, Keyword]:
    """Return keywords that take nothing."""
    return {word: Keyword(FLAG, text) for word, text in about.items()}


OURS: Final = "standfest"
"""`since` of a keyword that keepalived does not have at all."""
