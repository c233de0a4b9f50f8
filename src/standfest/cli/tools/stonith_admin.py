"""`stonith_admin`: fence devices, and fencing by hand.

Options: facts/formats/TOOLS.md section 7. Fencing is the running cluster's, whatever CIB_file says;
devices are those of the configuration that is asked for.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from standfest.adapters.linux import agentlist
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import CODES, LiveSource, ask
from standfest.cli.tools.members import with_members
from standfest.cli.tools.resource_agents import run_here
from standfest.cli.tools.saying import Saying
from standfest.cli.tools.source import chosen
from standfest.cli.tools.stonith_changes import (
    TOOL,
    agent_of,
    deregister,
    deregister_level,
    parameters,
    register,
    register_level,
)
from standfest.cli.tools.tool import Output, output_options, tool
from standfest.config.cib import compile_configuration
from standfest.core.scheduler import values
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError
from standfest.model.fencing import FenceDevice, FencingPlan, FencingRecord, FencingState
from standfest.model.operations import Agent, ExitCode, Operation
from standfest.model.time import milliseconds, seconds
from standfest.monitor import fencing
from standfest.monitor.crm.fencing import records_of
from standfest.runtime import frames

POLL_S = 0.5
TIMEOUT_S = 120.0
INSTALLED = fencing.Names("installed fence devices", "fence device")
REGISTERED = fencing.Names("registered fence devices", "fence device")
TARGETS = fencing.Names("fence targets", "fence target", "target")
Callback = Callable[..., Any]
Given = Mapping[str, Any]


def _command(name: str, *words: str, text: str, argument: str = "") -> Callable[..., Any]:
    def note(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value not in (None, False):
            ctx.meta["command"] = name
            ctx.meta["argument"] = value if isinstance(value, str) else ""

    kind: dict[str, Any] = {"metavar": argument} if argument else {"is_flag": True}
    return click.option(
        *words, f"command_{name}", callback=note, expose_value=False, help=text, **kind
    )


_COMMANDS = (
    _command(
        *("register", "-R", "--register"),
        argument="DEVICE",
        text="Add a device to the configuration (-a, -o, -e).",
    ),
    _command(
        *("deregister", "-D", "--deregister"), argument="DEVICE", text="Take a device out of it."
    ),
    _command(
        *("register_level", "-r", "--register-level"),
        argument="TARGET",
        text="Add devices (-v) to a level (-i) of NAME, @PATTERN or ATTRIBUTE=VALUE.",
    ),
    _command(
        *("deregister_level", "-d", "--deregister-level"),
        argument="TARGET",
        text="Take a level (-i) out, all without -i.",
    ),
    _command("list", "-l", "--list", argument="HOST", text="Devices that can fence a node."),
    _command("registered", "-L", "--list-registered", text="All devices."),
    _command("installed", "-I", "--list-installed", text="Fence agents that are installed."),
    _command("targets", "-s", "--list-targets", argument="DEVICE", text="Whom it can fence."),
    _command("metadata", "-M", "--metadata", text="What an agent says of itself (-a)."),
    _command("query", "-Q", "--query", argument="DEVICE", text="Whether a device answers."),
    _command("history", "-H", "--history", argument="NODE", text="What was fenced; '*': all."),
    _command("last", "-h", "--last", argument="NODE", text="When a node was fenced last."),
    _command("validate", "-K", "--validate", text="Have an agent check its options (-a, -o)."),
    _command("off", "-F", "--fence", argument="HOST", text="Switch a node off."),
    _command("on", "-U", "--unfence", argument="HOST", text="Switch it on, or let it in."),
    _command("reboot", "-B", "--reboot", argument="HOST", text="Reboot a node."),
    _command("confirm", "-C", "--confirm", argument="HOST", text="Say that a node is down."),
)
_OTHERS = (
    click.option("-a", "--agent", default="", metavar="AGENT", help="For -R, -M, -K."),
    click.option(
        "-o", "--option", "given", multiple=True, metavar="NAME=VALUE", help="For -R, -K."
    ),
    click.option(
        *("-e", "--env-option"),
        multiple=True,
        metavar="NAME",
        help="As -o, from OCF_RESKEY_NAME of the environment.",
    ),
    click.option("-T", "--tag", hidden=True),
    click.option("-v", "--device", multiple=True, metavar="DEVICE", help="For -r."),
    click.option("-i", "--index", type=int, metavar="LEVEL", help="1 to 9; for -r, -d."),
    click.option("-t", "--timeout", default="", metavar="TIME", help="How long to wait (120s)."),
    click.option("-y", "--delay", hidden=True),
    click.option("-n", "--as-node-id", is_flag=True, help="-h names an id."),
    click.option("--tolerance", default="", metavar="TIME", help="Nothing if just fenced."),
    click.option("-c", "--cleanup", is_flag=True, help="With -H: forget what has ended."),
    click.option("-b", "--broadcast", is_flag=True, hidden=True),
    click.option("-q", "--quiet", is_flag=True, help="Say less."),
    click.option("--text-fancy", is_flag=True, hidden=True),
)


def _with(*options: Callable[..., Any]) -> Callable[[Callback], Callback]:
    def decorate(callback: Callback) -> Callback:
        for option in reversed(options):
            callback = option(callback)
        return callback

    return decorate


@tool(TOOL)
@output_options()
@_with(*_COMMANDS)
@_with(*_OTHERS)
def command(output: Output, **options: Any) -> int:
    """Fence nodes by hand, and show fence devices and what was fenced."""
    saying = Saying(TOOL, output, quiet=options["quiet"])
    ctx = click.get_current_context()
    name = ctx.meta.get("command", "")
    try:
        if not name:
            raise ToolError(Exit.USAGE, f"{TOOL}: no command; expected e.g. --list-registered")
        code = int(DOES[name](saying, ctx.meta["argument"], options))
    except ToolError as error:
        saying.error(error.text)
        code = error.code
    return saying.end(code)


# --- devices -------------------------------------------------------------------------------------


def _plan() -> FencingPlan:
    """Return the devices and levels of the CIB that is asked for; raises ToolError."""
    cib = chosen().read()
    try:
        configuration = cib.child("configuration") or Element("configuration")
        compiled, _ = compile_configuration(configuration)
    except ConfigError as error:
        raise ToolError(Exit.CONFIG, str(error)) from error
    return compiled.fencing


def _device(name: str) -> FenceDevice:
    device = _plan().device(name)
    if device is None:
        raise ToolError(Exit.NO_SUCH, f"{TOOL}: no fence device {name}")
    return device


def _names(saying: Saying, names: fencing.Names, found: Sequence[str]) -> int:
    lines = fencing.names_text(names, found)
    saying.lines(lines[:-1] if saying.quiet else lines)
    saying.element(fencing.names_xml(names, found))
    return Exit.OK


def _listed(saying: Saying, host: str, _options: Given) -> int:
    return _names(saying, REGISTERED, [d.id for d in _plan().devices if d.can_fence(host)])


def _registered(saying: Saying, _argument: str, _options: Given) -> int:
    return _names(saying, REGISTERED, [device.id for device in _plan().devices])


def _installed(saying: Saying, _argument: str, _options: Given) -> int:
    return _names(saying, INSTALLED, agentlist.fence_agents())


def _targets(saying: Saying, name: str, _options: Given) -> int:
    hosts = _device(name).hosts
    if not hosts:  # it fences anybody
        source = chosen()
        cib = with_members(source, source.read())
        section = next((e for e in cib.walk() if e.tag == "nodes"), Element("nodes"))
        hosts = tuple(node.get("uname") or node.id for node in section.all("node"))
    saying.lines(hosts)
    saying.element(fencing.names_xml(TARGETS, hosts))
    return Exit.OK


def _query(saying: Saying, name: str, options: Given) -> int:
    """Have the device's agent say whether the device answers this machine."""
    device = _device(name)
    timeout = _duration(options, "timeout") or TIMEOUT_S
    # A recurring one: that a device does not run before it is started is the cluster's idea.
    operation = Operation(
        device.id,
        Agent("stonith", device.agent),
        "monitor",
        seconds(10),
        milliseconds(int(timeout * 1000)),
        parameters=device.parameters,
    )
    done, _ = run_here(operation, timeout)
    if done.exit_code == ExitCode.OK:
        return Exit.OK
    reason = f": {done.reason}" if done.reason else ""
    raise ToolError(Exit.ERROR, f"{TOOL}: {name} does not answer{reason}")


