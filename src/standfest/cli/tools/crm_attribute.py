"""`crm_attribute`: cluster options, defaults, and attributes of nodes, lasting or not.

Source: facts/formats/TOOLS.md section 6; docs/guide/tools.md says what differs.
"""

import os
import re
from dataclasses import dataclass

import click

from standfest.cli.tools import nodes
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.source import Source, chosen
from standfest.cli.tools.tool import Output, output_options, tool
from standfest.core.cib import attributes
from standfest.core.cib.attributes import AmbiguousError, Attributes
from standfest.model.element import Element
from standfest.monitor import named

NAME = "crm_attribute"
MAX_PATTERN = 1_024


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; pattern: names that match, where there is no `name`."""

    which: Attributes
    name: str | None
    pattern: re.Pattern[str] | None
    default: str | None
    quiet: bool
    output: Output

    @property
    def wanted(self) -> str | re.Pattern[str] | None:
        """Return which names are meant."""
        return self.pattern if self.pattern is not None else self.name


@tool(NAME)
@click.option("-n", "--name", "--attr-name", help="Which option or attribute.")
@click.option("-P", "--pattern", help="All names that match this pattern.")
@click.option(
    *("-p", "--promotion"),
    is_flag=False,
    flag_value="",
    metavar="[RESOURCE]",
    help="The promotion score of a resource.",
)
@click.option("-i", "--id", "--attr-id", "pair_id", default="", help="Only the one with this id.")
@click.option("-s", "--set-name", "set_id", default="", help="Only those in the set of this id.")
@click.option("-G", "--query", "--get-value", "action", flag_value="query", help="Show values.")
@click.option("-D", "--delete", "--delete-attr", "action", flag_value="delete", help="Remove one.")
@click.option("-v", "--update", "--attr-value", "value", help="Set it; value++ and value+=N count.")
@click.option("-d", "--default", help="What to show when there is none.")
@click.option("-N", "--node", "-U", "--uname", "--node-uuid", metavar="NODE", help="Of this node.")
@click.option("-l", "--lifetime", type=click.Choice(["reboot", "forever"]), help="Until when.")
@click.option("-t", "--type", "scope", type=click.Choice(attributes.SCOPES), help="Of what.")
@click.option("-z", "--utilization", is_flag=True, help="Utilization of the node.")
@click.option("-q", "--quiet", "-Q", is_flag=True, help="Show values only.")
@click.option("-!", "--inhibit-policy-engine", is_flag=True, help="Taken, without effect.")
@output_options()
def command(
    *,
    name: str | None,
    pattern: str | None,
    promotion: str | None,
    pair_id: str,
    set_id: str,
    action: str | None,
    value: str | None,
    default: str | None,
    node: str | None,
    lifetime: str | None,
    scope: str | None,
    utilization: bool,
    quiet: bool,
    inhibit_policy_engine: bool,
    verbose: int,
    output: Output,
) -> int:
    """Show, set or remove a cluster option or an attribute of a node."""
    del inhibit_policy_engine, verbose
    if promotion is not None:
        name, lifetime = _promotion(promotion), lifetime or "reboot"
    source = chosen()
    scope = _scope(scope, lifetime, by_node=node is not None or utilization)
    changes = value is not None or action == "delete"
    if pattern is not None and name is None and changes and scope != "status":
        text = "pattern can only be used with query, or with till-reboot update or delete"
        raise click.UsageError(text)
    if name is None and pattern is None and changes:
        raise click.UsageError("must specify attribute name or pattern to change")
    cib = source.read()
    of_node = nodes.meant(NAME, cib, node) if scope in ("nodes", "status") else None
    which = Attributes(scope, of_node, utilization, set_id, pair_id)
    asked = Asked(which, name, _compiled(pattern, name), default, quiet, output)
    if action == "delete":
        return _delete(source, cib, asked)
    if value is not None:
        return _update(source, cib, asked, value)
    return show(cib, asked)


def _promotion(resource: str) -> str:
    resource = resource or os.environ.get("OCF_RESOURCE_INSTANCE", "")
    if not resource:
        text = (
            "-p/--promotion must be called from an OCF resource agent or with a resource ID "
            "specified"
        )
        raise click.UsageError(text)
    return f"master-{resource}"


def _scope(scope: str | None, lifetime: str | None, *, by_node: bool) -> str:
    """Return what is meant: a lifetime decides between a node's two kinds of attributes."""
    if scope in (None, "nodes", "status"):
        if lifetime is not None:
            return "status" if lifetime == "reboot" else "nodes"
        return scope or ("nodes" if by_node else "crm_config")
    assert scope is not None
    return scope


