"""`crm_mon`: the cluster as Pacemaker's tool shows it, once, again and again, or as a page.

Options: facts/formats/TOOLS.md section 5. What is shown is `monitor.crm`'s; nothing is changed.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import click

from standfest.cli.tools import publishing
from standfest.cli.tools.codes import MESSAGES, Exit, ToolError
from standfest.cli.tools.filesource import FileSource
from standfest.cli.tools.live import LiveSource, ask
from standfest.cli.tools.source import Source, chosen
from standfest.cli.tools.tool import API_VERSION, Output, output_options, tool
from standfest.core.scheduler.values import milliseconds
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError
from standfest.model.fencing import FencingRecord
from standfest.monitor.crm import events, page
from standfest.monitor.crm.fencing import records_of
from standfest.monitor.crm.show import CHOICES, DEFAULT, SECTIONS, Show, sections_of
from standfest.monitor.crm.situation import Situation, read, with_tags
from standfest.runtime import frames

LEGACY_VERSION = "2.1.5"  # of the XML that -X writes, without a status
MODERN, LEGACY, PAGE, TEXT = "xml", "xml-legacy", "html", "text"
_CRITICAL = 2  # as plugins of monitoring systems end when nothing can be known
_CLEAR = "\x1b[H\x1b[2J"
_PID_FILE = "/tmp/ClusterMon.pid"  # noqa: S108 (where Pacemaker's has it)
_DEFAULT_INTERVAL_MS = 5000
_WATCH_S = 0.5
Callback = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Form:
    """How a page is written; interval: seconds until the next, 0: there is none."""

    kind: str
    request: str
    cgi: bool = False
    title: str = "Cluster Status"
    stylesheet: str = ""
    interval: int = 0


def _section(*words: str, with_value: bool = False, **attributes: Any) -> Callable[..., Any]:
    """Return an option that stands for --include or --exclude; their order on the line counts."""

    def note(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value in (None, False, ()):
            return value
        changes: list[tuple[bool, str]] = ctx.meta.setdefault("sections", [])
        name = parameter.name
        if name in ("include", "exclude"):
            changes += [(name == "include", word) for word in value]
        elif name == "hide_headers":
            changes.append((False, "summary"))
        elif name == "fence_history":
            changes += _fencing(str(value))
        elif name == "neg_locations":
            changes.append((True, f"bans:{value.strip()}"))
        else:
            changes.append((True, _NAMED[str(name)]))
        return value

    if with_value:
        return click.option(*words, callback=note, **attributes)
    return click.option(*words, is_flag=True, callback=note, **attributes)


_NAMED = {
    "failcounts": "failcounts",
    "operations": "operations",
    "timing_details": "operations",
    "tickets": "tickets",
    "show_node_attributes": "attributes",
}


def _fencing(level: str) -> list[tuple[bool, str]]:
    if level not in ("0", "1", "2", "3"):
        raise ToolError(Exit.USAGE, "crm_mon: Fence history must be 0-3")
    if level == "0":
        return [(False, "fencing")]
    return [(True, "fencing-failed,fencing-pending" if level == "1" else "fencing")]


def _shown(command: Callback) -> Callback:
    for option in reversed(
        (
            _section(
                "-I",
                "--include",
                with_value=True,
                multiple=True,
                metavar="SECTIONS",
                help="Show these sections, too; `list` names all.",
            ),
            _section(
                "-U",
                "--exclude",
                with_value=True,
                multiple=True,
                metavar="SECTIONS",
                help="Do not show these sections.",
            ),
            click.option("--node", "only_node", metavar="NODE", help="Only this node, or tag."),
            click.option(
                "--resource", "only_resource", metavar="RSC", help="Only this resource, or tag."
            ),
            click.option("-n", "--group-by-node", is_flag=True, help="Resources by node."),
            click.option("-r", "--inactive", is_flag=True, help="Inactive resources, too."),
            _section("-f", "--failcounts", help="Fail counts."),
            _section("-o", "--operations", help="What was done."),
            _section("-t", "--timing-details", help="... with times."),
            _section("-c", "--tickets", help="Tickets."),
            _section(
                "-m",
                "--fence-history",
                with_value=True,
                is_flag=False,
                flag_value="2",
                metavar="[LEVEL]",
                help="Fencing: 0 none to 3 all (from a cluster only).",
            ),
            _section(
                "-L",
                "--neg-locations",
                with_value=True,
                is_flag=False,
                flag_value=" ",
                metavar="[PREFIX]",
                help="What may not run where.",
            ),
            _section("-A", "--show-node-attributes", help="Attributes of nodes."),
            _section("-D", "--hide-headers", help="No summary."),
            click.option("-R", "--show-detail", is_flag=True, help="Ids, each clone instance."),
            click.option("-b", "--brief", is_flag=True, help="Counts instead of names."),
            click.option("-s", "--simple-status", is_flag=True, help="One line, for nagios."),
        )
    ):
        command = option(command)
    return command


def _written(command: Callback) -> Callback:
    for option in reversed(
        (
            click.option("-1", "--one-shot", is_flag=True, help="Show once and exit."),
            click.option(
                "-i", "--interval", metavar="TIME", help="Time between two pages, 5s if not given."
            ),
            click.option("-d", "--daemonize", is_flag=True, help="Go on in the background."),
            click.option(
                "-p",
                "--pid-file",
                metavar="FILE",
                default=_PID_FILE,
                help="Where the daemon's process id is kept.",
            ),
            click.option(
                "-E",
                "--external-agent",
                metavar="FILE",
                help="Program that is run for every operation.",
            ),
            click.option(
                "-e",
                "--external-recipient",
                metavar="RCPT",
                default="",
                help="Given to it as CRM_notify_recipient.",
            ),
            click.option(
                "-W",
                "--watch-fencing",
                is_flag=True,
                help="Show fencing at once; -E is run for it, too.",
            ),
            click.option("-h", "--as-html", metavar="FILE", help="Write HTML to FILE."),
            click.option("-X", "--as-xml", is_flag=True, help="XML without a status, once."),
            click.option("-w", "--web-cgi", is_flag=True, help="HTML for a web server, once."),
            click.option("--html-cgi", is_flag=True, help="The same, with --output-as=html."),
            click.option(
                "--html-title", metavar="TITLE", default="Cluster Status", help="Title of the page."
            ),
            click.option(
                "--html-stylesheet",
                metavar="URI",
                default="",
                help="A stylesheet that the page reads.",
            ),
            click.option("-x", "--xml-file", metavar="FILE", help="Show this CIB (as in 2008)."),
            click.option(
                "--as-console",
                "-N",
                "--disable-ncurses",
                is_flag=True,
                help="Accepted: lines are what there is.",
            ),
            click.option("--text-fancy", is_flag=True, help="Accepted."),
            click.option("-Q", "--quiet", is_flag=True, help="Accepted."),
        )
    ):
        command = option(command)
    return command


@tool("crm_mon")
@_shown
@_written
@output_options("console", "text", "xml", "html")
def command(verbose: int, output: Output, **given: Any) -> int | None:
    """Show nodes, resources and what failed.

    Without -1, -d or a form that is written once the page is shown again and again.
    """
    del verbose
    source: Source = chosen()
    if given["xml_file"]:
        source = FileSource(given["xml_file"])
    if isinstance(source, FileSource) and source.path != "-":
        source = FileSource(os.path.abspath(source.path))
    interval = _interval(given["interval"])
    if given["simple_status"]:
        return _simple(source)
    form, to = _form(given, output)
    show = _show(given, form.kind)
    once = (
        given["one_shot"]
        or form.kind in (MODERN, LEGACY)
        or form.cgi
        or (form.kind == PAGE and not to and not given["daemonize"])
    )
    if not once:
        form = replace(form, interval=max(1, round(interval)))
    agent = (given["external_agent"], given["external_recipient"])
    only = (given["only_node"], given["only_resource"])
    run = _Run(source, show, form, to, agent, *only, watch=given["watch_fencing"])
    if once:
        run.once()
    elif given["daemonize"]:
        if not to and not agent[0]:
            needed = "--output-to=FILE (or --as-html FILE) or --external-agent"
            raise ToolError(Exit.USAGE, f"crm_mon: --daemonize; expected with it {needed}")
        publishing.claim(given["pid_file"])
        run.once()  # what is wrong is said here, while there is somebody to read it
        pid_file = os.path.abspath(given["pid_file"])
        again = run.again
        work = partial(publishing.repeat, again, interval, again, run.wait)
        publishing.daemonize(pid_file, work)
    else:
        publishing.repeat(run.again, interval, run.once, run.wait)
    return None


def _interval(text: str | None) -> float:
    """Return seconds; raises ToolError."""
    found = milliseconds(text, -1) if text is not None else _DEFAULT_INTERVAL_MS
    if found < 0:
        raise ToolError(
            Exit.USAGE, f"crm_mon: Invalid value for -i: {text}; expected a time, e.g. 15s"
        )
    return (found or _DEFAULT_INTERVAL_MS) / 1000


def _form(given: dict[str, Any], output: Output) -> tuple[Form, str]:
    """Return how to write, and where to: empty for standard output."""
    to = "" if output.to == "-" else output.to
    kind = {"xml": MODERN, "html": PAGE}.get(output.kind, TEXT)
    cgi = given["web_cgi"] or given["html_cgi"] or sys.argv[0].endswith("crm_mon.cgi")
    if given["as_xml"]:
        kind = LEGACY
    elif given["as_html"]:
        kind, to = PAGE, given["as_html"]
    elif cgi:
        kind = PAGE
    to = "" if to == "-" else to
    form = Form(kind, output.request, cgi, given["html_title"], given["html_stylesheet"])
    return form, os.path.abspath(to) if to else ""


def _show(given: dict[str, Any], kind: str) -> Show:
    default = frozenset(SECTIONS if kind in (MODERN, LEGACY) else DEFAULT)
    changes = click.get_current_context().meta.get("sections", [])
    try:
        sections, bans = sections_of(default, changes, default)
    except ValueError as error:
        choices = ", ".join(CHOICES)
        text = f"crm_mon: --include options: {choices}" + (
            "" if str(error) == "list" else f"; there is no {error}"
        )
        raise ToolError(Exit.USAGE, text) from error
    return Show(
        sections,
        by_node=given["group_by_node"],
        brief=given["brief"],
        inactive=given["inactive"] or kind in (MODERN, LEGACY),
        detail=given["show_detail"],
        timing=given["timing_details"],
        bans=bans,
        level=int(given["fence_history"] or 1),
    )


@dataclass
class _Run:
    """One invocation: where from, how, where to."""

    source: Source
    show: Show
    form: Form
    to: str
    agent: tuple[str | None, str]
    only_node: str | None
    only_resource: str | None
    known: events.Known | None = None
    ended: Set[str] | None = None
    fencing: tuple[FencingRecord, ...] = ()
    shown: bool = False
    watch: bool = False

    def once(self) -> None:
        """Write a page; raises ToolError."""
        try:
            situation = _situation(self.source)
        except ToolError as error:
            if self.form.kind == MODERN:
                _write(self.to, _failed(self.form, error))
            raise
        self.fencing = situation.fencing
        self._tell(situation)
        self._put(_page(situation, self._filtered(situation), self.form))

    def again(self) -> None:
        """Write a page, or that there is none: an old one would be believed."""
        try:
            self.once()
        except ToolError as error:
            if error.code is Exit.CANNOT_CREATE:
                raise
            self._put(_nothing(self.form, error))

    def wait(self, seconds: float) -> None:
        """Wait; when fencing is watched, only until something has become of it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _WATCH_S) if self.watch else left)
            with contextlib.suppress(ToolError):  # that there is no cluster is the page's to say
                if self.watch and _fenced(self.source) != self.fencing:
                    return

    def _filtered(self, situation: Situation) -> Show:
        show = self.show
        if self.only_node is not None:
            show = replace(show, nodes=with_tags(situation, self.only_node))
        if self.only_resource is not None:
            show = replace(show, resources=with_tags(situation, self.only_resource))
        return show

    def _put(self, content: str) -> None:
        if not self.to and self.agent[0] and self.form.interval:
            return
        terminal = not self.to and self.form.interval and sys.stdout.isatty()
        again = "" if self.to or not self.shown else "\n"
        self.shown = True
        _write(self.to, f"{_CLEAR if terminal else again}{content}")

    def _tell(self, situation: Situation) -> None:
        program, recipient = self.agent
        if program is None:
            return
        news, self.known = events.news(situation, self.known)
        for event in news:
            publishing.run(program, events.environment(event, recipient))
        fenced, self.ended = events.fenced(situation.fencing, self.ended)
        for record in fenced if self.watch else ():
            publishing.run(program, events.fencing_environment(record, recipient))


