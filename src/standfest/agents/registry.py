"""The built-in agents by the names under which configurations ask for them."""

from standfest.agents.filesystem import Filesystem
from standfest.agents.ipaddr import IPaddr
from standfest.agents.ipaddr2 import IPaddr2
from standfest.agents.kit import Agent
from standfest.agents.service import Service

BUILT_IN: tuple[type[Agent], ...] = (Filesystem, IPaddr, IPaddr2, Service)
ALIASES = {"gentooservice": "service"}
"""Other names, in lower case: the report writes GentooService for Service."""


def built_in(name: str) -> type[Agent] | None:
    """Return the agent of this type, in any case of letters, or None."""
    lower = name.lower()
    wanted = ALIASES.get(lower, lower)
    return next((agent for agent in BUILT_IN if agent.name.lower() == wanted), None)