def _compiled(pattern: str | None, name: str | None) -> re.Pattern[str] | None:
    if pattern is None or name is not None:
        return None
    if len(pattern) > MAX_PATTERN:
        raise click.UsageError(f"a pattern of {len(pattern)} characters; at most {MAX_PATTERN}")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"pattern {pattern}: {error}; expected a regular one") from error


def show(cib: Element, asked: Asked) -> int:
    """Show values, or the default; raises ToolError when there is nothing to show."""
    found = [(one.name, one.value) for one in attributes.found(cib, asked.which, asked.wanted)]
    if not found and asked.default is not None and asked.name is not None:
        found = [(asked.name, asked.default)]
    if not found:
        text = f"{NAME}: Error performing operation: No such device or address"
        if asked.output.as_xml:
            asked.output.text(named.failure(text, asked.output.request))
            return Exit.NO_SUCH
        raise ToolError(Exit.NO_SUCH, text)
    scope, pair_id = asked.which.scope, asked.which.id
    if asked.output.as_xml:
        asked.output.xml(*(named.element(scope, pair_id, *pair) for pair in found))
    elif asked.quiet:
        asked.output.text("\n".join(value for _, value in found) + "\n")
    else:
        asked.output.text("\n".join(named.line(scope, pair_id, *pair) for pair in found))
    return Exit.OK


def _update(source: Source, cib: Element, asked: Asked, value: str) -> int:
    names = [asked.name] if asked.name is not None else _matching(cib, asked)
    try:
        if asked.which.scope == "status":
            nodes.transient(source, cib, asked.which, dict.fromkeys(names, value))
        else:
            after = attributes.with_value(cib, asked.which, names[0], value)
            source.change(cib, after)
    except AmbiguousError as error:
        raise _ambiguous(error) from error
    if asked.output.as_xml:
        asked.output.xml()
    return Exit.OK


def _delete(source: Source, cib: Element, asked: Asked) -> int:
    names = [asked.name] if asked.name is not None else _matching(cib, asked)
    lines = []
    try:
        for name in names:
            _, gone = attributes.without(cib, asked.which, name)
            if gone is not None:
                lines.append(named.deleted(asked.which.scope, asked.which.set_id, gone))
        if asked.which.scope == "status":
            nodes.transient(source, cib, asked.which, dict.fromkeys(names))
        else:
            source.change(cib, attributes.without(cib, asked.which, names[0])[0])
    except AmbiguousError as error:
        raise _ambiguous(error) from error
    if asked.output.as_xml:
        asked.output.xml()
    elif not asked.quiet:
        asked.output.text("\n".join(lines))
    return Exit.OK


def _matching(cib: Element, asked: Asked) -> list[str]:
    found = attributes.found(cib, asked.which, asked.pattern)
    if not found:
        text = f"{NAME}: Error performing operation: No such device or address"
        raise ToolError(Exit.NO_SUCH, text)
    return [one.name for one in found]


def _ambiguous(error: AmbiguousError) -> ToolError:
    """Print what matches; return how the tool ends."""
    click.echo(named.several(error.name, error.found))
    text = "Please choose from one of the matches below and supply the 'id' with --attr-id"
    return ToolError(Exit.NOT_UNIQUE, f"{NAME}: {text}")
