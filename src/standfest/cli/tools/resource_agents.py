"""`crm_resource`: agents that are installed here, and running one here, past the cluster."""

import os
import select
import time
from collections.abc import Mapping, Sequence
from functools import partial

from standfest.adapters.linux import agentlist
from standfest.adapters.linux.agentrunner import BuiltIn, LinuxAgentRunner
from standfest.adapters.linux.host import LinuxHost
from standfest.agents.invoke import invoke
from standfest.agents.registry import built_in
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.resource_queries import named_list
from standfest.cli.tools.resource_run import TOOL, Run, ended, performing
from standfest.cli.tools.saying import message
from standfest.core.scheduler.entities import Kind, Node, Resource
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.operations import Agent, ExitCode, Operation
from standfest.model.time import milliseconds
from standfest.monitor.crm.words import exit_text
from standfest.monitor.resource import shown
from standfest.ports.agents import RunEnded

TIMEOUT_S = 20.0
_TASKS = {
    "force_start": "start",
    "force_stop": "stop",
    "force_promote": "promote",
    "force_demote": "demote",
    "force_check": "monitor",
    "validate": "validate-all",
}
_TIMED_OUT = 2


# --- lists ---------------------------------------------------------------------------------------


def standards(run: Run) -> int:
    """Name the classes of agents."""
    found = agentlist.standards()
    run.saying.lines(found)
    run.saying.element(named_list("standards", "", found))
    return Exit.OK


def providers(run: Run) -> int:
    """Name the providers of OCF agents, or of one OCF agent."""
    agent = run.asked.argument
    found = agentlist.providers(agent)
    if not found:
        what = f"No OCF providers found for {agent}" if agent else "No OCF providers found"
        raise performing(Exit.NO_SUCH, f"{TOOL}: {what}")
    run.saying.lines(found)
    attributes = (("for", agent),) if agent else (("standard", "ocf"),)
    names = tuple(Element("provider", text=name) for name in found)
    run.saying.element(Element("providers", attributes, names))
    return Exit.OK


def agents(run: Run) -> int:
    """Name the agents of a class, or of a class and a provider."""
    standard, _, provider = run.asked.argument.partition(":")
    found = agentlist.agents(standard, provider)
    if not found:
        of = f" and provider '{provider}'" if provider else ""
        text = f"{TOOL}: No agents found for standard '{standard}'{of}"
        raise performing(Exit.ERROR, text)
    run.saying.lines(found)
    attributes = (("standard", standard), *((("provider", provider),) if provider else ()))
    names = tuple(Element("agent", text=name) for name in found)
    run.saying.element(Element("agents", attributes, names))
    return Exit.OK


def metadata(run: Run) -> int:
    """Show what an agent says of itself."""
    spec = run.asked.argument
    parts = spec.split(":")
    if len(parts) != (3 if parts[0] == "ocf" else 2) or not all(parts):
        raise performing(Exit.NO_SUCH, f"{TOOL}: '{spec}' is not a valid agent specification")
    provider = parts[1] if len(parts) == 3 else ""
    try:
        text = agentlist.metadata(Agent(parts[0], parts[-1], provider))
    except OperationError as error:
        raise performing(
            Exit.NO_SUCH, f"{TOOL}: Metadata query for {spec} failed: {error}"
        ) from error
    run.saying.line(text.rstrip("\n"))
    run.saying.element(Element("metadata", text=text))
    return Exit.OK


# --- running one here ----------------------------------------------------------------------------


def forced(run: Run) -> int:
    """Run an action of a resource's agent on this machine, whatever the cluster knows of it."""
    level = _level(run)
    if run.asked.command == "validate" and run.asked.agent != ("", "", ""):
        return _report(run, "", _given_agent(run), run.asked.parameters, level)
    resource = run.resource()
    if resource.is_clone and resource.children:
        _refuse_second(run, resource)
        resource = resource.children[0]
    if resource.kind is not Kind.PRIMITIVE:
        word = run.asked.command.replace("_", "-")
        kind = resource.kind.name.lower()
        run.saying.error(f"Sorry, the {word} option doesn't support {kind} resources")
        raise ended(Exit.UNIMPLEMENTED)
    unique = resource.clone is not None and resource.globally_unique
    name = resource.id if unique else resource.base
    standard, provider, kind = resource.agent
    parameters = shown.parameters(run.situation, resource, _here(run))
    return _report(run, name, Agent(standard, kind, provider), parameters, level)


def _here(run: Run) -> Node | None:
    return run.situation.cluster.node(os.uname().nodename)


