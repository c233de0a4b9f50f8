"""A machine's network in memory, for resource agents: links, addresses, filters of buckets."""

import contextlib
from collections.abc import Iterator, Sequence

from standfest.model.errors import OperationError
from standfest.model.sharing import Answering, SharedAddress, Target
from standfest.model.time import Duration
from standfest.ports.host import Address, Link, Mount
from standfest.ports.sharing import BucketFilter


class MemoryFilter:
    """Implements ports.sharing.BucketFilter in a MemoryHost; log: what was done, in order."""

    def __init__(self, host: "MemoryHost", shared: SharedAddress) -> None:
        self._host = host
        self._shared = shared

    def look(self) -> Answering | None:
        """See BucketFilter; other parameters are another filter."""
        found = self._host.filters.get(self._shared.name)
        return found[1] if found is not None and found[0] == self._shared else None

    def open(self) -> tuple[Answering, Duration]:
        """See BucketFilter."""
        found = self.look()
        if found is None:
            self.close(keep=False)
            found = Answering()
            self._host.filters[self._shared.name] = (self._shared, found)
            self._host.log.append("rules")
        for address in self._shared.addresses:
            held = Address(self._shared.interface, str(address.ip), address.network.prefixlen)
            if held not in self._host.held:
                self._host.held.append(held)
                self._host.log.append(f"address {held.ip}")
        return found, 0

    def answer(self, answering: Answering, duration: Duration | None) -> None:
        """See BucketFilter."""
        if self.look() is None:
            raise OperationError(f"{self._shared.name} is not shared here")
        assert duration is None, "nobody renews what an agent does"
        self._host.filters[self._shared.name] = (self._shared, answering)
        self._host.log.append(f"answer {sorted(answering.mine)}")

    def renew(self, duration: Duration) -> None:
        """See BucketFilter."""
        raise OperationError("nothing to renew: an agent's filter has no end")

    def close(self, *, keep: bool) -> None:
        """See BucketFilter."""
        found = self._host.filters.get(self._shared.name)
        if keep or found is None:
            return
        for address in found[0].addresses:
            self._host.held = [held for held in self._host.held if held.ip != str(address.ip)]
            self._host.log.append(f"no address {address.ip}")
        del self._host.filters[self._shared.name]
        self._host.log.append("no rules")


class MemoryHost:
    """Implements ports.host.Host as far as addresses are concerned."""

    def __init__(self, *links: Link) -> None:
        self.links = {link.name: link for link in links}
        self.held: list[Address] = []
        self.filters: dict[str, tuple[SharedAddress, Answering]] = {}
        self.route: tuple[str, str] | None = None
        self.log: list[str] = []

    def link(self, device: str) -> Link | None:
        """See Host."""
        return self.links.get(device)

    def link_up(self, device: str) -> None:
        """See Host."""
        if device not in self.links:
            raise OperationError(f"no network interface {device}")

    def addresses(self) -> Sequence[Address]:
        """See Host."""
        return tuple(self.held)

    def add_address(self, device: str, ip: str, prefix: int) -> None:
        """See Host."""
        self.held.append(Address(device, ip, prefix))
        self.log.append(f"address {ip}")

    def delete_address(self, device: str, ip: str, prefix: int) -> None:
        """See Host."""
        self.held.remove(Address(device, ip, prefix))
        self.log.append(f"no address {ip}")

    def default_route(self) -> tuple[str, str] | None:
        """See Host."""
        return self.route

    def set_default_route(self, gateway: str, device: str) -> None:
        """See Host."""
        self.route = (gateway, device)

    def delete_default_route(self, gateway: str, device: str) -> None:
        """See Host."""
        if self.route == (gateway, device):
            self.route = None

    def announce(self, device: str, ip: str, mac: bytes = b"") -> None:
        """See Host."""
        self.log.append(f"announce {ip} {mac.hex(':')}".strip())

    @contextlib.contextmanager
    def sharing(self, shared: SharedAddress, target: Target) -> Iterator[BucketFilter]:
        """See Host."""
        yield MemoryFilter(self, shared)

    def mounts(self) -> Sequence[Mount]:
        """See Host."""
        return ()

    def mount(self, source: str, directory: str, fstype: str, options: str) -> None:
        """See Host."""
        raise OperationError("nothing can be mounted here")

    def unmount(self, directory: str, *, lazy: bool = False) -> None:
        """See Host."""
        raise OperationError("nothing is mounted here")

    def holders(self, directory: str) -> Sequence[int]:
        """See Host."""
        return ()

    def signal(self, processes: Sequence[int], number: int) -> None:
        """See Host."""
        assert not processes, "there are no processes here"

    def run(self, command: Sequence[str], timeout_s: float) -> tuple[int, str]:
        """See Host."""
        raise OperationError(f"no command {command[0]}")

    def is_executable(self, path: str) -> bool:
        """See Host."""
        return False

    def is_directory(self, path: str) -> bool:
        """See Host."""
        return False

    def make_directory(self, path: str) -> None:
        """See Host."""
        raise OperationError(f"{path}: no directories here")

    def sleep(self, seconds: float) -> None:
        """See Host."""
