"""Filters of shared addresses that outlive the processes that change them.

An agent is a new process at every action, and two instances on a node share one filter: each takes
the filter's lock, and finds in a file beside it with which parameters it was made. Which buckets
are answered is never in that file: only the kernel knows.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from standfest.model.errors import OperationError
from standfest.model.sharing import (
    Answering,
    Established,
    HashMode,
    Layout,
    SharedAddress,
    Target,
    name_of,
)
from standfest.model.time import Duration
from standfest.ports.sharing import BucketFilter

DIRECTORY = Path("/run/standfest/clusterip")
Choose = Callable[[SharedAddress, Target], Target]
OpenFilter = Callable[[SharedAddress, Target], BucketFilter]


@dataclass(frozen=True, slots=True)
class Made:
    """With which parameters a filter was made."""

    shared: SharedAddress
    target: Target


class Shares:
    """The filters of this machine.

    choose: what AUTO stands for here; open_filter: what speaks to the kernel.
    """

    def __init__(
        self, choose: Choose, open_filter: OpenFilter, directory: Path = DIRECTORY
    ) -> None:
        self._choose = choose
        self._open_filter = open_filter
        self._directory = directory

    @contextlib.contextmanager
    def sharing(self, shared: SharedAddress, target: Target) -> Iterator[BucketFilter]:
        """See ports.host.Host."""
        with self._locked(shared.name):
            kept = _Kept(
                self._choose, self._open_filter, self._path(shared.name), Made(shared, target)
            )
            try:
                yield kept
            finally:
                kept.close(keep=True)

    @contextlib.contextmanager
    def made(self, address: IPv4Address | IPv6Address) -> Iterator[tuple[Made, BucketFilter]]:
        """Return a filter that is here already; raises OperationError if there is none."""
        name = name_of(address)
        absent = OperationError(f"{address} is not shared here; expected an agent's address")
        if not self._path(name).exists():
            raise absent  # and leaves no lock behind
        with self._locked(name):
            made = _read(self._path(name))
            if made is None:
                raise absent
            buckets = self._open_filter(made.shared, made.target)
            try:
                yield made, buckets
            finally:
                buckets.close(keep=True)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        path = self._directory / f"{name}.lock"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperationError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # a forked announcer has the descriptor, too
            os.close(lock)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


class _Kept:
    """A filter that is let go before it is made with other parameters; AUTO is decided once."""

    def __init__(self, choose: Choose, open_filter: OpenFilter, path: Path, wanted: Made) -> None:
        self._choose = choose
        self._open_filter = open_filter
        self._path = path
        self._wanted = wanted
        self._made = _read(path)
        self._buckets: BucketFilter | None = None

    def look(self) -> Answering | None:
        """See BucketFilter; None also for one with other parameters."""
        return self._filter().look() if self._is_as_wanted() else None

    def open(self) -> tuple[Answering, Duration]:
        """See BucketFilter."""
        if not self._is_as_wanted():
            if self._made is not None:
                self.close(keep=False)
            shared = self._wanted.shared
            self._made = Made(shared, self._choose(shared, self._wanted.target))
            self._filter()  # refused, there is nothing to remember
            _write(self._path, self._made)
        return self._filter().open()

    def answer(self, answering: Answering, duration: Duration | None) -> None:
        """See BucketFilter."""
        self._filter().answer(answering, duration)

    def renew(self, duration: Duration) -> None:
        """See BucketFilter."""
        self._filter().renew(duration)

    def close(self, *, keep: bool) -> None:
        """See BucketFilter; what is taken away is what was made."""
        if not keep:
            with contextlib.ExitStack() as stack:
                if self._made is None:
                    # What cannot be made is not here, unless somebody has removed our file.
                    stack.enter_context(contextlib.suppress(OperationError))
                self._filter().close(keep=False)
            self._path.unlink(missing_ok=True)
            self._made, self._buckets = None, None
        elif self._buckets is not None:
            self._buckets.close(keep=True)

    def _is_as_wanted(self) -> bool:
        made, wanted = self._made, self._wanted
        targets = (Target.AUTO, made.target if made is not None else None)
        return made is not None and made.shared == wanted.shared and wanted.target in targets

    def _filter(self) -> BucketFilter:
        """Return the filter as it was made, or else as it is wanted."""
        if self._buckets is None:
            made = self._made or self._wanted
            self._buckets = self._open_filter(made.shared, made.target)
        return self._buckets


def _write(path: Path, made: Made) -> None:
    shared, layout = made.shared, made.shared.layout
    record = {
        "name": shared.name,
        "addresses": [str(address) for address in shared.addresses],
        "interface": shared.interface,
        "mac": shared.mac.hex(":"),
        "mode": layout.mode.value,
        "buckets": layout.buckets,
        "seed": layout.seed,
        "established": shared.established.value,
        "target": made.target.value,
    }
    new = path.with_suffix(".new")
    try:
        new.write_text(json.dumps(record), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise OperationError(f"{path}: {error.strerror}") from error


def _read(path: Path) -> Made | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return _made(record)
    except (OSError, ValueError, KeyError):
        return None  # never made, or by another version: made anew


def _made(record: dict[str, Any]) -> Made:
    shared = SharedAddress(
        record["name"],
        tuple(ipaddress.ip_interface(text) for text in record["addresses"]),
        record["interface"],
        bytes.fromhex(record["mac"].replace(":", "")),
        Layout(HashMode(record["mode"]), record["buckets"], record["seed"]),
        Established(record["established"]),
    )
    return Made(shared, Target(record["target"]))
