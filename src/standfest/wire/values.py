"""Frozen dataclasses <-> JSON bytes: what daemons and nodes say to each other.

A value is written as `["TypeName", {field: value}]`; the type of every field decides how it is
read, so nothing but the registered types can ever be built from foreign bytes. Total and bounded:
whatever the bytes, the outcome is a value or a `WireError`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from standfest.model.errors import WireError

MAX_BYTES = 16 * 1024 * 1024
"""No value may be longer than this on the wire."""

REASONS = ("oversized", "not-json", "unknown-type", "wrong-shape")
"""The closed list of reasons in this module's WireErrors."""

Reader = Callable[[Any], Any]


def encode(value: object) -> bytes:
    """Return the bytes of one frozen dataclass value."""
    return json.dumps(
        [type(value).__name__, _plain(value)], separators=(",", ":"), ensure_ascii=False
    ).encode()


def decode(data: bytes, types: Mapping[str, type]) -> Any:
    """Return the value in `data`, an instance of one of `types` (name -> dataclass).

    Raises WireError with a reason from REASONS.
    """
    if len(data) > MAX_BYTES:
        raise WireError("oversized", f"{len(data)} bytes, at most {MAX_BYTES}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError("not-json", type(error).__name__) from error
    if not (isinstance(document, list) and len(document) == 2 and isinstance(document[0], str)):
        raise WireError("wrong-shape", "expected [type, fields]")
    kind = types.get(document[0])
    if kind is None:
        raise WireError("unknown-type", document[0][:40])
    try:
        return _reader(kind)(document[1])
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise WireError("wrong-shape", f"{document[0]}: {error}"[:200]) from error


def _plain(value: Any) -> Any:
    """Return `value` as JSON knows it."""
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, int):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    writers = _writers(type(value))  # type: ignore[arg-type]
    return {name: write(getattr(value, name)) for name, write in writers}


@cache
def _writers(kind: Any) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (field.name, _tagged if _needs_tag(hints[field.name]) else _plain)
        for field in fields(kind)
        if field.init
    )


def _tagged(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_tagged(item) for item in value]
    if is_dataclass(value):
        return [type(value).__name__, _plain(value)]
    return _plain(value)


def _needs_tag(hint: Any) -> bool:
    """Return whether the hint leaves open which of several dataclasses a value is."""
    arguments = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return sum(is_dataclass(argument) for argument in arguments) > 1
    return any(_needs_tag(argument) for argument in arguments)


@cache
def _reader(hint: Any) -> Reader:
    """Return the function that turns JSON's idea of a value into `hint`'s."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        raise TypeError("fields of foreign values need exact types")
    if origin in (Union, UnionType):
        return _union_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if is_dataclass(hint):
        return _dataclass_reader(hint)
    if hint is bytes:
        return lambda value: bytes.fromhex(_exactly(str, value))
    if hint is float:
        return lambda value: float(_exactly((int, float), value))
    if hint in (str, int, bool, NoneType):
        return lambda value: _exactly(hint, value)
    raise TypeError(f"no reader for {hint}")


def _exactly(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise TypeError(f"{type(value).__name__} where {kind} was expected")
    return value


def _union_reader(arguments: tuple[Any, ...]) -> Reader:
    classes: dict[str, Any] = {
        a.__name__: a for a in arguments if isinstance(a, type) and is_dataclass(a)
    }
    optional = NoneType in arguments
    if len(classes) > 1:

        def read_tagged(value: Any) -> Any:
            if value is None and optional:
                return None
            name, body = value
            return _reader(classes[name])(body)

        return read_tagged
    plain = [_reader(argument) for argument in arguments if argument is not NoneType]

    def read_first(value: Any) -> Any:
        if value is None and optional:
            return None
        if len(plain) == 1:
            return plain[0](value)
        for read in plain:
            try:
                return read(value)
            except (TypeError, ValueError):
                continue
        raise TypeError("no alternative fits")

    return read_first


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = arguments[0]

        def read_all(value: Any) -> Any:
            read = _reader(item)
            return tuple(read(entry) for entry in _exactly(list, value))

        return read_all

    def read_fixed(value: Any) -> Any:
        entries = _exactly(list, value)
        if len(entries) != len(arguments):
            raise TypeError(f"{len(entries)} items where {len(arguments)} were expected")
        return tuple(_reader(kind)(entry) for kind, entry in zip(arguments, entries, strict=True))

    return read_fixed


def _dataclass_reader(kind: Any) -> Reader:
    known: dict[str, Any] = {}
    required: set[str] = set()
    for field in fields(kind):
        known[field.name] = None
        if field.default is MISSING and field.default_factory is MISSING:
            required.add(field.name)

    def read(value: Any) -> Any:
        _exactly(dict, value)
        if unknown := value.keys() - known.keys():
            raise TypeError(f"unknown field {min(unknown)}")
        if missing := required - value.keys():
            raise TypeError(f"missing field {min(missing)}")
        hints = _hints(kind)
        return kind(**{name: _reader(hints[name])(entry) for name, entry in value.items()})

    return read


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
