"""Reading what a member of a shared address needs: its file, its keys, and which member it is."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from standfest.config import authkeys, share
from standfest.daemons import identity
from standfest.daemons.reading import text_of
from standfest.model.errors import ConfigError, Finding, Severity
from standfest.model.keys import Keyring, SignatureMethod
from standfest.model.sharefile import ShareFile


@dataclass(frozen=True, slots=True)
class Task:
    """One member's part: its name, what the file says, and the keys."""

    name: str
    file: ShareFile
    keyring: Keyring

    @property
    def digest(self) -> int:
        """Return 64 bits of everything that has to be the same on all members while they share.

        Members and weights are not in it: these may be changed one node after another.
        """
        shared, settings = self.file.shared, self.file.settings
        layout = shared.layout
        words = [
            *(layout.mode.value, str(layout.buckets), str(layout.seed), shared.mac.hex()),
            *(str(settings.deadtime), settings.no_quorum.value, shared.established.value),
            *sorted(str(address.ip) for address in shared.addresses),
        ]
        return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest())


def load(path: Path, name: str = "") -> tuple[Task, tuple[Finding, ...]]:
    """Return a member's task, and warnings; raises ConfigError with all that is wrong.

    name: of the member, where it is not the host's.
    """
    file, warnings = share.parse(text_of(path, "the file of a shared address"), str(path))
    findings: list[Finding] = []
    member = own_name(file, name)
    if member is None:
        problem = f'no member is called "{name or identity.node_name()}"'
        findings.append(Finding(str(path), 0, problem, f"--name with one of {_listed(file)}"))
    keyring = None
    try:
        keyring = keys(path.parent / file.authkeys)
    except ConfigError as error:
        findings += error.findings
    if findings:
        raise ConfigError(*findings)
    assert member is not None
    assert keyring is not None
    if keyring.signing.method is SignatureMethod.CRC:
        problem = "the active key is a crc: whoever is on the network can say anything"
        where = str(path.parent / file.authkeys)
        warnings += (Finding(where, 0, problem, "sha256 with a secret", Severity.WARNING),)
    return Task(member, file, keyring), warnings


def own_name(file: ShareFile, name: str = "") -> str | None:
    """Return which member this machine is: the one of this name, in full or up to its first dot."""
    wanted = (name or identity.node_name()).lower()
    if wanted in file.names:
        return wanted
    short = [
        member for member in file.names if member.partition(".")[0] == wanted.partition(".")[0]
    ]
    return short[0] if len(short) == 1 and not name else None


def keys(path: Path) -> Keyring:
    """Return the keys of a file that nobody but root (or we) may read or replace."""
    text = text_of(path, "the keys that sign beats")
    found = path.stat()
    authkeys.check_mode(found.st_mode, str(path))
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(Finding(str(path), 0, f"user {found.st_uid} owns it", "root"))
    keyring, _ = authkeys.parse(text, str(path))
    hidden = [key for key in keyring.keys if key.encrypts]
    if hidden:
        problem = f"key {hidden[0].number} is {hidden[0].method.value}: beats are signed only"
        raise ConfigError(Finding(str(path), 0, problem, "a file of its own, with sha256"))
    return keyring


def unfit(before: Task, after: Task) -> str:
    """Return why a running member cannot go over to another task, or nothing."""
    if before.name != after.name:
        return f"this member would be {after.name}; it is {before.name}"
    old, new = before.file, after.file
    if old.shared.layout.buckets != new.shared.layout.buckets:
        return (
            f"buckets would be {new.shared.layout.buckets}; expected buckets = "
            f"{old.shared.layout.buckets} in the file, as long as members share by them"
        )
    same = before.digest == after.digest and old.shared == new.shared
    if not same or (old.target, old.port) != (new.target, new.port):
        return "only members, weights, keepalive and keys can change while it runs"
    return ""


def _listed(file: ShareFile) -> str:
    return ", ".join(file.names)
