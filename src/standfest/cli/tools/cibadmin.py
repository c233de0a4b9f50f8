"""`cibadmin`: query and change the CIB, with Pacemaker's options and Heartbeat 2's.

Source: facts/formats/TOOLS.md sections 2 and 3; docs/guide/tools.md says what differs.
"""

import os
import pwd
import sys
from collections.abc import Callable
from dataclasses import dataclass

import click

from standfest.cli.tools import given
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.source import Source, chosen
from standfest.cli.tools.tool import Callback, tool
from standfest.config.cib import upgrade
from standfest.core.cib import diffxml, objects, places
from standfest.core.cib.printed import digest_on_disk, digest_versioned, formatted
from standfest.model.element import Element
from standfest.model.errors import ConfigError
from standfest.monitor import access
from standfest.runtime.channel import group_names
from standfest.runtime.cluster.access import EXEMPT, evaluated

DANGEROUS = (
    "The supplied command is considered dangerous.  To prevent accidental destruction of the "
    "cluster, the --force flag is required in order to proceed."
)
NO_SUCH = f"Call failed: {objects.Refusal.NO_SUCH.value}"
ACTIONS = {
    "query": (("-Q", "--query", "--cib_query"), "Show the CIB, a section, what an XPath matches."),
    "create": (("-C", "--create", "--cib_create"), "Add an object; fails if it exists."),
    "modify": (
        ("-M", "--modify", "--cib_modify", "--cib_update"),
        "Change an object, found by its id wherever it is.",
    ),
    "replace": (("-R", "--replace", "--cib_replace"), "Replace an object, a section, or all."),
    "delete": (("-D", "--delete", "--cib_delete"), "Delete the first object that matches."),
    "delete_all": (
        ("-d", "--delete-all", "--cib_delete_alt"),
        "Delete everything that an XPath matches.",
    ),
    "erase": (("-E", "--erase", "--cib_erase"), "Erase the whole CIB."),
    "bump": (("-B", "--bump", "--cib_bump"), "Add one to the epoch."),
    "patch": (("-P", "--patch"), "Apply a patch, as crm_diff makes them."),
    "upgrade": (("-u", "--upgrade"), "Upgrade the configuration to today's dialect."),
    "digest": (("-5", "--md5-sum"), "Show the digest of the XML given."),
    "versioned": (("-6", "--md5-sum-versioned"), "Show the digest without who and when."),
    "sync": (("--sync", "--cib_sync"), "Heartbeat 2's: has no effect."),
    "slave": (("--slave", "--cib_slave"), "Heartbeat 2's: has no effect."),
    "master": (("--master", "--cib_master"), "Heartbeat 2's: has no effect."),
    "ismaster": (("--ismaster", "--cib_ismaster"), "Heartbeat 2's: has no effect."),
}
"""What to do -> (options, one line)."""
FORCED = frozenset({"erase", "delete_all", "upgrade"})
WHOLE = frozenset({"erase", "replace", "upgrade"})
"""What brings a status along that nobody meant to write into a running cluster."""
WITHOUT_EFFECT = frozenset({"sync", "slave", "master", "ismaster"})


