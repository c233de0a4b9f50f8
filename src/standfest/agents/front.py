"""`standfest agent`: the built-in agents as OCF programs, for other stacks and for ocf-tester.

A composition root of its own (agents on this machine), without click: it runs at every monitor.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from standfest.adapters.linux.host import LinuxHost
from standfest.agents.invoke import invoke, parameters_of
from standfest.agents.registry import ALIASES, BUILT_IN, built_in
from standfest.model.errors import OperationError
from standfest.model.operations import ExitCode

USAGE = """usage: standfest agent TYPE ACTION      do one action; parameters as OCF_RESKEY_name
       standfest agent --list           list the types and their aliases
       standfest agent --install DIR    write programs of these names for other stacks
actions: start, stop, monitor, validate-all, meta-data
"""
MARK = "# Written by `standfest agent --install`."


def main(arguments: Sequence[str]) -> None:
    """Do what the arguments say and exit with an OCF exit code."""
    sys.exit(_run(list(arguments)))


def _run(arguments: list[str]) -> int:
    match arguments:
        case ["--help" | "-h"]:
            sys.stdout.write(USAGE)
            return 0
        case ["--list"]:
            for agent in BUILT_IN:
                others = [a for a, name in sorted(ALIASES.items()) if name == agent.name.lower()]
                alias = f" (also: {', '.join(others)})" if others else ""
                sys.stdout.write(f"{agent.name}: {agent.short}{alias}\n")
            return 0
        case ["--install", directory]:
            return _install(Path(directory))
        case [name, action]:
            found = built_in(name)
            if found is None:
                known = ", ".join(agent.name for agent in BUILT_IN)
                sys.stderr.write(f"standfest agent: no agent {name}; expected one of: {known}\n")
                return int(ExitCode.NOT_INSTALLED)
            return invoke(found, action, parameters_of(os.environ), LinuxHost())
        case _:
            sys.stderr.write(USAGE)
            return int(ExitCode.UNIMPLEMENTED)


def _install(directory: Path) -> int:
    names = [agent.name for agent in BUILT_IN] + ["GentooService"]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            _write(directory / name, name)
    except (OSError, OperationError) as error:
        sys.stderr.write(f"standfest agent: {error}\n")
        return 1
    return 0


def _write(path: Path, name: str) -> None:
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise OperationError(f"{path}: another package's file; expected none, or one of ours")
    command = f'exec {sys.executable} -m standfest.agents.front {name} "$@"'
    path.write_text(f"#!/bin/sh\n{MARK}\n{command}\n", encoding="utf-8")
    path.chmod(0o755)


def __getattr__(name: str) -> object:
    """Return the click command for the help of `standfest`, importing click only then."""
    if name != "command":
        raise AttributeError(name)
    import click  # noqa: PLC0415

    @click.command(
        name="agent", context_settings={"ignore_unknown_options": True, "help_option_names": []}
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        """Run a built-in resource agent, or list them."""
        main(arguments)

    return command


if __name__ == "__main__":
    main(sys.argv[1:])
