"""Inputs and effects as words, for people who read a replay.

What is printed is chosen by the names of fields in SHOWN: nothing else ever is. Parameters of
resources, configurations and payloads have no name there, so no secret can be printed, also by
inputs that are younger than this module.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from standfest.core.cib.document import Cib
from standfest.model.element import Element
from standfest.model.message import Message
from standfest.model.operations import Operation
from standfest.model.status import Status, Version
from standfest.runtime.cluster.effects import Note

SHOWN = frozenset(
    {
        *("again", "client", "destination", "device", "down", "event"),
        *("exit_code", "generation", "id", "incarnation", "interval", "isolated", "killed"),
        *("late_by", "leading", "left", "level", "link", "mine", "node", "number"),
        *("on", "reason", "resource", "run", "seeking", "sender", "session", "state", "status"),
        *("task", "term", "up", "written", "accepted"),
    }
)
"""Fields of values that may be printed."""
AGENTS_WORDS = frozenset({"fence-agent-ended", "fencing-failed"})
"""Events whose reason is what an agent said, though they name no resource."""
SHOWN_OF_MESSAGES = ("t", "st", "src", "dest", "seq", "firstseq", "lastseq", "ackseq", "part")
"""Fields of datagrams that may be printed."""
LONGEST = 80
MOST_ITEMS = 8
DEPTH = 4


UNLIKELY = (TypeError, ValueError, AttributeError, RecursionError)
"""What values raise that no machine of ours has made: a foreign file's."""


def words(arguments: tuple[tuple[str, Any], ...]) -> list[str]:
    """Return an input's arguments as words `name=value`."""
    try:
        return [word for name, value in arguments for word in _named(name, value, DEPTH)]
    except UNLIKELY:
        return ["?"]


def effect_words(effect: Any) -> list[str]:
    """Return an effect as words: its kind, and what may be said of it."""
    try:
        return _effect_words(effect)
    except UNLIKELY:
        return ["?"]


def _effect_words(effect: Any) -> list[str]:
    if isinstance(effect, Note):
        told = dict(effect.fields)
        # What an agent says of a resource, or of a fence device, may repeat its parameters.
        agents = "resource" in told or effect.event in AGENTS_WORDS
        hidden = {"reason"} if agents else set()
        said = [f"{name}={_short(told[name])}" for name in told if name in SHOWN - hidden]
        return [type(effect).__name__, effect.level.value, effect.event, *said]
    return [type(effect).__name__, *_inner(effect, DEPTH)]


def _named(name: str, value: Any, depth: int) -> Iterator[str]:
    """Yield the words for one field."""
    match value:
        case bytes():
            yield f"{name}={len(value)}-bytes"
        case Version():
            yield f"{name}={_version(value)}"
        case Cib():
            yield f"{name}={_version(value.version)}"
        case Operation():
            interval = f"_{value.interval // 1_000_000}" if value.interval else ""
            yield f"{name}={_short(value.resource)}:{_short(value.task)}{interval}"
        case Element() | Status():
            yield f"{name}=..."
        case _ if is_dataclass(value):
            yield type(value).__name__
            yield from _inner(value, depth - 1)
        case _:
            agents = name == "reason" and not isinstance(value, Enum)
            text = None if agents or name not in SHOWN else _text(value)
            if text is not None:
                yield f"{name}={text}"


def _inner(value: Any, depth: int) -> Iterator[str]:
    if not is_dataclass(value) or depth <= 0:
        return
    if isinstance(value, Message):
        for name in SHOWN_OF_MESSAGES:
            text = value.text(name)
            if text is not None:
                yield f"{name}={_short(text)}"
        return
    for field in fields(value):
        held = getattr(value, field.name, None)
        if held is not None and held != "":
            yield from _named(field.name, held, depth)


def _version(value: Version) -> str:
    return f"{value.admin_epoch}.{value.epoch}.{value.num_updates}"


def _text(value: Any) -> str | None:
    """Return a plain value as one word, or None for what is not plain."""
    if isinstance(value, Enum):
        return _short(value.value if isinstance(value.value, str) else value.name.lower())
    if isinstance(value, str | int):
        return _short(str(value))
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return _short(",".join(value[:MOST_ITEMS]) or "-")
    return None


def _short(text: str) -> str:
    clean = "".join(c if c.isprintable() and c != " " else "_" for c in text[:LONGEST])
    return clean + ("..." if len(text) > LONGEST else "")
