"""What resource agents are written with: parameters, metadata, actions.

Source: OCF Resource Agent API 1.1, facts/formats/RA-API.md sections 1 and 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from xml.sax.saxutils import escape, quoteattr

from standfest.model.errors import OperationError
from standfest.model.operations import ExitCode
from standfest.ports.host import Host

META_PREFIX = "CRM_meta_"
ACTIONS = ("start", "stop", "monitor", "validate-all", "meta-data")


class AgentError(OperationError):
    """An action cannot be done; ends it with this exit code and this reason for administrators."""

    def __init__(self, code: ExitCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Parameter:
    """One instance attribute; kind: `string`, `integer` or `boolean`."""

    name: str
    short: str
    required: bool = False
    unique: bool = False
    kind: str = "string"
    default: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """What the agent advises, in seconds; the configuration decides."""

    start: int
    stop: int
    monitor: int


class Agent:
    """One resource; a subclass names itself, its parameters, and does its actions.

    values: parameters by their names, and the cluster's own by META_PREFIX and their names.
    """

    name: ClassVar[str]
    short: ClassVar[str]
    long: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    timeouts: ClassVar[Timeouts]

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def value(self, name: str) -> str:
        """Return a parameter's value, or its default."""
        default = next(p.default for p in self.parameters if p.name == name)
        return self._values.get(name, "").strip() or default

    def meta(self, name: str) -> str:
        """Return what the cluster says of the resource, such as `clone_max`; else nothing."""
        return self._values.get(META_PREFIX + name, "")

    def required(self, name: str) -> str:
        """Return a parameter's value; raises AgentError NOT_CONFIGURED without one."""
        found = self.value(name)
        if not found:
            raise AgentError(ExitCode.NOT_CONFIGURED, f"parameter {name} is missing")
        return found

    def start(self, host: Host) -> ExitCode:
        """Start; what runs already is a success."""
        raise AssertionError("an agent defines start")

    def stop(self, host: Host) -> ExitCode:
        """Stop; what is stopped already is a success."""
        raise AssertionError("an agent defines stop")

    def monitor(self, host: Host) -> ExitCode:
        """Return OK, NOT_RUNNING, or how it has failed."""
        raise AssertionError("an agent defines monitor")

    def validate(self, host: Host) -> None:
        """Raise AgentError when the parameters cannot be right."""
        for parameter in self.parameters:
            if parameter.required:
                self.required(parameter.name)

    def perform(self, action: str, host: Host) -> ExitCode:
        """Do one action; raises AgentError or OperationError."""
        match action:
            case "start":
                self.validate(host)
                return self.start(host)
            case "stop":
                return self.stop(host)
            case "monitor" | "status":
                self.validate(host)
                return self.monitor(host)
            case "validate-all":
                self.validate(host)
                return ExitCode.OK
            case _:
                raise AgentError(ExitCode.UNIMPLEMENTED, f"no action {action}")

    @classmethod
    def metadata(cls) -> str:
        """Return the agent's description as XML."""
        parameters = "\n".join(_parameter(parameter) for parameter in cls.parameters)
        times = cls.timeouts
        return f"""<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name={quoteattr(cls.name)} version="1.0">
<version>1.0</version>
<longdesc lang="en">{escape(cls.long)}</longdesc>
<shortdesc lang="en">{escape(cls.short)}</shortdesc>
<parameters>
{parameters}
</parameters>
<actions>
<action name="start" timeout="{times.start}s"/>
<action name="stop" timeout="{times.stop}s"/>
<action name="monitor" depth="0" timeout="{times.monitor}s" interval="10s"/>
<action name="validate-all" timeout="5s"/>
<action name="meta-data" timeout="5s"/>
</actions>
</resource-agent>
"""


def _parameter(parameter: Parameter) -> str:
    default = f" default={quoteattr(parameter.default)}" if parameter.default else ""
    return (
        f"<parameter name={quoteattr(parameter.name)} unique={_flag(parameter.unique)} "
        f"required={_flag(parameter.required)}>\n"
        f'<longdesc lang="en">{escape(parameter.short)}</longdesc>\n'
        f'<shortdesc lang="en">{escape(parameter.short)}</shortdesc>\n'
        f'<content type="{parameter.kind}"{default}/>\n</parameter>'
    )


def _flag(value: bool) -> str:
    return '"1"' if value else '"0"'
