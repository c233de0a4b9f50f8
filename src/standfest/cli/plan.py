"""`standfest plan FILE`: what would change, and what the cluster would do."""

import click

from standfest.cli import changing


@click.command(name="plan")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
def command(file: str) -> None:
    """Show what would come of FILE: a CIB, a configuration, or one of its sections.

    A whole configuration replaces the one that is there, a section (<resources> ...) that section.
    Nothing is changed. With CIB_file=CIB the plan is for that file, not for the running cluster.
    """
    cib = changing.read_cib()
    changing.show(cib, changing.wanted(cib, file))
