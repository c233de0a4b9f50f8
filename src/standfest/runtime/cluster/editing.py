"""An administrator's own change of the configuration, as the change that all members apply."""

from standfest.config import cib as cib_config
from standfest.core.cib import provisional, roster
from standfest.core.cib.changes import Change, CountUp, EditConfiguration
from standfest.core.cib.document import Cib, with_section
from standfest.core.cib.patch import ConflictError, applied, difference, size
from standfest.core.cib.provisional import Trial
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Ground, OperationError, RefusedError
from standfest.runtime.cluster import access
from standfest.runtime.cluster.protocol import ChangeConfiguration
from standfest.runtime.cluster.undoing import LONGEST_UNDO, text_of

LONGEST_TRIAL = 7 * 24 * 3600
"""Seconds."""


def edited(
    request: ChangeConfiguration, cib: Cib, wall: int, nodes: tuple[str, ...]
) -> tuple[tuple[Change, ...], str]:
    """Return the changes, and the sentence for the administrator; raises OperationError.

    wall: seconds since 1970; nodes: all of the cluster.

    What others have changed since `base` stays, or the request is refused where it is the same.
    """
    if request.patch is None:
        if access.limits(cib.configuration, request.user):
            raise RefusedError(Ground.NOT_ALLOWED, f"{request.user} may not count the version up")
        return (CountUp(request.admin_epoch),), f"counted up from {cib.version}"
    try:
        after = applied(request.patch, cib.configuration)
    except ConflictError as error:
        if access.limits(cib.configuration, request.user):  # it did not see all that is there
            text = f"{request.user} may not change {error.path}, or others have meanwhile"
            raise RefusedError(Ground.NOT_ALLOWED, text) from error
        text = f"{error}; lost to version {cib.version}, the change was made for {request.base}"
        raise RefusedError(Ground.OVERTAKEN, text) from error
    after = _checked(cib.configuration, after, nodes)
    _permit(request, cib.configuration, after)
    if request.trial:
        after = _on_trial(request, cib.configuration, after, wall + request.trial)
    patch = difference(cib.configuration, after)
    counted = (CountUp(request.admin_epoch),) if request.admin_epoch else ()
    if patch is None:
        return counted, "nothing to change"
    count = size(patch)
    text = f"{count} change{'s' if count > 1 else ''} of {cib.version}"
    return (*counted, EditConfiguration(patch)), text


def _permit(request: ChangeConfiguration, before: Element, after: Element) -> None:
    """Refuse what the user may not write, by the access rules of before."""
    if not access.limits(before, request.user):
        return
    old, new = (Element("cib", (), (configuration,)) for configuration in (before, after))
    patch = difference(before, after)
    one = access.access_of(old, request.user, request.groups)
    two = access.access_of(new, request.user, request.groups, by=before)
    if patch is None or one is None or two is None:
        return
    where = access.forbidden(patch, old, new, one, two)
    if where or request.admin_epoch:
        text = f"{request.user} may not change {where or 'admin_epoch'}"
        raise RefusedError(Ground.NOT_ALLOWED, text)


def _on_trial(request: ChangeConfiguration, before: Element, after: Element, until: int) -> Element:
    if provisional.read(before) is not None:
        raise OperationError("another change is on trial; expected that it is confirmed first")
    undo = difference(after, before)
    if undo is None:
        return after
    text = text_of(undo)
    if not 0 < request.trial <= LONGEST_TRIAL or len(text) > LONGEST_UNDO:
        raise OperationError(
            f"a change on trial for {request.trial} s that {len(text)} characters take back; "
            f"expected at most {LONGEST_TRIAL} s and {LONGEST_UNDO} characters"
        )
    return provisional.with_trial(after, Trial(until, text))


def _checked(before: Element, after: Element, nodes: tuple[str, ...]) -> Element:
    """Return the configuration as it will be kept.

    Who is a node, and what the cluster says of itself, is not changed in this way.
    """
    known = roster.read(before)
    if known is not None and roster.read(after) != known:
        after = roster.written(after, known)
    old, new = (e.child("crm_config") or Element("crm_config") for e in (before, after))
    stated = tuple(s for s in old.children if s.id == roster.STATED)
    if stated and not any(s.id == roster.STATED for s in new.children):
        after = with_section(after, new.with_children((*new.children, *stated)))
    if any(entry.get("uname") in nodes for entry in (before.child("nodes") or new).children):
        after = roster.with_entries(after, nodes)
    try:
        return cib_config.checked(after, "CIB", before)
    except ConfigError as error:
        raise OperationError(str(error)) from error
