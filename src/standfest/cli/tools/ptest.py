"""`ptest`: Heartbeat 2's name of crm_simulate; `-X` is a text there, and it always decides."""

from typing import Any

from standfest.cli.tools.crm_simulate import simulate, simulator
from standfest.cli.tools.tool import Output


@simulator("ptest", "-X")
def command(*, output: Output, **options: Any) -> None:
    """Show what the cluster would do with a situation."""
    simulate(output, **options | {"run": True})
