"""`crm_failcount`: how often a resource failed on a node, and forgetting it.

Source: facts/formats/TOOLS.md section 6; Heartbeat 2's options are taken, too.
"""

import click

from standfest.cli.tools import nodes
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import LiveSource, ask
from standfest.cli.tools.source import chosen
from standfest.cli.tools.tool import tool
from standfest.config.cib.values import duration
from standfest.core.cib import failcounts
from standfest.core.cib.attributes import Attributes
from standfest.core.cib.edit import RESOURCE_TAGS, expected
from standfest.core.cib.places import element_at, section_path
from standfest.model.element import Element
from standfest.monitor import named
from standfest.runtime import frames

NANOSECONDS_PER_MS = 1_000_000


@tool("crm_failcount")
@click.option("-G", "--query", "--get-value", "action", flag_value="query", help="Show it.")
@click.option("-D", "--delete", "--delete-attr", "action", flag_value="delete", help="Forget it.")
@click.option("-v", "--attr-value", "value", help="Heartbeat 2's: 0 is to forget it.")
@click.option("-r", "--resource", "--resource-id", metavar="ID", help="Of which resource.")
@click.option("-n", "--operation", metavar="NAME", help="Of this operation only.")
@click.option("-I", "--interval", default="0", metavar="TIME", help="The operation's interval.")
@click.option("-N", "--node", "-U", "--uname", metavar="NODE", help="Not on this node but on NODE.")
@click.option("-l", "--lifetime", help="Heartbeat 2's: taken, without effect.")
@click.option("-i", "--attr-id", help="Heartbeat 2's: taken, without effect.")
@click.option("-q", "--quiet", "-Q", is_flag=True, help="Show the number only.")
def command(
    *,
    action: str | None,
    value: str | None,
    resource: str | None,
    operation: str | None,
    interval: str,
    node: str | None,
    quiet: bool,
    **_without_effect: object,
) -> None:
    """Show or forget how often a resource failed on a node."""
    if value == "0":
        action = "delete"
    elif value is not None:
        text = "warning: ignoring deprecated option '-v' with nonzero value"
        click.echo(text, err=True)
    if action is None:
        raise click.UsageError("must specify a command: --query or --delete")
    if not resource:
        raise click.UsageError("resource name required")
    counted = f"{operation}_{_milliseconds(interval)}" if operation else ""
    source = chosen()
    cib = source.read()
    of_node = nodes.meant("crm_failcount", cib, node)
    which = Attributes("status", of_node)
    name, count = failcounts.failures(cib, which, resource, counted)
    if count == "0":
        _check_known(cib, resource)
    if action == "query":
        click.echo(count if quiet else named.line("status", "", name, count))
        return
    if isinstance(source, LiveSource):
        # The cluster forgets all failures of the resource there, and looks again what runs.
        order = frames.Command("cleanup", resource=resource, node=of_node.name)
        answer = ask(source.run_dir, order)
        if not answer.accepted:
            raise ToolError(Exit.NO_SUCH, answer.text)
    else:
        source.change(cib, failcounts.forgotten(cib, which, resource, counted))
    click.echo(f"Cleaned up {resource} on {of_node.name}")


def _check_known(cib: Element, resource: str) -> None:
    """Refuse a resource that is not configured and has not failed; raises ToolError."""
    section = section_path(cib, "resources")
    known = [
        one.id
        for one in (element_at(cib, section).walk() if section is not None else ())
        if one.tag in RESOURCE_TAGS
    ]
    if resource.partition(":")[0] not in known:
        text = f"crm_failcount: Resource '{resource}' not found; {expected(resource, known)}"
        raise ToolError(Exit.NO_SUCH, text)


def _milliseconds(interval: str) -> int:
    try:
        return duration(interval) // NANOSECONDS_PER_MS
    except ValueError as error:
        raise click.UsageError(f"interval is {interval!r}; expected {error}") from error