def _refuse_second(run: Run, clone: Resource) -> None:
    """Refuse to start, promote or demote what the cluster has running here already."""
    doing = _TASKS[run.asked.command]
    risky = doing in ("start", "promote", "demote") and not run.asked.force
    if risky and _here(run) in clone.running:
        run.saying.error(
            f"It is not safe to {doing} {clone.id} here: the cluster claims it is already active\n"
            "Try setting target-role=Stopped first or specifying the force option"
        )
        raise ended(Exit.UNSAFE)


def _level(run: Run) -> str:
    level = run.asked.level
    if level and not (level.isascii() and level.isdigit()):
        raise ToolError(Exit.USAGE, f"{TOOL}: Invalid check level setting: {level}")
    return level


def _given_agent(run: Run) -> Agent:
    """Return the agent of --class, --provider and --agent; raises ToolError if there is none."""
    if run.asked.resource:
        text = "--resource cannot be used with --class, --agent, and --provider"
        raise ToolError(Exit.USAGE, f"{TOOL}: {text}")
    standard, provider, kind = run.asked.agent
    agent = Agent(standard, kind, provider)
    if standard == "ocf" and built_in(kind) is not None:
        return agent
    if not agentlist.is_installed(agent):
        known = f"{kind} is not a known stonith agent"
        if standard != "stonith":
            whole = f"{standard}:{provider}:{kind}" if standard == "ocf" else f"{standard}:{kind}"
            known = f"{whole} is not a known resource"
        raise ToolError(Exit.USAGE, f"{TOOL}: {known}")
    return agent


def _report(run: Run, name: str, agent: Agent, parameters: Mapping[str, str], level: str) -> int:
    word = run.asked.command.replace("_", "-")
    given = dict(parameters) | ({"OCF_CHECK_LEVEL": level} if level else {})
    timeout = run.asked.timeout or TIMEOUT_S
    operation = Operation(
        name or "test",
        agent,
        _TASKS[run.asked.command],
        0,
        milliseconds(int(timeout * 1000)),
        parameters=tuple(sorted(given.items())),
        meta=(("timeout", str(int(timeout * 1000))),),
    )
    done, output = run_here(operation, timeout)
    reason = f": {done.reason}" if done.reason else ""
    of = f" for {name}" if name else ""
    words = exit_text(done.exit_code)
    run.saying.remark(f"Operation {word}{of} ({agent}) returned {done.exit_code} ({words}{reason})")
    if output:
        run.saying.remark("\n".join([*output, ""]))
    run.saying.element(_action(word, name, agent, done, output))
    if done.exit_code:
        text = f"{TOOL}: Error performing operation: {message(done.exit_code)}"
        run.saying.error(text)
    return done.exit_code


def _action(word: str, name: str, agent: Agent, done: RunEnded, output: Sequence[str]) -> Element:
    attributes = [("action", word), ("class", agent.standard), ("type", agent.type)]
    attributes += [("rsc", name)] if name else []
    attributes += [("provider", agent.provider)] if agent.provider else []
    status = [
        ("code", str(done.exit_code)),
        ("message", exit_text(done.exit_code)),
        ("execution_code", str(_TIMED_OUT) if done.killed else "0"),
        ("execution_message", "Timed Out" if done.killed else "complete"),
    ]
    status += [("reason", done.reason)] if done.reason else []
    children = [Element("overrides"), Element("agent-status", tuple(status))]
    if output:
        text = Element("output", (("source", "stderr"),), text="\n".join([*output, ""]))
        children.append(Element("command", (("code", str(done.exit_code)),), (text,)))
    return Element("resource-agent-action", tuple(attributes), tuple(children))


def run_here(operation: Operation, timeout: float) -> tuple[RunEnded, list[str]]:
    """Run an agent and wait for it, at most so many seconds; return how it ended, what it wrote.

    An agent that takes longer is killed with all that it began.
    """
    lines: list[str] = []
    runner = LinuxAgentRunner(_built_in, LinuxHost, lambda _resource, line: lines.append(line))
    runner.start(1, operation)
    end = time.monotonic() + timeout
    killed = False
    while True:
        ended_now = runner.poll()
        if ended_now:
            done = ended_now[0]
            if killed:
                done = RunEnded(1, int(ExitCode.GENERIC), f"no answer within {timeout:g} s", True)
            return done, lines
        left = end - time.monotonic()
        if left <= 0 and not killed:
            killed = True
            runner.kill(1)
        select.select([runner.fileno()], [], [], max(left, 0.1))


def _built_in(name: str) -> BuiltIn | None:
    agent = built_in(name)
    return None if agent is None else partial(invoke, agent)
