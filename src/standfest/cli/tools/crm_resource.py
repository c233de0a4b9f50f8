"""`crm_resource`: show resources, set their options, move, clean up and delete them.

Options of Pacemaker and of Heartbeat 2: facts/formats/TOOLS.md section 4. What they do is in the
modules resource_*.py beside this one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from standfest.cli.tools import resource_agents as agents
from standfest.cli.tools import resource_changes as changes
from standfest.cli.tools import resource_live as live
from standfest.cli.tools import resource_queries as queries
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.filesource import FileSource
from standfest.cli.tools.resource_run import TOOL, Asked, Run
from standfest.cli.tools.saying import Saying
from standfest.cli.tools.source import chosen
from standfest.cli.tools.tool import Output, output_options, tool
from standfest.core.scheduler.values import milliseconds

Callback = Callable[..., Any]
Option = Callable[[Callback], Callback]

COMMANDS: Mapping[str, Callable[[Run], int]] = {
    "list": queries.listed,
    "list_raw": queries.listed_raw,
    "list_operations": queries.listed_operations,
    "list_all_operations": queries.listed_operations,
    "list_standards": agents.standards,
    "list_ocf_providers": agents.providers,
    "list_ocf_alternatives": agents.providers,
    "list_agents": agents.agents,
    "show_metadata": agents.metadata,
    "query_xml": queries.described,
    "query_xml_raw": queries.described,
    "get_parameter": queries.option,
    "get_property": queries.own_property,
    "locate": queries.located,
    "constraints": queries.constrained,
    "stack": queries.constrained,
    "why": queries.explained,
    "digests": queries.digested,
    "validate": agents.forced,
    "cleanup": live.clean,
    "refresh": live.refresh,
    "set_parameter": changes.set_option,
    "delete_parameter": changes.delete_option,
    "set_property": changes.set_property,
    "move": changes.move,
    "ban": changes.ban,
    "clear": changes.clear,
    "delete": changes.delete,
    "fail": live.fail,
    "restart": live.restart,
    "wait": live.wait,
    "force_start": agents.forced,
    "force_stop": agents.forced,
    "force_promote": agents.forced,
    "force_demote": agents.forced,
    "force_check": agents.forced,
}
"""Command -> what does it."""

NEED_RESOURCE = frozenset(
    {
        *("query_xml", "query_xml_raw", "get_parameter", "get_property", "locate", "constraints"),
        *("stack", "digests", "set_parameter", "delete_parameter", "set_property", "move", "ban"),
        *("delete", "fail", "restart", "force_start", "force_stop", "force_promote"),
        *("force_demote", "force_check"),
    }
)
MAY_STAND_ALONE = NEED_RESOURCE | {"clear", "cleanup", "refresh"}
"""Commands whose resource may be a word of its own, as in `crm_resource --migrate postfix`."""


def _command(name: str, *words: str, text: str, argument: str = "", flag: str = "") -> Option:
    """Return an option that is a command: the last one on the line is done.

    argument: what follows it; flag: its value where nothing follows.
    """

    def note(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value not in (None, False):
            ctx.meta["command"] = name
            ctx.meta["argument"] = value if isinstance(value, str) else ""

    common: dict[str, Any] = {"callback": note, "expose_value": False, "help": text}
    if flag:
        common |= {"is_flag": False, "flag_value": flag, "metavar": f"[{argument}]"}
    elif argument:
        common |= {"metavar": argument}
    else:
        common |= {"is_flag": True}
    return click.option(*words, f"command_{name}", **common)


def _all(*options: Option) -> Option:
    def decorate(callback: Callback) -> Callback:
        for option in reversed(options):
            callback = option(callback)
        return callback

    return decorate


_QUERIES = _all(
    _command("list", "-L", "--list", text="All resources with their state."),
    _command("list_raw", "-l", "--list-raw", text="The ids of all primitives."),
    _command("list_operations", "-O", "--list-operations", text="What was done since starts."),
    _command("list_all_operations", "-o", "--list-all-operations", text="All that was done."),
    _command("list_standards", "--list-standards", text="Classes of agents."),
    _command("list_ocf_providers", "--list-ocf-providers", text="Providers of OCF agents."),
    _command(
        "list_ocf_alternatives",
        "--list-ocf-alternatives",
        argument="AGENT",
        text="Providers of an OCF agent.",
    ),
    _command("list_agents", "--list-agents", argument="STD[:PROV]", text="The agents of a class."),
    _command(
        "show_metadata", "--show-metadata", argument="SPEC", text="What an agent says of itself."
    ),
    _command("query_xml", "-q", "--query-xml", text="A resource's state and XML."),
    _command("query_xml_raw", "-w", "--query-xml-raw", text="... without its template."),
    _command("get_parameter", "-g", "--get-parameter", argument="NAME", text="Show an option."),
    _command("get_property", "-G", "--get-property", argument="NAME", text="Show class, type, ..."),
    _command("locate", "-W", "--locate", text="Where a resource is."),
    _command("constraints", "-a", "--constraints", text="What constraints say of a resource."),
    _command("stack", "-A", "--stack", text="... and of all it is colocated with."),
    _command("why", "-Y", "--why", text="Whether resources run, and what keeps them from it."),
    _command("digests", "--digests", text="The hashes by which changes are noticed."),
)
_CHANGES = _all(
    _command("set_parameter", "-p", "--set-parameter", argument="NAME", text="Set an option."),
    _command(
        "delete_parameter", "-d", "--delete-parameter", argument="NAME", text="Delete an option."
    ),
    _command(
        "set_property",
        "-S",
        "--set-property",
        argument="NAME",
        text="Set an attribute of the resource's own element (Heartbeat 2).",
    ),
    _command("move", "-M", "--move", "--migrate", text="Move to --node, or away."),
    _command("ban", "-B", "--ban", text="Keep off --node, or off where it is."),
    _command("clear", "-U", "--clear", "--un-migrate", text="Take moves and bans back."),
    _command("delete", "-D", "--delete", text="Delete a resource; -t says what it is."),
    _command("cleanup", "-C", "--cleanup", text="Forget failures and look again."),
    _command("refresh", "-R", "--refresh", "-P", "--reprobe", text="Forget all and look again."),
    _command("fail", "-F", "--fail", text="Let it count as failed on --node."),
    _command("restart", "--restart", text="Stop and start a resource."),
    _command("wait", "--wait", text="Wait until nothing is left to do."),
    _command(
        "validate", "--validate", argument="LEVEL", flag=" ", text="Have an agent check options."
    ),
    _command("force_start", "--force-start", text="Start here, past the cluster."),
    _command("force_stop", "--force-stop", text="Stop here, past the cluster."),
    _command("force_promote", "--force-promote", text="Promote here, past the cluster."),
    _command("force_demote", "--force-demote", text="Demote here, past the cluster."),
    _command(
        "force_check", "--force-check", argument="LEVEL", flag=" ", text="Monitor here, at once."
    ),
)
_OTHERS = _all(
    click.option("-r", "--resource", default="", metavar="ID", help="The resource."),
    click.option(
        "-N", "-H", "--node", "--host-uname", default="", metavar="NODE", help="The node."
    ),
    click.option("-m", "--meta", is_flag=True, help="A meta-attribute, no parameter."),
    click.option("-z", "--utilization", is_flag=True, help="What it needs, no parameter."),
    click.option(
        "-v", "--parameter-value", "--property-value", "value", metavar="VALUE", help="For -p, -S."
    ),
    click.option("-s", "--set-name", "set_id", default="", metavar="ID", help="Only this set."),
    click.option("-i", "--nvpair", "pair_id", default="", metavar="ID", help="Only this nvpair."),
    click.option("--recursive", is_flag=True, help="What is with it, too (-p, -a)."),
    click.option("-t", "--resource-type", "tag", default="", metavar="ELEMENT", help="For -D, -S."),
    click.option("-n", "--operation", default="", metavar="TASK", help="For -C: only this one."),
    click.option("-I", "--interval", default="", metavar="TIME", help="Its interval (0)."),
    click.option("-u", "--lifetime", default="", metavar="P...", help="How long: ISO 8601, PT10M."),
    click.option("--promoted", "--master", "promoted", is_flag=True, help="Its promoted role."),
    click.option("-e", "--expired", is_flag=True, help="Clear only what has ended."),
    click.option("--class", "standard", default="", metavar="CLASS", help="For --validate."),
    click.option("--provider", default="", metavar="PROVIDER", help="For --validate."),
    click.option("--agent", default="", metavar="AGENT", help="For --validate."),
    click.option("--option", "given", multiple=True, metavar="NAME=VALUE", help="For --validate."),
    click.option("-T", "--timeout", default="", metavar="TIME", help="For --wait, --force-*, ..."),
    click.option("-f", "--force", is_flag=True, help="Exactly what is named; even if unwise."),
    click.option("-Q", "--quiet", is_flag=True, help="Say less."),
    click.option("-x", "-X", "--xml-file", metavar="FILE", help="Work on this CIB."),
    click.option("--text-fancy", is_flag=True, hidden=True),
)


@tool(TOOL)
@output_options()
@_QUERIES
@_CHANGES
@_OTHERS
@click.argument("words", nargs=-1)
def command(output: Output, verbose: int, **options: Any) -> int:
    """Show and change resources: of the file CIB_file, or of the running cluster."""
    del verbose
    saying = Saying(TOOL, output, quiet=options["quiet"])
    try:
        code = _done(saying, options)
    except ToolError as error:
        saying.error(error.text)
        code = error.code
    return saying.end(code)


def _done(saying: Saying, options: Mapping[str, Any]) -> int:
    ctx = click.get_current_context()
    asked = _asked(ctx.meta.get("command", "list"), ctx.meta.get("argument", ""), options)
    if asked.command in NEED_RESOURCE and not asked.resource:
        raise ToolError(Exit.USAGE, f"{TOOL}: Must supply a resource id with -r")
    if asked.command == "clear" and not (asked.resource or asked.expired):
        raise ToolError(Exit.USAGE, f"{TOOL}: Must supply a resource id with -r")
    if asked.command == "validate" and not (asked.resource or any(asked.agent)):
        raise ToolError(Exit.USAGE, f"{TOOL}: Must supply a resource id with -r")
    file = options["xml_file"]
    source = FileSource(file) if file else chosen()
    return COMMANDS[asked.command](Run(source, asked, saying))


def _asked(name: str, argument: str, options: Mapping[str, Any]) -> Asked:
    words = list(options["words"])
    resource = options["resource"]
    if name in MAY_STAND_ALONE and not resource and len(words) == 1 and "=" not in words[0]:
        resource = words.pop()
    instead = _pairs(words) if name == "digests" else {}
    if words and not (name == "digests" and len(instead) == len(words)):
        raise ToolError(Exit.USAGE, _superfluous(words))
    parameters = _pairs(options["given"])
    if len(parameters) != len(options["given"]):
        raise ToolError(Exit.USAGE, f"{TOOL}: Error parsing option --option")
    kind = "instance_attributes"
    if options["meta"]:
        kind = "meta_attributes"
    if options["utilization"]:
        kind = "utilization"
    level = argument.strip() if name in ("validate", "force_check") else ""
    return Asked(
        name,
        argument.strip(),
        resource=resource,
        node=options["node"],
        kind=kind,
        value=options["value"],
        set_id=options["set_id"],
        pair_id=options["pair_id"],
        tag=options["tag"],
        operation=options["operation"],
        interval=options["interval"],
        lifetime=options["lifetime"],
        agent=(options["standard"], options["provider"], options["agent"]),
        parameters=parameters,
        instead=instead,
        level=level,
        timeout=_seconds(options["timeout"]),
        promoted=options["promoted"],
        expired=options["expired"],
        recursive=options["recursive"],
        force=options["force"],
        quiet=options["quiet"],
    )


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """Return what NAME=VALUE words say; what is none is left out."""
    parts = [word.partition("=") for word in words]
    return {name: value for name, equals, value in parts if name and equals}


def _superfluous(words: Sequence[str]) -> str:
    numbered = (f"[{at} of {len(words)}] {word}" for at, word in enumerate(words, 1))
    return "\n".join([f"{TOOL}: non-option ARGV-elements:", *numbered, ""])


def _seconds(text: str) -> float:
    """Return a timeout in seconds, 0 for none; raises ToolError."""
    if not text:
        return 0
    found = milliseconds(text, -1)
    if found < 0:
        raise ToolError(Exit.USAGE, f"{TOOL}: timeout {text}; expected a time, e.g. 30s")
    return found / 1000
