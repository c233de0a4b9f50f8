"""Values and whole machines <-> JSON text: what a recording is written with.

Two ways to write. `Writer.flat` is for what machines are given and return: frozen dataclasses of
tuples, a few microseconds each. `Writer.state` is for machines themselves: any graph of our own
objects and the standard containers, with every object that is met twice written once, so that what
was shared is shared again.

Reading builds nothing but data: classes of the pure rooms in ROOMS, made without running their
constructors, enumerations and containers. It is total: whatever the text, the outcome is a value
or a `WireError`. Source: docs/adr/0032.
"""

import json
import random
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from importlib import import_module
from itertools import count
from operator import attrgetter
from typing import Any, get_type_hints

from standfest.model.errors import WireError
from standfest.model.message import Message

PACKAGE = "standfest."
ROOMS = ("core.", "model.", "ports.", "runtime.cluster.")
"""Where the classes of machines, of their inputs and of their effects are defined."""
NEVER = "model.keys."
"""Keys are in no recording, whatever machine might hold one."""

UUID_BYTES = 16
"""Longer bytes are payloads."""
LONGEST_NAME = 120
MOST_OBJECTS = 1 << 20
"""The most objects of one state."""
MOST_HIDDEN = 1 << 24
"""The most bytes of hidden payloads in one text."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*\.[A-Za-z_]\w*", re.ASCII)
_SCALARS = frozenset({str, int, float, bool, type(None), bytes, Message})
"""Written as they are, or by `Writer._default`."""
_CONTAINERS: dict[type, str] = {
    list: "l",
    set: "s",
    frozenset: "f",
    deque: "q",
    dict: "d",
    OrderedDict: "D",
    Counter: "C",
}
_MAPPINGS: dict[str, type] = {"d": dict, "D": OrderedDict, "C": Counter}
_SEQUENCES: dict[str, type] = {"l": list, "s": set, "q": deque}


class Writer:
    """Writes values and states.

    hides: payloads are written as their length and read as so many zeros. No decision of
    `core.membership` depends on them, and they are what may be secret.
    """

    def __init__(self, *, hides: bool = False) -> None:
        self._hides = hides
        self._pieces = _encoder(self._default)

    def flat(self, value: object) -> bytes:
        """Return the text of a value; raises TypeError where it holds what cannot be recorded."""
        return "".join(self._pieces(value, 0)).encode()

    def state(self, value: object) -> bytes:
        """Return the text of a graph of objects; raises TypeError as `flat` does."""
        return self.flat(_Walk().walk(value))

    def _default(self, value: Any) -> dict[str, object]:
        kind: type = type(value)
        if kind is Message:
            return {"m": value.fields}
        if kind is bytes:
            if self._hides and len(value) > UUID_BYTES:
                return {"z": len(value)}
            return {"b": value.hex()}
        if isinstance(value, Enum):
            return {"e": [name_of(kind), value.name]}
        if kind is frozenset:
            return {"F": sorted(value)}
        return {"o": [name_of(kind), *_getter(kind)(value)]}


def _encoder(default: Callable[[Any], object]) -> Callable[[Any, int], Iterable[str]]:
    """Return JSON's own encoder, made once: `JSONEncoder.encode` makes one for every value."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        encoder = json.JSONEncoder(separators=(",", ":"), default=default, check_circular=False)
        return lambda value, _level: encoder.iterencode(value)
    quoted = json.encoder.encode_basestring_ascii
    pieces: Callable[[Any, int], Iterable[str]] = make(
        None, default, quoted, None, ":", ",", False, False, True
    )
    return pieces


