"""`cl_status`: what the heartbeat layer says of nodes, links and clients, in heartbeat's words.

Exit codes are heartbeat's: 0 said, 1 no (stopped, offline), 11 a wrong parameter, 13 it cannot say.
"""

import getopt
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from standfest import __version__
from standfest.cli.tools.tool import ToolCommand
from standfest.config import hacf
from standfest.config.compressed import read_file
from standfest.config.lines import Report as FileReport
from standfest.config.lines import directives
from standfest.daemons.places import DEFAULT_HA_DIR, DEFAULT_RUN_DIR, Places
from standfest.model.errors import ConfigError, OperationError
from standfest.monitor import heartbeat
from standfest.monitor.heartbeat import FAILED, NO, OK, WRONG
from standfest.runtime import channel
from standfest.runtime.frames import Query, Reply

USAGE = """Usage: cl_status SUBCOMMAND [OPTION]... [PARAMETER]...

Subcommands:
  hbstatus [-v]                   whether the heartbeat layer runs on this machine
  listnodes [-n|-p] [-v]          nodes: only normal ones, only ping nodes, with status and links
  nodestatus NODE                 active, up, dead; ping for a ping node that answers
  nodetype NODE                   normal or ping
  nodeweight NODE, nodesite NODE  100, and nothing: neither is configured here
  listhblinks [-v] NODE           the links on which NODE is heard
  hblinkstatus NODE LINK          up or dead
  clientstatus NODE CLIENT [MS]   online, offline or join
  rscstatus                       which resources this node has: all, local, foreign, none,
                                  transition
  hbparameter -p NAME             what ha.cf says of NAME
With -m sentences are written instead of words."""
NO_NODE = "Error. May be due to incorrect node name"


class StatusError(Exception):
    """Nothing can be said: an exit code, and a line why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Asked:
    """A subcommand's options and parameters, and whom to ask."""

    options: frozenset[str]
    parameter: str
    words: tuple[str, ...]
    places: Places

    @property
    def human(self) -> bool:
        """Return whether sentences are wanted."""
        return "-m" in self.options

    def report(self) -> heartbeat.Report:
        """Return what `pulse` says; raises StatusError when it does not run."""
        try:
            answer = channel.request(self.places.pulse_socket, Query("links"))
        except OperationError as error:
            raise StatusError(NO, f"Cannot signon with heartbeat: {error}") from error
        assert isinstance(answer, Reply), "the daemon answers a query with a Reply"
        report: dict[str, Any] = json.loads(answer.text)
        if report.get("stack") == "corosync":
            raise StatusError(FAILED, "no heartbeat layer: the stack is corosync")
        return report

    def cluster(self) -> heartbeat.Report | None:
        """Return the cluster daemon's status; None when it does not run or tell us."""
        try:
            answer = channel.request(self.places.cluster_socket, Query("status"))
        except OperationError:
            return None
        assert isinstance(answer, Reply), "the daemon answers a query with a Reply"
        report: dict[str, Any] | None = json.loads(answer.text) if answer.accepted else None
        return report

    def node(self, count: int = 1) -> tuple[heartbeat.Report, str]:
        """Return the report, and the node that was given; raises StatusError if it is unknown."""
        self.need(count)
        report = self.report()
        node = self.words[0].lower()
        if heartbeat.status_of(report, node) is None:
            raise StatusError(WRONG, NO_NODE)
        return report, node

    def need(self, count: int) -> None:
        """Raise StatusError unless there are that many parameters."""
        if len(self.words) < count:
            text = "Not enough parameters." if count == 1 else "No enough parameter."
            raise StatusError(WRONG, text)

    def say(self, word: str, sentence: str) -> None:
        """Print one of both."""
        click.echo(sentence if self.human else word)


def hbstatus(asked: Asked) -> int:
    """Say whether `pulse` runs here."""
    try:
        report = asked.report()
    except StatusError as error:
        click.echo("Heartbeat is stopped on this machine.")
        return error.code
    if "-v" not in asked.options:
        click.echo("Heartbeat is running on this machine.")
        return OK
    click.echo(f"version:\t{_version()}\nmanaged by:\tstandfest run")
    _echo(heartbeat.verbose_lines(report, heartbeat.nodes(report)))
    return OK


def listnodes(asked: Asked) -> int:
    """List nodes and ping nodes."""
    report = asked.report()
    kinds = {"-p": "ping", "-n": "normal"}
    wanted = [kinds[option] for option in sorted(asked.options & set(kinds))]
    names = heartbeat.nodes(report, wanted[0] if len(wanted) == 1 else "")
    if "-v" in asked.options:
        _echo(heartbeat.verbose_lines(report, names))
        return OK
    if asked.human:
        click.echo("The nodes are as follow:")
    _echo(names)
    return OK


def nodestatus(asked: Asked) -> int:
    """Say whether a node is heard."""
    report, node = asked.node()
    status = heartbeat.status_of(report, node) or ""
    asked.say(status, f"The cluster node {node} is {status}")
    return NO if status == "dead" else OK


def nodetype(asked: Asked) -> int:
    """Say what a node is."""
    report, node = asked.node()
    kind = heartbeat.type_of(report, node)
    asked.say(kind, f"The node {node}'s type: {kind}")
    return OK


def nodeweight(asked: Asked) -> int:
    """Say 100: weights have no effect, here as in heartbeat with a CRM."""
    _, node = asked.node()
    asked.say("100", f"The weight of the cluster node {node} is 100")
    return OK


