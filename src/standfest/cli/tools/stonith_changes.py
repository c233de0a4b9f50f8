"""`stonith_admin`: devices and levels put into the configuration, and taken out of it.

Pacemaker's tool tells one node's fencer, which forgets it again; here the configuration is the one
place where devices are, so that each command is one change of it, checked as any other.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.given import CODES
from standfest.cli.tools.saying import Saying
from standfest.cli.tools.source import chosen
from standfest.core.cib import devices
from standfest.core.cib.objects import ChangeError
from standfest.model.element import Element

TOOL = "stonith_admin"
LASTS = "the configuration is changed, for all nodes and for good, not one node's fencer for a time"
Given = Mapping[str, Any]


def register(saying: Saying, name: str, options: Given) -> int:
    """Add a device."""
    agent = agent_of(options)
    given = parameters(options)
    return _change(saying, lambda cib: devices.with_device(cib, name, agent, given))


def deregister(saying: Saying, name: str, _options: Given) -> int:
    """Remove a device."""
    return _change(saying, lambda cib: devices.without_device(cib, name))


def register_level(saying: Saying, target: str, options: Given) -> int:
    """Add devices to a level of a target."""
    index = options["index"]
    if index is None:
        raise ToolError(Exit.USAGE, f"{TOOL}: --register-level without --index; expected 1..9")
    wanted: Sequence[str] = options["device"]
    if not wanted:
        text = f"{TOOL}: --register-level without --device; expected at least one"
        raise ToolError(Exit.USAGE, text)
    _check(index, target)
    meant = devices.target_of(target)
    return _change(saying, lambda cib: devices.with_level(cib, meant, index, wanted))


def deregister_level(saying: Saying, target: str, options: Given) -> int:
    """Remove a level of a target, or all of them where no index is given, as Pacemaker does."""
    index = options["index"]
    if index is not None:
        _check(index, target)
    meant = devices.target_of(target)
    return _change(saying, lambda cib: devices.without_level(cib, meant, index))


def agent_of(options: Given) -> str:
    """Return the agent that is named; raises ToolError if none is."""
    agent: str = options["agent"]
    if not agent:
        text = "Please specify an agent to query using -a,--agent [value]"
        raise ToolError(Exit.USAGE, text)
    return agent


def parameters(options: Given) -> tuple[tuple[str, str], ...]:
    """Return the device's parameters, from -o and then from the environment; raises ToolError."""
    parts = [word.partition("=") for word in options["given"]]
    if not all(equals and name for name, equals, _ in parts):
        raise ToolError(Exit.USAGE, f"{TOOL}: Invalid option: -o/--option; expected NAME=VALUE")
    found = [(name, value) for name, _, value in parts]
    for name in options["env_option"]:
        value = os.environ.get(f"OCF_RESKEY_{name}")
        if value is None:
            text = f"{TOOL}: Invalid option: -e {name}; expected a variable OCF_RESKEY_{name}"
            raise ToolError(Exit.USAGE, text)
        found.append((name, value))
    return tuple(found)


def _check(index: int, target: str) -> None:
    if index not in devices.LEVELS:
        text = f"{TOOL}: level {index} for {target}; expected 1..{devices.LEVELS[-1]}"
        raise ToolError(Exit.SOFTWARE, text)


def _change(saying: Saying, change: Callable[[Element], Element]) -> int:
    source = chosen()
    before = source.read()
    try:
        after = change(before)
    except ChangeError as error:
        raise ToolError(CODES[error.refusal], f"{TOOL}: {error}") from error
    if after is not before:
        source.change(before, after)
        if not saying.quiet:
            click.echo(f"{TOOL}: {LASTS}", err=True)
    return Exit.OK