def actions(callback: Callback) -> Callback:
    """Add an option for each thing to do; the last one counts, as with getopt."""
    for name, (options, text) in reversed(ACTIONS.items()):
        callback = click.option(*options, "action", flag_value=name, help=text)(callback)
    return callback


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says beside what to do."""

    data: Element | None
    scope: str | None
    xpath: str | None
    allow_create: bool
    no_children: bool
    node_path: bool

    def wanted(self) -> Element:
        """Return the data; raises ToolError without."""
        if self.data is None:
            raise ToolError(Exit.SOFTWARE, "Call failed: Invalid argument")
        return self.data


@tool("cibadmin")
@actions
@click.option("-a", "--empty", is_flag=False, flag_value=objects.SCHEMA, metavar="[SCHEMA]")
@click.option("-X", "--xml-text", "--crm_xml", metavar="XML", help="The data itself.")
@click.option("-x", "--xml-file", metavar="FILE", help="The data in a file.")
@click.option("-p", "--xml-pipe", is_flag=True, help="The data from standard input.")
@click.option("-o", "--scope", "--obj_type", metavar="SECTION", help="Only in this section.")
@click.option("-A", "--xpath", metavar="XPATH", help="Only what this matches.")
@click.option("-e", "--node-path", "--get-node-path", is_flag=True, help="Show paths of matches.")
@click.option("-n", "--no-children", is_flag=True, help="Show without what is below.")
@click.option("-c", "--allow-create", is_flag=True, help="With --modify: create what is missing.")
@click.option("-f", "--force", "--force-quorum", is_flag=True, help="Do what is dangerous.")
@click.option("-l", "--local", is_flag=True, help="Taken, without effect.")
@click.option("-s", "--sync-call", is_flag=True, help="Taken: every call is waited for.")
@click.option("-b", "--no-bcast", is_flag=True, help="Taken, without effect.")
@click.option("-t", "--timeout", "--call-timeout", metavar="SECONDS", help="Taken.")
@click.option("-N", "--node", "-h", "--host", metavar="HOST", help="Taken: any member answers.")
@click.option("-U", "--user", metavar="USER", help="With --show-access: whose.")
@click.option(
    "-S",
    "--show-access",
    type=click.Choice(("auto", *access.FORMS)),
    is_flag=False,
    flag_value="auto",
    help="With --query: what USER may do, in the document.",
)
def command(
    *,
    action: str | None,
    empty: str | None,
    xml_text: str | None,
    xml_file: str | None,
    xml_pipe: bool,
    scope: str | None,
    xpath: str | None,
    node_path: bool,
    no_children: bool,
    allow_create: bool,
    force: bool,
    verbose: int,
    user: str | None,
    show_access: str | None,
    **_without_effect: object,
) -> None:
    """Query and change the cluster's configuration."""
    del verbose
    if empty is not None:
        click.echo(formatted(objects.empty(empty)), nl=False)
        return
    if action is None:
        raise click.UsageError("nothing to do; expected --query, --create, --modify ...")
    if action in FORCED and not force:
        raise ToolError(Exit.UNSAFE, DANGEROUS)
    if action in WITHOUT_EFFECT:
        text = f"warning: --{action} has no effect: there is one CIB, and any member serves it"
        click.echo(text, err=True)
        return
    if scope is not None and scope not in places.SECTIONS:
        expected = ", ".join(places.SECTIONS)
        raise click.UsageError(f"section {scope}; expected one of: {expected}")
    data = given.element(xml_text, xml_file, xml_pipe)
    asked = Asked(data, scope, xpath, allow_create, no_children, node_path)
    if action in ("digest", "versioned"):
        _show_digest(action, data)
    elif action == "query" and show_access is not None:
        _show_access(chosen(), show_access, user)
    elif action == "query":
        _query(chosen(), asked)
    else:
        _change(chosen(), action, asked)


def _show_digest(action: str, data: Element | None) -> None:
    if data is None:
        raise ToolError(Exit.USAGE, "Please supply XML to process with -X, -x or -p")
    if action == "digest":
        click.echo("Digest: ", nl=False, err=True)
        click.echo(digest_on_disk(data))
        return
    feature_set = data.get("crm_feature_set") or "(null)"
    click.echo(f"Versioned ({feature_set}) digest: ", nl=False, err=True)
    click.echo(digest_versioned(data))


def _show_access(source: Source, form: str, user: str | None) -> None:
    """Print the whole CIB with what a user may do, whether its rules are enabled or not."""
    if not user:
        raise ToolError(Exit.USAGE, "The supplied command requires -U user specified.")
    cib = source.read()
    if user in EXEMPT:
        text = f"Could not evaluate access per request ({user}, error: it may do everything)"
        raise ToolError(Exit.CONFIG, text)
    if form == "auto":
        form = "color" if sys.stdout.isatty() else "text"
    allowed = evaluated(cib, user, _groups(user))
    click.echo(access.shown(cib, allowed, user, form), nl=False, color=True)