def nodesite(asked: Asked) -> int:
    """Say nothing: sites are not configured."""
    _, node = asked.node()
    asked.say("", f"The site of the cluster node {node} is ")
    return OK


def listhblinks(asked: Asked) -> int:
    """List a node's links."""
    asked.need(1)
    report, node = asked.report(), asked.words[0].lower()
    if heartbeat.status_of(report, node) is None:
        raise StatusError(FAILED, f"Cannot start heartbeat link interface walk: no node {node}")
    if asked.human:
        click.echo("\tthis node has the following heartbeat links:")
    _echo(heartbeat.link_lines(report, node, verbose="-v" in asked.options))
    return OK


def hblinkstatus(asked: Asked) -> int:
    """Say whether a node is heard on a link."""
    asked.need(2)
    report = asked.report()
    node, link = asked.words[0].lower(), asked.words[1]
    known = heartbeat.status_of(report, node) is not None
    status = heartbeat.links(report, node).get(link) if known else None
    if status is None:
        raise StatusError(FAILED, f"Cannot get heartbeat link status: no link {link} of {node}")
    asked.say(status, f"The node {node}'s heartbeat link {link} is {status}")
    return NO if status == "dead" else OK


def clientstatus(asked: Asked) -> int:
    """Say whether a program's work is done on a node."""
    asked.need(2)
    report = asked.report()
    node, name = asked.words[0].lower(), asked.words[1]
    if heartbeat.status_of(report, node) is None:
        raise StatusError(FAILED, f"Cannot get heartbeat client {name}'s status: no node {node}")
    status = heartbeat.client(report, asked.cluster(), node, name)
    click.echo(status)
    return OK if status == "online" else NO


def rscstatus(asked: Asked) -> int:
    """Say which resources this node has."""
    asked.report()
    held = heartbeat.holding(asked.cluster())
    asked.say(held, f"This node is holding {held} resources.")
    return OK


def hbparameter(asked: Asked) -> int:
    """Say what ha.cf says."""
    if not asked.parameter:
        raise StatusError(WRONG, "parameter name required")
    asked.report()
    name = asked.parameter
    value = _version() if name == "hbversion" else _parameter(asked.places.ha_dir, name)
    if value is None:
        raise StatusError(NO, f"Cannot get parameter {name}'s value: ha.cf has none")
    asked.say(value, f"Heartbeat parameter {name}'s value: {value}")
    return OK


def _parameter(ha_dir: Path, name: str) -> str | None:
    try:
        text = read_file(str(ha_dir / "ha.cf")).decode("utf-8", "replace")
    except OperationError as error:
        raise StatusError(NO, str(error)) from error
    lines = directives(FileReport("ha.cf"), text, delimiters=",", inline=True)
    same = {"crm": ("crm", "pacemaker"), "pacemaker": ("crm", "pacemaker")}.get(name, (name,))
    if name in heartbeat.LISTS:
        return None  # heartbeat answers for what has one value
    given = [line.text for line in lines if line.name in same]
    if given:
        return given[-1]
    settings, _ = hacf.parse(text, str(ha_dir / "ha.cf"))
    return heartbeat.default_time(settings, name) or heartbeat.DEFAULTS.get(name)


def _version() -> str:
    return f"Standfest {__version__}"


def _echo(lines: object) -> None:
    for line in lines:  # type: ignore[attr-defined]
        click.echo(line)


SUBCOMMANDS: dict[str, tuple[Callable[[Asked], int], str]] = {
    "clientstatus": (clientstatus, "m"),
    "hblinkstatus": (hblinkstatus, "m"),
    "hbparameter": (hbparameter, "mp:"),
    "hbstatus": (hbstatus, "mv"),
    "listhblinks": (listhblinks, "mv"),
    "listnodes": (listnodes, "mnpv"),
    "nodesite": (nodesite, "m"),
    "nodestatus": (nodestatus, "m"),
    "nodetype": (nodetype, "m"),
    "nodeweight": (nodeweight, "m"),
    "rscstatus": (rscstatus, "m"),
}


@click.command(
    "cl_status",
    cls=ToolCommand,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> int:
    """Say what the heartbeat layer knows."""
    if not words or words[0] in ("-?", "-h", "--help"):
        click.echo(USAGE)
        return OK
    if words[0] in ("-$", "--version"):
        click.echo(_version())
        return OK
    try:
        return _run(words[0], words[1:])
    except StatusError as error:
        click.echo(f"cl_status: {error.text}", err=True)
        return error.code
    except ConfigError as error:
        click.echo(f"cl_status: {error}", err=True)
        return NO


def _run(name: str, words: Sequence[str]) -> int:
    if name not in SUBCOMMANDS:
        known = ", ".join(SUBCOMMANDS)
        raise StatusError(WRONG, f"{name}: invalid sub-command; expected one of {known}")
    function, letters = SUBCOMMANDS[name]
    try:
        options, rest = getopt.gnu_getopt(list(words), letters)
    except getopt.GetoptError as error:
        raise StatusError(WRONG, f"{name}: {error}") from error
    places = Places(
        ha_dir=Path(os.environ.get("STANDFEST_HA_DIR") or DEFAULT_HA_DIR),
        run_dir=Path(os.environ.get("STANDFEST_RUN_DIR") or DEFAULT_RUN_DIR),
    )
    parameter = next((value for option, value in options if value), "")
    given = frozenset(option for option, _ in options)
    return function(Asked(given, parameter, tuple(rest), places))
