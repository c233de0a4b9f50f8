"""How fence agents are called: RHCS-style agents, and plugins of cluster-glue.

Parameters, which may be secret, go by standard input or by environment, never by command line, and
are taken out of whatever an agent writes. Source: facts/formats/RA-API.md section 5.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from standfest.model.errors import OperationError
from standfest.model.fencing import FenceCall, is_for_agents
from standfest.model.operations import Agent, ExitCode, Operation
from standfest.model.secrets import is_secret

AGENTS = Path("/usr/sbin")
PLUGINS = Path("/usr/lib/stonith/plugins/external")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HIDDEN = "***"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLUGIN_WORDS = {"reboot": "reset", "monitor": "status", "start": "status"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fence agent's process: command line, environment, and what it reads."""

    words: tuple[str, ...]
    environment: dict[str, str]
    given: bytes = b""


def operation_of(call: FenceCall) -> Operation:
    """Return a call as an operation, which agents' runners understand."""
    meta = {
        "fence_word": call.word,
        "fence_target": call.target,
        "fence_port": call.port,
        "fence_argument": call.host_argument,
    }
    return Operation(
        call.device,
        Agent("stonith", call.agent),
        call.action,
        0,
        call.timeout,
        parameters=call.parameters,
        meta=tuple(sorted(meta.items())),
    )


def answer(operation: Operation) -> ExitCode | None:
    """Return the exit code of what no agent is asked; None if it has to be asked.

    Whether a device runs somewhere is the cluster's own idea: nothing is there to be found or
    stopped, and to start it is to see whether it answers.
    """
    if operation.task == "stop":
        return ExitCode.OK
    if operation.task == "monitor" and not operation.interval:
        return ExitCode.NOT_RUNNING
    return None


def prepare(operation: Operation) -> Prepared:
    """Return how the agent is called; raises OperationError."""
    parameters = {n: v for n, v in operation.parameters if is_for_agents(n)}
    meta = dict(operation.meta)
    if operation.task in ("start", "monitor"):
        word = dict(operation.parameters).get("pcmk_monitor_action", "monitor")
    else:
        word = meta.get("fence_word", operation.task)
    target, port = meta.get("fence_target", ""), meta.get("fence_port", "")
    path, plugin = _find(operation.agent.type)
    base = {"PATH": SEARCH_PATH, "LANG": "C", "LC_ALL": "C", "HOME": "/root"}
    if plugin:
        told = {name: value for name, value in parameters.items() if _VARIABLE.fullmatch(name)}
        words = (str(path), _PLUGIN_WORDS.get(word, word), *((port,) if port else ()))
        return Prepared(words, told | base)
    if target:
        parameters["nodename"] = target
        argument = meta.get("fence_argument", "")
        names = ("port", "plug") if not argument else (argument,)
        for name in names if argument != "none" else ():
            if parameters.get(name, "dynamic") == "dynamic":
                parameters[name] = port
    parameters["action"] = word
    for name, value in parameters.items():
        if "\n" in value or "\n" in name or "\0" in value:
            raise OperationError(f"parameter {name} of {operation.resource} has a line break")
    lines = "".join(f"{name}={value}\n" for name, value in sorted(parameters.items()))
    return Prepared((str(path),), base, lines.encode())


def without_secrets(operation: Operation, text: str) -> str:
    """Return what an agent wrote, with the values of secret parameters taken out."""
    secret = {value for name, value in operation.parameters if value and is_secret(name)}
    for value in sorted(secret, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def _find(name: str) -> tuple[Path, bool]:
    """Return an agent's file, and whether it is a plugin; raises OperationError."""
    bare = name.removeprefix("external/")
    if bare == name and name.startswith("fence_"):
        found = [(AGENTS / name, False)]
    elif bare == name:
        found = [(PLUGINS / name, True), (AGENTS / f"fence_{name}", False)]
    else:
        found = [(PLUGINS / bare, True)]
    for path, plugin in found:
        if path.is_file():
            return path, plugin
    raise OperationError(f"no fence agent {found[0][0]}")
