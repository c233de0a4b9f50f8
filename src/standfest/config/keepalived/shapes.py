"""What the arguments of a keyword look like, and what they mean.

A `Shape` reads words into a value and raises BadValueError with what it expected. Words beyond
what it takes are reported by the caller and ignored, as keepalived ignores them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from standfest.config.lines import BadValueError, as_bytes
from standfest.config.nearest import nearest
from standfest.model.time import NANOSECONDS_PER_MICROSECOND as MICROSECOND
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND
from standfest.model.vrrp import Command, IPAddress

Words = tuple[str, ...]

MAX_INTERFACE: Final = 15
"""Characters: IFNAMSIZ less the terminating zero."""

LONGEST: Final = Decimal("4294.967295")
"""Seconds: 32 bits of microseconds."""

FOREVER: Final = Decimal("18446744073709.551614")
"""Seconds: 64 bits of microseconds."""

_TRUE: Final = frozenset({"on", "true", "yes"})
_FALSE: Final = frozenset({"off", "false", "no"})
_MAX_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Shape:
    """How many words an argument list has, and what they mean.

    least: below it a parameter is missing; most: what is beyond is ignored, None: nothing is.
    """

    read: Callable[[Words], object]
    expected: str
    least: int = 1
    most: int | None = 1


def word_shape(read: Callable[[str], object], expected: str) -> Shape:
    """Return the shape of one word."""
    return Shape(lambda words: read(words[0]), expected)


def integer(text: str, low: int, high: int) -> int:
    """Return a decimal number; raises BadValueError."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise BadValueError(f"a number from {low} to {high}")
    value = int(text)
    if not low <= value <= high:
        raise BadValueError(f"a number from {low} to {high}")
    return value


def decimal(text: str, low: Decimal, high: Decimal) -> Decimal:
    """Return a number that may have a fraction; raises BadValueError."""
    digits = text.removeprefix("+").removeprefix("-").replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise BadValueError(f"a number from {low} to {high}")
    value = Decimal(text)
    if not low <= value <= high:
        raise BadValueError(f"a number from {low} to {high}")
    return value


def boolean(text: str) -> bool:
    """Return a truth value; raises BadValueError."""
    if text not in _TRUE | _FALSE:
        raise BadValueError("on, off, true, false, yes or no")
    return text in _TRUE


def address(text: str) -> IPAddress:
    """Return an IP address; raises BadValueError, naming what was probably meant."""
    try:
        return ip_address(text)
    except ValueError:
        raise BadValueError(expected_address(text)) from None


def expected_address(text: str) -> str:
    """Return what to expect in place of something that is no address."""
    parts = text.split(".")
    octets = all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts)
    if not octets or not all(int(part) <= 255 for part in parts):
        return "an IP address"
    if len(parts) == 5:
        # Two networks of which one was half replaced: the first or the last four are one address.
        first, last = parts[:2] + parts[3:], parts[:3] + parts[4:]
        meant = dict.fromkeys(".".join(choice) for choice in (first, last))
        return f"an address of 4 numbers, probably {' or '.join(meant)}"
    return f"an address of 4 numbers, there are {len(parts)}"


def network(text: str, least: int = 0) -> tuple[IPAddress, int]:
    """Return address and prefix length (the longest when there is none); raises BadValueError."""
    host, slash, length = text.partition("/")
    ip = address(host)
    longest = ip.max_prefixlen
    return ip, integer(length, least, longest) if slash else longest


def interface(text: str) -> str:
    """Return the name of an interface; raises BadValueError."""
    bad = len(as_bytes(text)) > MAX_INTERFACE or "/" in text or any(c.isspace() for c in text)
    if bad or text in {"", ".", ".."}:
        raise BadValueError(f"an interface's name, at most {MAX_INTERFACE} characters")
    if text[0] in "<[" or (text[0] == "$" and text.startswith("${")):
        raise BadValueError("an interface's name in place of the placeholder")
    return text


