"""What a user on the cluster daemon's socket may ask for: everything, or what <acls> say."""

import time
from dataclasses import replace

from standfest.core.cib import provisional, tickets
from standfest.core.cib.document import Cib
from standfest.core.cib.objects import ChangeError
from standfest.core.cib.status_xml import cib_element
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import Ground, OperationError, RefusedError, WireError
from standfest.runtime.channel import Channel
from standfest.runtime.cluster import access, protocol
from standfest.runtime.cluster.printing import Printer
from standfest.runtime.frames import Command, Reply


def refused(client: Channel, cib: Cib, *, report: bool = False) -> str:
    """Return why a user may ask for nothing but the CIB and changes of it; nothing if he may.

    report: what is asked for is a report only; who may read the whole CIB gets it.
    """
    user, groups = client.user()
    if not access.limits(cib.configuration, user):
        return ""
    whole = Element("cib", (), (cib.configuration,))
    allowed = access.access_of(whole, user, groups) if report else None
    if allowed is not None and allowed.may((), access.Kind.READ):
        return ""
    return f"{user} may ask for the CIB and for changes of it only: enable-acl is true"


def document(client: Channel, cib: Cib, printer: Printer) -> Reply:
    """Return the whole CIB, as far as the user may read it."""
    user, groups = client.user()
    if not access.limits(cib.configuration, user):
        return Reply(True, printer.print(cib))
    # What takes a change back may say what the user must not see.
    seen = replace(cib, configuration=provisional.without(cib.configuration))
    whole = cib_element(seen, clock=time.ctime)
    allowed = access.access_of(whole, user, groups)
    shown = access.readable(whole, allowed) if allowed is not None else whole
    if shown is None:
        text = f"{user} may not read anything: no <acl_target> or <acl_group> lets it"
        return Reply(False, text, Ground.NOT_ALLOWED)
    return Reply(True, xml.serialise(shown))


def requested(command: Command, client: Channel, cib: Cib) -> protocol.Request:
    """Return what a command asks for, with who asks; raises OperationError, in one line."""
    try:
        request = _request(command)
    except WireError as error:
        raise OperationError(f"not understood: {error.reason}") from error
    if request is None:
        raise OperationError(f"no command {command.verb}")
    if isinstance(request, protocol.ChangeConfiguration):
        user, groups = client.user()
        return replace(request, user="" if user == "root" else user, groups=groups)
    if isinstance(request, protocol.TicketRequest):
        _permit(request, client, cib)
    elif refused(client, cib):
        user, what = client.user()[0], type(request).__name__
        text = f"{user} may not ask for {what}: enable-acl is true, and it is not root"
        raise RefusedError(Ground.NOT_ALLOWED, text)
    return request


def _permit(request: protocol.TicketRequest, client: Channel, cib: Cib) -> None:
    """Refuse what <acls> do not let a user write; tickets are in the status as in a document."""
    user, groups = client.user()
    if not access.limits(cib.configuration, user):
        return
    before = cib_element(cib)
    try:
        if isinstance(request, protocol.ForgetTicket):
            after = tickets.without(before, request.ticket)
        else:
            after = tickets.with_attributes(before, request.ticket, dict(request.changes), 0)
    except ChangeError:
        return  # no such ticket: the coordinator's to say
    where = access.forbidden_in_status(before, after, user, groups)
    if where:
        raise RefusedError(Ground.NOT_ALLOWED, f"{user} may not change {where}")


def _request(command: Command) -> protocol.Request | None:
    """Return what a command asks for; None for one that there is not; raises WireError."""
    match command.verb:
        case "cib":
            return protocol.decode_request(command.how.encode())
        case "standby":
            return protocol.Standby(command.node, True)
        case "online":
            return protocol.Standby(command.node, False)
        case "move":
            return protocol.Move(command.resource, command.node)
        case "clear":
            return protocol.Clear(command.resource)
        case "cleanup":
            return protocol.Cleanup(command.resource, command.node)
        case "node-add":
            return protocol.AddNode(command.node.lower())
        case "node-remove":
            return protocol.RemoveNode(command.node.lower())
        case "fence" if command.how in ("reboot", "off", "on"):
            return protocol.FenceNode(command.node, command.how)
        case "fence-confirm":
            return protocol.FenceConfirm(command.node)
        case "fence-forget":
            return protocol.FenceForget(command.node)
        case _:
            return None