def _metadata(saying: Saying, _argument: str, options: Given) -> int:
    try:
        text = agentlist.metadata(Agent("stonith", agent_of(options)))
    except OperationError as error:
        why = "Can't get fence agent meta-data: No such device"
        raise ToolError(Exit.NO_SUCH, why) from error
    saying.line(text.rstrip("\n"))
    saying.element(Element("metadata", (("agent", agent_of(options)),), text=text))
    return Exit.OK


def _validate(saying: Saying, _argument: str, options: Given) -> int:
    agent = agent_of(options)
    timeout = _duration(options, "timeout") or TIMEOUT_S
    operation = Operation(
        "test",
        Agent("stonith", agent),
        "validate-all",
        0,
        milliseconds(int(timeout * 1000)),
        parameters=tuple(sorted(parameters(options))),
    )
    done, output = run_here(operation, timeout)
    valid = done.exit_code == ExitCode.OK
    missing = done.exit_code == ExitCode.NOT_INSTALLED
    text = f"Agent {agent} not found" if missing else "\n".join([*output, ""]) if output else ""
    saying.remark(f"Validation of {agent} {'succeeded' if valid else 'failed'}")
    if text:
        saying.remark(text)
    said = (Element("output", (("source", "stderr"),), text=text),) if text else ()
    ran = Element("command", (("code", str(done.exit_code)),), said)
    attributes = (("agent", agent), ("valid", "true" if valid else "false"))
    saying.element(Element("validate", attributes, (ran,)))
    if missing:
        return Exit.NO_SUCH
    return Exit.OK if valid else Exit.ERROR


