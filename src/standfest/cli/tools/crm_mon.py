"""`crm_mon`: the cluster's status as Pacemaker's tool shows it."""

import click

from standfest.cli.tools.source import chosen
from standfest.cli.tools.tool import Output, output_options, tool


@tool("crm_mon")
@click.option("-1", "--one-shot", is_flag=True, help="Show once and exit.")
@output_options()
def command(one_shot: bool, verbose: int, output: Output) -> None:
    """Show nodes and resources."""
    del one_shot, verbose
    cib = chosen().read()
    if output.as_xml:
        output.xml(cib)
        return
    output.text(cib.tag)
