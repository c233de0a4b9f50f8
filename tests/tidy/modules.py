"""What the tidy rules look at: every module of a source tree, parsed, with the names it imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "standfest"


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name with its line. `from a.b import c` imports `a.b.c`; level counts the dots."""

    name: str
    line: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Module:
    """One file: dotted name (packages without `.__init__`), source, parsed tree."""

    name: str
    path: Path
    source: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """Return the package below `standfest` that the module lives in, or "" at the top."""
        parts = self.name.split(".")
        if len(parts) == 2 and self.path.name != "__init__.py":
            return ""
        return parts[1] if len(parts) > 1 else ""

    @property
    def imports(self) -> Iterator[Import]:
        """Yield everything imported, in functions and under TYPE_CHECKING too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    source = f"{node.module}." if node.module else ""
                    yield Import(source + alias.name, node.lineno, node.level)


def read_modules(source_root: Path) -> tuple[Module, ...]:
    """Return all modules below `source_root`/standfest, sorted by name."""
    found = []
    for path in sorted((source_root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source_root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        source = path.read_text(encoding="utf-8")
        found.append(Module(name, path, source, ast.parse(source, filename=str(path))))
    return tuple(found)
