"""One action of a built-in agent, from parameters to exit code, as OCF wants it."""

import os
import sys
from collections.abc import Mapping

from standfest.agents.kit import Agent, AgentError
from standfest.model.errors import OperationError
from standfest.model.operations import ExitCode
from standfest.ports.host import Host

REASON_PREFIX = "ocf-exit-reason:"
PARAMETER_PREFIX = "OCF_RESKEY_"


def parameters_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the instance attributes in an OCF environment, and what the cluster says (kit)."""
    return {
        name.removeprefix(PARAMETER_PREFIX): value
        for name, value in environment.items()
        if name.startswith(PARAMETER_PREFIX)
    }


def invoke(agent: type[Agent], action: str, values: Mapping[str, str], host: Host) -> int:
    """Do the action and return its exit code; the reason of a failure goes to stderr."""
    if action == "meta-data":
        sys.stdout.write(agent.metadata())
        sys.stdout.flush()
        return int(ExitCode.OK)
    try:
        return int(agent(values).perform(action, host))
    except AgentError as error:
        code, reason = error.code, str(error)
    except OperationError as error:
        code, reason = ExitCode.GENERIC, str(error)
    os.write(2, f"{REASON_PREFIX}{reason}\n".encode(errors="replace"))
    return int(code)