# --- the running cluster's fencing ---------------------------------------------------------------


def _run_dir() -> Path:
    """Return where the daemons' sockets are, whatever CIB is asked for."""
    here = {name: value for name, value in os.environ.items() if not name.startswith("CIB_")}
    source = chosen(here)
    assert isinstance(source, LiveSource), "no file is asked for"
    return source.run_dir


def _records() -> tuple[FencingRecord, ...]:
    """Return what the cluster knows of, oldest first; raises ToolError without a cluster."""
    return records_of(json.loads(ask(_run_dir(), frames.Query("fencing")).text)["history"])


def _history(saying: Saying, node: str, options: Given) -> int:
    if options["cleanup"]:
        return _forget(saying, node)
    found = [record for record in _records() if node in ("*", record.target)]
    if not options["verbose"]:  # of each node, the last that succeeded
        last = {record.target: record for record in found if record.succeeded}
        found = sorted(last.values(), key=lambda record: record.ended)
    for record in reversed(found):
        saying.line(str(record.ended) if saying.quiet else fencing.event_text(record))
    events = tuple(fencing.event_xml(record) for record in reversed(found))
    saying.element(Element("history", (("target", node),), events))
    return Exit.OK


def _forget(saying: Saying, node: str) -> int:
    """Have the cluster forget the fencings of a node, or of all (`*`), that have ended."""
    saying.remark(f"cleaning up fencing-history for node {node}")
    wanted = frames.Command("fence-forget", node="" if node == "*" else node)
    answer = ask(_run_dir(), wanted)
    if not answer.accepted:
        code = CODES.get(answer.ground, Exit.ERROR)
        raise ToolError(code, f"{TOOL}: {answer.text}")
    return Exit.OK


