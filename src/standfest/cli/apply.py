"""`standfest apply FILE`: make a file the configuration, as a whole or not at all."""

import click

from standfest.cli import changing
from standfest.cli.changing import rollback_option


@click.command(name="apply")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@rollback_option
def command(file: str, yes: bool, rollback_after: int | None) -> None:
    """Show what comes of FILE, ask, and make it the configuration.

    FILE is what `standfest plan` takes. What others change elsewhere meanwhile stays; where they
    change the same, nothing is done, and you are told what they did.
    """
    cib = changing.read_cib()
    configuration = changing.wanted(cib, file)
    if not changing.show(cib, configuration).differences:
        return
    changing.confirm(yes=yes)
    changing.make(cib, configuration, "standfest-apply", rollback_after or 0)
