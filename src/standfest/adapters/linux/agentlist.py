"""Which agents are installed here, and what they say of themselves.

Nothing is run but an agent's own `meta-data`. Source: facts/formats/RA-API.md sections 1, 2 and 5.
"""

import os
import subprocess
from pathlib import Path

from standfest.adapters.linux import fenceagents
from standfest.adapters.linux.agentrunner import (
    INIT_DIRECTORY,
    OCF_ROOT,
    SYSTEMCTL,
    ocf_environment,
)
from standfest.model.errors import OperationError
from standfest.model.operations import Agent, Operation

SYSTEMD = Path("/run/systemd/system")
METADATA_S = 30.0
LIST_S = 10.0
MOST_BYTES = 4 * 1024 * 1024
_UNITS = (".service", ".socket", ".mount", ".timer", ".path")


def standards() -> tuple[str, ...]:
    """Return the classes of agents that can be used here."""
    systemd = ("systemd",) if SYSTEMD.is_dir() else ()
    return ("ocf", "lsb", "service", *systemd, "stonith")


def providers(agent: str = "", root: Path | None = None) -> tuple[str, ...]:
    """Return the providers of OCF agents, sorted; agent: only those that have this one.

    root: of all OCF agents, here and below; the usual one when it is not given.
    """
    folder = (root or OCF_ROOT) / "resource.d"
    found = (one for one in _entries(folder) if one.is_dir())
    return tuple(one.name for one in found if not agent or _is_program(one / agent))


def agents(standard: str, provider: str = "", root: Path | None = None) -> tuple[str, ...]:
    """Return the agents of a class, sorted within each provider; none for an unknown class."""
    match standard:
        case "ocf":
            chosen = (provider,) if provider else providers(root=root)
            folders = [(root or OCF_ROOT) / "resource.d" / name for name in chosen]
            return tuple(name for folder in folders for name in _programs(folder))
        case "lsb":
            return _programs(INIT_DIRECTORY)
        case "systemd":
            return _units()
        case "service":
            return tuple(sorted({*_programs(INIT_DIRECTORY), *_units()}))
        case "stonith":
            return fence_agents()
        case _:
            return ()


def fence_agents() -> tuple[str, ...]:
    """Return the fence agents: cluster-glue's external plugins, then those in /usr/sbin."""
    plugins = tuple(f"external/{name}" for name in _programs(fenceagents.PLUGINS))
    own = (name for name in _programs(fenceagents.AGENTS) if name.startswith("fence_"))
    return (*plugins, *own)


def is_installed(agent: Agent, root: Path | None = None) -> bool:
    """Return whether there is such an agent."""
    if agent.standard == "ocf":
        folder = (root or OCF_ROOT) / "resource.d" / agent.provider
        return _is_program(folder / agent.type)
    return agent.type in agents(agent.standard)


def metadata(agent: Agent) -> str:
    """Return what an OCF or a fence agent says of itself; raises OperationError."""
    operation = Operation(agent.type, agent, "meta-data", 0, 0)
    if agent.standard == "stonith":
        asked = Operation(agent.type, agent, "metadata", 0, 0)
        prepared = fenceagents.prepare(asked)
        return _output(list(prepared.words), prepared.environment, prepared.given)
    if agent.standard != "ocf":
        raise OperationError(f"agents of class {agent.standard} say nothing of themselves")
    script = OCF_ROOT / "resource.d" / agent.provider / agent.type
    if not _is_program(script):
        raise OperationError(f"no agent {script}")
    return _output([str(script), "meta-data"], ocf_environment(operation), b"")


def _output(words: list[str], environment: dict[str, str], given: bytes) -> str:
    try:
        done = subprocess.run(
            words,
            input=given,
            env=environment,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=METADATA_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OperationError(f"{words[0]}: no answer within {METADATA_S:.0f} s") from error
    except OSError as error:
        raise OperationError(f"{words[0]}: {error.strerror}") from error
    if done.returncode or not done.stdout:
        raise OperationError(f"{words[0]}: exit code {done.returncode}; expected meta-data")
    return done.stdout[:MOST_BYTES].decode(errors="replace")


def _units() -> tuple[str, ...]:
    if not SYSTEMD.is_dir():
        return ()
    words = [SYSTEMCTL, "list-unit-files", "--no-legend", "--no-pager", "--plain"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=LIST_S, check=False, env={"LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    names = [line.split()[0] for line in done.stdout.splitlines() if line.split()]
    return tuple(sorted(name.removesuffix(".service") for name in names if name.endswith(_UNITS)))


def _programs(folder: Path) -> tuple[str, ...]:
    return tuple(one.name for one in _entries(folder) if _is_program(one))


def _entries(folder: Path) -> list[Path]:
    try:
        found = list(folder.iterdir())
    except OSError:
        return []
    return sorted((one for one in found if not one.name.startswith(".")), key=lambda p: p.name)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