def _last(saying: Saying, node: str, options: Given) -> int:
    name = _name_of(node) if options["as_node_id"] else node
    ended = [r for r in _records() if r.target == name and r.succeeded]
    record = max(ended, key=lambda r: r.ended, default=None)
    saying.line(fencing.last_text(name, record))
    saying.element(fencing.last_xml(name, record))
    return Exit.OK


def _name_of(identifier: str) -> str:
    source = LiveSource(_run_dir())
    cib = with_members(source, source.read())
    nodes = (element for element in cib.walk() if element.tag == "node")
    found = next((node.get("uname") for node in nodes if node.id == identifier), None)
    if found is None:
        raise ToolError(Exit.NO_SUCH, f"{TOOL}: no node with id {identifier}")
    return found


def _fence(action: str) -> Callable[[Saying, str, Given], int]:
    def fence(_saying: Saying, node: str, options: Given) -> int:
        verb = "unfence" if action == "on" else "fence"
        try:
            _fenced(node, action, options)
        except ToolError as error:
            text = f"{TOOL}: Couldn't {verb} {node}: {error.text}"
            raise ToolError(error.code, text) from error
        return Exit.OK

    return fence


def _fenced(node: str, action: str, options: Given) -> None:
    """Have the cluster fence a node, and wait until that has ended; raises ToolError."""
    timeout = _duration(options, "timeout") or TIMEOUT_S
    tolerance = _duration(options, "tolerance")
    run_dir = _run_dir()
    before = _records()
    if tolerance and any(_is_recent(record, node, action, tolerance) for record in before):
        return
    known = {record.id for record in before if record.state is not FencingState.UNDER_WAY}
    answer = ask(run_dir, frames.Command("fence", node=node, how=action))
    if not answer.accepted:
        code = CODES.get(answer.ground, Exit.ERROR)
        raise ToolError(code, answer.text)
    end = time.monotonic() + timeout
    while True:
        for record in _records():
            alike = record.target == node and (record.action == "on") == (action == "on")
            if alike and record.id not in known and record.state is not FencingState.UNDER_WAY:
                if not record.succeeded:
                    raise ToolError(Exit.ERROR, record.reason or "it failed")
                return
        if time.monotonic() >= end:
            raise ToolError(Exit.TIMEOUT, f"not ended within {timeout:g} s; it goes on")
        time.sleep(POLL_S)


def _is_recent(record: FencingRecord, node: str, action: str, tolerance: float) -> bool:
    same = record.target == node and record.action == action and record.succeeded
    return same and record.ended >= time.time() - tolerance


def _confirm(_saying: Saying, node: str, _options: Given) -> int:
    answer = ask(_run_dir(), frames.Command("fence-confirm", node=node))
    if not answer.accepted:
        code = CODES.get(answer.ground, Exit.ERROR)
        raise ToolError(code, f"{TOOL}: Couldn't confirm {node}: {answer.text}")
    return Exit.OK


def _duration(options: Given, name: str) -> float:
    """Return an option in seconds, 0 if it is not given; raises ToolError."""
    text: str = options[name]
    if not text:
        return 0
    found = values.milliseconds(text, -1)
    if found < 0:
        raise ToolError(Exit.USAGE, f"{TOOL}: {name} {text}; expected a time, e.g. 30s")
    return found / 1000


DOES: Mapping[str, Callable[[Saying, str, Given], int]] = {
    "register": register,
    "deregister": deregister,
    "register_level": register_level,
    "deregister_level": deregister_level,
    "list": _listed,
    "registered": _registered,
    "installed": _installed,
    "targets": _targets,
    "metadata": _metadata,
    "query": _query,
    "history": _history,
    "last": _last,
    "validate": _validate,
    "off": _fence("off"),
    "on": _fence("on"),
    "reboot": _fence("reboot"),
    "confirm": _confirm,
}
"""Command -> what does it."""
