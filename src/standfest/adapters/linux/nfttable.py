"""A packet filter table of our own: loaded in one transaction, recognized by its comment, removed.

Nothing of anybody else's is read or touched. The rules themselves are text from `core/setup`.
"""

import hashlib
import json
import shutil
import subprocess

from standfest.model.errors import OperationError

TIMEOUT_S = 20.0
PROGRAM = "nft"


def load(family: str, name: str, text: str) -> None:
    """Put a table in place of the one of this name; text: what stands between its braces."""
    # `add` and `delete` before: the table may or may not be there, and all is one transaction.
    script = (
        f"add table {family} {name}\ndelete table {family} {name}\n"
        f'table {family} {name} {{\ncomment "{_mark(text)}"\n{text}\n}}\n'
    )
    status, said = _nft(["-f", "-"], script)
    if status:
        raise OperationError(f"nftables refuses the table {family} {name}: {_line(said)}")


def drop(family: str, name: str) -> None:
    """Remove a table; one that is not there is a success."""
    _, said = _nft(["-f", "-"], f"add table {family} {name}\ndelete table {family} {name}\n")
    if exists(family, name):
        raise OperationError(f"nftables keeps the table {family} {name}: {_line(said)}")


def exists(family: str, name: str) -> bool:
    """Return whether there is a table of this name."""
    return shutil.which(PROGRAM) is not None and _nft(["list", "table", family, name], "")[0] == 0


def holds(family: str, name: str, text: str) -> bool:
    """Return whether the table is the one that `load` made of this text."""
    if shutil.which(PROGRAM) is None:
        return False
    status, said = _nft(["list", "table", family, name], "")
    return status == 0 and f'comment "{_mark(text)}"' in said


def _mark(text: str) -> str:
    return f"standfest {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _nft(words: list[str], script: str) -> tuple[int, str]:
    path = shutil.which(PROGRAM)
    if path is None:
        raise OperationError("nft is not installed (Debian: nftables); --iptables prints rules")
    try:
        ended = subprocess.run(
            [path, *words], input=script, capture_output=True, text=True, timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationError(f"nft: {error}") from error
    return ended.returncode, ended.stdout + ended.stderr


def _line(said: str) -> str:
    return next((line.strip() for line in said.splitlines() if "rror" in line), said[:200]).strip()


def refusing_chains(own: str) -> tuple[tuple[str, str, str, str], ...]:
    """Return (hook, family, table, chain) of others' chains that drop what no rule accepts."""
    if shutil.which(PROGRAM) is None:
        return ()
    status, said = _nft(["-j", "list", "chains"], "")
    try:
        found = json.loads(said)["nftables"] if status == 0 else []
    except (ValueError, KeyError):
        return ()
    chains = [one["chain"] for one in found if isinstance(one, dict) and "chain" in one]
    return tuple(
        (chain["hook"], chain["family"], chain["table"], chain["name"])
        for chain in chains
        if chain.get("policy") == "drop"
        and chain.get("hook") in ("input", "forward")
        and chain.get("table") != own
    )
