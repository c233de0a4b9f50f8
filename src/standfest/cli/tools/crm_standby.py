"""`crm_standby`: whether a node may run resources.

Source: facts/formats/TOOLS.md section 6; Heartbeat 2's options are taken, too.
"""

import click

from standfest.cli.tools import crm_attribute, nodes
from standfest.cli.tools.source import chosen
from standfest.cli.tools.tool import Output, tool
from standfest.core.cib import attributes
from standfest.core.cib.attributes import Attributes, Node
from standfest.model.element import Element
from standfest.monitor import named

NAME = "standby"


@tool("crm_standby")
@click.option("-G", "--query", "--get-value", "action", flag_value="query", help="Show it.")
@click.option("-D", "--delete", "--delete-attr", "action", flag_value="delete", help="Forget it.")
@click.option("-v", "--update", "--attr-value", "value", metavar="on|off", help="Set it.")
@click.option("-N", "--node", "-U", "--uname", metavar="NODE", help="Not of this node but of NODE.")
@click.option("-l", "--lifetime", type=click.Choice(["reboot", "forever"]), help="Until when.")
@click.option("-i", "--id", "--attr-id", "pair_id", default="", help="The attribute with this id.")
@click.option("-q", "--quiet", "-Q", is_flag=True, help="Show the value only.")
def command(
    *,
    action: str | None,
    value: str | None,
    node: str | None,
    lifetime: str | None,
    pair_id: str,
    quiet: bool,
    verbose: int,
) -> int:
    """Show, set or forget whether a node is in standby."""
    del verbose
    source = chosen()
    cib = source.read()
    of_node = nodes.meant("crm_standby", cib, node)
    lasting = Attributes("nodes", of_node, id=pair_id)
    passing = Attributes("status", of_node, id=pair_id)
    if action == "delete":
        _delete(cib, of_node, pair_id, lifetime, quiet=quiet)
        return 0
    if value is not None:
        if lifetime == "reboot":
            nodes.transient(source, cib, passing, {NAME: value})
        else:
            source.change(cib, attributes.with_value(cib, lasting, NAME, value))
        return 0
    which, default = _meant(cib, lasting, passing, lifetime)
    output = Output("text", "-", "")
    return crm_attribute.show(cib, crm_attribute.Asked(which, NAME, None, default, quiet, output))


def _meant(
    cib: Element, lasting: Attributes, passing: Attributes, lifetime: str | None
) -> tuple[Attributes, str | None]:
    """Return which of the two to show, and what when there is none."""
    if lifetime is not None:
        return (passing if lifetime == "reboot" else lasting), None
    return (lasting, None) if attributes.found(cib, lasting, NAME) else (passing, "off")


def _delete(cib: Element, node: Node, pair_id: str, lifetime: str | None, *, quiet: bool) -> None:
    """Remove what lasts, then what does not: two changes, as the status is counted by itself."""
    for scope, until in (("nodes", "forever"), ("status", "reboot")):
        if lifetime not in (None, until):
            continue
        source = chosen()
        cib = source.read()
        which = Attributes(scope, node, id=pair_id)
        after, gone = attributes.without(cib, which, NAME)
        if gone is None:
            continue
        if scope == "status":
            nodes.transient(source, cib, which, {NAME: None})
        else:
            source.change(cib, after)
        if not quiet:
            click.echo(named.deleted(scope, "", gone))
