"""What the compilers of entries share: values by keyword, with their types checked once."""

from dataclasses import replace
from typing import TypeVar

from standfest.config.keepalived.check import Entry
from standfest.model.vrrp import Command

Value = TypeVar("Value")


def given(block: Entry, kind: type[Value], *keywords: str) -> Value | None:
    """Return the value of the last of these keywords in a block, or None without one."""
    entry = block.last(*keywords)
    if entry is None:
        return None
    assert isinstance(entry.value, kind), f"the vocabulary says what {entry.keyword} is"
    return entry.value


def value(block: Entry, default: Value, *keywords: str) -> Value:
    """Return the value of the last of these keywords in a block, or the default."""
    found = given(block, object, *keywords)
    assert found is None or isinstance(found, type(default)), f"{keywords[0]} has another type"
    return default if found is None else found


def switched(block: Entry, default: bool, *keywords: str) -> bool:
    """Return whether a switch is on."""
    return value(block, default, *keywords)


def command(block: Entry, *keywords: str) -> Command | None:
    """Return a command, or None."""
    return given(block, Command, *keywords)


def run_as(program: Command, block: Entry) -> Command:
    """Return a command with the user that `user` names in the same block."""
    owner = given(block, tuple, "user")
    if owner is None:
        return program
    user, group = (*owner, "")[:2]
    return replace(program, user=user, group=group)


def lines(block: Entry, kind: type[Value], keyword: str) -> tuple[Value, ...]:
    """Return what the list blocks with this keyword list, in order."""
    found = []
    for line in block.elements(keyword):
        assert isinstance(line.value, kind), f"{keyword} lists one kind of thing"
        found.append(line.value)
    return tuple(found)
