"""`crm_ticket`: which sites may run what, by tickets that are granted and revoked.

Source: facts/formats/TOOLS.md section 7; crm_ticket 2.1.5 by experiment.
"""

import time

import click

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import LiveSource, do
from standfest.cli.tools.source import Source, chosen
from standfest.cli.tools.tool import tool
from standfest.core.cib import tickets
from standfest.core.cib.objects import ChangeError
from standfest.model.element import Element
from standfest.monitor import tickets as shown
from standfest.runtime.cluster import protocol

NOT_ALLOWED = "crm_ticket: Ticket modification not allowed"
NO_DEVICE = "No such device or address"
CHANGES = {
    "grant": {"granted": "true"},
    "revoke": {"granted": "false"},
    "standby": {"standby": "true"},
    "activate": {"standby": "false"},
}


@tool("crm_ticket")
@click.option("-l", "--info", "action", flag_value="info", help="Show tickets.")
@click.option("-L", "--details", "action", flag_value="details", help="Show all about tickets.")
@click.option("-w", "--raw", "action", flag_value="raw", help="Show tickets' names.")
@click.option("-q", "--query-xml", "action", flag_value="xml", help="Show tickets as XML.")
@click.option("-c", "--constraints", "action", flag_value="constraints", help="Who asks for them.")
@click.option("-g", "--grant", "action", flag_value="grant", help="Grant a ticket to this site.")
@click.option("-r", "--revoke", "action", flag_value="revoke", help="Revoke a ticket.")
@click.option("-s", "--standby", "action", flag_value="standby", help="Stop what depends on it.")
@click.option("-a", "--activate", "action", flag_value="activate", help="End standby.")
@click.option("-C", "--cleanup", "action", flag_value="cleanup", help="Forget a ticket.")
@click.option("-G", "--get-attr", metavar="NAME", help="Show an attribute of a ticket.")
@click.option("-S", "--set-attr", metavar="NAME", help="Set an attribute of a ticket.")
@click.option("-D", "--delete-attr", metavar="NAME", help="Delete an attribute of a ticket.")
@click.option("-v", "--attr-value", "value", metavar="VALUE", help="What to set it to.")
@click.option("-d", "--default", help="What to show when there is none.")
@click.option("-f", "--force", is_flag=True, help="Do it, whatever may come of it.")
@click.option("-t", "--ticket", metavar="ID", help="Which ticket.")
@click.option("-n", "--set-name", help="Taken, without effect.")
@click.option("-i", "--nvpair", help="Taken, without effect.")
@click.option("-Q", "--quiet", is_flag=True, help="Show values only.")
def command(
    *,
    action: str | None,
    get_attr: str | None,
    set_attr: str | None,
    delete_attr: str | None,
    value: str | None,
    default: str | None,
    force: bool,
    ticket: str | None,
    **_without_effect: object,
) -> None:
    """Show, grant, revoke and change tickets."""
    if get_attr is None and set_attr is None and delete_attr is None and action is None:
        raise ToolError(Exit.USAGE, "crm_ticket: Must supply a command")
    if set_attr is not None and value is None:
        raise ToolError(Exit.USAGE, f"crm_ticket: Must supply value with -v for -S {set_attr}")
    changes = dict(CHANGES.get(action or "", {}))
    shows = action in ("info", "details", "raw", "xml", "constraints")
    if not shows and ticket is None:
        raise ToolError(Exit.USAGE, "crm_ticket: Must supply ticket ID with -t")
    source = chosen()
    cib = source.read()
    if shows:
        assert action is not None
        _show(cib, action, ticket)
        return
    assert ticket is not None
    if get_attr is not None:
        _show_attribute(cib, ticket, get_attr, default)
        return
    if action == "cleanup":
        _clean_up(source, cib, ticket, force=force)
        return
    named: dict[str, str | None] = {**changes}
    if set_attr is not None:
        named[set_attr] = value
    if delete_attr is not None:
        named[delete_attr] = None
    _change(source, cib, ticket, named, force=force)


def _show(cib: Element, action: str, ticket: str | None) -> None:
    if action == "constraints":
        found = tickets.constraints(cib, ticket)
        if not found:
            text = f"crm_ticket: Could not show ticket constraints: {NO_DEVICE}"
            raise ToolError(Exit.NO_SUCH, text)
        click.echo(shown.constraints_xml(found), nl=False)
        return
    if action == "xml":
        element = tickets.section(cib) if ticket is None else tickets.state(cib, ticket)
        if element is None:
            raise ToolError(Exit.NO_SUCH, f"crm_ticket: Could not query ticket XML: {NO_DEVICE}")
        click.echo(shown.state_xml(element), nl=False)
        return
    states = [one for one in tickets.states(cib) if ticket in (None, one.id)]
    if ticket is not None and not states:
        raise _no_such(ticket)
    for one in states:
        match action:
            case "raw":
                click.echo(one.id)
            case "details":
                click.echo(shown.details(one))
            case _:
                click.echo(shown.info(one))


def _show_attribute(cib: Element, ticket: str, name: str, default: str | None) -> None:
    state = tickets.state(cib, ticket)
    value = state.get(name) if state is not None else None
    if value is None and default is None:
        raise ToolError(Exit.NO_SUCH, f"crm_ticket: ticket '{ticket}' has no attribute {name}")
    click.echo(default if value is None else value)


def _change(
    source: Source, cib: Element, ticket: str, changes: dict[str, str | None], *, force: bool
) -> None:
    if "granted" in changes and not force:
        granted = tickets.is_set(Element("", (("granted", changes["granted"] or ""),)), "granted")
        click.echo(NOT_ALLOWED, err=True)
        click.echo(shown.grant_refused(ticket) if granted else shown.revoke_refused(ticket))
        raise ToolError(Exit.FORBIDDEN)
    for name in changes:
        if wrong := tickets.wrong_name(name):
            raise ToolError(Exit.USAGE, f"crm_ticket: {wrong}")
    if isinstance(source, LiveSource):
        _ask(source, protocol.ChangeTicket(ticket, tuple(changes.items())))
        return
    source.change(cib, tickets.with_attributes(cib, ticket, changes, int(time.time())))


def _clean_up(source: Source, cib: Element, ticket: str, *, force: bool) -> None:
    if tickets.is_set(tickets.state(cib, ticket), "granted") and not force:
        click.echo(shown.revoke_refused(ticket))
        raise ToolError(Exit.FORBIDDEN)
    try:
        after = tickets.without(cib, ticket)
    except ChangeError as error:
        raise _no_such(ticket) from error
    if isinstance(source, LiveSource):
        _ask(source, protocol.ForgetTicket(ticket))
    else:
        source.change(cib, after)
    click.echo(f"Cleaned up {ticket}")


def _ask(source: LiveSource, request: protocol.TicketRequest) -> None:
    """Have the cluster do it; raises ToolError with why it does not."""
    try:
        do(source.run_dir, request)
    except ToolError as error:
        raise ToolError(error.code, f"crm_ticket: {error.text}") from error


def _no_such(ticket: str) -> ToolError:
    return ToolError(Exit.NO_SUCH, f"crm_ticket: No such ticket '{ticket}'")
