"""`standfest VERB`: a lazily imported module each, so that no verb pays for another's imports."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from standfest import __version__

VERBS = {
    "agent": ("standfest.agents.front", "Run a built-in resource agent, or list them."),
    "apply": ("standfest.cli.apply", "Make a file the configuration, as a whole or not at all."),
    "balance": ("standfest.cli.balance", "Balance alone, show the balancer, drain servers."),
    "check": ("standfest.cli.check", "Say whether configuration files can be used."),
    "cib": ("standfest.cli.cib", "Show, edit, compare and restore the configuration."),
    "director": (
        "standfest.cli.director",
        "Run the virtual routers and servers of a keepalived.conf.",
    ),
    "drill": (
        "standfest.cli.drill",
        "Build the installation in namespaces and break it on purpose.",
    ),
    "fence": ("standfest.cli.fence", "Fence a node, confirm that one is down, show the history."),
    "firewall": ("standfest.cli.firewall", "Show, do and undo what a director's filter needs."),
    "ipvsadm": ("standfest.cli.ipvsadm", "Show and change the kernel's IPVS, as ipvsadm does."),
    "install-tools": ("standfest.cli.installtools", "Make links named crm_mon, cibadmin, ..."),
    "membership": ("standfest.cli.membership", "Show how steadily the other nodes are heard."),
    "node": ("standfest.cli.node", "Put a node into standby, or bring it back."),
    "plan": ("standfest.cli.plan", "Show what would come of a changed configuration."),
    "qdevice": ("standfest.cli.qdevice", "Run a quorum server that breaks ties for clusters."),
    "quorum": ("standfest.cli.quorum", "Show votes and what breaks a tie; prepare a shared disk."),
    "realserver": ("standfest.cli.realserver", "Make this machine a real server, or undo it."),
    "replay": ("standfest.cli.replay", "Decide again what a daemon's recording says it was told."),
    "resource": ("standfest.cli.resource", "Move a resource, take the move back, forget failures."),
    "run": ("standfest.cli.run", "Run this node's daemons in the foreground."),
    "share": ("standfest.cli.share", "Share an address with other nodes; see who serves whom."),
    "sim": ("standfest.cli.sim", "Break simulated clusters, and check what is promised."),
    "simulate": ("standfest.cli.simulate", "Show what the cluster would do with a CIB."),
    "status": ("standfest.cli.status", "Show nodes, resources and failures."),
    "vrrp": ("standfest.cli.vrrp", "Show the virtual routers of the running director."),
    "why": ("standfest.cli.why", "Say why a resource is where it is, or does not run."),
}
"""Verb -> (module with a click command named `command`, one-line help)."""

TOOLS = {
    "cibadmin": ("standfest.cli.tools.cibadmin", "Query and change the CIB."),
    "cl_status": ("standfest.cli.tools.cl_status", "Say whether nodes and links are alive."),
    "crm_attribute": ("standfest.cli.tools.crm_attribute", "Options, attributes of nodes."),
    "crm_diff": ("standfest.cli.tools.crm_diff", "Compare two CIBs, apply a patch."),
    "crm_failcount": ("standfest.cli.tools.crm_failcount", "Show or forget failures."),
    "crm_mon": ("standfest.cli.tools.crm_mon", "Show the cluster."),
    "crm_node": ("standfest.cli.tools.crm_node", "Show node names, ids and quorum."),
    "crm_resource": ("standfest.cli.tools.crm_resource", "Show, change and move resources."),
    "crm_shadow": ("standfest.cli.tools.crm_shadow", "Work on a copy of the CIB."),
    "crm_simulate": ("standfest.cli.tools.crm_simulate", "Show what the cluster would do."),
    "crm_standby": ("standfest.cli.tools.crm_standby", "Put a node into standby, or back."),
    "crm_ticket": ("standfest.cli.tools.crm_ticket", "Tickets of sites."),
    "crm_verify": ("standfest.cli.tools.crm_verify", "Check a configuration."),
    "ptest": ("standfest.cli.tools.ptest", "Show the same, by the name that it had once."),
    "stonith_admin": ("standfest.cli.tools.stonith_admin", "Fence nodes, show fence devices."),
}
"""Tools that administrators already type -> (module with a `command`, one-line help)."""
COMMANDS = VERBS | TOOLS


class LazyVerbs(click.Group):
    """A click group that knows its verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in alphabetical order, then the tools."""
        return [*sorted(VERBS), *sorted(TOOLS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb or a tool and return its command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of verbs, importing none of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, VERBS[verb][1]) for verb in sorted(VERBS)])
        with formatter.section("Tools of Heartbeat 2 and Pacemaker"):
            formatter.write_dl([(name, TOOLS[name][1]) for name in sorted(TOOLS)])


@click.group(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="standfest")
def standfest() -> None:
    """High availability for Linux: failover, load balancing, load sharing, and their proof."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb; the entry point of the `standfest` program."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    called = Path(sys.argv[0]).name
    if arguments is None and called in TOOLS:  # by a link that `install-tools` made
        words = [called, *words]
    if words[:1] == ["agent"]:  # agents run at every monitor: they must not pay for click
        importlib.import_module("standfest.agents.front").main(words[1:])
        return
    if words[:1] and words[0] in TOOLS:
        tool = standfest.get_command(click.Context(standfest), words[0])
        assert tool is not None
        tool.main(words[1:], prog_name=words[0])
        return
    standfest(words, prog_name="standfest")


if __name__ == "__main__":
    main()