def _groups(user: str) -> tuple[str, ...]:
    """Return the groups of a user of this machine, none of one that it does not know."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return ()
    return group_names(os.getgrouplist(user, entry.pw_gid))


def _query(source: Source, asked: Asked) -> None:
    cib = source.read()
    if asked.xpath is None:
        try:
            shown = objects.query(cib, asked.scope)
        except objects.ChangeError as error:
            raise given.refused(error, "query") from error
        _show(shown, asked.no_children)
        return
    found = matches(cib, asked.xpath)
    if not found:
        raise ToolError(Exit.NO_SUCH, NO_SUCH)
    if asked.node_path:
        for path in found:
            click.echo(places.path_text(cib, path))
        return
    elements = [places.element_at(cib, path) for path in found]
    if asked.no_children:
        elements = [objects.shallow(one) for one in elements]
    _show(elements[0] if len(found) == 1 else Element("xpath-query", (), tuple(elements)), False)


def _show(element: Element, no_children: bool) -> None:
    click.echo(formatted(objects.shallow(element) if no_children else element), nl=False)


def matches(cib: Element, xpath: str) -> tuple[places.Path, ...]:
    """Return the places that an XPath matches; raises ToolError for one that cannot be read."""
    from standfest.config.cib import xpath as evaluator  # noqa: PLC0415 - lxml, only where used

    try:
        return evaluator.matches(cib, xpath)
    except ConfigError as error:
        raise ToolError(Exit.NO_SUCH, f"cibadmin: {error}") from error


def _change(source: Source, action: str, asked: Asked) -> None:
    cib = source.read()
    try:
        after = CHANGES[action](cib, asked)
    except objects.ChangeError as error:
        raise given.refused(error, action) from error
    except diffxml.DiffError as error:
        code = Exit.OLD if error.stale else Exit.ERROR
        raise ToolError(code, f"Could not apply patch: {error}") from error
    if source.live and action in WHOLE:
        after = _with_own_status(cib, after)
    source.change(cib, after)


def _with_own_status(cib: Element, after: Element) -> Element:
    """Return a CIB with the status of the running one: the cluster's own, whoever writes what."""
    status = tuple(cib.all("status"))
    kept = tuple(child for child in after.children if child.tag != "status")
    return after.with_children((*kept, *status))


def _data(cib: Element, asked: Asked) -> Element:
    """Return the data as it goes into this CIB."""
    wanted = given.current(asked.wanted(), cib)
    return objects.fragment(wanted, None if asked.xpath else asked.scope)


def _place(cib: Element, asked: Asked) -> places.Path | None:
    """Return the first place that the XPath matches; None without an XPath."""
    if asked.xpath is None:
        return None
    found = matches(cib, asked.xpath)
    if not found:
        raise ToolError(Exit.NO_SUCH, NO_SUCH)
    return found[0]


def _create(cib: Element, asked: Asked) -> Element:
    return objects.create(cib, _data(cib, asked), asked.scope, _place(cib, asked))


def _modify(cib: Element, asked: Asked) -> Element:
    data, place = _data(cib, asked), _place(cib, asked)
    create = asked.allow_create and place is None
    return objects.modify(cib, data, asked.scope, place, allow_create=create)


def _replace(cib: Element, asked: Asked) -> Element:
    return objects.replace(cib, _data(cib, asked), asked.scope, _place(cib, asked))


def _delete(cib: Element, asked: Asked) -> Element:
    if asked.xpath is None:
        return objects.delete(cib, _data(cib, asked), asked.scope)
    return objects.delete_at(cib, matches(cib, asked.xpath)[:1])


def _delete_all(cib: Element, asked: Asked) -> Element:
    if asked.xpath is None:
        return objects.delete(cib, _data(cib, asked), asked.scope)
    return objects.delete_at(cib, matches(cib, asked.xpath))


def _patch(cib: Element, asked: Asked) -> Element:
    return diffxml.apply(cib, asked.wanted())


def _upgrade(cib: Element, _asked: Asked) -> Element:
    """Return the CIB in today's dialect; the administrator's epoch counts it.

    Says on stderr what changes, line by line, and what is lost.
    """
    if cib.get("validate-with") == upgrade.TARGET:
        return cib
    done = upgrade.upgrade(cib, "the CIB")
    for one in (*done.changes, *(one for one in done.findings if not one.refuses)):
        click.echo(str(one), err=True)
    new = objects.next_admin_epoch(done.root).with_attribute("validate-with", upgrade.TARGET)
    return new.with_attribute("epoch", "1").with_attribute("num_updates", "1")


CHANGES: dict[str, Callable[[Element, Asked], Element]] = {
    "create": _create,
    "modify": _modify,
    "replace": _replace,
    "delete": _delete,
    "delete_all": _delete_all,
    "erase": lambda cib, _asked: objects.erase(cib),
    "bump": lambda cib, _asked: objects.bump(cib),
    "patch": _patch,
    "upgrade": _upgrade,
}
"""What to do -> the CIB afterwards."""