def _situation(source: Source) -> Situation:
    try:
        return read(source.read(), fencing=_fenced(source))
    except ConfigError as error:
        raise ToolError(Exit.BAD_DATA, f"crm_mon: {error}") from error


def _fenced(source: Source) -> tuple[FencingRecord, ...]:
    """Return what the cluster says was fenced; a file says nothing of it."""
    if not isinstance(source, LiveSource):
        return ()
    try:
        answer = ask(source.run_dir, frames.Query("fencing"))
    except ToolError as error:
        if error.code is Exit.NO_PERMISSION:  # a user who may see a part of the CIB only
            return ()
        raise
    return records_of(json.loads(answer.text)["history"])


def _write(to: str, content: str) -> None:
    if to:
        publishing.publish(to, content)
        return
    try:
        sys.stdout.write(content)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(Exit.OK) from None


def _page(situation: Situation, show: Show, form: Form) -> str:
    if form.kind == LEGACY:
        version = (("version", LEGACY_VERSION),)
        return xml.serialise(Element("crm_mon", version, page.xml(situation, show)))
    if form.kind == MODERN:
        status = Element("status", (("code", "0"), ("message", MESSAGES[Exit.OK])))
        return xml.serialise(_result(form, *page.xml(situation, show), status))
    if form.kind == PAGE:
        text = page.html(
            situation,
            show,
            title=form.title,
            stylesheet=form.stylesheet,
            refresh=form.interval,
        )
        return ("Content-Type: text/html\n\n" if form.cgi else "") + text
    return page.text(situation, show)


def _result(form: Form, *children: Element) -> Element:
    around = (("api-version", API_VERSION), ("request", form.request))
    return Element("pacemaker-result", around, children)


def _failed(form: Form, error: ToolError) -> str:
    said = Element("errors", (), (Element("error", (), (), error.text),))
    pairs = (("code", str(int(error.code))), ("message", MESSAGES[error.code]))
    return xml.serialise(_result(form, Element("status", pairs, (said,))))


def _nothing(form: Form, error: ToolError) -> str:
    if form.kind == PAGE:
        return page.nothing(error.text, title=form.title, refresh=form.interval)
    return f"{error.text}\n"


def _simple(source: Source) -> int | None:
    try:
        click.echo(page.simple(_situation(source)), nl=False)
    except ToolError as error:
        click.echo(f"CLUSTER CRIT: {error.text.removeprefix('crm_mon: ')}")
        return _CRITICAL
    return None