def name(text: str) -> str:
    """Return a word that may be anything but empty."""
    if not text:
        raise BadValueError("a name")
    return text


def command_of(words: Words) -> Command:
    """Return `command [user [group]]`; raises BadValueError."""
    program, *owner = words
    if not program.strip():
        raise BadValueError("a command")
    user, group = [*owner[:2], "", ""][:2]
    return Command(split_command(program), user, group)


def split_command(text: str) -> tuple[str, ...]:
    """Return a command line's words: blanks separate, `'` and `"` keep them."""
    words: list[str] = []
    letters: list[str] = []
    quote, begun = "", False
    for char in text:
        if quote and char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote, begun = char, True
        elif not quote and char.isspace():
            if begun:
                words.append("".join(letters))
            letters, begun = [], False
        else:
            letters.append(char)
            begun = True
    return (*words, "".join(letters)) if begun else tuple(words)


# ---------------------------------------------------------------- shapes

TEXT: Final = word_shape(name, "a word, in quotes if it has blanks")
INTERFACE: Final = word_shape(interface, "an interface")
COMMAND: Final = Shape(command_of, "a command, in quotes if it has arguments", most=3)
FLAG: Final = Shape(lambda _words: True, "nothing", least=0, most=0)
ADDRESS: Final = word_shape(address, "an IP address")


def switch() -> Shape:
    """Return the shape of a flag that may be turned off again: nothing means on."""
    return Shape(lambda words: boolean(words[0]) if words else True, "on or off", least=0)


def number(low: int, high: int) -> Shape:
    """Return the shape of a whole number."""
    return word_shape(lambda text: integer(text, low, high), f"a number from {low} to {high}")


def optional(shape: Shape, default: object) -> Shape:
    """Return a shape that may be left out."""
    return Shape(
        lambda words: shape.read(words) if words else default, shape.expected, 0, shape.most
    )


def timer(low: str, high: Decimal | str = LONGEST, unit: int = SECOND) -> Shape:
    """Return the shape of a time in seconds with a fraction, as a Duration.

    What is finer than a microsecond is cut, as keepalived cuts it.
    """
    least, most = Decimal(low), Decimal(high)

    def read(text: str) -> int:
        value = decimal(text, least, most)
        return int(value * unit) // MICROSECOND * MICROSECOND

    return word_shape(read, f"seconds from {low} to {most}")


def whole_seconds(low: int, high: int) -> Shape:
    """Return the shape of a whole number of seconds, as a Duration."""
    return word_shape(lambda text: integer(text, low, high) * SECOND, f"{low} to {high} seconds")


def choice(*known: str, fold: bool = False) -> Shape:
    """Return the shape of one word out of several, in the spelling given here.

    fold: upper and lower case are the same.
    """
    spelled = {(word.lower() if fold else word): word for word in known}

    def read(text: str) -> str:
        found = spelled.get(text.lower() if fold else text)
        if found is None:
            raise BadValueError(meant(text, known))
        return found

    return word_shape(read, ", ".join(known))


def meant(text: str, known: Words) -> str:
    """Return what to expect in place of an unknown word: the nearest one, or all of them."""
    close = nearest(text, known)
    return f'"{close}"' if close is not None else ", ".join(known)


def ipv4(text: str) -> IPv4Address:
    """Return an IPv4 address; raises BadValueError."""
    found = address(text)
    if not isinstance(found, IPv4Address):
        raise BadValueError("an IPv4 address")
    return found


def ipv6(text: str) -> IPv6Address:
    """Return an IPv6 address; raises BadValueError."""
    found = address(text)
    if not isinstance(found, IPv6Address):
        raise BadValueError("an IPv6 address")
    return found


def names(expected: str) -> Shape:
    """Return the shape of one or more words."""
    return Shape(lambda words: words, expected, most=None)


def triple(expected: str) -> Shape:
    """Return the shape of a path with the user and the group that own it."""
    return Shape(lambda words: (*words, "", "")[:3], expected, most=3)
