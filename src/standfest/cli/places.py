"""Options that several verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from standfest.daemons import places

run_dir_option: Callable[[Any], Any] = click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    default=places.DEFAULT_RUN_DIR,
    show_default=True,
    help="Directory with the daemons' sockets.",
)
