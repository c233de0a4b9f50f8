"""`weight N [reverse]`, `init_file [N] [overwrite]` and `garp_extra_if [all] N`."""

from typing import Final

from standfest.config.keepalived.lists import MAX_WEIGHT
from standfest.config.keepalived.shapes import Shape, Words, integer
from standfest.config.lines import BadValueError
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND

_BIG: Final = 2**31 - 1
_DAY: Final = 86_400


def weight(most: int) -> Shape:
    """Return the shape of a weight and whether it is reversed."""
    expected = f"a number from -{most} to {most}, perhaps reverse"

    def read(words: Words) -> tuple[int, bool]:
        if words[1:] not in ((), ("reverse",)):
            raise BadValueError(expected)
        return integer(words[0], -most, most), words[1:] == ("reverse",)

    return Shape(read, expected, most=None)


def extra_interface(least: int) -> Shape:
    """Return the shape of an interval in seconds, and whether all interfaces are meant."""
    expected = f"[all] and seconds from {least} to {_DAY}"

    def read(words: Words) -> tuple[bool, int]:
        everywhere = words[0] == "all"
        rest = words[1:] if everywhere else words
        if not rest:
            raise BadValueError(expected)
        return everywhere, integer(rest[0], least, _DAY) * SECOND

    return Shape(read, expected, most=2)


def init_file(words: Words) -> tuple[int, bool]:
    """Return the initial value, and whether it replaces what is there; raises BadValueError."""
    numbers = [word for word in words if word != "overwrite"]
    if len(numbers) > 1:
        raise BadValueError("[a number] [overwrite]")
    return integer(numbers[0], -_BIG, _BIG) if numbers else 0, "overwrite" in words


WEIGHT: Final = weight(MAX_WEIGHT)
FILE_WEIGHT: Final = weight(_BIG)
INIT_FILE: Final = Shape(init_file, "[a number] [overwrite]", least=0, most=None)
EXTRA: Final = extra_interface(0)
EXTRA_FROM_1: Final = extra_interface(1)
