"""What the text of an attribute may be: lists of words and lexical kinds.

White space around a value does not count, as in XML Schema's types; free text is as it is.
"""

import re
from dataclasses import dataclass
from enum import Enum

_SPACES = " \t\r\n"


class Identity(Enum):
    """What a value does in the document's world of ids."""

    NONE = "none"
    DECLARES = "declares"
    REFERS = "refers"


@dataclass(frozen=True, slots=True)
class Words:
    """One of some words; case counts."""

    words: tuple[str, ...]
    identity: Identity = Identity.NONE

    def accepts(self, text: str) -> bool:
        """Return whether the text is one of the words."""
        return text in self.words or collapsed(text) in self.words


@dataclass(frozen=True, slots=True)
class Kind:
    """Text of one form; without a form, any."""

    name: str
    form: re.Pattern[str] | None = None
    identity: Identity = Identity.NONE
    strict: bool = False

    def accepts(self, text: str) -> bool:
        """Return whether the text has the form; white space around it counts only when strict."""
        bare = text if self.strict else text.strip(_SPACES)
        return self.form is None or self.form.fullmatch(bare) is not None


@dataclass(frozen=True, slots=True)
class Other:
    """Any text but some words."""

    words: tuple[str, ...]
    identity: Identity = Identity.NONE

    def accepts(self, text: str) -> bool:
        """Return whether the text is none of the words."""
        return collapsed(text) not in self.words


Data = Words | Kind | Other


def collapsed(text: str) -> str:
    """Return the text with single spaces between words, and none around them."""
    return " ".join(word for word in re.split(f"[{_SPACES}]+", text) if word)


def other(text: str) -> Other:
    """Return the data that is none of the words in `text`."""
    return Other(tuple(text.split()))


def words(text: str) -> Words:
    """Return the data that is one of the words in `text`."""
    return Words(tuple(text.split()))


_NAME = r"[^\W\d][\w.\-\u00b7\u0300-\u036f]*"

TEXT = Kind("text")
ID = Kind(
    "an id: a letter, then letters, digits, -, _ and .",
    re.compile(_NAME),
    Identity.DECLARES,
)
IDREF = Kind("the id of an element", re.compile(_NAME), Identity.REFERS)
BOOLEAN = words("true false 1 0")
INTEGER = Kind("a whole number", re.compile(r"[+-]?0*[0-9]{1,24}"))
NOT_NEGATIVE = Kind("a number that is not negative", re.compile(r"\+?0*[0-9]{1,24}|-0+"))
POSITIVE = Kind("a number from 1", re.compile(r"\+?0*[1-9][0-9]{0,23}"))
UP_TO_NINE = Kind("a number from 1 to 9", re.compile(r"\+?0*[1-9]"))
SCORE = Kind(
    "a whole number, INFINITY or -INFINITY",
    re.compile(r"[+-]?(0*[0-9]{1,24}|INFINITY)"),
)
"""Numbers have at most 24 digits, as with libxml2."""