class _Walk:
    """One walk over a graph; numbers objects in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def walk(self, value: Any) -> Any:
        kind: type = type(value)
        if kind in _SCALARS:
            return value
        if isinstance(value, Enum):
            return {"e": [name_of(kind), value.name]}
        if kind is tuple:
            return [self.walk(item) for item in value]
        number = self._numbers.get(id(value))
        if number is not None:
            return {"r": number}
        self._numbers[id(value)] = len(self._numbers)
        if kind is random.Random:
            version, internal, spare = value.getstate()
            return {"R": [version, internal, spare]}
        if kind is count:
            return {"N": list(value.__reduce__()[1])}
        mark = _CONTAINERS.get(kind)
        if mark in _MAPPINGS:
            return {mark: [[self.walk(key), self.walk(item)] for key, item in value.items()]}
        if mark is not None:
            items = sorted(value, key=repr) if mark in {"s", "f"} else value
            return {mark: [self.walk(item) for item in items]}
        return {"n": [name_of(kind), {key: self.walk(item) for key, item in _attributes(value)}]}


def read(text: bytes | str) -> Any:
    """Return what `Writer` wrote; raises WireError("unreadable")."""
    try:
        return build(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise WireError("unreadable", type(error).__name__) from error


def build(document: Any) -> Any:
    """Return what `Writer` wrote, from parsed JSON; raises WireError("unreadable")."""
    try:
        return _Reading().build(document)
    except (
        *(ValueError, TypeError, KeyError, IndexError, AttributeError),
        *(RecursionError, ImportError, OverflowError),
    ) as error:
        raise WireError("unreadable", f"{type(error).__name__}: {error}"[:200]) from error


class _Reading:
    """One graph that is being read; knows the objects that were numbered."""

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._hidden = 0

    def build(self, value: Any) -> Any:
        if isinstance(value, list):
            return tuple([self.build(item) for item in value])
        if not isinstance(value, dict):
            return value
        ((mark, content),) = value.items()
        match mark:
            case "r":
                return self._objects[_whole(content, MOST_OBJECTS)]
            case "m":
                return Message(self.build(content))
            case "b":
                return bytes.fromhex(content)
            case "z":
                return self._zeros(_whole(content, MOST_HIDDEN))
            case "e":
                name, member = content
                return _class(name, Enum)[member]
            case "F":
                return frozenset(self.build(item) for item in content)
            case "o":
                return self._flat(content)
            case "R":
                return self._random(content)
            case "N":
                return self._objects[self._reserve(count(*(int(number) for number in content)))]
            case "n":
                return self._object(content)
            case _:
                return self._container(mark, content)

    def _container(self, mark: str, content: list[Any]) -> Any:
        if mark == "f":  # cannot be part of itself, so its number may come first
            place = self._reserve(None)
            made = self._objects[place] = frozenset(self.build(item) for item in content)
            return made
        if mark in _MAPPINGS:
            mapping = _MAPPINGS[mark]()
            self._reserve(mapping)
            for key, item in content:
                mapping[self.build(key)] = self.build(item)
            return mapping
        sequence = _SEQUENCES[mark]()
        self._reserve(sequence)
        add = sequence.add if mark == "s" else sequence.append
        for item in content:
            add(self.build(item))
        return sequence

    def _flat(self, content: list[Any]) -> Any:
        kind = _class(content[0])
        values = [self.build(item) for item in content[1:]]
        known = _fields(kind)
        if len(values) > len(known):
            raise TypeError(f"{content[0]}: {len(values)} fields, expected {len(known)}")
        for field in known[len(values) :]:
            if field.default is None:
                raise TypeError(f"{content[0]}: no {field.name}")
            values.append(field.default())
        made = object.__new__(kind)
        for field, item in zip(known, values, strict=True):
            # An enumeration that is a number, or text, was written as one.
            exact = item if field.number is None else field.number(item)
            object.__setattr__(made, field.name, exact)
        return made

    def _object(self, content: list[Any]) -> Any:
        name, attributes = content
        made = object.__new__(_class(name))
        self._reserve(made)
        for key, item in attributes.items():
            if key.startswith("__") or callable(getattr(type(made), key, None)):
                raise TypeError(f"{name}: no attribute {key}")
            object.__setattr__(made, key, self.build(item))
        return made

    def _random(self, content: list[Any]) -> random.Random:
        version, internal, spare = content
        made = random.Random()  # noqa: S311  goes on where the recorded one was
        made.setstate((version, tuple(internal), spare))
        self._reserve(made)
        return made

    def _zeros(self, length: int) -> bytes:
        self._hidden += length
        return bytes(_whole(self._hidden, MOST_HIDDEN) and length)

    def _reserve(self, value: Any) -> int:
        self._objects.append(value)
        return len(self._objects) - 1


@cache
def name_of(kind: type) -> str:
    """Return the class's name in a recording; raises TypeError when it may not be in one."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    inner = name.removeprefix(PACKAGE)
    ours = name.startswith(PACKAGE) and inner.startswith(ROOMS) and not inner.startswith(NEVER)
    if not ours or not _NAME.fullmatch(inner):
        raise TypeError(f"{name} cannot be recorded")
    return inner


def _class(name: str, base: type = object) -> Any:
    found = _find(name) if isinstance(name, str) else None
    if found is None or not issubclass(found, base):
        raise TypeError(f"no class {name!r}"[:100])
    return found


@cache
def _find(name: str) -> type | None:
    if not name.startswith(ROOMS) or not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        return None
    module, _, last = (PACKAGE + name).rpartition(".")
    found = getattr(import_module(module), last, None)
    return found if isinstance(found, type) and found.__module__ == module else None


def _whole(number: Any, most: int) -> int:
    """Return a number that is within its limit; raises ValueError."""
    if type(number) is not int or not 0 <= number <= most:
        raise ValueError("a number out of range")
    return number


@cache
def _getter(kind: type) -> Callable[[object], tuple[object, ...]]:
    """Return a function that returns a frozen dataclass's fields in order."""
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} cannot be recorded as a value")
    names = [field.name for field in fields(kind)]
    match names:
        case []:
            return lambda _value: ()
        case [only]:
            return lambda value: (getattr(value, only),)
        case _:
            return attrgetter(*names)


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a value: what makes its default, and the enumeration of numbers that it holds."""

    name: str
    default: Callable[[], object] | None
    number: Callable[[Any], object] | None


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} is no value")
    hints = get_type_hints(kind)
    found = []
    for field in fields(kind):
        default: Callable[[], object] | None = None
        if field.default is not MISSING:
            default = partial(_same, field.default)
        elif field.default_factory is not MISSING:
            default = field.default_factory
        hint = hints[field.name]
        plain = isinstance(hint, type) and issubclass(hint, Enum) and issubclass(hint, int | str)
        found.append(_Field(field.name, default, hint if plain else None))
    return tuple(found)


def _same(value: object) -> object:
    return value


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Return the state of an object of ours, in a fixed order."""
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    if not hasattr(value, "__dict__"):
        raise TypeError(f"{type(value).__name__} cannot be recorded")
    return list(vars(value).items())
