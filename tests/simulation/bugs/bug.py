"""What a seeded bug is: a small textual change of one production module, never written to disk."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake somebody might make. says: it, in one line; old occurs once in `module`'s source.

    nodes, fencing, resources: what a search for a seed is limited to, all when empty or None.
    """

    name: str
    says: str
    module: str
    old: str
    new: str
    nodes: tuple[int, ...] = ()
    fencing: bool | None = None
    resources: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Return where the module's source is."""
        package, _, leaf = self.module.rpartition(".")
        # Nothing of ours may be imported yet, the parent package included.
        root = importlib.util.find_spec("standfest")
        assert root is not None, "standfest is installed"
        assert root.origin is not None, "it is a package with files"
        folders = package.split(".")[1:]
        return Path(root.origin).parent.joinpath(*folders, f"{leaf}.py")

    def patched(self) -> str:
        """Return the module's source with the mistake in it; raises ValueError, in one line."""
        source = self.path.read_text()
        count = source.count(self.old)
        if count != 1:
            raise ValueError(
                f"bug {self.name}: {self.old.splitlines()[0].strip()!r}... occurs {count} times "
                f"in {self.module}; expected once: change tests/simulation/bugs with the code"
            )
        return source.replace(self.old, self.new)
