"""iptables and arptables of old kernels, run as programs. Source: iptables(8), arptables(8)."""

import shlex
import shutil
import subprocess

from standfest.model.errors import OperationError

TIMEOUT_S = 20.0
WAIT_S = "10"
"""So long may another program hold iptables' lock."""

IPTABLES = ("iptables-legacy", "iptables")
RESTORE = ("iptables-legacy-restore", "iptables-restore")
ARPTABLES = ("arptables-legacy",)


def iptables(*words: str) -> str:
    """Return what iptables printed; raises OperationError with its first line."""
    return _run(IPTABLES, ("-w", WAIT_S, *words))


def restore(text: str) -> None:
    """Put in what `iptables-save` would print, as one change of the table; the rest stays."""
    _run(RESTORE, ("-w", WAIT_S, "--noflush"), text)


def arptables(*words: str) -> str:
    """Return what arptables printed."""
    return _run(ARPTABLES, words)


def rules(table: str, chain: str) -> list[list[str]]:
    """Return the rules of a chain, each as the words that made it; none if there is no such."""
    try:
        printed = iptables("-t", table, "-S", chain)
    except OperationError:
        return []
    return [shlex.split(line) for line in printed.splitlines() if line.startswith("-A ")]


def _run(names: tuple[str, ...], words: tuple[str, ...], text: str = "") -> str:
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        raise OperationError(f"{names[0]} is not installed")
    try:
        ended = subprocess.run(
            [path, *words], input=text, capture_output=True, text=True, timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationError(f"{names[0]}: {error}") from error
    if ended.returncode:
        said = next((line for line in ended.stderr.splitlines() if line.strip()), "refused")
        raise OperationError(f"{names[0]}: {said.strip()}")
    return ended.stdout
