"""What a user on a daemon's socket may ask for: everything, or what the CIB's <acls> say."""

from dataclasses import replace

from standfest.core.cib.document import Cib
from standfest.model import xml
from standfest.model.errors import OperationError
from standfest.runtime.channel import Channel
from standfest.runtime.cluster import access, protocol
from standfest.runtime.cluster.printing import Printer
from standfest.runtime.frames import Reply


def document(client: Channel, cib: Cib, printer: Printer) -> Reply:
    """Return the whole CIB, as far as the user may read it."""
    user, groups = client.user()
    if not access.limits(cib.configuration, user):
        return Reply(True, printer.print(cib))
    whole = xml.parse(printer.print(cib), "the CIB")
    allowed = access.access_of(whole, user, groups)
    shown = access.readable(whole, allowed) if allowed is not None else whole
    if shown is None:
        return Reply(False, f"{user} may not read anything: no <acl_target> or <acl_group> lets it")
    return Reply(True, xml.serialise(shown))


def limited(request: protocol.Request | None, client: Channel, cib: Cib) -> protocol.Request | None:
    """Return a request with who asks; raises OperationError for what only root may ask for."""
    user, groups = client.user()
    if isinstance(request, protocol.ChangeConfiguration):
        return replace(request, user="" if user == "root" else user, groups=groups)
    if request is not None and access.limits(cib.configuration, user):
        what = type(request).__name__
        raise OperationError(
            f"{user} may not ask for {what}: enable-acl is true, and it is not root"
        )
    return request
